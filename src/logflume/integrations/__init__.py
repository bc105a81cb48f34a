"""Where logflume meets other frameworks: one public module for each, imported by who wants it."""

"""One file per library: how it is opened, logged to and flushed. Imported by name only."""

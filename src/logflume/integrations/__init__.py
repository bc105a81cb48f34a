"""Bridges to other libraries, one module each; none is imported unless a program asks for it."""

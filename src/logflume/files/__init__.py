"""What sinks that write files are made of: when to rotate, what to delete, how to compress.

Plain and blocking: no event loop and no threads here. A sink calls what touches the disk in a
thread of its own.
"""

"""Appending encoded records to an open file, so that it ends with a whole one whatever happens."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence

__all__ = ["cut_out", "in_pieces", "whole_records", "write_all"]

PIECE = 98_304
"""Bytes that are written at a time, of blocks that are as small: for 128 KiB up, Linux takes larger
units of memory into its page cache, see `engine.buffer`."""

SLOW = 0.002
"""Seconds for one piece from which on the rest is written at once: if the disk is slow, or busy
threads give this one a turn only after each piece."""

_MOST_BLOCKS = 1_024  # IOV_MAX of Linux and macOS


def write_all(fd: int, blocks: Sequence[memoryview]) -> tuple[int, OSError | None]:
    """Write blocks until all is written or the system refuses: how many bytes, and why.

    In pieces of whole blocks, and so of whole records: a process that is killed between two pieces
    leaves no part of one.
    """
    blocks = [block for block in blocks if len(block)]
    done = start = 0
    try:
        while start < len(blocks):
            stop = _end_of_piece(blocks, start)
            piece = blocks[start:stop]
            size, taken = sum(map(len, piece)), 0
            began = time.perf_counter()
            while taken < size:
                count = _write_some(fd, cut_out(piece, taken, size) if taken else piece)
                taken += count
                done += count
                if stop < len(blocks) and time.perf_counter() - began > SLOW:
                    stop = len(blocks)
                    piece = blocks[start:]
                    size = sum(map(len, piece))
            start = stop
    except OSError as error:
        return done, error
    return done, None


def _end_of_piece(blocks: Sequence[memoryview], start: int) -> int:
    stop, size = start + 1, len(blocks[start])
    while stop < len(blocks) and size + len(blocks[stop]) <= PIECE:
        size += len(blocks[stop])
        stop += 1
    return stop


def in_pieces(encoded: Sequence[bytes]) -> list[memoryview]:
    """Return encoded records as blocks to be written one at a time."""
    blocks: list[memoryview] = []
    start = nbytes = 0
    for at, record in enumerate(encoded):
        if at > start and nbytes + len(record) > PIECE:
            blocks.append(memoryview(b"".join(encoded[start:at])))
            start, nbytes = at, 0
        nbytes += len(record)
    return [*blocks, memoryview(b"".join(encoded[start:]))]


def _write_some(fd: int, blocks: Sequence[memoryview]) -> int:
    if hasattr(os, "writev") and len(blocks) > 1:
        return os.writev(fd, blocks[:_MOST_BLOCKS])
    return os.write(fd, blocks[0])


def whole_records(sizes: Sequence[int], nbytes: int) -> tuple[int, int]:
    """Return how many records are whole in the first bytes, and how many bytes those are."""
    count = whole = 0
    for size in sizes:
        if whole + size > nbytes:
            break
        whole += size
        count += 1
    return count, whole


def cut_out(blocks: Sequence[memoryview], start: int, stop: int) -> list[memoryview]:
    """Return the bytes from `start` to `stop` of all the blocks, without copying them."""
    parts = []
    for block in blocks:
        if start < len(block) and stop > 0:
            parts.append(block[max(0, start) : stop])
        start -= len(block)
        stop -= len(block)
        if stop <= 0:
            break
    return parts

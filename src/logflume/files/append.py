"""Appending encoded records to an open file, so that it ends with a whole one whatever happens."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence

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
    nbytes = sum(map(len, blocks))
    done = 0
    try:
        for end in _ends_of_pieces(blocks):
            stop = end
            began = time.perf_counter()
            while done < stop:
                done += _write_some(fd, cut_out(blocks, done, stop))
                if time.perf_counter() - began > SLOW:
                    stop = nbytes
    except OSError as error:
        return done, error
    return nbytes, None


def _ends_of_pieces(blocks: Sequence[memoryview]) -> Iterator[int]:
    begun = end = 0
    for block in blocks:
        if end > begun and end + len(block) > begun + PIECE:
            yield end
            begun = end
        end += len(block)
    if end > begun:
        yield end


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


def _write_some(fd: int, blocks: list[memoryview]) -> int:
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

"""Appending encoded records to an open file, so that it ends with a whole one whatever happens."""

from __future__ import annotations

import os
import time
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate

__all__ = ["cut_out", "whole_records", "write_all"]

PIECE = 65_536
"""Bytes that are written at a time. For more, Linux takes larger units of memory into its page
cache (ext4's large folios), which a virtual machine may first have to get from its host: measured
on one, 42 MB took 8 to 12 ms in pieces of 64 or 96 KiB, 50 to 150 ms in pieces of 128 KiB up."""

SLOW = 0.002
"""Seconds for one piece from which on the rest is written at once: if the disk is slow, or busy
threads give this one a turn only after each piece."""

_MOST_BLOCKS = 1_024  # IOV_MAX of Linux and macOS


def write_all(
    fd: int, blocks: Sequence[memoryview], sizes: Sequence[int], nbytes: int
) -> tuple[int, OSError | None]:
    """Write blocks until all is written or the system refuses: how many bytes, and why.

    In pieces of whole records, whose `sizes` are given: a process that is killed between two
    pieces leaves no part of one.
    """
    done = 0
    try:
        for end in _ends_of_pieces(sizes):
            stop = end
            began = time.perf_counter()
            while done < stop:
                done += _write_some(fd, cut_out(blocks, done, stop))
                if time.perf_counter() - began > SLOW:
                    stop = nbytes
    except OSError as error:
        return done, error
    return nbytes, None


def _ends_of_pieces(sizes: Sequence[int]) -> Iterator[int]:
    ends = list(accumulate(sizes, initial=0))
    last = 0
    while last < len(ends) - 1:
        last = max(bisect_right(ends, ends[last] + PIECE, lo=last) - 1, last + 1)
        yield ends[last]


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

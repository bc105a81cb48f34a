"""Appending encoded records to an open file, so that it ends with a whole one whatever happens."""

from __future__ import annotations

import os
from collections.abc import Sequence

__all__ = ["cut_out", "whole_records", "write_all"]

_MOST_BLOCKS = 1_024  # IOV_MAX of Linux and macOS


def write_all(fd: int, blocks: Sequence[memoryview], nbytes: int) -> tuple[int, OSError | None]:
    """Write blocks until all is written or the system refuses: how many bytes, and why."""
    left = nbytes
    data = list(blocks)
    try:
        while left:
            written = _write_some(fd, data)
            left -= written
            if left:
                data = [memoryview(b"".join(data))[written:]]
    except OSError as error:
        return nbytes - left, error
    return nbytes, None


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

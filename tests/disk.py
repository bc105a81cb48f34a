"""Files under test: batches of lines, what is on the disk, disks that misbehave, and a clock."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from logflume import Record, SinkBatch
from logflume.sinks import File
from tests.fakes import may_block

__all__ = ["Clock", "Disk", "batch_of", "batch_to", "in_folder", "on_the_clock", "read"]


def read(path: Path) -> bytes:
    with may_block():
        return path.read_bytes()


def batch_of(*lines: bytes, in_blocks: int = 1) -> SinkBatch:
    """Make a batch of lines, joined to blocks of so many."""
    blocks = [
        memoryview(b"".join(lines[at : at + in_blocks])) for at in range(0, len(lines), in_blocks)
    ]
    return SinkBatch(blocks=blocks, sizes=[*map(len, lines)], nbytes=sum(map(len, lines)))


def batch_to(records: Sequence[Record], *lines: bytes) -> SinkBatch:
    """Make a batch of records and their lines, one for one."""
    return SinkBatch(records, list(lines), nbytes=sum(map(len, lines)))


def in_folder(folder: Path) -> dict[str, bytes]:
    """Return what is in the files of a folder, and of those in it, by their paths in it."""
    with may_block():
        return {
            str(path.relative_to(folder)): path.read_bytes()
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        }


class Clock:
    """A clock that is set by hand: POSIX time, at first noon of 1 May 2026 in UTC."""

    def __init__(self, now: float = datetime(2026, 5, 1, 12, tzinfo=UTC).timestamp()) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def on_the_clock(sink: File, clock: Callable[[], float]) -> File:
    """Let a sink that is not open yet go by this clock."""
    sink._terms = replace(sink._terms, clock=clock)
    return sink


class Disk:
    """A disk that takes so many bytes at a time, and is full after so many.

    Each time it has said so, `freed` bytes become free.
    """

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, *, at_a_time: int, room: int, freed: int = 0
    ) -> None:
        self.room = room
        self.freed = freed
        self.at_a_time = at_a_time
        self._write: Callable[..., int] = os.write
        for name in ("write", "writev"):
            monkeypatch.setattr(os, name, getattr(self, name), raising=False)

    def write(self, fd: int, data: Any) -> int:
        taken = bytes(data)[: min(self.at_a_time, self.room)]
        if not taken:
            self.room = self.freed
            raise OSError(errno.ENOSPC, "No space left on device")
        self.room -= len(taken)
        return self._write(fd, taken)

    def writev(self, fd: int, blocks: list[memoryview]) -> int:
        return self.write(fd, b"".join(blocks))

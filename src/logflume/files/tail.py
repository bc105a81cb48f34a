"""Both ends of a file that was written before: its torn tail, and when it was begun.

A process that is killed while it writes may leave a part of a line at the end. Such a line was
never acknowledged, since a batch is acknowledged when all of it is written. Left as it is, the next
record would be glued to it.
"""

from __future__ import annotations

import os
import re
import sys
import time
from datetime import datetime
from pathlib import Path

import orjson

from .append import write_all
from .naming import NOFOLLOW

if sys.platform != "win32":
    import fcntl

__all__ = ["begun_at", "claim_alone", "is_json_lines", "mark_in_use", "mend"]

BINARY = getattr(os, "O_BINARY", 0)
"""What keeps Windows from changing line ends."""

_STEP = 65_536
_FARTHEST = 16_777_216
"""How far back the beginning of a torn line is looked for."""

_PATIENCE = 20
"""Hundredths of a second in which another process may end its line."""

_HEAD = 128
_TIMESTAMP = re.compile(
    rb"([0-9]{4}-[0-9]{2}-[0-9]{2})[T ]([0-9]{2}:[0-9]{2}:[0-9]{2})(?:\.[0-9]+)?(Z|\+00:?00)"
)
_TIMESTAMP_FIRST = re.compile(
    rb"\[?([0-9]{4}-[0-9]{2}-[0-9]{2})[T ]([0-9]{2}:[0-9]{2}:[0-9]{2})(?:[.,][0-9]+)?"
    rb" ?(Z|[+-][0-9]{2}:?[0-9]{2})?(?![0-9:])"
)


def mend(path: Path, fd: int, size: int, mode: int, *, shared: bool) -> int:
    """Make a file of lines end with a whole one, and return its size.

    A last line without its end gets one, if it is whole or no JSON: nothing is glued to it, and
    nothing is lost. The beginning of a JSON line is moved to a file of its own, `path` + ".torn".
    Where another process has the file in use, too, it is ended only: the line may be whole by then.

    Raises:
        OSError: the file cannot be changed, on a full disk for example.
    """
    try:
        reader = os.open(path, os.O_RDONLY | BINARY)
    except OSError:  # ours to write but not to read: nothing can be said about it
        return size
    try:
        if not os.path.samestat(os.fstat(reader), os.fstat(fd)) or _ends_whole(reader, size):
            return size
        alone = shared or claim_alone(fd)
        try:
            return _mend(path, fd, reader, mode, alone)
        finally:
            if not shared:
                mark_in_use(fd)
    finally:
        os.close(reader)


def is_json_lines(path: Path) -> bool:
    """Whether the first line of a file is a whole one of JSON."""
    try:
        fd = os.open(path, os.O_RDONLY | BINARY)
    except OSError:
        return False
    try:
        line, end, _ = os.read(fd, _STEP).partition(b"\n")
    except OSError:
        return False
    finally:
        os.close(fd)
    if not end or not line.startswith(b"{"):
        return False
    try:
        orjson.loads(line)
    except orjson.JSONDecodeError:
        return False
    return True


def _mend(path: Path, fd: int, reader: int, mode: int, alone: bool) -> int:
    size = os.fstat(fd).st_size  # somebody else may have been at it before
    for _ in range(0 if alone else _PATIENCE):
        if _ends_whole(reader, size):
            break
        time.sleep(0.01)  # another process may be in the middle of a write
        size = os.fstat(fd).st_size
    if _ends_whole(reader, size):
        return size
    line = _last_line(reader, size) if alone else None
    if line is not None and _is_torn(line) and _move_aside(path, line, mode):
        os.ftruncate(fd, size - len(line))
        return size - len(line)
    _, error = write_all(fd, [memoryview(b"\n")])
    if error is not None:
        raise error
    return size + 1


def _ends_whole(reader: int, size: int) -> bool:
    return not size or _read_at(reader, size - 1, 1) == b"\n"


def _read_at(fd: int, offset: int, count: int) -> bytes:
    os.lseek(fd, offset, os.SEEK_SET)
    return os.read(fd, count)


def _last_line(reader: int, size: int) -> bytes | None:
    """Return what is behind the last end of a line; None if that is too long for a line."""
    pieces: list[bytes] = []
    start = size
    while start > max(0, size - _FARTHEST):
        step = min(_STEP, start)
        start -= step
        piece = _read_at(reader, start, step)
        end = piece.rfind(b"\n")
        pieces.append(piece[end + 1 :])
        if end >= 0:
            return b"".join(reversed(pieces))
    return None if start else b"".join(reversed(pieces))


def _is_torn(line: bytes) -> bool:
    """Whether this is a part of a JSON line, or what a power failure leaves: zeros."""
    if b"\0" in line:
        return True
    if not line.startswith((b"{", b"[")):
        return False
    try:
        orjson.loads(line)
    except orjson.JSONDecodeError:
        return True
    return False


def _move_aside(path: Path, line: bytes, mode: int) -> bool:
    """Keep a torn line in a file of its own; False if that cannot be written."""
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | NOFOLLOW | BINARY
    try:
        aside = os.open(f"{path}.torn", flags, mode)
    except OSError:
        return False
    try:
        _, error = write_all(aside, [memoryview(line + b"\n")])
    finally:
        os.close(aside)
    return error is None


def mark_in_use(fd: int) -> None:
    """Let other processes know that this file is being written to."""
    for _ in range(10):  # another one may have it alone, but never for long
        if _flock(fd, exclusive=False):
            return
        time.sleep(0.001)


def claim_alone(fd: int) -> bool:
    """Whether no other process has marked this file as in use; until `mark_in_use`, none can."""
    return _flock(fd, exclusive=True)


def _flock(fd: int, *, exclusive: bool) -> bool:
    if sys.platform == "win32":
        return True
    try:
        fcntl.flock(fd, (fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        pass
    return True


def begun_at(path: Path, last_rotation: float | None, now: float) -> float:
    """Return when a file that is there was begun, as far as that can be found out.

    The time of its first record, if its first line begins with a timestamp (local time, if it says
    no other) or has one in UTC near its beginning, or the last rotation, whichever is later; with
    neither, the time of its last change. Never in the future.
    """
    found = [time for time in (_first_time(path), last_rotation) if time is not None]
    try:
        changed = path.stat().st_mtime
    except OSError:
        changed = now
    return min(now, changed, max(found, default=changed))


def _first_time(path: Path) -> float | None:
    try:
        fd = os.open(path, os.O_RDONLY | BINARY)
    except OSError:
        return None
    try:
        head = os.read(fd, _HEAD).partition(b"\n")[0]
    finally:
        os.close(fd)
    match = _TIMESTAMP_FIRST.match(head) or _TIMESTAMP.search(head)
    if match is None:
        return None
    date, clock, offset = (part.decode() for part in match.groups(b""))
    try:
        return datetime.fromisoformat(f"{date}T{clock}{offset}").timestamp()
    except (ValueError, OverflowError, OSError):  # no time, or none that calendars know
        return None

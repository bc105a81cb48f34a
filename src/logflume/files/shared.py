"""The lock under which processes share a file: `flock` on a file beside it.

Not on the file itself, which is renamed and made anew. The system takes the lock back from a
process that ends, however it ends. On network file systems it holds as far as their `flock` does.
"""

from __future__ import annotations

import os
import sys
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .naming import NOFOLLOW

if sys.platform != "win32":
    import fcntl

__all__ = ["SideLock", "can_share"]

can_share = sys.platform != "win32"
"""Whether this system has the locks that sharing a file needs."""


class SideLock:
    """A lock that one process holds at a time; its file is `.app.jsonl.lock` for `app.jsonl`.

    The file stays: were it deleted, two processes could hold locks on two files of that name.
    """

    def __init__(self, path: Path, mode: int, kind: str = "lock") -> None:
        self.path = path.with_name(f".{path.name}.{kind}")
        self._mode = mode
        self._fd = -1
        _locks.add(self)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the lock, after waiting for it.

        Raises:
            OSError: the lock's file cannot be made.
        """
        self._take(fcntl.LOCK_EX)
        try:
            yield
        finally:
            self._release()

    @contextmanager
    def held_if_free(self) -> Iterator[bool]:
        """Hold the lock if nobody else does, and say whether."""
        try:
            self._take(fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        try:
            yield True
        finally:
            self._release()

    def _take(self, how: int) -> None:
        while True:
            if self._fd < 0:
                os.makedirs(self.path.parent, exist_ok=True)
                self._fd = os.open(self.path, os.O_RDWR | os.O_CREAT | NOFOLLOW, self._mode)
            fcntl.flock(self._fd, how)
            if self._is_in_place():
                return
            self.close()  # somebody has deleted the file: others will lock the new one

    def _is_in_place(self) -> bool:
        try:
            return os.path.samestat(os.fstat(self._fd), os.lstat(self.path))
        except FileNotFoundError:
            return False

    def _release(self) -> None:
        if self._fd >= 0:
            fcntl.flock(self._fd, fcntl.LOCK_UN)

    def close(self) -> None:
        """Let go of the lock and its file."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)


_locks: weakref.WeakSet[SideLock] = weakref.WeakSet()


def _after_fork() -> None:
    """A child would otherwise keep its parent's lock held, should the parent be killed."""
    for lock in list(_locks):
        try:
            lock.close()
        except OSError:
            pass


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)

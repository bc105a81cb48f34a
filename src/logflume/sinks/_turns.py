"""Turns between the sinks of one process that have the same file open.

A reload that changes an option of a file has two for a moment: the new one is open before the old
one has delivered what it holds. Two routes or pipelines may name one file, too. Without turns, one
could move the file away, and compress it, between another's look at the path and its write.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable
from pathlib import Path

__all__ = ["Turn", "turn_at"]

PAUSE = 0.05
"""Seconds until somebody who waits looks whether that makes sense still."""


class Turn:
    """A lock that is there as long as somebody knows it."""

    __slots__ = ("__weakref__", "_lock")

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    def do(self, work: Callable[[], None], given_up: Callable[[], bool]) -> None:
        """Do something in turn, unless that is given up while waiting."""
        while not given_up():
            if self._lock.acquire(timeout=PAUSE):
                try:
                    work()
                finally:
                    self._lock.release()
                return


_turns: weakref.WeakValueDictionary[tuple[str, str], Turn] = weakref.WeakValueDictionary()
_guard = threading.Lock()


def turn_at(path: Path, what: str = "write") -> Turn:
    """Return what is to be held while something is done with a file. Blocks: it follows links."""
    key = os.path.realpath(path), what
    with _guard:
        turn = _turns.get(key)
        if turn is None:
            turn = _turns[key] = Turn()
        return turn


def _after_fork() -> None:
    """Whoever held one is gone in the child."""
    global _guard
    _guard = threading.Lock()
    _turns.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)

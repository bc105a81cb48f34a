"""A signal that will be heard, in a process whose parent waits for its end and never kills it.

Python runs a signal's handler between two instructions of the main thread, which leaves two gaps. A
signal that comes just before that thread waits for the system is handled when the wait is over; and
an exception that the handler raises within a finalizer or the callback of a weak reference is
printed, and goes no further. Elsewhere somebody loses patience then, and sends SIGKILL. A `with
Pool()` waits for ever: 7 of 1,500 of them did, on a busy machine.

So here a thread learns of each signal, as the system tells it (`signal.set_wakeup_fd`), and sends
it once more to the main thread, which interrupts what that waits for, until the handler says that
the end has begun.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import warnings
from collections.abc import Collection

__all__ = ["Insistence", "is_waited_for"]

PATIENCE = 0.1
"""Seconds from the signal to its first repetition, and from one to the next."""


def is_waited_for() -> bool:
    """Whether this is a process of multiprocessing, on a system with signals to threads."""
    processes = sys.modules.get("multiprocessing.process")
    if processes is None or not hasattr(signal, "pthread_kill"):
        return False
    return processes.parent_process() is not None


class Insistence:
    """Repeats these signals in the main thread, in which it is made, until they are heeded."""

    def __init__(self, numbers: Collection[int]) -> None:
        global _in_force
        self._numbers = frozenset(numbers)
        self._is_heeded = False
        self._is_repeated = False
        self._over = threading.Event()
        # trio, if it runs in here, has its own fd and puts this one back; but it tells users.
        telling = "It looks like Trio's signal handling code"
        warnings.filterwarnings("ignore", telling, RuntimeWarning)
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._writer, False)
        self._before = signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        _in_force = self
        main = threading.get_ident()
        threading.Thread(
            target=self._repeat, args=(main,), name="logflume signals", daemon=True
        ).start()

    def takes_repetition(self) -> bool:
        """Whether the signal at hand is one of those that this sent. In the handler, once each."""
        repeated, self._is_repeated = self._is_repeated, False
        return repeated

    def heed(self) -> None:
        """Send no more: the end has begun. What comes now, the system or a user has sent."""
        self._is_heeded = True

    def stop(self) -> None:
        """Leave signals as they were before."""
        global _in_force
        _in_force = None
        if (now := signal.set_wakeup_fd(-1)) != self._writer:
            signal.set_wakeup_fd(now)
        elif self._before != -1:
            signal.set_wakeup_fd(self._before)
        self._over.set()
        os.close(self._writer)

    def leave_to_parent(self) -> None:
        """In the child of a fork: the thread is not here, and the pipe is the parent's."""
        if (now := signal.set_wakeup_fd(-1)) != self._writer:
            signal.set_wakeup_fd(now)
        os.close(self._writer)
        os.close(self._reader)

    def _repeat(self, main: int) -> None:
        while came := os.read(self._reader, 4_096):
            for number in self._numbers.intersection(came):
                while not (self._over.wait(PATIENCE) or self._is_heeded):
                    self._is_repeated = True
                    signal.pthread_kill(main, number)
        os.close(self._reader)


_in_force: Insistence | None = None


def _after_fork() -> None:
    global _in_force
    insistence, _in_force = _in_force, None
    if insistence is not None:
        insistence.leave_to_parent()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)

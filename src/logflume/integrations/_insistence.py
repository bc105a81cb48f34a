"""A signal that will be heard, in a process whose parent waits for its end and never kills it.

Python runs a signal's handler between two instructions of the main thread, which leaves two gaps. A
signal that comes just before that thread waits for the system is handled when the wait is over; and
an exception that the handler raises within a finalizer or the callback of a weak reference is
printed, and goes no further. Elsewhere somebody loses patience then, and sends SIGKILL. A `with
Pool()` waits for ever: 7 of 1,500 of them did, on a busy machine.

So here a thread learns of each signal, as the system tells it (`signal.set_wakeup_fd`). It sends it
once more to the main thread, which interrupts what that waits for, if the handler has not run, or
if what it raised was lost (`sys.unraisablehook`).
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import warnings
from collections.abc import Collection
from typing import Any

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
    """Repeats these signals in the main thread, in which it is made, until they are heeded: as long
    as this is their handler.

    Raises:
        OSError, RuntimeError: the system has no more files, or no more threads.
    """

    def __init__(self, numbers: Collection[int], handler: Any) -> None:
        global _in_force
        self._numbers = frozenset(numbers)
        self._handler = handler
        self._has_run = self._is_lost = self._is_repeated = False
        self._over = threading.Event()
        self._turn = threading.Lock()
        # trio, if it runs in here, has its own fd and puts this one back; but it tells users.
        telling = "It looks like Trio's signal handling code"
        warnings.filterwarnings("ignore", telling, RuntimeWarning)
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._writer, False)
        main = threading.get_ident()
        thread = threading.Thread(
            target=self._repeat, args=(main,), name="logflume signals", daemon=True
        )
        try:
            thread.start()
        except RuntimeError:
            os.close(self._reader)
            os.close(self._writer)
            raise
        self._before = signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        self._hook = sys.unraisablehook
        sys.unraisablehook = self._on_unraisable
        self._around, _in_force = _in_force, self

    # In the main thread.

    def takes_repetition(self) -> bool:
        """Say at each run of the handler whether the signal was sent by this. Takes no lock."""
        self._has_run = True
        repeated, self._is_repeated = self._is_repeated, False
        return repeated

    def takes_loss(self) -> bool:
        """Say once whether what the handler raised was lost."""
        lost, self._is_lost = self._is_lost, False
        return lost

    def stop(self) -> None:
        """Repeat nothing more, and leave all as it was before. Before the handler is taken back."""
        global _in_force
        with self._turn:
            self._over.set()
        _in_force = self._around
        self._leave(self._before)
        os.close(self._writer)

    def leave_to_parent(self) -> None:
        """In the child of a fork: the thread is not here, and the pipe is the parent's."""
        self._leave(-1)
        os.close(self._writer)
        os.close(self._reader)
        if self._around is not None:
            self._around.leave_to_parent()

    def _leave(self, before: int) -> None:
        if (now := signal.set_wakeup_fd(before)) != self._writer:
            signal.set_wakeup_fd(now)
        if sys.unraisablehook == self._on_unraisable:
            sys.unraisablehook = self._hook

    def _on_unraisable(self, told: Any) -> None:
        if isinstance(told.exc_value, SystemExit):
            self._is_lost = True
        self._hook(told)

    # In the thread.

    def _repeat(self, main: int) -> None:
        while came := os.read(self._reader, 4_096):
            for number in self._numbers.intersection(came):
                self._insist(main, number)
        os.close(self._reader)

    def _insist(self, main: int, number: int) -> None:
        while not self._over.wait(PATIENCE):
            with self._turn:
                if self._over.is_set() or (self._has_run and not self._is_lost):
                    return
                if signal.getsignal(number) != self._handler:
                    return  # the program has set one of its own
                self._is_repeated = True
                signal.pthread_kill(main, number)


_in_force: Insistence | None = None


def _after_fork() -> None:
    global _in_force
    insistence, _in_force = _in_force, None
    if insistence is not None:
        insistence.leave_to_parent()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)

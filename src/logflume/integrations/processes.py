"""The end of a process by a signal, in an orderly way, and of one that a server ends by a signal.

Without this, SIGTERM (from `kill`, service managers and container platforms) ends Python on the
spot: no `finally` runs, and what pipelines hold is lost.

In a script the signal becomes a SystemExit in the main thread, wherever that is, as Ctrl-C becomes
a KeyboardInterrupt. On a loop that would end the loop, and asyncio would then cancel all tasks at
once, a pipeline's too; so there, the block is cancelled, and SystemExit raised at its end.
"""

from __future__ import annotations

import _thread
import os
import signal
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from types import FrameType
from typing import Any, NoReturn

import anyio

from ..engine.backend import Loop, in_loop, running_loop, within
from ..engine.current import is_exiting, pipelines_in_threads
from ..engine.pipeline import Pipeline
from ..errors import ConfigurationError, PipelineError
from ._insistence import Insistence, is_waited_for

__all__ = ["deliver_before_sigterm", "exit_on_signals"]

SAME = 0.2
"""Seconds in which a signal that comes again is the same: `timeout`, for one, sends it twice, to
the process and to its group."""


@contextmanager
def exit_on_signals(*signals: int) -> Iterator[None]:
    """Turn SIGTERM, or the signals given, into an orderly exit of the block.

    The body is left as if by Ctrl-C (in an async program: by cancellation), so that its `finally`
    blocks run and pipelines are closed within their `shutdown_timeout`; then the program exits
    with 128 + the signal's number. A second signal, 0.2 s later or more, kills at once.

        with exit_on_signals(), Pipeline("events.jsonl"):
            work()

    In an async program, let it be the outermost block of the main function, outside of task
    groups, which would wrap the SystemExit:

        async def main():
            with exit_on_signals():
                async with Pipeline(sinks.Console()):
                    await serve()

    An exception of another kind that the body raises meanwhile is not replaced. A handler that the
    program has set before is called first, and set again at the end of the block. Not called is
    that of SIGINT, which is Python's or the loop's, nor that of `deliver_before_sigterm`: the block
    does what it is for, whichever comes first. In the child of a fork, a signal raises SystemExit.

    Python heeds a signal that comes just before a script's main thread waits when that is over, and
    loses an exception that is raised within a finalizer. In processes of multiprocessing, for which
    their parents wait without end, the signal is repeated until it is heeded.

    Raises:
        ConfigurationError: a signal is none, or cannot be caught.
        PipelineError: this is not the main thread, the only one where Python can set handlers.
    """
    wanted = [_checked(number) for number in signals] or [signal.SIGTERM]
    if threading.current_thread() is not threading.main_thread():
        raise PipelineError("exit_on_signals works in the main thread only: begin the block there")
    leaving = _Exit(running_loop() if in_loop() else None)
    try:
        leaving.take(wanted)
        with leaving.scope or nullcontext():
            yield
    except BaseException as error:
        if not (_is_interruption(error) and leaving.explains(error)):
            raise
    finally:
        leaving.give_back()
    if leaving.signal is not None:
        leaving.exit()


class _Exit:
    """What a signal does: on the loop given, cancel the scope; else raise SystemExit."""

    def __init__(self, here: Loop | None) -> None:
        self.signal: int | None = None
        """The first signal that came."""
        self.scope = None if here is None else anyio.CancelScope()
        self._here = here
        self._process = os.getpid()
        self._came_at: float | None = None
        self._before: dict[int, Any] = {}
        self._ctrl_c = False
        self._stop_waking = None if here is None else here.wake_on_signals()
        self._insistence: Insistence | None = None

    def take(self, numbers: Iterable[int]) -> None:
        """Let these signals come here."""
        for number in numbers:
            if number == signal.SIGINT and self._here is None:
                # asyncio and trio end in order on Ctrl-C, but only if the handler is Python's own.
                self._ctrl_c = True
            else:
                self._before[number] = signal.signal(number, self._on_signal)
        if self._here is None and is_waited_for():
            with suppress(OSError, RuntimeError):  # it goes without
                self._insistence = Insistence(self._before, self._on_signal)

    def explains(self, error: BaseException) -> bool:
        """Whether a signal is what interrupted the block."""
        if self._ctrl_c and self.signal is None and _is_ctrl_c(error):
            self.signal = signal.SIGINT
        return self.signal is not None

    def give_back(self) -> None:
        """Set the handlers that were there before, unless somebody has set others meanwhile."""
        if self._insistence is not None and self._process == os.getpid():
            self._insistence.stop()
        for number, before in self._before.items():
            if signal.getsignal(number) == self._on_signal:
                # None: it was not set by Python, which cannot set it again.
                signal.signal(number, signal.SIG_DFL if before is None else before)
        if self._stop_waking is not None:
            self._stop_waking()

    def exit(self) -> NoReturn:
        """End the program with the status that tells of the signal."""
        assert self.signal is not None
        raise SystemExit(128 + self.signal)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        """Runs between any two instructions of the main thread, whether its loop turns or not."""
        insistence = self._insistence
        repeated = insistence is not None and insistence.takes_repetition()
        if self._came_at is not None:
            if insistence is not None and repeated:
                if insistence.takes_loss() and not (is_exiting() or _has_done_its_work(frame)):
                    self.exit()
            elif time.monotonic() - self._came_at >= SAME:
                signal.signal(number, signal.SIG_DFL)
                os.kill(os.getpid(), number)
            return
        self._came_at = time.monotonic()
        if is_exiting() or _has_done_its_work(frame):
            return  # it exits in order already, which an exception would put an end to
        self.signal = number
        before = self._before.get(number)
        # What `deliver_before_sigterm` has set ends the process there and then.
        if callable(before) and before is not _deliver_and_end and number != signal.SIGINT:
            before(number, frame)
        if os.getpid() != self._process:  # the loop, if there is one, is the parent's
            self.exit()
        if self._here is not None and self.scope is not None:
            self._here.post(self.scope.cancel)
            return
        interrupt = signal.getsignal(signal.SIGINT)
        if in_loop() and callable(interrupt):
            # The block is around the loop: only the loop itself knows its main task, which it
            # cancels on Ctrl-C.
            interrupt(signal.SIGINT, frame)
        else:
            self.exit()


def _has_done_its_work(frame: FrameType | None) -> bool:
    """Whether this is a process of multiprocessing whose function has returned.

    `with Pool()` tells its workers to end and then sends them SIGTERM. What is raised between the
    one's last statement and the exit's first would leave no time to deliver anything.
    """
    processes = sys.modules.get("multiprocessing.process")
    if processes is None:
        return False
    while frame is not None:
        if frame.f_code is processes.BaseProcess._bootstrap.__code__:
            return "exitcode" in frame.f_locals
        frame = frame.f_back
    return False


def _is_ctrl_c(error: BaseException) -> bool:
    if isinstance(error, BaseExceptionGroup):
        return error.subgroup(KeyboardInterrupt) is not None
    return isinstance(error, KeyboardInterrupt)


def _is_interruption(error: BaseException) -> bool:
    """Whether an exception says no more than that the block was interrupted."""
    if isinstance(error, BaseExceptionGroup):
        return error.subgroup((Exception, SystemExit)) is None
    return not isinstance(error, Exception | SystemExit | GeneratorExit)


def _checked(number: object) -> int:
    try:
        if isinstance(number, bool):
            raise ValueError
        checked = signal.Signals(number)  # type: ignore[arg-type]
    except ValueError:
        checked = None
    if checked is None or checked.name in ("SIGKILL", "SIGSTOP"):
        accepted = "signals that can be caught, like signal.SIGTERM"
        raise ConfigurationError.of("exit_on_signals", number, accepted)
    return checked


def deliver_before_sigterm() -> None:
    """Have what was logged delivered before SIGTERM ends the process, if nobody else takes it.

    For programs that a server ends. uvicorn takes the signal, ends all it does, and then sends it
    to the process once more, for whoever took it before: as a rule nobody, so the process ends
    there and then, a moment after its last lines. A program of one's own has `exit_on_signals`.

    Of the pipelines that run in threads of their own (the default one, and those that
    `with Pipeline(...)` opened, also while they close), each within its `shutdown_timeout`. The
    process then ends as it would have: by the signal. If it is exiting already, that goes on, and
    only a second signal, 0.2 s later or more, ends it. Only the main thread may ask for it;
    elsewhere nothing happens.

    `uvicorn_config` asks for it. Elsewhere a program does so itself: uvicorn's workers under
    gunicorn, for example, in gunicorn.conf.py:

        def post_worker_init(worker):
            deliver_before_sigterm()
    """
    if threading.current_thread() is not threading.main_thread():
        return
    if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, _deliver_and_end)


_came_at_exit: float | None = None


def _deliver_and_end(number: int, frame: FrameType | None) -> None:
    global _came_at_exit
    now = time.monotonic()
    if is_exiting() and (_came_at_exit is None or now - _came_at_exit < SAME):
        # All is being delivered, which an end here would cut short; and there are no new threads.
        _came_at_exit = now if _came_at_exit is None else _came_at_exit
        return
    waits = [] if is_exiting() else [(p, _settling(p)) for p in pipelines_in_threads()]
    for pipeline, settled in waits:
        left = pipeline.shutdown_timeout - (time.monotonic() - now)
        settled.acquire(timeout=within(max(left, 0.0)))
    signal.signal(number, signal.SIG_DFL)
    signal.raise_signal(number)


def _settling(pipeline: Pipeline) -> _thread.LockType:
    """Return a lock that is released once a pipeline has settled what it holds."""
    settled = _thread.allocate_lock()
    settled.acquire()

    def settle() -> None:
        try:
            pipeline.complete(pipeline.shutdown_timeout)
        finally:
            settled.release()

    # A loop may run in this thread, where `complete` refuses to block; it has had its last turn.
    # Not with `threading`, one of whose locks this thread may have been holding.
    try:
        _thread.start_new_thread(settle, ())
    except RuntimeError:  # the system has no more threads
        settled.release()
    return settled

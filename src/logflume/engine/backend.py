"""The only file that names asyncio or trio.

What anyio does not offer: waking a loop from a foreign thread without waiting for it, whether
this thread runs a loop, the current task's name at the cost of a dictionary look-up, and worker
threads that neither outlive nor hold up the interpreter.
"""

from __future__ import annotations

import contextvars
import functools
import importlib
import math
import os
import queue
import signal
import socket
import sys
import threading
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, TypeVar, overload

import anyio

if TYPE_CHECKING:
    import concurrent.futures

__all__ = [
    "Loop",
    "Worker",
    "cancellations_of_task",
    "in_loop",
    "in_trio",
    "leave_loop_to_parent",
    "running_loop",
    "survivable",
    "whereabouts",
    "within",
]

T = TypeVar("T")


def _asyncio_loop() -> Any:
    """Return asyncio's loop in this thread, if there is one.

    Without importing asyncio, which takes longer than all the rest of logflume: where it is not
    loaded, nothing runs in it.
    """
    events = sys.modules.get("asyncio.events")
    get: Callable[[], Any] | None = getattr(events, "_get_running_loop", None)
    return None if get is None else get()


def _asyncio_task_of(loop: Any) -> Any:
    import asyncio

    return asyncio.current_task(loop)


def _fastest_task_of() -> Callable[[Any], Any]:
    import asyncio

    if sys.version_info >= (3, 12):
        return asyncio.current_task
    # In 3.11 `current_task` is a Python function over this dictionary, and three times as slow.
    return asyncio.tasks._current_tasks.get  # type: ignore[attr-defined, no-any-return]


class Loop:
    """The event loop of one thread, seen from any thread."""

    def __init__(
        self,
        loop: Any,
        post: Callable[[Callable[[], object]], object],
        task_of: Callable[[Any], Any],
        task_key: Any,
        *,
        tasks_have_names: bool,
    ) -> None:
        self.ident = threading.get_ident()
        self.thread = threading.current_thread().name
        self.loop = loop
        self.task_of = task_of
        """Says, on the loop's thread and given `task_key`, in which task it is called, if any."""
        self.task_key = task_key
        self.tasks_have_names = tasks_have_names
        """Whether a task has a `name`, and not a `get_name()`."""
        self._post = post

    def post(self, callback: Callable[[], object]) -> bool:
        """Run a function on the loop soon, from any thread; False if the loop has ended."""
        try:
            self._post(callback)
        except RuntimeError:  # asyncio: the loop is closed; trio: RunFinishedError
            return False
        return True

    def call(self, callback: Callable[[], object]) -> bool:
        """Run a function now inside a task of the loop, or soon from anywhere else; False if the
        loop has ended, or there is too little of the stack left.

        A signal handler or finalizer runs on the loop's thread too, but while the loop may be
        waiting for the system: it has to be woken as from another thread.
        """
        if threading.get_ident() == self.ident and self.task_of(self.task_key) is not None:
            try:
                _need(_FRAMES)
            except RecursionError:  # it would stop half-way, and could never be called again
                return False
            callback()
            return True
        return self.post(callback)

    def wake_on_signals(self) -> Callable[[], None]:
        """Have signals wake the loop, in the main thread; return what ends that.

        One that comes just before the loop waits for the system, or that the system gives to
        another thread, would otherwise be handled when that wait is over. trio and uvloop see to
        that by themselves, asyncio only if it was asked to handle a signal.
        """
        if not hasattr(self.loop, "add_reader"):
            return _nothing
        try:
            ours, others = socket.socketpair()
        except OSError:  # no more files: it goes without
            return _nothing
        ours.setblocking(False)
        others.setblocking(False)
        ident = others.fileno()
        process = os.getpid()
        before = signal.set_wakeup_fd(ident, warn_on_full_buffer=False)
        if before == -1:
            self.loop.add_reader(ours, ours.recv, 4096)
        else:
            signal.set_wakeup_fd(before)

        def end() -> None:
            if before == -1:
                if (now := signal.set_wakeup_fd(-1)) != ident:
                    signal.set_wakeup_fd(now)
                # In the child of a fork, what the loop watches is the parent's, too.
                if process == os.getpid() and not self.loop.is_closed():
                    self.loop.remove_reader(ours)
            ours.close()
            others.close()

        return end


_FRAMES = 40
"""How deep the functions may go that wake a task: less than that."""


def _need(frames: int) -> None:
    """Raise RecursionError if there are not so many frames of the stack left."""
    if frames:
        _need(frames - 1)


def _nothing() -> None:
    """There is nothing to end."""


def load_asyncio() -> None:
    """Import what `anyio.run` needs, in the current thread.

    A thread that is to run a loop must not be the one that imports it: were the process forked
    meanwhile, the child would have half a module for ever.
    """
    importlib.import_module("anyio._backends._asyncio")


def in_trio() -> bool:
    """Whether this thread is in trio now."""
    # While another thread imports it, trio is there, but not yet all of it: nothing runs in it.
    lowlevel: Any = getattr(sys.modules.get("trio"), "lowlevel", None)
    in_trio_run: Callable[[], bool] | None = getattr(lowlevel, "in_trio_run", None)
    if in_trio_run is None or not in_trio_run():
        return False
    return _of_parent is None or lowlevel.current_trio_token() is not _of_parent


_of_parent: Any = None


def leave_loop_to_parent() -> None:
    """In the child of a fork: know that the loop this thread was in does not run here.

    asyncio sees to that by itself; trio would have this thread in its run for ever.
    """
    global _of_parent
    if in_trio():
        import trio

        _of_parent = trio.lowlevel.current_trio_token()


def in_loop() -> bool:
    """Whether this thread runs an event loop, so that it must not be blocked."""
    return _asyncio_loop() is not None or in_trio()


def running_loop() -> Loop:
    """Return the loop that this thread runs.

    Raises:
        RuntimeError: there is none.
    """
    if in_trio():  # asked first: in guest mode, asyncio's loop is running too
        import trio

        token = trio.lowlevel.current_trio_token()
        task_of, key = _trio_task_of()
        return Loop(token, token.run_sync_soon, task_of, key, tasks_have_names=True)
    import asyncio

    loop = asyncio.get_running_loop()
    post = loop.call_soon_threadsafe
    return Loop(loop, post, _fastest_task_of(), loop, tasks_have_names=False)


def _trio_task_of() -> tuple[Callable[[Any], Any], Any]:
    """Return what says in which task of trio this thread is, and what that is to be given."""
    import trio

    current_task: Any = trio.lowlevel.current_task
    task = _trio_task()
    # A Python function over an attribute of this thread. Where that is known, to look there takes
    # a third of the time.
    here = getattr(current_task.__globals__.get("GLOBAL_RUN_CONTEXT"), "__dict__", {})
    if "runner" in here and here.get("task") is task:
        return here.get, "task"
    return _trio_task, None


def _trio_task(key: Any = None) -> Any:
    import trio

    try:
        return trio.lowlevel.current_task()
    except RuntimeError:  # between tasks, as an instrument is
        return None


def whereabouts() -> tuple[str, str | None]:
    """Return the names of the current thread and of its current task, if it runs one that has."""
    thread = threading.current_thread().name
    if in_trio():
        task = _trio_task()
        return thread, None if task is None else task.name
    loop = _asyncio_loop()
    task = _asyncio_task_of(loop) if loop is not None else None
    try:
        return thread, None if task is None else task.get_name()
    except Exception:  # of a class of somebody's own
        return thread, None


@overload
def within(timeout: float) -> float: ...
@overload
def within(timeout: float | None) -> float | None: ...
def within(timeout: float | None) -> float | None:
    """Return a timeout that `threading` takes: it raises at more than some 292 years."""
    return None if timeout is None else min(timeout, threading.TIMEOUT_MAX)


def survivable(error: BaseException) -> bool:
    """Whether an exception out of foreign code is that code's failure, not the end of this task.

    A CancelledError may come from a future that somebody else cancelled, and a SystemExit from
    anywhere: neither may end the task that serves others. A cancellation of this task must.
    """
    if isinstance(error, Exception):
        return True
    if isinstance(error, KeyboardInterrupt | GeneratorExit):
        return False
    if anyio.current_effective_deadline() == -math.inf:
        return False
    return not cancellations_of_task()()


def cancellations_of_task() -> Callable[[], int]:
    """Return what says how often the current task was cancelled by asyncio's own means, which heed
    no scope; trio has none of these."""
    loop = None if in_trio() else _asyncio_loop()
    task = None if loop is None else _asyncio_task_of(loop)
    cancelling: Callable[[], int] | None = getattr(task, "cancelling", None)
    return cancelling or (lambda: 0)


def protect_from_interrupts(
    function: Callable[..., Coroutine[Any, Any, T]],
) -> Callable[..., Coroutine[Any, Any, T]]:
    """Keep trio from raising KeyboardInterrupt inside this function; it goes to the main task."""
    if not in_trio():
        return function
    import trio

    return trio.lowlevel.enable_ki_protection(function)


class Worker:
    """One daemon thread that runs functions in order, for one sink: an executor for asyncio.

    Not a ThreadPoolExecutor: its threads are joined when the interpreter exits, so that one hung
    write would hang the exit, and it refuses work from then on, when the last records are being
    written.
    """

    def __init__(self, name: str) -> None:
        self._jobs: queue.SimpleQueue[tuple[concurrent.futures.Future[Any], Any] | None]
        self._jobs = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._started = False
        self._limiter: anyio.CapacityLimiter | None = None
        self.start()

    def start(self) -> None:
        """Start the thread while there is still an interpreter to start it."""
        try:
            self._thread.start()
            self._started = True
        except RuntimeError:  # the interpreter is exiting: work is done where it is asked for
            pass

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            self._settle(*job)
            del job  # or the last result would be kept alive until the next job

    @staticmethod
    def _settle(future: concurrent.futures.Future[Any], function: Any) -> None:
        if not future.set_running_or_notify_cancel():
            return
        try:
            future.set_result(function())
        except BaseException as error:
            future.set_exception(error)

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Any:
        """Queue a call; see `concurrent.futures.Executor.submit`."""
        from concurrent.futures import Future

        future: Future[T] = Future()
        job = (future, functools.partial(fn, *args, **kwargs))
        if self._started:
            self._jobs.put(job)
        else:
            self._settle(*job)
        return future

    def shutdown(self) -> None:
        """Let the thread end after the work that is queued; never waits for it."""
        self._jobs.put(None)

    async def run(self, function: Callable[..., T], *args: Any) -> T:
        """Run a function in a worker thread and wait for it, in a copy of the current context.

        When cancelled, it stops waiting; the function itself runs to its end.
        """
        if in_trio():
            if self._limiter is None:
                self._limiter = anyio.CapacityLimiter(1)
            from anyio import to_thread

            return await to_thread.run_sync(
                function, *args, abandon_on_cancel=True, limiter=self._limiter
            )
        call = functools.partial(contextvars.copy_context().run, function, *args)
        result: T = await _asyncio_loop().run_in_executor(self, call)
        return result

"""Which pipeline loggers write to: the one opened last, or else the default one.

The default pipeline writes to the console on stderr. It starts with the first record that is
logged while no other pipeline is open, in a daemon thread, and ends with the interpreter. What is
logged after that (by `atexit` functions registered earlier, by finalizers) goes to stderr there
and then.
"""

from __future__ import annotations

import atexit
import contextvars
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from ..capture import DONE, connect
from ..logger import control
from ..protocols import Encoder
from ..record import Record
from ..source import tell_watchers
from .backend import in_loop, leave_loop_to_parent, load_asyncio, whereabouts
from .processing import Processing, redaction

if TYPE_CHECKING:
    from .pipeline import Pipeline

__all__ = [
    "closed",
    "current_pipeline",
    "is_exiting",
    "opened",
    "pipelines_in_threads",
    "set_default",
    "wait_until_up",
]


class _Elsewhere:
    """An `Intake` that no thread is at home at: all records come from afar."""

    ident = -1
    thread = ""
    task_key: Any = None
    tasks_have_names = False
    mark = 0

    def __init__(self) -> None:
        self.queue: deque[Record] = deque()

    def task_of(self, key: Any) -> None:
        return None

    def wants(self, level_no: int) -> bool:
        return True

    def submit(self, record: Record) -> None:
        self.submit_from_afar(record)

    def asubmit(self, record: Record) -> Coroutine[Any, Any, None]:
        return self.asubmit_from_afar(record)

    def submit_from_afar(self, record: Record) -> None:
        """Take a record, on any thread."""
        write_now(record)

    def asubmit_from_afar(self, record: Record) -> Coroutine[Any, Any, None]:
        self.submit_from_afar(record)
        return DONE


class _Starter(_Elsewhere):
    """Starts a pipeline's thread with the first record, and puts that in."""

    def __init__(self, pipeline: Callable[[], Pipeline]) -> None:
        super().__init__()
        self._pipeline = pipeline

    def submit_from_afar(self, record: Record) -> None:
        started = self._start()
        if started is None:
            write_now(record)
        else:
            started.door.submit_from_afar(record)

    def asubmit_from_afar(self, record: Record) -> Coroutine[Any, Any, None]:
        started = self._start()
        if started is None:
            write_now(record)
            return DONE
        return started.door.asubmit_from_afar(record)

    def _start(self) -> Pipeline | None:
        load_asyncio()  # not under the lock: other imports may log, or wait for who does
        with _lock:
            pipeline = self._pipeline()
            try:
                if pipeline.is_dormant:
                    if _too_late:
                        return None
                    pipeline.start_thread()
            except RuntimeError:  # the interpreter is exiting: no new threads
                return None
            return pipeline


def write_now(record: Record) -> None:
    """Write a record to stderr there and then: no pipeline can take it any more."""
    try:
        contextvars.copy_context().run(_write, record)  # processing leaves its mark there
    except Exception:
        pass


def _write(record: Record) -> None:
    for redacted in Processing([redaction()], 1.0).run_now([record]):
        sys.stderr.write(_last_resort.encode(redacted).decode())


class _Lock:
    """A lock for the thread that changes what is current, as often as it likes.

    Those that watch levels hear of it when the thread holds this no more: they take locks of their
    own, and who holds one of these may be waiting for this one, to log.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._depth = 0
        self._is_news = False

    def __enter__(self) -> None:
        self._lock.acquire()
        self._depth += 1

    def __exit__(self, *exc: object) -> None:
        self._depth -= 1
        is_over = self._is_news and not self._depth
        if is_over:
            self._is_news = False
        self._lock.release()
        if is_over:
            tell_watchers()

    def tell_later(self) -> None:
        """Let the watchers hear of it when this is held no more."""
        self._is_news = True


_lock = _Lock()
_open: list[Pipeline] = []
_ending: WeakSet[Pipeline] = WeakSet()  # closed, but their threads may not have ended
_default: Pipeline | None = None
_make_default: Callable[[], Pipeline]
_last_resort: Encoder
_exiting = _ended = False
_too_late = False  # for `_at_exit` to be called


def set_default(make: Callable[[], Pipeline], *, last_resort: Encoder) -> None:
    """Say what the default pipeline is, which is made when it is first asked for, and how to
    write what comes after its end."""
    global _make_default, _last_resort
    _make_default = make
    _last_resort = last_resort
    control(current_pipeline)
    _reconnect()


def current_pipeline() -> Pipeline:
    """Return the pipeline that loggers write to: the last one opened, or the default one."""
    with _lock:
        return _open[-1] if _open else _default_pipeline()


def _default_pipeline() -> Pipeline:
    global _default
    with _lock:
        if _default is None or _default.is_closed:
            _default = _make_default()
        return _default


def opened(pipeline: Pipeline) -> None:
    """Let a pipeline take over; again is no harm."""
    with _lock:
        if pipeline not in _open:
            # Whatever was opened on purpose goes before the default pipeline.
            _open.insert(0 if pipeline is _default else len(_open), pipeline)
        _reconnect()


def closed(pipeline: Pipeline) -> None:
    """Give what is logged from now on to the pipeline that was open before."""
    with _lock:
        if pipeline in _open:
            _open.remove(pipeline)
            _ending.add(pipeline)
            _reconnect()


def _reconnect() -> None:
    with _lock:
        _lock.tell_later()
        pipeline = current_pipeline()
        if _ended:
            connect(_Elsewhere(), pipeline.thresholds, whereabouts)
            return
        intake = _Starter(current_pipeline) if pipeline.is_dormant else pipeline.door
        connect(intake, pipeline.thresholds, whereabouts, pipeline.current_span)


def _flush_threads() -> None:
    """Settle what was logged so far. Runs when the main thread has ended, also in the children
    that multiprocessing forks, which never get to their `atexit` functions."""
    global _exiting
    _exiting = True
    for pipeline in _open.copy():
        if pipeline.runs_in_thread and not in_loop():
            started = time.monotonic()
            pipeline.complete(pipeline.shutdown_timeout)
            pipeline.spend(time.monotonic() - started)


def pipelines_in_threads() -> list[Pipeline]:
    """Return those that run in threads of their own and are open, the last one first, or ending."""
    with _lock:
        return [p for p in [*reversed(_open), *_ending] if p.runs_in_thread]


def is_exiting() -> bool:
    """Whether the main thread has ended, and the process is about to."""
    return _exiting


def _at_exit() -> None:
    global _ended
    # Those that are ending, too: whoever waited for that may have been interrupted.
    for pipeline in pipelines_in_threads():
        pipeline.close()
        pipeline.tell_lost()
    with _lock:
        _ended = True
        _reconnect()


def wait_until_up() -> None:
    """Let threads that are just starting come up, before a fork: what they are importing would be
    half there in the child, for ever."""
    for pipeline in _open.copy():
        pipeline.wait_until_up(5.0)


def _after_fork() -> None:
    """Begin anew in the child: its own threads, empty doors, ledgers at zero.

    A pipeline that ran in a thread goes on in a new one, with its sinks opened again, once there
    is something to log. One whose loop was the program's own stays behind with the parent.
    """
    global _lock, _exiting
    _lock = _Lock()
    _exiting = False
    leave_loop_to_parent()
    _ending.clear()
    for pipeline in list(_open):
        if pipeline.runs_in_thread:
            pipeline.start_over()
        else:
            _open.remove(pipeline)
            pipeline.start_over()
            pipeline.leave_behind()
    _reconnect()


atexit.register(_at_exit)
if hasattr(threading, "_register_atexit"):
    try:
        threading._register_atexit(_flush_threads)
    except RuntimeError:  # imported as late as that: by a thread that goes on, or at exit
        _exiting = True
        _too_late = threading.current_thread() is threading.main_thread()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=wait_until_up, after_in_child=_after_fork)

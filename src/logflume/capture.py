"""The capture of a record, in the caller, at every enabled log call.

Everything here is written to be short in machine time: one flat record, no lock, no call that can
be put off. What is known of the engine is an `Intake`; which one is current is said by `connect`.
Tests may put an intake of theirs before it: `intercept`.

A record's trace and span ids must be read in the caller, too, but only few programs want them, and
looking whether they do would cost the others. So nothing looks: while the current pipeline wants
them, another function stands in for `get_context`. What that returns for a call in a span is no
plain dict, so it is told apart by the check that is there anyway, for calls inside sinks.

So it is with levels that hold for some tasks only (`logflume.override`). While there is a lower one
than the ordinary levels, all loggers speak from that on, and another `get_context` makes every call
look whether it is of those tasks: see `around`. When the last one is over, all is as before. (A
call of another thread that is between the two comparisons at that moment comes through.)
"""

from __future__ import annotations

import sys
import time
from _thread import get_ident
from collections.abc import Callable, Coroutine
from types import CodeType, FrameType
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeAlias, cast

from .around import is_unwanted, least_of, looked_at, taken_apart, with_span
from .context import get_context as get_plain_context
from .exception import take_exception
from .lazy import call_lazy, settle_lazy
from .level import Level, Thresholds
from .record import Extra, Record
from .snapshot import SCALARS, safe_str, snapshot_args, snapshot_fields, type_name
from .source import Source, on_lowered, use_thresholds

if TYPE_CHECKING:
    from .protocols import Intake

__all__ = [
    "DONE",
    "Connection",
    "Options",
    "connect",
    "intercept",
    "is_wanted",
    "level_method",
    "log_with",
    "submit",
    "submit_at_once",
    "surroundings",
    "threshold_here",
]


class _Done(Coroutine[Any, Any, None]):
    """What an `a...` method returns when there is nothing to wait for: done from the start.

    Awaiting it costs a third of a coroutine, and one serves all. It is a Coroutine in every other
    respect, so that `create_task(log.ainfo(...))` and `start_soon(log.ainfo, ...)` work.
    """

    __slots__ = ()
    __name__ = __qualname__ = "logflume.done"

    # An iterator that is at its end, got by a C function: no Python frame is entered.
    __await__ = cast("Any", staticmethod(iter(()).__iter__))

    def send(self, value: Any, /) -> Any:
        raise StopIteration

    def throw(self, *exc: Any) -> Any:
        raise exc[1] if len(exc) > 1 and exc[1] is not None else exc[0]

    def close(self) -> None:
        pass


DONE = _Done()


_intake: Intake
_whereabouts: Callable[[], tuple[str, str | None]]
get_context: Callable[[], Any] = get_plain_context
CurrentSpan: TypeAlias = Callable[[], tuple[int, int] | None]
"""The trace id and span id of the span that the caller is in; None outside of any."""


class Connection(NamedTuple):
    """Who takes what loggers say, and at which levels.

    `whereabouts` names the current thread and task of calls from other threads than the intake's.
    `current_span`, if records shall have one, is asked at every call that is captured.
    """

    intake: Intake
    thresholds: Thresholds
    whereabouts: Callable[[], tuple[str, str | None]]
    current_span: CurrentSpan | None = None


_connected: Connection
_interceptor: Callable[[Connection], Connection] | None = None


def connect(
    intake: Intake,
    thresholds: Thresholds,
    whereabouts: Callable[[], tuple[str, str | None]],
    current_span: CurrentSpan | None = None,
) -> None:
    """Send what is logged from now on to this intake, at these levels: see `Connection`."""
    global _connected
    _connected = Connection(intake, thresholds, whereabouts, current_span)
    _switch_over()


def intercept(interceptor: Callable[[Connection], Connection] | None) -> None:
    """Put something between the loggers and what is connected, now and later; None takes it away.

    Asked at once and again at each `connect` for what loggers are to see instead. So a test keeps
    hold of the records while pipelines are opened and closed. Neither this nor `connect` takes a
    lock, as `connect` is called under that of `engine.current`; nor does it tell those that watch
    levels, which may take locks: see `source.tell_watchers`.
    """
    global _interceptor
    _interceptor = interceptor
    _switch_over()


def _switch_over() -> None:
    global _intake, _get_context, _whereabouts, get_context
    seen = _connected if _interceptor is None else _interceptor(_connected)
    span = seen.current_span
    _get_context = get_plain_context if span is None else with_span(get_plain_context, span)
    get_context = looked_at(_get_context)  # until it is known whether that has to be
    _whereabouts = seen.whereabouts
    _intake = seen.intake
    use_thresholds(seen.thresholds)


def _look(on: bool) -> None:
    global get_context
    get_context = looked_at(_get_context) if on else _get_context


_get_context: Callable[[], Any] = get_plain_context
"""What `get_context` is while no task has a level of its own."""
on_lowered(_look)


def is_wanted(source: Source, no: int) -> bool:
    """Whether a call at this level would be captured here and now."""
    if no < source.threshold:
        return False
    found = get_context()
    return type(found) is dict or not is_unwanted(found, source.ordinary, no)


def threshold_here(thresholds: Thresholds, name: str) -> int:
    """Return the number below which a logger of this name says nothing in the current task."""
    return least_of(get_plain_context(), thresholds.of(name))


class Options:
    """What `opt()` was given: how the next calls of this logger capture."""

    __slots__ = ("depth", "exception", "lazy")

    def __init__(self, depth: int, lazy: bool, exception: Any) -> None:
        self.depth = depth
        self.lazy = lazy
        self.exception = exception

    def with_exception(self) -> Options:
        """Return the same, with the exception being handled if none was given."""
        if self.exception is not None:
            return self
        return Options(self.depth, self.lazy, True)


PLAIN = Options(0, False, None)
WITH_EXCEPTION = Options(0, False, True)


class Bound(Protocol):
    """The parts of a logger that capture reads."""

    _source: Source
    _bound: dict[str, Any]


def level_method(level: Level, *, waits: bool) -> Any:  # noqa: C901 - see below
    """Make a level method. All come from this one body: a call to a shared one would cost a
    tenth of the time of a whole log call."""
    no = level.no
    nothing = DONE if waits else None
    getframe = sys._getframe
    time_ns = time.time_ns

    def method(  # noqa: C901
        self: Bound, message: Any = "", /, *args: Any, **fields: Any
    ) -> Any:
        source = self._source
        if no < source.threshold:
            return nothing
        try:
            for value in fields.values():
                kind = type(value)
                if kind is str or kind is int or kind in SCALARS:
                    continue
                fields = snapshot_fields(fields)
                break
            if args:
                args = snapshot_args(args)
            if type(message) is not str:
                message = safe_str(message)
            context = get_context()
            if type(context) is not dict:
                if is_unwanted(context, source.ordinary, no):
                    return nothing
                frame = getframe(1)
                context, extra = taken_apart(context)
                record = Record(
                    time_ns(), level, message, args, fields, self._bound, context,
                    source.name, frame.f_code, frame.f_lasti, *_here(), extra,
                )  # fmt: skip
                return _submit(record, waits)
            frame = getframe(1)
            intake = _intake
            if get_ident() == intake.ident:
                task = intake.task_of(intake.task_key)
                if task is not None:
                    task = task.name if intake.tasks_have_names else task.get_name()
                record = Record(
                    time_ns(), level, message, args, fields, self._bound, context,
                    source.name, frame.f_code, frame.f_lasti, intake.thread, task,
                )  # fmt: skip
                if len(intake.queue) < intake.mark:
                    intake.queue.append(record)
                    return nothing
                return intake.asubmit(record) if waits else intake.submit(record)
            thread, task = _whereabouts()
            record = Record(
                time_ns(), level, message, args, fields, self._bound, context,
                source.name, frame.f_code, frame.f_lasti, thread, task,
            )  # fmt: skip
            if waits:
                return intake.asubmit_from_afar(record)
            return intake.submit_from_afar(record)
        except Exception as error:
            return _rescue(source, self._bound, level, message, error, waits)

    return method


def named_method(method: Any, level: Level, *, waits: bool) -> Any:
    """Give a level method the name and docstring that users see."""
    name = level.name.lower()
    method.__name__ = f"a{name}" if waits else name
    method.__qualname__ = f"Logger.{method.__name__}"
    method.__doc__ = (
        f"Log at {level.name} and wait for room: accepted once this returns."
        if waits
        else f"Log at {level.name} from anywhere, without waiting where a loop runs."
    )
    return method


def log_with(
    logger: Bound,
    level: Level,
    message: Any,
    args: tuple[Any, ...],
    fields: dict[str, Any],
    options: Options,
    waits: bool,
) -> Any:
    """Log the long way, with options; the call site is the caller's caller, or further out."""
    source, bound = logger._source, logger._bound
    if level.no < source.threshold:
        return DONE if waits else None
    try:
        context = get_context()
        extra = None
        if type(context) is not dict:
            if is_unwanted(context, source.ordinary, level.no):
                return DONE if waits else None
            context, extra = taken_apart(context)
        code, lasti = _caller(2 + options.depth)
        thread, task = _here()
        record = Record(
            time.time_ns(),
            level,
            safe_str(message) if type(message) is not str else message,
            args,
            fields,
            bound,
            context,
            source.name,
            code,
            lasti,
            thread,
            task,
        )
        # Not by its truth: an exception may be false.
        exception = None
        if options.exception is not None and options.exception is not False:
            exception = take_exception(options.exception)
        if exception or options.lazy:
            extra = extra or Extra()
            extra.exception = exception
            extra.lazy = options.lazy
        record.extra = extra
        if options.lazy and _intake.wants(level.no):
            return _submit_lazy(record, waits)
        record.args = snapshot_args(args)
        record.call_fields = snapshot_fields(fields)
        return _submit(record, waits)
    except Exception as error:
        return _rescue(source, bound, level, message, error, waits)


def _nowhere() -> None:
    """The call site of a record that was logged from no Python code."""


def _caller(depth: int) -> tuple[CodeType, int]:
    try:
        frame: FrameType = sys._getframe(depth + 1)
    except (ValueError, OverflowError):  # the stack is shallower: called from C, or too deep
        return _nowhere.__code__, 0
    return frame.f_code, frame.f_lasti


def _here() -> tuple[str, str | None]:
    """Return the names of the current thread and task, sooner where the intake is at home."""
    intake = _intake
    if get_ident() != intake.ident:
        return _whereabouts()
    task = intake.task_of(intake.task_key)
    if task is not None:
        task = task.name if intake.tasks_have_names else task.get_name()
    return intake.thread, task


def _submit(record: Record, waits: bool) -> Any:
    intake = _intake
    if get_ident() == intake.ident:
        return intake.asubmit(record) if waits else intake.submit(record)
    return intake.asubmit_from_afar(record) if waits else intake.submit_from_afar(record)


def surroundings() -> tuple[dict[str, Any], Extra | None]:
    """Return the context of the caller's task, and what a record that is made in it begins with."""
    return taken_apart(get_context())


def submit(record: Record) -> None:
    """Log a record that no logger made, as the plain methods do; its level was looked at."""
    _submit(record, False)


def submit_at_once(record: Record) -> None:
    """Log a record as `submit` does, but wait for room on no thread: the caller holds a lock."""
    _intake.submit(record)


def _submit_lazy(record: Record, waits: bool) -> Any:
    """Call the sync callables now; async ones are awaited here if the caller can wait."""
    record.args = tuple([call_lazy(value) for value in record.args])
    record.call_fields = {key: call_lazy(value) for key, value in record.call_fields.items()}
    if not waits:
        return _submit(record, False)
    return _await_then_submit(record)


async def _await_then_submit(record: Record) -> None:
    await settle_lazy(record)
    submitted = _submit(record, True)
    if submitted is not None:
        await submitted


def _rescue(
    source: Source,
    bound: dict[str, Any],
    level: Level,
    message: Any,
    error: Exception,
    waits: bool,
) -> Any:
    """Log what is left of a call whose capture failed: nothing reaches the caller."""
    try:
        if not is_wanted(source, level.no):
            return DONE if waits else None
        context, extra = surroundings()
        record = Record(
            time.time_ns(), level, safe_str(message), (),
            {"logflume.capture_error": type_name(error)}, bound, context,
            source.name, *_caller(2), *_whereabouts(), extra,
        )  # fmt: skip
        return _submit(record, waits)
    except Exception:
        return DONE if waits else None

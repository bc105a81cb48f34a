"""The call site: level methods, bound fields and the capture of a record.

Capture runs in the caller, at every enabled call, so everything here is written to be short in
machine time: one flat record, no lock, no call that can be put off. What a logger knows of the
engine is an `Intake`; which one is current is said by `connect`.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import sys
import time
import weakref
from _thread import get_ident
from collections.abc import Awaitable, Callable, Coroutine, Generator
from types import CodeType, FrameType, TracebackType
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast, overload

from . import level as levels
from .context import context, get_context
from .exception import take_exception
from .level import Level, Thresholds, coerce_level
from .record import Extra, Record
from .snapshot import SCALARS, safe_str, snapshot, snapshot_args, snapshot_fields, type_name

if TYPE_CHECKING:
    from .stats import FlushReport
    from .protocols import Controls, Intake

__all__ = ["Logger", "get_logger"]

F = TypeVar("F", bound=Callable[..., Any])


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


class Source:
    """What all loggers of one name share: the name, and the number below which they are silent."""

    __slots__ = ("__weakref__", "name", "threshold")

    def __init__(self, name: str, threshold: int) -> None:
        self.name = name
        self.threshold = threshold


_sources: weakref.WeakValueDictionary[str, Source] = weakref.WeakValueDictionary()
_thresholds = Thresholds(levels.INFO)
_intake: Intake
_current: Callable[[], Controls]
_whereabouts: Callable[[], tuple[str, str | None]]


def connect(
    intake: Intake,
    thresholds: Thresholds,
    whereabouts: Callable[[], tuple[str, str | None]],
) -> None:
    """Send what is logged from now on to this intake, at these levels.

    `whereabouts` names the current thread and task of calls from other threads than the intake's.
    """
    global _intake, _thresholds, _whereabouts
    _whereabouts = whereabouts
    _thresholds = thresholds
    _intake = intake
    refresh_thresholds()


def control(current: Callable[[], Controls]) -> None:
    """Say how to reach the pipeline that `log.add()` and its like act on."""
    global _current
    _current = current


def refresh_thresholds() -> None:
    """Bring all loggers to the levels of the current thresholds."""
    for source in list(_sources.values()):
        source.threshold = _thresholds.of(source.name)


def _source_of(name: str) -> Source:
    source = _sources.get(name)
    if source is None:
        source = _sources.setdefault(name, Source(name, 0))
        source.threshold = _thresholds.of(name)
    return source


def get_logger(name: str | None = None, /, **fields: Any) -> Logger:
    """Return a logger of this name with these fields bound; by default, the caller's module.

    Loggers are cheap, need no pipeline to be there yet, and may be used from any thread and loop.
    """
    if name is None:
        try:
            name = sys._getframe(1).f_globals.get("__name__")
        except ValueError:
            pass
    return Logger(_source_of(str(name or "root")), snapshot_fields(fields))


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


def _method(level: Level, *, waits: bool) -> Any:
    """Make a level method. All come from this one body: a call to a shared one would cost a
    tenth of the time of a whole log call."""
    no = level.no
    nothing = DONE if waits else None
    getframe = sys._getframe
    time_ns = time.time_ns

    def method(self: Logger, message: Any, /, *args: Any, **fields: Any) -> Any:
        source = self._source
        if no < source.threshold:
            return nothing
        try:
            for value in fields.values():
                if type(value) not in SCALARS:
                    fields = snapshot_fields(fields)
                    break
            if args:
                args = snapshot_args(args)
            if type(message) is not str:
                message = safe_str(message)
            context = get_context()
            extra = None
            if type(context) is not dict:
                extra = Extra(origins=context.origins)  # type: ignore[attr-defined]
            frame = getframe(1)
            intake = _intake
            if get_ident() == intake.ident:
                thread = intake.thread
                task = intake.task_of(intake.loop)
                if task is not None and type(task) is not str:
                    task = task.get_name()
                record = Record(
                    time_ns(), level, message, args, fields, self._bound, context,
                    source.name, frame.f_code, frame.f_lasti, thread, task, extra,
                )  # fmt: skip
                if len(intake.queue) < intake.mark:
                    intake.queue.append(record)
                    return nothing
                return intake.asubmit(record) if waits else intake.submit(record)  # type: ignore[func-returns-value]
            thread, task = _whereabouts()
            record = Record(
                time_ns(), level, message, args, fields, self._bound, context,
                source.name, frame.f_code, frame.f_lasti, thread, task, extra,
            )  # fmt: skip
            if waits:
                return intake.asubmit_from_afar(record)
            return intake.submit_from_afar(record)  # type: ignore[func-returns-value]
        except Exception as error:
            return _rescue(self, level, message, error, waits)

    return method


def _method_with_options(level: Level, *, waits: bool) -> Any:
    """Make a level method that goes the long way, with the logger's options."""

    def method(self: LoggerWithOptions, message: Any, /, *args: Any, **fields: Any) -> Any:
        return self._log(level, message, args, fields, self._options, waits)

    return method


def _named(method: Any, level: Level, *, waits: bool) -> Any:
    name = level.name.lower()
    method.__name__ = f"a{name}" if waits else name
    method.__qualname__ = f"Logger.{method.__name__}"
    method.__doc__ = (
        f"Log at {level.name} and wait for room: accepted once this returns."
        if waits
        else f"Log at {level.name} from anywhere, without waiting where a loop runs."
    )
    return method


class Logger:
    """A named logger with bound fields. Immutable: `bind` and its like return another one.

    The plain methods (`info`, ...) may be called from any thread, in coroutines or not. On a
    thread that runs an event loop they never wait: without room the record is dropped and
    counted. On other threads they wait for room at most the pipeline's `block_timeout`.

    The `a...` methods (`await log.ainfo(...)`) wait their turn for room, first come, first
    served. They return once the record is accepted; a call that is cancelled while it waits is
    not accepted, and is counted so. They yield to the loop now and then, not at every call.

    No log call raises, whatever it is given. Values are taken as they are at the call. Records
    of one thread or task stay in order.
    """

    __slots__ = ("_bound", "_source")

    def __init__(self, source: Source, bound: dict[str, Any]) -> None:
        self._source = source
        self._bound = bound

    def __repr__(self) -> str:
        return f"<Logger {self.name!r} {self._bound!r}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return _unpickle, (self.name, self._bound)

    @property
    def name(self) -> str:
        """The logger's name; dots make a hierarchy for levels."""
        return self._source.name

    if TYPE_CHECKING:

        def trace(self, message: object, /, *args: object, **fields: object) -> None: ...
        def debug(self, message: object, /, *args: object, **fields: object) -> None: ...
        def info(self, message: object, /, *args: object, **fields: object) -> None: ...
        def success(self, message: object, /, *args: object, **fields: object) -> None: ...
        def warning(self, message: object, /, *args: object, **fields: object) -> None: ...
        def error(self, message: object, /, *args: object, **fields: object) -> None: ...
        def critical(self, message: object, /, *args: object, **fields: object) -> None: ...

        def atrace(
            self, message: object, /, *args: object, **fields: object
        ) -> Coroutine[Any, Any, None]: ...
        def adebug(
            self, message: object, /, *args: object, **fields: object
        ) -> Coroutine[Any, Any, None]: ...
        def ainfo(
            self, message: object, /, *args: object, **fields: object
        ) -> Coroutine[Any, Any, None]: ...
        def asuccess(
            self, message: object, /, *args: object, **fields: object
        ) -> Coroutine[Any, Any, None]: ...
        def awarning(
            self, message: object, /, *args: object, **fields: object
        ) -> Coroutine[Any, Any, None]: ...
        def aerror(
            self, message: object, /, *args: object, **fields: object
        ) -> Coroutine[Any, Any, None]: ...
        def acritical(
            self, message: object, /, *args: object, **fields: object
        ) -> Coroutine[Any, Any, None]: ...
    else:
        for _level in levels.LEVELS.values():
            for _waits in (False, True):
                _made = _named(_method(_level, waits=_waits), _level, waits=_waits)
                locals()[_made.__name__] = _made
        del _level, _waits, _made

    def exception(self, message: object, /, *args: object, **fields: object) -> None:
        """Log at ERROR with the exception being handled."""
        self._log(levels.ERROR, message, args, fields, _WITH_EXCEPTION, False)

    def aexception(
        self, message: object, /, *args: object, **fields: object
    ) -> Coroutine[Any, Any, None]:
        """Log at ERROR with the exception being handled, and wait for room."""
        return cast(
            "Coroutine[Any, Any, None]",
            self._log(levels.ERROR, message, args, fields, _WITH_EXCEPTION, True),
        )

    def log(self, level: str | int, message: object, /, *args: object, **fields: object) -> None:
        """Log at a level given by name or number; an unknown name is kept, at INFO's number."""
        self._log(coerce_level(level), message, args, fields, _PLAIN, False)

    def alog(
        self, level: str | int, message: object, /, *args: object, **fields: object
    ) -> Coroutine[Any, Any, None]:
        """Log at a level given by name or number, and wait for room."""
        return cast(
            "Coroutine[Any, Any, None]",
            self._log(coerce_level(level), message, args, fields, _PLAIN, True),
        )

    def is_enabled_for(self, level: str | int) -> bool:
        """Whether a call at this level would be captured now."""
        return coerce_level(level).no >= self._source.threshold

    def bind(self, /, **fields: Any) -> Logger:
        """Return a logger with these fields added to every record; values as they are now."""
        return self._with({**self._bound, **snapshot_fields(fields)})

    def unbind(self, /, *keys: str) -> Logger:
        """Return a logger without these bound fields; unknown ones are no error."""
        return self._with({k: v for k, v in self._bound.items() if k not in keys})

    def contextualize(self, /, **fields: Any) -> context:
        """Bind fields to the current task for a block, for all loggers: see `context`."""
        return context(**fields)

    def opt(
        self,
        *,
        depth: int = 0,
        lazy: bool = False,
        exception: bool | BaseException | tuple[Any, Any, Any] | None = None,
    ) -> Logger:
        """Return a logger whose calls capture differently.

        `depth` takes the call site that many frames further out, for wrappers. `exception` adds
        one (True: the one being handled). `lazy=True` calls the callables among the arguments and
        fields, and only if a route wants a record of this level: sync ones in the caller, async
        ones awaited by the `a...` method, or on the pipeline's loop for a plain call.
        """
        return LoggerWithOptions(
            self._source, self._bound, Options(max(0, int(depth)), bool(lazy), exception)
        )

    @overload
    def catch(self, function: F, /) -> F: ...

    @overload
    def catch(
        self,
        exception: type[BaseException] | tuple[type[BaseException], ...] = Exception,
        /,
        *,
        level: str | int = "ERROR",
        reraise: bool = False,
        default: Any = None,
        message: str = "An error has been caught",
    ) -> Catch: ...

    def catch(
        self,
        exception: Any = Exception,
        /,
        *,
        level: str | int = "ERROR",
        reraise: bool = False,
        default: Any = None,
        message: str = "An error has been caught",
    ) -> Any:
        """Log exceptions of a block (`with log.catch():`) or function (`@log.catch`).

        Works on functions, coroutine functions, generators and async generators. What is caught
        is swallowed unless `reraise`; a function then returns `default`. Cancellation and other
        BaseExceptions pass, unless named.
        """
        if callable(exception) and not isinstance(exception, type):
            return Catch(self, Exception, levels.ERROR, False, None, message)(exception)
        return Catch(self, exception, coerce_level(level), reraise, default, message)

    def add(self, sink: Any, /, **route_options: Any) -> str:
        """Add a route to the current pipeline and return its id: see `Pipeline.add`."""
        return _current().add(sink, **route_options)

    def remove(self, route_id: str, /) -> None:
        """Remove a route of the current pipeline: see `Pipeline.remove`."""
        _current().remove(route_id)

    def add_callback(
        self, function: Callable[[dict[str, Any]], Any], name: str | None = None
    ) -> str:
        """Call a function with every record of the current pipeline, as `record.to_dict()`.

        Coroutine functions are awaited, others run in a worker thread; each at its own pace, and
        never for records logged inside itself. Returns the id that `remove_callback` takes.
        """
        return _current().add_callback(function, name)

    def remove_callback(self, callback_id: str, /) -> None:
        """Stop calling a callback; an unknown id is no error."""
        _current().remove_callback(callback_id)

    def configure(
        self,
        *,
        level: str | int | None = None,
        json: bool | None = None,
        color: bool | None = None,
    ) -> None:
        """Change the current pipeline: its level, and how its console routes show records."""
        _current().configure(level=level, json=json, color=color)

    def complete(self, timeout: float | None = None) -> FlushReport:
        """Block until what was logged before is settled on every route of the current pipeline.

        Raises:
            PipelineError: this thread runs an event loop; use `await log.acomplete()` there.
        """
        return _current().complete(timeout)

    async def acomplete(self, timeout: float | None = None) -> FlushReport:
        """Wait until what was logged before is settled on every route of the current pipeline."""
        return await _current().flush(timeout)

    def _with(self, bound: dict[str, Any]) -> Logger:
        return Logger(self._source, bound)

    def _log(
        self,
        level: Level,
        message: Any,
        args: tuple[Any, ...],
        fields: dict[str, Any],
        options: Options,
        waits: bool,
    ) -> Coroutine[Any, Any, None] | None:
        """Log the long way: two frames below the caller."""
        if level.no < self._source.threshold:
            return DONE if waits else None
        try:
            code, lasti = _caller(2 + options.depth)
            record = Record(
                time.time_ns(),
                level,
                safe_str(message) if type(message) is not str else message,
                args,
                fields,
                self._bound,
                get_context(),
                self._source.name,
                code,
                lasti,
                *_whereabouts(),
            )
            origins = getattr(record.context, "origins", frozenset())
            # Not by its truth: an exception may be false.
            exception = None
            if options.exception is not None and options.exception is not False:
                exception = take_exception(options.exception)
            if origins or exception or options.lazy:
                record.extra = Extra(exception, origins, options.lazy)
            if options.lazy and _intake.wants(level.no):
                return _submit_lazy(record, waits)
            record.args = snapshot_args(args)
            record.call_fields = snapshot_fields(fields)
            return _submit(record, waits)
        except Exception as error:
            return cast("Any", _rescue(self, level, message, error, waits))


class LoggerWithOptions(Logger):
    """A logger on which `opt()` was called."""

    __slots__ = ("_options",)

    def __init__(self, source: Source, bound: dict[str, Any], options: Options) -> None:
        super().__init__(source, bound)
        self._options = options

    def __reduce__(self) -> tuple[Any, ...]:
        return _unpickle, (self.name, self._bound)

    def _with(self, bound: dict[str, Any]) -> Logger:
        return LoggerWithOptions(self._source, bound, self._options)

    if not TYPE_CHECKING:
        for _level in levels.LEVELS.values():
            for _waits in (False, True):
                _made = _named(_method_with_options(_level, waits=_waits), _level, waits=_waits)
                locals()[_made.__name__] = _made
        del _level, _waits, _made

    def log(self, level: str | int, message: object, /, *args: object, **fields: object) -> None:
        """Log at a level given by name or number."""
        self._log(coerce_level(level), message, args, fields, self._options, False)

    def alog(
        self, level: str | int, message: object, /, *args: object, **fields: object
    ) -> Coroutine[Any, Any, None]:
        """Log at a level given by name or number, and wait for room."""
        return cast(
            "Coroutine[Any, Any, None]",
            self._log(coerce_level(level), message, args, fields, self._options, True),
        )

    def exception(self, message: object, /, *args: object, **fields: object) -> None:
        """Log at ERROR with the exception given to `opt`, or else the one being handled."""
        self._log(levels.ERROR, message, args, fields, self._options.with_exception(), False)

    def aexception(
        self, message: object, /, *args: object, **fields: object
    ) -> Coroutine[Any, Any, None]:
        """Log at ERROR as `exception` does, and wait for room."""
        return cast(
            "Coroutine[Any, Any, None]",
            self._log(levels.ERROR, message, args, fields, self._options.with_exception(), True),
        )


_PLAIN = Options(0, False, None)
_WITH_EXCEPTION = Options(0, False, True)


class Catch:
    """A block or function whose exceptions are logged: what `Logger.catch` returns."""

    def __init__(
        self,
        logger: Logger,
        exception: type[BaseException] | tuple[type[BaseException], ...],
        level: Level,
        reraise: bool,
        default: Any,
        message: str,
    ) -> None:
        self._logger = logger
        self._exception = exception
        self._level = level
        self._reraise = reraise
        self._default = default
        self._message = message
        self._depth = 0

    def __enter__(self) -> Catch:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        if exc is None or not isinstance(exc, self._exception):
            return False
        options = Options(self._depth, False, exc)
        self._logger._log(self._level, self._message, (), {}, options, False)
        return not self._reraise

    def __call__(self, function: F) -> F:
        """Wrap a function: its caller is the call site of what is logged."""
        catch = Catch(
            self._logger,
            self._exception,
            self._level,
            self._reraise,
            self._default,
            self._message,
        )
        catch._depth = 1
        return cast("F", functools.wraps(function)(_guarded(function, catch, self._default)))


def _guarded(function: Callable[..., Any], catch: Catch, default: Any) -> Callable[..., Any]:
    if inspect.iscoroutinefunction(function):

        async def coroutine(*args: Any, **kwargs: Any) -> Any:
            with catch:
                return await function(*args, **kwargs)
            return default

        return coroutine
    if inspect.isasyncgenfunction(function):

        async def async_generator(*args: Any, **kwargs: Any) -> Any:
            with catch:
                async with contextlib.aclosing(function(*args, **kwargs)) as items:
                    step, given = items.asend, None
                    while True:
                        try:
                            item = await step(given)
                        except StopAsyncIteration:
                            return
                        # What PEP 380 does for `yield from`, which async generators lack.
                        try:
                            step, given = items.asend, (yield item)
                        except GeneratorExit:
                            raise
                        except BaseException as error:
                            step, given = items.athrow, error

        return async_generator
    if inspect.isgeneratorfunction(function):

        def generator(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
            with catch:
                return (yield from function(*args, **kwargs))
            return default

        return generator

    def plain(*args: Any, **kwargs: Any) -> Any:
        with catch:
            return function(*args, **kwargs)
        return default

    return plain


def _unpickle(name: str, bound: dict[str, Any]) -> Logger:
    return Logger(_source_of(name), bound)


def _nowhere() -> None:
    """The call site of a record that was logged from no Python code."""


def _caller(depth: int) -> tuple[CodeType, int]:
    try:
        frame: FrameType = sys._getframe(depth + 1)
    except (ValueError, OverflowError):  # the stack is shallower: called from C, or too deep
        return _nowhere.__code__, 0
    return frame.f_code, frame.f_lasti


def _submit(record: Record, waits: bool) -> Coroutine[Any, Any, None] | None:
    intake = _intake
    if get_ident() == intake.ident:
        return intake.asubmit(record) if waits else intake.submit(record)  # type: ignore[func-returns-value]
    return intake.asubmit_from_afar(record) if waits else intake.submit_from_afar(record)  # type: ignore[func-returns-value]


def _submit_lazy(record: Record, waits: bool) -> Coroutine[Any, Any, None] | None:
    """Call the sync callables now; async ones are awaited here if the caller can wait."""
    record.args = tuple([_call(value) for value in record.args])
    record.call_fields = {key: _call(value) for key, value in record.call_fields.items()}
    if not waits:
        return _submit(record, False)
    return _await_then_submit(record)


async def _await_then_submit(record: Record) -> None:
    await settle_lazy(record)
    submitted = _submit(record, True)
    if submitted is not None:
        await submitted


async def settle_lazy(record: Record) -> None:
    """Await what the async callables of a lazy record returned, in place. Never raises."""
    record.args = tuple([await _value_of(value) for value in record.args])
    record.call_fields = {key: await _value_of(v) for key, v in record.call_fields.items()}
    if record.extra is not None:
        record.extra.lazy = False


class Pending:
    """The awaitable that an async callable of a lazy record returned, not yet awaited."""

    __slots__ = ("awaitable",)

    def __init__(self, awaitable: Awaitable[Any]) -> None:
        self.awaitable = awaitable

    def __repr__(self) -> str:
        return "<not evaluated>"


def _call(value: Any) -> Any:
    if not callable(value):
        return snapshot(value)
    try:
        result = value()
        return Pending(result) if inspect.isawaitable(result) else snapshot(result)
    except Exception as error:
        return f"<lazy value failed: {type_name(error)}>"


async def _value_of(value: Any) -> Any:
    if not isinstance(value, Pending):
        return value
    try:
        return snapshot(await value.awaitable)
    except Exception as error:
        return f"<lazy value failed: {type_name(error)}>"


def _rescue(logger: Logger, level: Level, message: Any, error: Exception, waits: bool) -> Any:
    """Log what is left of a call whose capture failed: nothing reaches the caller."""
    try:
        record = Record(
            time.time_ns(), level, safe_str(message), (),
            {"logflume.capture_error": type_name(error)}, logger._bound, {},
            logger._source.name, *_caller(2), *_whereabouts(),
        )  # fmt: skip
        return _submit(record, waits)
    except Exception:
        return DONE if waits else None

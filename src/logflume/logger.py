"""The call site: loggers, their level methods and bound fields."""

from __future__ import annotations

import sys
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, TypeVar, cast, overload

from . import level as levels
from .capture import (
    PLAIN,
    WITH_EXCEPTION,
    Options,
    is_wanted,
    level_method,
    log_with,
    named_method,
)
from .catch import Catch
from .context import context
from .level import Level, coerce_level
from .snapshot import snapshot_fields
from .source import Source, source_of, switch

if TYPE_CHECKING:
    from .protocols import Controls
    from .stats import FlushReport

__all__ = ["Logger", "control", "disable", "enable", "get_logger"]

F = TypeVar("F", bound=Callable[..., Any])

_current: Callable[[], Controls]


def control(current: Callable[[], Controls]) -> None:
    """Say how to reach the pipeline that `log.add()` and its like act on."""
    global _current
    _current = current


def get_logger(name: str | None = None, /, **fields: Any) -> Logger:
    """Return a logger of this name with these fields bound; by default, the caller's module.

    Loggers are cheap, need no pipeline to be there yet, and may be used from any thread and loop.
    """
    if name is None:
        try:
            name = sys._getframe(1).f_globals.get("__name__")
        except ValueError:
            pass
    return Logger(source_of(str(name or "root")), snapshot_fields(fields))


def disable(name: str | None) -> None:
    """Silence the loggers of this name and of all below it, whatever their levels; at once.

    For libraries: `disable(__name__)` in a package's `__init__.py` keeps it silent until the
    program that uses it calls `enable`. The nearest name decides: `lib` may be silent while
    `lib.db` is not. None or "" is the root. It holds for the whole process and all pipelines;
    calls that are silenced cost one comparison. From any thread.

    Raises:
        ConfigurationError: it is no name.
    """
    switch(name, False)


def enable(name: str | None) -> None:
    """Let the loggers of this name and of all below it speak again, as their levels say."""
    switch(name, True)


def _method_with_options(level: Level, *, waits: bool) -> Any:
    """Make a level method that goes the long way, with the logger's options."""

    def method(self: LoggerWithOptions, message: Any = "", /, *args: Any, **fields: Any) -> Any:
        return log_with(self, level, message, args, fields, self._options, waits)

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

        def trace(self, message: object = "", /, *args: object, **fields: object) -> None: ...
        def debug(self, message: object = "", /, *args: object, **fields: object) -> None: ...
        def info(self, message: object = "", /, *args: object, **fields: object) -> None: ...
        def success(self, message: object = "", /, *args: object, **fields: object) -> None: ...
        def warning(self, message: object = "", /, *args: object, **fields: object) -> None: ...
        def error(self, message: object = "", /, *args: object, **fields: object) -> None: ...
        def critical(self, message: object = "", /, *args: object, **fields: object) -> None: ...

        def atrace(
            self, message: object = "", /, *args: object, **fields: object
        ) -> Coroutine[Any, Any, None]: ...
        def adebug(
            self, message: object = "", /, *args: object, **fields: object
        ) -> Coroutine[Any, Any, None]: ...
        def ainfo(
            self, message: object = "", /, *args: object, **fields: object
        ) -> Coroutine[Any, Any, None]: ...
        def asuccess(
            self, message: object = "", /, *args: object, **fields: object
        ) -> Coroutine[Any, Any, None]: ...
        def awarning(
            self, message: object = "", /, *args: object, **fields: object
        ) -> Coroutine[Any, Any, None]: ...
        def aerror(
            self, message: object = "", /, *args: object, **fields: object
        ) -> Coroutine[Any, Any, None]: ...
        def acritical(
            self, message: object = "", /, *args: object, **fields: object
        ) -> Coroutine[Any, Any, None]: ...
    else:
        for _level in levels.LEVELS.values():
            for _waits in (False, True):
                _made = named_method(level_method(_level, waits=_waits), _level, waits=_waits)
                locals()[_made.__name__] = _made
        del _level, _waits, _made

    def exception(self, message: object = "", /, *args: object, **fields: object) -> None:
        """Log at ERROR with the exception being handled."""
        log_with(self, levels.ERROR, message, args, fields, WITH_EXCEPTION, False)

    def aexception(
        self, message: object = "", /, *args: object, **fields: object
    ) -> Coroutine[Any, Any, None]:
        """Log at ERROR with the exception being handled, and wait for room."""
        return cast(
            "Coroutine[Any, Any, None]",
            log_with(self, levels.ERROR, message, args, fields, WITH_EXCEPTION, True),
        )

    def log(
        self, level: str | int, message: object = "", /, *args: object, **fields: object
    ) -> None:
        """Log at a level given by name or number; an unknown name is kept, at INFO's number."""
        log_with(self, coerce_level(level), message, args, fields, PLAIN, False)

    def alog(
        self, level: str | int, message: object = "", /, *args: object, **fields: object
    ) -> Coroutine[Any, Any, None]:
        """Log at a level given by name or number, and wait for room."""
        return cast(
            "Coroutine[Any, Any, None]",
            log_with(self, coerce_level(level), message, args, fields, PLAIN, True),
        )

    def is_enabled_for(self, level: str | int) -> bool:
        """Whether a call at this level would be captured here and now."""
        return is_wanted(self._source, coerce_level(level).no)

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
                _made = named_method(
                    _method_with_options(_level, waits=_waits), _level, waits=_waits
                )
                locals()[_made.__name__] = _made
        del _level, _waits, _made

    def log(
        self, level: str | int, message: object = "", /, *args: object, **fields: object
    ) -> None:
        """Log at a level given by name or number."""
        log_with(
            self,
            coerce_level(level),
            message,
            args,
            fields,
            self._options,
            False,
        )

    def alog(
        self, level: str | int, message: object = "", /, *args: object, **fields: object
    ) -> Coroutine[Any, Any, None]:
        """Log at a level given by name or number, and wait for room."""
        return cast(
            "Coroutine[Any, Any, None]",
            log_with(
                self,
                coerce_level(level),
                message,
                args,
                fields,
                self._options,
                True,
            ),
        )

    def exception(self, message: object = "", /, *args: object, **fields: object) -> None:
        """Log at ERROR with the exception given to `opt`, or else the one being handled."""
        options = self._options.with_exception()
        log_with(
            self,
            levels.ERROR,
            message,
            args,
            fields,
            options,
            False,
        )

    def aexception(
        self, message: object = "", /, *args: object, **fields: object
    ) -> Coroutine[Any, Any, None]:
        """Log at ERROR as `exception` does, and wait for room."""
        options = self._options.with_exception()
        return cast(
            "Coroutine[Any, Any, None]",
            log_with(
                self,
                levels.ERROR,
                message,
                args,
                fields,
                options,
                True,
            ),
        )


def _unpickle(name: str, bound: dict[str, Any]) -> Logger:
    return Logger(source_of(name), bound)

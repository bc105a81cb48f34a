"""Scopes: the one record of a block of work, which gathers fields as the work goes on.

Known as the canonical log line, or wide event. What ends a scope logs it, once: a return, an
exception, a cancellation, or the closing of a generator by somebody else's task.
"""

from __future__ import annotations

import os
import sys
from _thread import RLock
from collections.abc import Callable
from contextvars import ContextVar, copy_context
from time import perf_counter_ns
from types import TracebackType
from typing import Any, Self, overload

from .capture import Options, log_with
from .errors import ConfigurationError
from .level import ERROR, WARNING, Level, parse_level
from .logger import Logger, get_logger
from .snapshot import safe_str, snapshot_fields, type_name

__all__ = ["Scope", "is_failure", "scope"]

MOST_FIELDS = 500
"""Names may be data: what is gathered has an end. The rest is counted in `fields_left_out`."""

_NEW, _OPEN, _ENDED = range(3)

_lock = RLock()  # held for a moment: one for all scopes, which a forked child can renew


class Scope:
    """What `scope` makes and finds: the record of a block, to which fields are added as it goes.

    Child tasks, and threads that have a copy of the context, add to the same record; from any
    thread. What comes after its end is ignored, as is all that is added outside of any scope.
    None of the methods raises or waits.
    """

    __slots__ = (
        "_fields", "_home", "_left_out", "_level", "_logger", "_message", "_outer",
        "_started", "_state", "_timers",
    )  # fmt: skip

    def __init__(self, message: str, logger: Logger, level: Level, fields: dict[str, Any]) -> None:
        self._message = message
        self._logger = logger
        self._level = level
        self._fields = fields
        self._timers: dict[str, list[int]] = {}
        self._left_out = 0
        self._state = _NEW
        self._started = 0
        self._outer: Scope | None = None

    def __repr__(self) -> str:
        return f"<Scope {self._message!r} {self._fields!r}>"

    def add(self, /, **fields: Any) -> None:
        """Add fields to the record, their values as they are now; the last one of a name counts."""
        taken = snapshot_fields(fields)
        with _lock:
            if self._state == _ENDED:
                return
            if len(self._fields) + len(taken) <= MOST_FIELDS:
                self._fields.update(taken)
                return
            for name, value in taken.items():
                if self._has_room(self._fields, name):
                    self._fields[name] = value

    def timer(self, name: str, /) -> Timer:
        """Time a block: `with scope.timer("db"): ...`.

        The record gets the sum of all blocks of the name as `db_ms`, in milliseconds, and how many
        there were as `db_count`. Blocks that run at the same time count each for themselves.
        """
        return Timer(self, name)

    def _add_time(self, name: str, ns: int) -> None:
        with _lock:
            if self._state == _ENDED or not self._has_room(self._timers, name):
                return
            total = self._timers.setdefault(name, [0, 0])
            total[0] += ns
            total[1] += 1

    def _has_room(self, kept: dict[str, Any], name: str) -> bool:
        if name in kept or len(kept) < MOST_FIELDS:
            return True
        self._left_out += 1
        return False

    def __enter__(self) -> Self:
        if self._state == _NEW:
            self._state = _OPEN
            self._outer = outer = _open_one(_current.get())
            if outer is not None:  # a chain of ended ones would only grow
                outer._outer = _open_one(outer._outer)
            _current.set(self)
            self._home = copy_context()
            self._started = perf_counter_ns()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.end(lambda fields: self._log(exc, fields))

    def end(self, emit: Callable[[dict[str, Any]], None]) -> None:
        """Close it, and call `emit` with all that was gathered; only the first time.

        In the context that it was entered in, if that is not the current one: then an async
        generator, or a task that was forgotten, is being closed by somebody else.
        """
        with _lock:
            if self._state != _OPEN:
                return
            self._state = _ENDED
            fields = self._fields
        for name, (ns, count) in self._timers.items():
            fields[f"{name}_ms"] = round(ns / 1e6, 3)
            fields[f"{name}_count"] = count
        if self._left_out:
            fields["fields_left_out"] = self._left_out
        fields["duration_ms"] = self.until(perf_counter_ns())
        home = self._home
        del self._home  # which holds this scope
        if _current.get() is not self:
            home.run(emit, fields)
            return
        try:
            emit(fields)
        finally:
            _current.set(self._outer)

    def run_at_home(self, function: Callable[[], None]) -> None:
        """Call a function in the context that it was entered in, if the current is of another."""
        outer = _current.get()
        while outer is not None and outer is not self:
            outer = outer._outer
        if outer is self or self._state != _OPEN:
            function()
        else:
            self._home.run(function)

    def move_here(self) -> None:
        """Let the current context be the one it was entered in."""
        self._home = copy_context()

    def until(self, ns: int) -> float:
        """Return the milliseconds from its start to a time of `time.perf_counter_ns()`."""
        return round((ns - self._started) / 1e6, 3)

    def _log(self, exc: BaseException | None, fields: dict[str, Any]) -> None:
        level = self._level
        fields["outcome"] = "ok"
        if exc is not None:
            failed = is_failure(exc)
            fields["outcome"] = "failed" if failed else "cancelled"
            fields["error"] = type_name(exc)
            least = ERROR if failed else WARNING
            level = level if level.no >= least.no else least
        log_with(self._logger, level, self._message, (), fields, _AT_THE_BLOCK, False)


class Timer:
    """A block that is timed: what `Scope.timer` returns. Each is for one block at a time."""

    __slots__ = ("_name", "_scope", "_started")

    def __init__(self, scope: Scope, name: str) -> None:
        self._scope = scope
        self._name = name if type(name) is str else safe_str(name)
        self._started = 0

    def __enter__(self) -> None:
        self._started = perf_counter_ns()

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._scope._add_time(self._name, perf_counter_ns() - self._started)


_AT_THE_BLOCK = Options(3, False, None)  # _log, a lambda, end and __exit__ are between
_current: ContextVar[Scope | None] = ContextVar("logflume.scope", default=None)


@overload
def scope() -> Scope: ...


@overload
def scope(
    message: str, /, *, logger: Logger | None = None, level: str | int = "INFO", **fields: Any
) -> Scope: ...


def scope(
    message: str | None = None,
    /,
    *,
    logger: Logger | None = None,
    level: str | int = "INFO",
    **fields: Any,
) -> Scope:
    """Return the innermost scope that is open here; with a message, make a new one.

        with scope("Order placed", order=7) as placed:
            with placed.timer("db"):
                ...
            scope().add(user="alice")       # from anywhere below

    The new one is a block. When it is left, one record is logged, by `logger` (by default, that of
    the caller's module): the message, all fields, `duration_ms` and `outcome`: `ok`; `failed`, at
    ERROR or above; or `cancelled`, at WARNING or above. Then `error` is the exception's type; the
    exception itself goes on, for whoever handles it to log it. Blocks may be nested; each has its
    own record. Outside of any scope, what `scope()` returns ignores all that it is given.

    Raises:
        ConfigurationError: the level or the logger is none.
        TypeError: fields without a message.
    """
    if message is None:
        if fields or logger is not None:
            raise TypeError("scope() wants a message first; fields for the current: scope().add")
        return current_scope()
    if logger is None:
        logger = get_logger(sys._getframe(1).f_globals.get("__name__"))
    elif not isinstance(logger, Logger):
        raise ConfigurationError.of("scope.logger", logger, "a logger, as get_logger returns it")
    return Scope(message, logger, parse_level(level, "scope.level"), snapshot_fields(fields))


def current_scope() -> Scope:
    """Return the innermost scope that is open, skipping those whose end was elsewhere."""
    return _open_one(_current.get()) or _NONE


def _open_one(found: Scope | None) -> Scope | None:
    while found is not None and found._state == _ENDED:
        found = found._outer
    return found


def is_failure(exc: BaseException) -> bool:
    """Whether this is an error, and not the cancellation of a task or the end of a program."""
    if isinstance(exc, BaseExceptionGroup):
        return exc.subgroup(Exception) is not None
    return isinstance(exc, Exception)


_NONE = Scope("", get_logger("root"), WARNING, {})
_NONE._state = _ENDED


def _after_fork() -> None:
    """Take another lock: a thread that stayed with the parent may have held the old one."""
    global _lock
    _lock = RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)

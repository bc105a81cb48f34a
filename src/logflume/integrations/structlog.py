"""The bridge from structlog: its event dicts go the way of logflume's own records.

The way for structlog's processors into a pipeline is `logflume.processors.Structlog`.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping
from datetime import datetime
from types import CodeType, FrameType
from typing import Any, NoReturn

from ..capture import is_wanted, submit, surroundings
from ..engine.backend import whereabouts
from ..errors import ConfigurationError
from ..exception import ExceptionInfo, take_exception
from ..level import CRITICAL, ERROR, INFO, WARNING, Level, coerce_level, parse_level
from ..record import Extra, Record, process_id, site_of
from ..snapshot import safe_str, snapshot_args
from ._incoming import Entrance, code_at, fields_from, literal, time_ns_of
from ._structlog_tracebacks import exception_from

__all__ = ["ToLogflume"]

_LEVELS = {
    "warn": WARNING,
    "err": ERROR,
    "exception": ERROR,
    "failure": ERROR,
    "fatal": CRITICAL,
    "msg": INFO,
}
"""The names of structlog's methods that are no names of levels."""

_STACK = "Stack (most recent call last):"


class ToLogflume:
    """Send what structlog logs to logflume: the last processor of its chain.

    The event is the message, literally, and all other keys are fields. Level, logger name (that
    of the event or of the wrapped logger, else the module that logs), time and call site are
    those of the call; what `add_log_level`, `add_logger_name`, `TimeStamper` and
    `CallsiteParameterAdder` say of them is taken, and is no field besides. `exc_info`, and what
    `dict_tracebacks` makes of it, is the record's exception, without the values of variables; as a
    text that was made of it already, it is the field `exc_text`. A stack is the field `stack_info`.

        structlog.configure(
            processors=[structlog.contextvars.merge_contextvars, ToLogflume()],
        )

    It raises `structlog.DropEvent`, so that structlog's own logger prints nothing. Logger names
    follow logflume's levels (`Pipeline.set_level`), besides those of structlog. Any thread may
    call it, also those in which structlog runs the chain for `await log.ainfo(...)`: the record's
    thread is that of the call, its task is not known. On a thread that runs an event loop it never
    waits, on others at most the pipeline's `block_timeout`; nothing else is ever raised.

    Raises:
        ConfigurationError: structlog is not installed.
    """

    def __init__(self) -> None:
        try:
            from structlog import DropEvent, contextvars
        except ImportError as error:
            raise ConfigurationError(
                "integrations.structlog needs structlog: pip install 'logflume[structlog]'"
            ) from error
        self._drop = DropEvent
        # Since structlog 23.3: who called an async method, whose chain runs in another thread.
        self._caller = getattr(contextvars, "_ASYNC_CALLING_STACK", None)
        self._calling_thread = getattr(contextvars, "_ASYNC_CALLING_THREAD", None)
        self._entrance = Entrance(
            "structlog", lambda *given: given[2]["event"], lambda *given: _level_of({}, given[1])
        )

    def __reduce__(self) -> Any:
        return type(self), ()  # loggers of structlog are pickled with their processors

    def __call__(self, logger: Any, method_name: str, event_dict: Any) -> NoReturn:
        """Log an event, and tell structlog that it is done with it."""
        self._entrance.take(self._take, logger, method_name, event_dict, sys._getframe(1))
        raise self._drop

    def _take(self, logger: Any, method: str, event_dict: Any, frame: FrameType) -> None:
        if isinstance(event_dict, Mapping):
            given = dict(event_dict)
        else:  # a text: the processor before makes one of the whole event
            given = {"event": _text(event_dict)}
        level = _level_of(given, method)
        frame = _out_of_structlog(self._caller.get(frame) if self._caller else frame)
        source = self._entrance.source_of(_name_of(given, logger, frame))
        if not is_wanted(source, level.no):
            return
        thread, task = self._whereabouts(given)
        code, lasti = _site_of(given, frame)
        message = _text(given.pop("event", ""))
        args = given.pop("positional_args", ())
        rendered = None
        if type(args) is not tuple:
            given["positional_args"] = args
            args = ()
        elif args:  # of `stdlib.BoundLogger`, without a PositionalArgumentsFormatter
            rendered = _formatted(message, args)
        time_ns = _time_ns_of(given)
        context, extra = surroundings()
        exception = _exception_of(given)
        if exception is not None:
            extra = extra or Extra()
            extra.exception = exception
        _name_texts(given, frame)
        fields = fields_from(given.items())
        record = Record(
            time_ns, level, message, snapshot_args(args), fields, {}, context, source.name,
            code, lasti, thread, task, extra, None, rendered or literal(message, fields),
        )  # fmt: skip
        submit(record)

    def _whereabouts(self, given: dict[str, Any]) -> tuple[str, str | None]:
        calling = self._calling_thread.get(None) if self._calling_thread is not None else None
        thread, task = whereabouts()
        if calling is not None:
            thread, task = safe_str(calling[1]), None
        if type(given.get("thread_name")) is str:  # from a CallsiteParameterAdder
            thread = given.pop("thread_name")
        return thread, task


def _text(value: Any) -> str:
    if type(value) is str:
        return value
    if isinstance(value, bytes | bytearray):
        return value.decode(errors="replace")
    return safe_str(value)


def _level_of(given: dict[str, Any], method: str) -> Level:
    """Return the level that `add_log_level` or the method's name says."""
    for name, is_key in ((given.get("level"), True), (method, False)):
        if type(name) is not str or name.strip().isdecimal():  # a field: no level is named so
            continue
        level = _LEVELS.get(name)
        if level is None:
            try:
                level = parse_level(name)
            except ConfigurationError:  # a field of the same name, or a method of somebody's own
                continue
        if is_key:
            del given["level"]
        if given.get("level_number") == level.no:
            del given["level_number"]
        return level
    return coerce_level(method)


def _out_of_structlog(frame: FrameType) -> FrameType:
    """Return the frame that called structlog."""
    at: FrameType | None = frame
    while at is not None:
        name = at.f_globals.get("__name__") or ""
        if name != "structlog" and not name.startswith("structlog."):
            return at
        at = at.f_back
    return frame


def _name_of(given: dict[str, Any], logger: Any, frame: FrameType) -> str:
    name = given.get("logger")
    if type(name) is str and name:
        del given["logger"]
        return name
    name = getattr(logger, "name", None)
    if type(name) is str and name:
        return name
    name = frame.f_globals.get("__name__")
    return name if type(name) is str else "structlog"


def _site_of(given: dict[str, Any], frame: FrameType) -> tuple[CodeType, int]:
    """Return the call site: where structlog was called, or what a CallsiteParameterAdder found
    instead. What it says of it is taken out."""
    code, lasti = frame.f_code, frame.f_lasti
    line, path = given.get("lineno"), given.get("pathname", given.get("filename"))
    if type(line) is not int:
        return code, lasti
    if type(path) is str:
        here = os.path.basename(code.co_filename), frame.f_lineno
        if (os.path.basename(path), line) != here:  # it was told to leave more modules out
            code, lasti = code_at(path, line, given.get("func_name", "<unknown>")), 0
    site = site_of(code, lasti)
    said = {
        "pathname": site.file,
        "filename": os.path.basename(site.file),
        "module": site.module,
        "func_name": site.function,
        "lineno": site.line,
        "process": process_id(),
    }
    for key, value in said.items():
        if given.get(key) == value:
            del given[key]
    return code, lasti


def _formatted(message: str, args: tuple[Any, ...]) -> str:
    try:
        mapping = len(args) == 1 and isinstance(args[0], Mapping) and args[0]
        return message % (mapping or args)
    except Exception:  # as for logflume's own: the template with the arguments behind it
        return f"{message} {' '.join([safe_str(value) for value in args])}"


def _time_ns_of(given: dict[str, Any]) -> int:
    """Return the time that a TimeStamper put there, in seconds or ISO 8601; else it is now."""
    when: Any = given.get("timestamp")
    try:
        when = datetime.fromisoformat(when) if type(when) is str else when
        when = when.timestamp() if isinstance(when, datetime) else when
        if type(when) in (int, float) and 0 <= when <= _LATEST:
            del given["timestamp"]
            return time_ns_of(when)
    except Exception:  # a time of day, or a field of the same name
        pass
    return time.time_ns()


_LATEST = 253_402_300_799  # seconds: the last of year 9999; milliseconds are beyond it


def _exception_of(given: dict[str, Any]) -> ExceptionInfo | None:
    """Return the exception, which may be there itself or as the data made of it."""
    exc_info = given.pop("exc_info", None)
    exception = take_exception(exc_info) if exc_info is not None else None
    if exception is None:
        exception = exception_from(given.get("exception"))
        if exception is not None:
            del given["exception"]
    return exception


def _name_texts(given: dict[str, Any], frame: FrameType) -> None:
    """Give texts of tracebacks and stacks the names that they have when they come from `logging`:
    `sinks.Stdlib` knows them by these."""
    if type(given.get("exception")) is str:
        given.setdefault("exc_text", given.pop("exception"))
    stack = given.get("stack")
    if type(stack) is str and stack.startswith(_STACK):
        given["stack_info"] = given.pop("stack")
    elif given.get("stack_info") is True:
        given["stack_info"] = _stack(frame)
    elif given.get("stack_info") in (False, None):
        given.pop("stack_info", None)


def _stack(frame: FrameType) -> str:
    """Return the stack as text, without the source lines: they would have to be read here."""
    lines: list[str] = []
    at: FrameType | None = frame
    while at is not None:
        code = at.f_code
        lines.append(f'  File "{code.co_filename}", line {at.f_lineno}, in {code.co_name}')
        at = at.f_back
    return "\n".join([_STACK, *reversed(lines)])

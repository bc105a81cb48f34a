"""What a Record becomes for `logging`: a LogRecord that formatters and filters work with."""

from __future__ import annotations

import builtins
import functools
import threading
from typing import TYPE_CHECKING, Any

from ..encoders._backtrace import backtrace
from ..escape import escape
from ..exception import ExceptionInfo
from ..record import Record

if TYPE_CHECKING:
    import logging

__all__ = ["LogRecords"]

_MOST_KEPT = 1_024


class LogRecords:
    """Makes LogRecords; `logging` is imported with the first of these, not with logflume."""

    def __init__(self, *, escape: bool) -> None:
        import logging

        self._class = _class_of_ours()
        self._escapes = escape
        self._reserved = {*vars(logging.makeLogRecord({})), "message", "asctime", "taskName"}
        self._threads: dict[str, int] = {}
        self.origins: frozenset[str] = frozenset()
        """The routes that those who get a LogRecord may not send it back to."""

    def made_from(self, record: Record) -> logging.LogRecord:
        """Return a LogRecord that says what this record says."""
        site = record.site
        shown = self._shown
        made: Any = self._class(
            shown(record.logger),
            record.level.no,
            site.file,
            site.line,
            *self._message(record),
            None,
            site.function,
        )
        made.logflume_origins = self.origins
        own = vars(made)
        started = made.created * 1e3 - made.relativeCreated  # in ms, when `logging` was imported
        made.levelname = shown(record.level.name)
        made.created = record.time_ns / 1e9
        made.msecs = float(record.time_ns // 1_000_000 % 1_000)
        made.relativeCreated = made.created * 1e3 - started
        made.threadName = shown(record.thread)
        made.thread = self._ident_of(record.thread)
        own["taskName"] = record.task and shown(record.task)
        if record.exception is not None:
            made.exc_text = "\n".join(backtrace(record.exception, form=shown))
            made.exc_info = _exc_info(record.exception, shown(record.exception.message))
        self._add_fields(record, made)
        given: logging.LogRecord = made
        return given

    def _message(self, record: Record) -> tuple[str, tuple[Any, ...]]:
        """Return what a LogRecord's message is made of: the parts, if `%` makes it of them."""
        message, args = self._shown(record.message), record.args
        if args:
            try:
                values = args[0] if len(args) == 1 and isinstance(args[0], dict) else args
                if record.template % values == message:
                    return record.template, args
            except Exception:  # braces, or a template that does not fit
                pass
        return message, ()

    def _add_fields(self, record: Record, made: logging.LogRecord) -> None:
        own, shown = vars(made), self._shown
        fields = dict(record.fields)
        # As they are when the record came from `logging`.
        for name in ("stack_info", "exc_text"):
            if own[name] is None and type(fields.get(name)) is str:
                own[name] = "\n".join(map(shown, fields.pop(name).splitlines()))
        if record.trace_id is not None:
            own["trace_id"], own["span_id"] = record.trace_id, record.span_id
        for key, value in fields.items():
            name = str(key)
            while name in self._reserved:
                name += "_"
            own[name] = shown(value) if type(value) is str else value

    def _shown(self, text: str) -> str:
        return escape(text) if self._escapes else text

    def _ident_of(self, name: str) -> int:
        """Return the number of a thread that runs under this name; 0 if it does no longer."""
        ident = self._threads.get(name)
        if ident is None:
            if len(self._threads) >= _MOST_KEPT:
                self._threads.clear()
            self._threads |= {thread.name: thread.ident or 0 for thread in threading.enumerate()}
            ident = self._threads.setdefault(name, 0)
        return ident


@functools.cache
def _class_of_ours() -> Any:
    import logging

    class LogRecord(logging.LogRecord):
        """A LogRecord that knows, beside what formatters see, the routes that it came from.

        So it does not go round in circles if what gets it, a queue say, leads back to logflume.
        Other processes have routes of their own: pickled, it is like any other.
        """

        __slots__ = ("logflume_origins",)
        logflume_origins: frozenset[str]

        def __copy__(self) -> Any:
            copied: Any = LogRecord.__new__(LogRecord)
            vars(copied).update(vars(self))
            copied.logflume_origins = self.logflume_origins
            return copied

        def __reduce__(self) -> Any:
            return logging.makeLogRecord, (vars(self),)

    return LogRecord


_stand_ins: dict[str, type[Exception]] = {}


def _exc_info(info: ExceptionInfo, message: str) -> tuple[type[Exception], Exception, None]:
    """Return what looks like the exception: the exception itself stayed where it was raised."""
    kind = _stand_ins.get(info.type)
    if kind is None:
        if len(_stand_ins) >= _MOST_KEPT:
            _stand_ins.clear()
        module, _, name = info.type.rpartition(".")
        kind = _stand_ins[info.type] = type(
            name,
            (_base_of(info.type),),
            {"__module__": module or "builtins", "__str__": _message_of},
        )
    error = kind.__new__(kind, message)
    error.args = (message,)
    return kind, error, None


def _base_of(name: str) -> type[Exception]:
    found: Any = getattr(builtins, name, None)
    if isinstance(found, type) and issubclass(found, Exception):
        return Exception if issubclass(found, ExceptionGroup) else found  # made of members only
    return Exception


def _message_of(self: Exception) -> str:
    return str(self.args[0])

"""What a Record becomes for `logging`: a LogRecord that formatters and filters work with."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from ..encoders._backtrace import backtrace
from ..escape import escape
from ..record import Record
from ._stand_ins import stand_in
from ._threads import Threads

if TYPE_CHECKING:
    import logging

__all__ = ["LogRecords"]


class LogRecords:
    """Makes LogRecords; `logging` is imported with the first of these, not with logflume."""

    def __init__(self, *, escape: bool) -> None:
        import logging

        self._class = _class_of_ours()
        self._escapes = escape
        self._reserved = {*vars(logging.makeLogRecord({})), "message", "asctime", "taskName"}
        self._threads = Threads()
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
        made.thread = self._threads.ident_of(record.thread)
        if record.task is not None or "taskName" in own:  # `logging` knows it from Python 3.12 on
            own["taskName"] = record.task and shown(record.task)
        if record.exception is not None:
            made.exc_text = "\n".join(backtrace(record.exception, form=shown))
            error = stand_in(record.exception, shown)
            made.exc_info = type(error), error, error.__traceback__
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
        if type(fields.get("process.pid")) is int:  # of another process
            own["process"] = fields.pop("process.pid")
        if record.trace_id is not None:
            own["trace_id"], own["span_id"] = record.trace_id, record.span_id
        for key, value in fields.items():
            name = str(key)
            while name in self._reserved:
                name += "_"
            own[name] = shown(value) if type(value) is str else value

    def _shown(self, text: str) -> str:
        return escape(text) if self._escapes else text


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

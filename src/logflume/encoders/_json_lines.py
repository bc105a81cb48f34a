"""Records as lines of JSON in their usual shape, as fast as it goes: many with one call.

Three things make it fast. What belongs to a call site (logger, file, line, template, thread, ...)
is encoded once and kept: it comes last, as raw JSON under the key "level" that holds the level's
value and all the members after it. msgspec writes a whole list of lines at once, which costs half
of a call for each. And what it would write in another form than `encoders.Json` promises (times,
bytes, ...) is looked for by one call of orjson over the values of all, which refuses it.

Which way a record goes depends on nothing but itself: alone or among others, its line is the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import CodeType
from typing import Any

import msgspec
import orjson

from ..level import Level
from ..record import Record, process_id
from ..snapshot import SCALARS
from ..template import filler_of, render
from ._json_values import LINE, dumps, in_one_line, is_suspect, plain, shielded

__all__ = ["JsonLines"]

_MILLISECOND = 1_000_000
_NEVER = 2**70  # later than any record
_MICROSECONDS = [f"{n:03}Z" for n in range(1000)]
_MAX_TAILS = 16_384
_MISSING: Any = object()
_STRICT = (
    orjson.OPT_PASSTHROUGH_DATACLASS
    | orjson.OPT_PASSTHROUGH_DATETIME
    | orjson.OPT_PASSTHROUGH_SUBCLASS
)


class _Line(msgspec.Struct, gc=False):
    """What is written of a record outside of any task."""

    timestamp: str
    message: str
    fields: dict[str, Any]
    level: msgspec.Raw


class _LineInTask(msgspec.Struct, gc=False):
    """What is written of a record in a task."""

    timestamp: str
    message: str
    fields: dict[str, Any]
    task: str
    level: msgspec.Raw


class _FullLine(msgspec.Struct, gc=False):
    """What is written of a record with what only few have; what it has not is left out."""

    exception: dict[str, Any] | msgspec.UnsetType
    timestamp: str
    message: str
    fields: dict[str, Any]
    task: str | msgspec.UnsetType
    trace_id: str | msgspec.UnsetType
    span_id: str | msgspec.UnsetType
    level: msgspec.Raw


_FEW = 8
"""Up to how many fields it costs less to give values their form one by one than to call orjson."""

_TEXT = frozenset({str})
_SIMPLE: frozenset[type] = frozenset({str, int, float, bool, type(None)})

# What a call site adds to a record, and what it was encoded for.
_Tail = tuple[CodeType, int, Level, str, str, msgspec.Raw]

_encode_lines = msgspec.json.Encoder().encode_lines


class JsonLines:
    """Encodes records, and keeps what their call sites add to them."""

    def __init__(self) -> None:
        self._tails: dict[str | int, _Tail] = {}
        self._all_tails: dict[tuple[object, ...], _Tail] = {}
        self._process = 0
        self._clock = (_NEVER, "")  # one attribute: threads that share an encoder set it at once
        """The millisecond that was written last, and its text."""

    def encode(self, records: Sequence[Record]) -> bytes:
        """Return the lines of records, one behind the other."""
        if self._process != process_id():
            self._forget_tails()
            self._process = process_id()
        seen: list[dict[str, Any]] = []
        lines = self._lines_of(records, seen)
        text = _encode_run(lines) if _is_plain(seen) else _encode_mixed(lines)
        return text if text.isascii() else _shielded_lines(text)

    def _lines_of(self, records: Sequence[Record], seen: list[dict[str, Any]]) -> list[Any]:
        """Return what is written of each record, and add to `seen` what it has values from.

        A tail is looked up by its template (whose hash is cached) or, for a message without one,
        by the address of its instruction, and then checked.
        """
        lines: list[Any] = []
        append, see = lines.append, seen.append
        tail_of = self._tails.get
        millisecond, prefix = self._clock
        microseconds = _MICROSECONDS
        bound: dict[str, Any] | None = None
        context: dict[str, Any] | None = None
        around: dict[str, Any] = {}
        for r in records:
            past = r.time_ns - millisecond
            if not 0 <= past < _MILLISECOND:
                millisecond, prefix = self._enter_millisecond(r)
                past = r.time_ns - millisecond
            fields = r.merged
            if fields is None:
                fields = r.call_fields
                see(fields)
                if r.bound is not bound or r.context is not context:
                    bound, context = r.bound, r.context
                    around = context | bound if context and bound else context or bound
                    see(around)
                if around:
                    fields = around | fields
            else:
                see(fields)
            template = r.template
            message = r.rendered
            if message is None:
                message = template
                if r.args:
                    message = render(template, r.args, fields)
                elif r.call_fields:
                    filler = filler_of(template, _MISSING)
                    if filler is _MISSING:
                        message = render(template, (), fields)
                    elif filler is not None:
                        try:
                            message = filler(fields)
                        except Exception:
                            message = render(template, (), fields)
            code, lasti = r.code, r.lasti
            tail = tail_of(id(code) + lasti) if message is template else tail_of(template)
            if tail is not None:
                its_code, its_lasti, level, logger, thread, rest = tail
                if (
                    its_code is not code
                    or its_lasti != lasti
                    or level is not r.level
                    or logger is not r.logger
                    or thread is not r.thread
                ):
                    rest = self._tail_of(r, message is not template)[5]
            else:
                rest = self._tail_of(r, message is not template)[5]
            timestamp = prefix + microseconds[past // 1000]
            task = r.task
            if task is not None:
                line: Any = _LineInTask(timestamp, message, fields, task, rest)
            else:
                line = _Line(timestamp, message, fields, rest)
            if r.extra is not None:
                line = _full(line, r)
                if line.exception is not msgspec.UNSET:
                    see(line.exception)
            append(line)
        return lines

    def _enter_millisecond(self, record: Record) -> tuple[int, str]:
        began = record.time_ns // _MILLISECOND * _MILLISECOND
        self._clock = began, record.timestamp[:-4]
        return self._clock

    def _tail_of(self, record: Record, rendered: bool) -> _Tail:
        """Return the tail of a call site that shares its template, or whose rest varies."""
        code, lasti = record.code, record.lasti
        template = record.template if rendered else None
        level, logger, thread = record.level, record.logger, record.thread
        key = (id(code), lasti, level.name, logger, thread, template)
        tail = self._all_tails.get(key)
        if tail is None or tail[0] is not code:
            if len(self._all_tails) >= _MAX_TAILS:
                self._forget_tails()
            tail = (code, lasti, level, logger, thread, self._encode_tail(record, template))
            self._all_tails[key] = tail
        else:  # equal, though not the same objects: look them up as they are now
            tail = (code, lasti, level, logger, thread, tail[5])
        self._tails[id(code) + lasti if template is None else template] = tail
        return tail

    def _encode_tail(self, record: Record, template: str | None) -> msgspec.Raw:
        site = record.site
        members: dict[str, Any] = {
            "logger": record.logger,
            "file": site.file,
            "line": site.line,
            "function": site.function,
            "module": site.module,
            "process": self._process,
            "thread": record.thread,
        }
        if template is not None:
            members["template"] = template
        # Without its braces: the object that it stands in has them.
        return msgspec.Raw(dumps(record.level.name) + b"," + dumps(members)[1:-1])

    def _forget_tails(self) -> None:
        self._tails.clear()
        self._all_tails.clear()


def _full(line: Any, record: Record) -> _FullLine:
    """Return a line with what the record's `extra` has to say."""
    exception, trace_id = record.exception, record.trace_id
    return _FullLine(
        msgspec.UNSET if exception is None else exception.to_dict(),
        line.timestamp,
        line.message,
        line.fields,
        msgspec.UNSET if record.task is None else record.task,
        msgspec.UNSET if trace_id is None else trace_id,
        msgspec.UNSET if trace_id is None else record.span_id or "",
        line.level,
    )


def _is_plain(values: Any) -> bool:
    """Whether there is nothing in these that JSON has no type for."""
    try:
        orjson.dumps(values, _refuse, _STRICT)
    except TypeError:
        return False
    return True


def _refuse(value: Any) -> Any:
    raise TypeError


def _encode_run(lines: list[Any]) -> bytes:
    """Encode lines whose fields are written as they are."""
    try:
        return _encode_lines(lines)
    except Exception:  # a text that is no Unicode, or what a processor has put into fields
        if len(lines) == 1:
            return _encode_odd(lines[0])
        return b"".join([_encode_run([line]) for line in lines])


def _encode_mixed(lines: list[Any]) -> bytes:
    """Encode lines of which some have values of another form."""
    # Kept until all are there, the bytes of each would cost as much as encoding them.
    text = bytearray()
    run: list[Any] = []
    for line in lines:
        if _settle_forms(line):
            run.append(line)
            continue
        if run:
            text += _encode_run(run)
            run = []
        text += _encode_odd(line)
    if run:
        text += _encode_run(run)
    return bytes(text)


def _settle_forms(line: Any) -> bool:
    """Give a few simple values their form; return whether msgspec would write all as it shall be,
    or refuse it."""
    fields = line.fields
    if type(fields) is not dict or not _TEXT.issuperset(map(type, fields)):
        return False
    exception = getattr(line, "exception", msgspec.UNSET)
    if exception is not msgspec.UNSET and not _is_plain(exception):
        return False
    kinds = set(map(type, fields.values()))
    if kinds <= _SIMPLE:
        return True
    if kinds <= SCALARS and len(fields) <= _FEW:
        line.fields = {
            name: value if type(value) in _SIMPLE else plain(value)
            for name, value in fields.items()
        }
        return True
    return _is_plain(fields)


def _encode_odd(line: Any) -> bytes:
    members = msgspec.structs.asdict(line)
    if type(line) is _FullLine:
        members = {name: value for name, value in members.items() if value is not msgspec.UNSET}
    members["level"] = orjson.Fragment(bytes(line.level))
    return in_one_line(dumps(members, LINE))


def _shielded_lines(text: bytes) -> bytes:
    """Shield lines that are not ASCII, each by itself: few have what has to be looked for."""
    if not is_suspect(text):
        return text
    lines = text.split(b"\n")
    return b"\n".join([line if line.isascii() else shielded(line) for line in lines])

"""One JSON object per line: `record.to_dict()`."""

from __future__ import annotations

import datetime
import math
from collections.abc import Callable, Sequence
from types import CodeType
from typing import Any

import orjson

from ..level import Level
from ..record import Record, process_id
from ..snapshot import safe_str, snapshot
from ..template import compiled_of, render

__all__ = ["Json"]

_MILLISECOND = 1_000_000
_MICROSECONDS = [f"{n:03}Z" for n in range(1000)]
_MAX_TAILS = 16_384
_MAX_64 = 2**63
_MISSING: Any = object()
# orjson's own way with times crashes the process when a tzinfo of somebody's own raises.
_OPTIONS = orjson.OPT_PASSTHROUGH_DATETIME
_LINE = _OPTIONS | orjson.OPT_APPEND_NEWLINE

# What a call site adds to a record, and what it was encoded for: see `encode_into`.
_Tail = tuple[CodeType, int, Level, str, str, orjson.Fragment]


class Json:
    """Write a record as one line of JSON (RFC 8259), UTF-8, keys as in `record.to_dict()`.

    Every value has a form: times are ISO 8601, bytes and unknown objects text, sets and tuples
    arrays, numbers that are not finite null, integers of any size numbers; lone surrogates
    are escaped. `flat=True` lifts the fields to the top; one that is named like a key of the
    record gets a `_` behind its name.

        Route("app.jsonl", encoder=encoders.Json(flat=True))
    """

    def __init__(self, *, flat: bool = False) -> None:
        self.flat = bool(flat)
        self._tails: dict[str | int, _Tail] = {}
        self._all_tails: dict[tuple[object, ...], _Tail] = {}
        self._process = 0
        self._millisecond = -_MILLISECOND
        self._prefix = ""

    def __eq__(self, other: object) -> bool:
        return type(other) is Json and other.flat == self.flat

    def __hash__(self) -> int:
        return hash((Json, self.flat))

    def __repr__(self) -> str:
        return f"Json(flat={self.flat})"

    def encode(self, record: Record, /) -> bytes:
        """Return the record's line, with its newline."""
        line: list[bytes] = []
        self.encode_into((record,), line.append)
        return line[0]

    def encode_into(self, records: Sequence[Record], write: Callable[[bytes], Any], /) -> list[Any]:
        """Write the lines of many records, one call each, and return what the calls returned.

        What belongs to a call site (logger, file, line, template, thread, ...) is encoded once
        and kept. It comes last, as a fragment under the key "level" that holds the level's value
        and all the members after it, so a record costs one `orjson.dumps` of little more than
        its own values. A tail is looked up by its template (whose hash is cached) or, for a
        message without one, by the address of its instruction, and then checked.
        """
        if self.flat:
            return [write(self._encode_flat(record)) for record in records]
        if self._process != process_id():
            self._forget_tails()
            self._process = process_id()
        written: list[Any] = []
        append = written.append
        tail_of = self._tails.get
        millisecond, prefix = self._millisecond, self._prefix
        microseconds = _MICROSECONDS
        dumps = orjson.dumps
        # Filled anew for each record: cheaper than a new dict. The order is that of the keys.
        in_no_task: dict[str, Any] = dict.fromkeys(("timestamp", "message", "fields", "level"))
        in_task: dict[str, Any] = dict.fromkeys(("timestamp", "message", "fields", "task", "level"))
        for r in records:
            past = r.time_ns - millisecond
            if not 0 <= past < _MILLISECOND:
                millisecond, prefix = self._enter_millisecond(r)
                past = r.time_ns - millisecond
            template = r.template
            fields = r.merged
            if fields is None:
                fields = r.call_fields
                if r.bound:
                    fields = r.bound | fields
                if r.context:
                    fields = r.context | fields
            message = r.rendered
            if message is None:
                message = template
                if r.args:
                    message = render(template, r.args, fields)
                elif r.call_fields:
                    compiled = compiled_of(template, _MISSING)
                    if type(compiled) is tuple:
                        try:
                            message = compiled[0] % compiled[1](fields)
                        except Exception:
                            message = render(template, (), fields)
                    elif compiled is not None:
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
            if r.task is not None:
                own = in_task
                own["task"] = r.task
            else:
                own = in_no_task
            own["timestamp"] = prefix + microseconds[past // 1000]
            own["message"] = message
            own["fields"] = fields
            own["level"] = rest
            if r.extra is not None:
                if r.extra.exception is not None:
                    own = {"exception": r.extra.exception.to_dict(), **own}
                if r.extra.span is not None:
                    own = {**own, "trace_id": r.trace_id, "span_id": r.span_id}
                    own["level"] = own.pop("level")  # the tail comes last
            try:
                line = dumps(own, _plain, _LINE)
            except TypeError:
                line = _dumps(own, _LINE)
            append(write(line))
        return written

    def _enter_millisecond(self, record: Record) -> tuple[int, str]:
        self._millisecond = record.time_ns // _MILLISECOND * _MILLISECOND
        self._prefix = record.timestamp[:-4]
        return self._millisecond, self._prefix

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

    def _encode_tail(self, record: Record, template: str | None) -> orjson.Fragment:
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
        return orjson.Fragment(_dumps(record.level.name) + b"," + _dumps(members)[1:-1])

    def _forget_tails(self) -> None:
        self._tails.clear()
        self._all_tails.clear()

    def _encode_flat(self, record: Record) -> bytes:
        shown = record.to_dict()
        fields = shown.pop("fields")
        for name, value in fields.items():
            free = name
            while free in shown:
                free = f"{free}_"
            shown[free] = value
        return _dumps(shown, _LINE)


def _dumps(value: Any, options: int = _OPTIONS) -> bytes:
    try:
        return orjson.dumps(value, _plain, options)
    except TypeError:
        pass
    try:
        return orjson.dumps(_encodable(value), _plain, options)
    except (TypeError, RecursionError):  # a processor's doing: what is captured has an end
        return orjson.dumps(_encodable(_bounded(value)), _plain, options)


def _bounded(members: dict[str, Any]) -> dict[str, Any]:
    """Cut off what goes round in circles or too deep."""
    return {
        key: item if type(item) is orjson.Fragment else snapshot(item)
        for key, item in members.items()
    }


def _plain(value: Any) -> Any:
    """Give a form to values that JSON has no type for."""
    if isinstance(value, bytes | bytearray):
        return value.decode("utf-8", "backslashreplace")
    if isinstance(value, datetime.date | datetime.time):  # a datetime is a date, too
        try:
            return value.isoformat()
        except Exception:
            return _valid(safe_str(value))
    if isinstance(value, datetime.timedelta):
        return value.total_seconds()
    if isinstance(value, set | frozenset):
        return list(value)
    return _valid(safe_str(value))


def _encodable(value: Any) -> Any:
    """Rebuild a value that orjson refuses: odd keys, lone surrogates, integers over 64 bits."""
    if isinstance(value, str):
        return _valid(value)
    if isinstance(value, bool):
        return value
    if isinstance(value, int):
        return value if -_MAX_64 <= value < 2 * _MAX_64 else _large(value)
    if isinstance(value, dict):
        shown: dict[str, Any] = {}
        for key, item in value.items():
            name = _key(key)
            while name in shown:  # 1 and "1", say
                name += "_"
            shown[name] = _encodable(item)
        return shown
    if isinstance(value, list | tuple | set | frozenset):
        return [_encodable(item) for item in value]
    return value


def _key(key: Any) -> str:
    if isinstance(key, float) and not math.isfinite(key):
        return str(key)
    return _valid(key if isinstance(key, str) else safe_str(key))


def _valid(text: str) -> str:
    return str.encode(text, "utf-8", "backslashreplace").decode("utf-8")


def _large(value: int) -> Any:
    try:
        return orjson.Fragment(str(value).encode())
    except ValueError:  # more digits than the interpreter converts
        return hex(value)

"""One JSON object per line: `record.to_dict()`."""

from __future__ import annotations

import datetime
import math
from collections.abc import Sequence
from types import CodeType
from typing import Any

import orjson

from ..level import Level
from ..record import Record, process_id
from ..snapshot import safe_str
from ..template import render, renderer_of

__all__ = ["Json"]

_MILLISECOND = 1_000_000
_MICROSECONDS = [f"{n:03}Z" for n in range(1000)]
_MAX_TAILS = 16_384
_MAX_64 = 2**63
_MISSING: Any = object()

_Tail = tuple[CodeType, int, Level, str, str, str, bool, bytes]


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
        self._tails: dict[int, _Tail] = {}
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
        return self.encode_many((record,))[0]

    def encode_many(self, records: Sequence[Record], /) -> list[bytes]:
        """Return the lines of many records.

        The parts that belong to a call site (logger, level, file, line, template, thread, ...)
        are encoded once and kept, so that a record costs one `orjson.dumps` of what is its own.
        """
        if self.flat:
            return [self._encode_flat(record) for record in records]
        if self._process != process_id():
            self._tails.clear()
            self._process = process_id()
        lines: list[bytes] = []
        tails = self._tails
        millisecond, prefix = self._millisecond, self._prefix
        dumps = orjson.dumps
        for r in records:
            past = r.time_ns - millisecond
            if not 0 <= past < _MILLISECOND:
                millisecond, prefix = self._enter_millisecond(r)
                past = r.time_ns - millisecond
            code, lasti, template, message = r.code, r.lasti, r.template, r.rendered
            fields = r.merged
            if fields is None:
                if r.context:
                    fields = {**r.context, **r.bound, **r.call_fields}
                elif r.bound:
                    fields = {**r.bound, **r.call_fields}
                else:
                    fields = r.call_fields
                r.merged = fields
            if message is None:
                message = template
                if r.args:
                    message = render(template, r.args, fields)
                elif r.call_fields:
                    renderer = renderer_of(template, _MISSING)
                    if renderer is _MISSING:
                        message = render(template, (), fields)
                    elif renderer is not None:
                        message = renderer(fields)
                r.rendered = message
            tail = tails.get(id(code) + lasti)
            if (
                tail is None
                or tail[0] is not code
                or tail[5] is not template
                or tail[2] is not r.level
                or tail[3] is not r.logger
                or tail[4] is not r.thread
                or tail[1] != lasti
                or tail[6] is (message is template)
            ):
                tail = self._new_tail(r, message is not template)
            own = {
                "timestamp": prefix + _MICROSECONDS[past // 1000],
                "message": message,
                "fields": fields,
            }
            if r.task is not None:
                own["task"] = r.task
            if r.extra is not None and r.extra.exception is not None:
                own["exception"] = r.extra.exception.to_dict()
            try:
                lines.append(dumps(own, _plain)[:-1] + tail[7])
            except TypeError:
                lines.append(dumps(_encodable(own), _plain)[:-1] + tail[7])
        return lines

    def _enter_millisecond(self, record: Record) -> tuple[int, str]:
        self._millisecond = record.time_ns // _MILLISECOND * _MILLISECOND
        self._prefix = record.timestamp[:-4]
        return self._millisecond, self._prefix

    def _new_tail(self, record: Record, rendered: bool) -> _Tail:
        site = record.site
        shown: dict[str, Any] = {
            "level": record.level.name,
            "logger": record.logger,
            "file": site.file,
            "line": site.line,
            "function": site.function,
            "module": site.module,
            "process": self._process,
            "thread": record.thread,
        }
        if rendered:
            shown["template"] = record.template
        encoded = b"," + _dumps(shown)[1:] + b"\n"
        code, lasti = record.code, record.lasti
        tail = (
            code, lasti, record.level, record.logger, record.thread, record.template,
            rendered, encoded,
        )  # fmt: skip
        if len(self._tails) >= _MAX_TAILS:
            self._tails.clear()
        self._tails[id(code) + lasti] = tail
        return tail

    def _encode_flat(self, record: Record) -> bytes:
        shown = record.to_dict()
        fields = shown.pop("fields")
        for name, value in fields.items():
            while name in shown:
                name = f"{name}_"
            shown[name] = value
        return _dumps(shown) + b"\n"


def _dumps(value: Any) -> bytes:
    try:
        return orjson.dumps(value, _plain)
    except TypeError:
        return orjson.dumps(_encodable(value), _plain)


def _plain(value: Any) -> Any:
    """Give a form to values that JSON has no type for."""
    if isinstance(value, bytes | bytearray):
        return value.decode("utf-8", "backslashreplace")
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
        return {_key(key): _encodable(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_encodable(item) for item in value]
    return value


def _key(key: Any) -> str:
    if isinstance(key, float) and not math.isfinite(key):
        return str(key)
    return _valid(key if isinstance(key, str) else safe_str(key))


def _valid(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _large(value: int) -> Any:
    try:
        return orjson.Fragment(str(value).encode())
    except ValueError:  # more digits than the interpreter converts
        return hex(value)

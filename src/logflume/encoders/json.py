"""One JSON object per line: `record.to_dict()`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import CodeType
from typing import Any

import orjson

from ..errors import ConfigurationError
from ..level import Level
from ..record import Record, process_id
from ..setting import flag
from ..template import filler_of, render
from ._json_values import LINE, dumps, plain, plain_after, shielded
from ._layout import Layout
from ._settings import Configured
from ._times import TimeForm, time_form

__all__ = ["Json"]

_MILLISECOND = 1_000_000
_NEVER = 2**70  # later than any record
_MICROSECONDS = [f"{n:03}Z" for n in range(1000)]
_MAX_TAILS = 16_384
_MISSING: Any = object()

# What a call site adds to a record, and what it was encoded for: see `encode_into`.
_Tail = tuple[CodeType, int, Level, str, str, orjson.Fragment]


class Json(Configured):
    """Write a record as one line of JSON (RFC 8259), UTF-8, keys as in `record.to_dict()`.

    Every value has a form: times are ISO 8601, bytes and unknown objects text, sets and tuples
    arrays, numbers that are not finite null, integers of any size numbers; lone surrogates
    are escaped. What could forge a line or a colour on a terminal (C1 and bidi controls, line
    separators) is written as escapes, which parsers read back.

        Route("app.jsonl", encoder=encoders.Json(flat=True, rename={"timestamp": "@timestamp"}))

    Without options, records are encoded several times faster than with any.

    Args:
        flat: lift the fields to the top; one that is named like a key of the record gets a `_`
            behind its name.
        pretty: indent by two spaces: for reading, since a record is then no line.
        rename: new names for keys at the top; two of the same name are refused.
        keys: write only these keys, in this order, named as they are before `rename`.
        default: asked first about each value that JSON has no type for (decimals, bytes, times,
            paths, sets, ...; UUIDs are text anyway), it returns what to write in its place. If it
            raises, or returns the value, that is written as without it. Called on the loop: it
            must not block.
        time: how the timestamp is written, `iso-` to the (s, ms, us, ns) in UTC, `local` with the
            offset, or as a number since the epoch: `epoch` in seconds with a fraction, `epoch-`
            a whole number of (ms, us, ns).
    """

    def __init__(
        self,
        *,
        flat: bool = False,
        pretty: bool = False,
        rename: Mapping[str, str] | None = None,
        keys: Sequence[str] | None = None,
        default: Callable[[Any], Any] | None = None,
        time: TimeForm = "iso-us",
    ) -> None:
        if default is not None and not callable(default):
            raise ConfigurationError.of("Json.default", default, "a callable or None")
        flat, pretty = flag("Json.flat", flat), flag("Json.pretty", pretty)
        form = time_form("Json.time", time)
        self._layout = Layout("Json", flat=flat, rename=rename, keys=keys, time=form)
        rename, keys = self._layout.rename or None, self._layout.keys
        self._configure(
            flat=flat, pretty=pretty, rename=rename, keys=keys, default=default, time=time
        )
        self._as_is = not (flat or pretty or rename or keys or default is not None)
        self._as_is = self._as_is and time == "iso-us"
        self._options = LINE | orjson.OPT_INDENT_2 if pretty else LINE
        self._form = plain if default is None else plain_after(default)
        self._tails: dict[str | int, _Tail] = {}
        self._all_tails: dict[tuple[object, ...], _Tail] = {}
        self._process = 0
        self._millisecond = _NEVER
        self._prefix = ""

    def encode(self, record: Record, /) -> bytes:
        """Return the record's line, with its newline."""
        line: list[bytes] = []
        self.encode_into((record,), line.append)
        return line[0]

    def encode_into(
        self, records: Sequence[Record], write: Callable[[bytes], Any], /
    ) -> list[Any] | None:
        """Write the lines of many records, one call each. With `pretty`, when a record is no line,
        it returns what the calls returned.

        What belongs to a call site (logger, file, line, template, thread, ...) is encoded once
        and kept. It comes last, as a fragment under the key "level" that holds the level's value
        and all the members after it, so a record costs one `orjson.dumps` of little more than
        its own values. A tail is looked up by its template (whose hash is cached) or, for a
        message without one, by the address of its instruction, and then checked.
        """
        if not self._as_is:
            written = [write(self._encode_with_options(record)) for record in records]
            return written if self._options & orjson.OPT_INDENT_2 else None
        if self._process != process_id():
            self._forget_tails()
            self._millisecond = _NEVER  # a fork may have come between it and its prefix
            self._process = process_id()
        tail_of = self._tails.get
        millisecond, prefix = self._millisecond, self._prefix
        microseconds = _MICROSECONDS
        encode = orjson.dumps
        # Filled anew for each record: cheaper than a new dict. The order is that of the keys.
        in_no_task: dict[str, Any] = dict.fromkeys(("timestamp", "message", "fields", "level"))
        in_task: dict[str, Any] = dict.fromkeys(("timestamp", "message", "fields", "task", "level"))
        own = in_no_task
        task: Any = None
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
            if r.task is not task:
                task = r.task
                own = in_no_task if task is None else in_task
                in_task["task"] = task
            own["timestamp"] = prefix + microseconds[past // 1000]
            own["message"] = message
            own["fields"] = fields
            own["level"] = rest
            if r.extra is not None:
                task = _MISSING  # what is made here is for this record only
                if r.extra.exception is not None:
                    own = {"exception": r.extra.exception.to_dict(), **own}
                if r.extra.span is not None:
                    own = {**own, "trace_id": r.trace_id, "span_id": r.span_id}
                    own["level"] = own.pop("level")  # the tail comes last
            try:
                line = encode(own, plain, LINE)
                if not line.isascii():
                    line = shielded(line)
            except TypeError:
                line = dumps(own, LINE)
            write(line)
        return None

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
        return orjson.Fragment(dumps(record.level.name) + b"," + dumps(members)[1:-1])

    def _forget_tails(self) -> None:
        self._tails.clear()
        self._all_tails.clear()

    def _encode_with_options(self, record: Record) -> bytes:
        return dumps(self._layout.shown(record), self._options, self._form)

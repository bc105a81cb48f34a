"""One JSON object per line: `record.to_dict()`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import orjson

from ..errors import ConfigurationError
from ..record import Record
from ..setting import flag
from ._json_lines import JsonLines
from ._json_values import LINE, dumps, in_one_line, plain, plain_after
from ._layout import Layout
from ._settings import Configured
from ._times import TimeForm, time_form

__all__ = ["Json"]


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
        self._is_pretty = pretty
        self._options = LINE | orjson.OPT_INDENT_2 if pretty else LINE
        self._form = plain if default is None else plain_after(default)
        self._lines = JsonLines()

    def encode(self, record: Record, /) -> bytes:
        """Return the record's line, with its newline."""
        return self._lines.encode((record,)) if self._as_is else self._encode_with_options(record)

    def encode_into(
        self, records: Sequence[Record], write: Callable[[bytes], Any], /
    ) -> list[Any] | None:
        """Write the lines of many records. With `pretty`, when a record is no line, it writes them
        one by one and returns what the calls returned."""
        if self._as_is:
            write(self._lines.encode(records))
            return None
        written = [write(self._encode_with_options(record)) for record in records]
        return written if self._is_pretty else None

    def _encode_with_options(self, record: Record) -> bytes:
        text = dumps(self._layout.shown(record), self._options, self._form)
        return text if self._is_pretty else in_one_line(text)

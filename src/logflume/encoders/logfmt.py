"""One line of `key=value` pairs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..errors import ConfigurationError
from ..record import Record
from ._backtrace import stack_trace
from ._layout import Layout, Part, free_name
from ._pairs import name_of, pairs_of, text_of
from ._settings import Configured
from ._times import TimeForm, time_form

__all__ = ["Logfmt"]


class Logfmt(Configured):
    """Write a record as one line of `key=value` pairs, UTF-8, as Go's logfmt does.

        timestamp=2026-01-02T03:04:05.678901Z level=INFO logger=shop message="Paid 5" amount=5

    Values with blanks, quotes, `=` or control characters are in double quotes, with the escapes of
    JSON; so are the empty text and the text `null`. Characters that a key may not have become `_`.
    Nested mappings are flattened (`user.id=1`), sequences are JSON; bytes and unknown objects are
    text, None is `null`. The record's own keys come first: a field of the same name gets a `_`
    behind it. An exception becomes `exception.type`, `.message` and `.traceback`.

        Route("app.log", encoder=encoders.Logfmt(rename={"timestamp": "ts", "message": "msg"}))

    Args:
        rename: new names for the record's keys; two of the same name are refused.
        keys: the keys of `record.to_dict()` to write, in their order; a record without one, say
            an exception, leaves it out.
        time: the form of the timestamp, as for `Json`.
    """

    def __init__(
        self,
        *,
        rename: Mapping[str, str] | None = None,
        keys: Sequence[str] = ("timestamp", "level", "logger", "message", "fields", "exception"),
        time: TimeForm = "iso-us",
    ) -> None:
        form = time_form("Logfmt.time", time)
        self._layout = Layout("Logfmt", rename=rename, keys=keys, time=form)
        self._configure(rename=self._layout.rename or None, keys=self._layout.keys, time=time)
        for name in self._layout.rename.values():
            if name != name_of(name):
                accepted = "names without blanks, quotes, '=' or control characters"
                raise ConfigurationError.of("Logfmt.rename", rename, accepted)
        # Fields stand where the part is None.
        self._parts: list[tuple[str, Part | None]] = []
        for key, name, part in self._layout.parts:
            if key == "exception":
                self._parts += [(f"{name}.{of}", part) for of, part in _OF_EXCEPTION.items()]
            else:
                self._parts.append((name, part if key != "fields" else None))
        self._own = {name for name, part in self._parts if part is not None}

    def encode(self, record: Record, /) -> bytes:
        """Return the record's line, with its newline."""
        site = record.site
        pairs: list[str] = []
        for name, part in self._parts:
            if part is None:
                pairs += self._fields(record.fields)
                continue
            value = part(record, site)
            if value is not None:
                pairs.append(f"{name}={text_of(value)}")
        return f"{' '.join(pairs)}\n".encode()

    def _fields(self, fields: dict[str, Any]) -> list[str]:
        pairs: list[str] = []
        taken = self._own.copy()
        for key, value in fields.items():
            for given, text in pairs_of(key, value):
                name = free_name(given, taken)
                taken.add(name)
                pairs.append(f"{name}={text}")
        return pairs


_OF_EXCEPTION: dict[str, Part] = {
    "type": lambda record, site: record.exception.type if record.exception else None,
    "message": lambda record, site: record.exception.message if record.exception else None,
    "traceback": lambda record, site: stack_trace(record.exception) if record.exception else None,
}

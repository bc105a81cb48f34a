"""A message whose template has several lines: those may show, the ones in its values may not."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from ..escape import escape
from ..record import Record
from ..template import render

__all__ = ["lines_of", "message_lines"]

_TAB = 4
# What no line break can be in, and what formats like `%d` need as it is.
_NUMBERS = frozenset({int, float, bool, complex, Decimal})


def message_lines(record: Record) -> list[str]:
    """Return the message, escaped, as the lines that its template has.

    A line break in a value stays an escape. So does every one, if a processor wrote the message
    anew: what of it was a value is not known any more.
    """
    template = record.template
    if "\n" not in template:
        return [escape(record.message)]
    if not record.args and not record.call_fields:
        whole = shown = template
    else:
        whole = render(template, record.args, record.fields)
        args = tuple([_guarded(value) for value in record.args])
        shown = render(template, args, {k: _guard(v) for k, v in record.fields.items()})
    if record.message != whole:
        return [escape(record.message)]
    return lines_of(shown)


def lines_of(text: str) -> list[str]:
    """Return the lines of a text, each escaped, with blanks for tabs."""
    if "\n" not in text:
        return [escape(text)]
    lines = [line.removesuffix("\r").expandtabs(_TAB) for line in text.rstrip("\r\n").split("\n")]
    return [escape(line) for line in lines]


class _Guarded:
    """Shows as its value does in every format, with all control characters escaped."""

    __slots__ = ("_value",)

    def __init__(self, value: Any) -> None:
        self._value = value

    def __str__(self) -> str:
        return escape(str(self._value))

    def __repr__(self) -> str:
        return escape(repr(self._value))

    def __format__(self, spec: str) -> str:
        return escape(format(self._value, spec))


def _guard(value: Any) -> Any:
    return value if type(value) in _NUMBERS else _Guarded(value)


def _guarded(value: Any) -> Any:
    if type(value) is dict:  # `%(name)s`
        return {key: _guard(item) for key, item in value.items()}
    return _guard(value)

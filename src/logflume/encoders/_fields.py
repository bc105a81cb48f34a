"""Fields as `key=value`, in quotes where they could not be told apart, escaped."""

from __future__ import annotations

from typing import Any

from ..escape import escape
from ..pattern import lazy_pattern
from ..snapshot import safe_repr, safe_str
from ..theme import RESET
from ._cells import painted

__all__ = ["Fields", "remember"]

_NEEDS_QUOTES = lazy_pattern(r"[\s\"'=]|^$")
_PLAIN = frozenset({int, float, bool, type(None)})
_MOST_KEPT = 4_096


def remember(kept: dict[str, Any], key: str, value: Any) -> None:
    """Keep what was worked out; names made at run time must not fill the memory."""
    if len(kept) >= _MOST_KEPT:
        kept.clear()
    kept[key] = value


class Fields:
    """Shows fields in the styles of keys and values; what keys look like is kept."""

    def __init__(self, key_style: str, value_style: str) -> None:
        self._key_style = key_style
        self._value_style = value_style
        self._keys: dict[str, str] = {}

    def show(self, fields: dict[str, Any]) -> str:
        """Return all fields in one line."""
        key, style = self._key, self._value_style
        if style:
            return " ".join([f"{key(k)}{style}{_value(v)}{RESET}" for k, v in fields.items()])
        return " ".join([f"{key(k)}{_value(v)}" for k, v in fields.items()])

    def _key(self, key: Any) -> str:
        """Return a key with its equals sign, in its style."""
        if type(key) is not str:  # `1 == True`, but they look different
            return self._form(safe_str(key))
        form = self._keys.get(key)
        if form is None:
            form = self._form(safe_str(key))
            remember(self._keys, key, form)
        return form

    def _form(self, key: str) -> str:
        text = escape(safe_repr(key) if _NEEDS_QUOTES.search(key) else key)
        return painted(self._key_style, f"{text}=")


def _value(value: Any) -> str:
    kind = type(value)
    if kind is str:
        if value.isalnum() and value.isascii():
            text: str = value
            return text
        return escape(safe_repr(value) if _NEEDS_QUOTES.search(value) else value)
    if kind in _PLAIN:
        try:
            return str(value)
        except ValueError:  # more digits than Python will write
            pass
    if issubclass(kind, str):  # what a processor made
        return escape(safe_repr(value) if _NEEDS_QUOTES.search(value) else value)
    return escape(safe_str(value))

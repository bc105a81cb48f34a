"""The forms of values in JSON, for all that a record may hold."""

from __future__ import annotations

import datetime
import math
import re
from collections.abc import Callable
from typing import Any

import orjson

from ..pattern import lazy_pattern
from ..snapshot import safe_str, snapshot

__all__ = [
    "COMPACT",
    "LINE",
    "MAX_64",
    "digits_of",
    "dumps",
    "in_one_line",
    "is_suspect",
    "key_of",
    "plain",
    "plain_after",
    "shielded",
    "valid",
]

# orjson's own way with times crashes the process when a tzinfo of somebody's own raises.
COMPACT = orjson.OPT_PASSTHROUGH_DATETIME
LINE = COMPACT | orjson.OPT_APPEND_NEWLINE

MAX_64 = 2**63

# What JSON lets stand as it is, of what `escape.UNSAFE` has: C1 controls, which are a colour or a
# movement on some terminals, what some readers take for the end of a line, and what hides text or
# turns it round. In UTF-8; DEL is left, which terminals pass over.
_UNSAFE = lazy_pattern(
    rb"\xc2[\x80-\x9f\xad]|\xd8\x9c|\xe1\xa0\x8e|\xe2\x80[\x8b-\x8f\xa8-\xae]|\xe2\x81[\xa0-\xaf]"
    rb"|\xef\xbb\xbf|\xef\xbf[\xb9-\xbb]|\xf3\xa0[\x80\x81][\x80-\xbf]"
)
# The bytes that they begin with: looking for these is a tenth of the regular expression's time.
_SUSPECTS = b"\xc2\xd8\xe1\xe2\xef\xf3"

_TIMES = (datetime.date, datetime.time)  # a datetime is a date, too
_BYTES = (bytes, bytearray)
_SETS = (set, frozenset)


def dumps(value: Any, options: int = COMPACT, form: Callable[[Any], Any] | None = None) -> bytes:
    """Return a value as JSON, whatever it is; `form` is `plain` or what goes before it."""
    form = form or plain
    try:
        text = orjson.dumps(value, form, options)
    except TypeError:
        try:
            text = orjson.dumps(encodable(value), form, options)
        except (TypeError, RecursionError):  # a processor's doing: what is captured has an end
            text = orjson.dumps(encodable(_bounded(value)), plain, options)
    return text if text.isascii() else shielded(text)


def shielded(text: bytes) -> bytes:
    """Return JSON that is not all ASCII with escapes for what could forge a line or a colour.

    To a parser it is the same: these can be nowhere but within strings.
    """
    return _UNSAFE.sub(_escaped, text) if is_suspect(text) else text


def is_suspect(text: bytes) -> bool:
    """Whether it is worth looking for what is to be shielded."""
    return any([suspect in text for suspect in _SUSPECTS])


def in_one_line(text: bytes) -> bytes:
    """Return a line of JSON without other line feeds: in what a processor gave as JSON already
    there may be some, as blanks."""
    return text if text.find(b"\n") == len(text) - 1 else text[:-1].replace(b"\n", b" ") + b"\n"


def _escaped(found: re.Match[bytes]) -> bytes:
    units = found[0].decode().encode("utf-16-be").hex()
    return "".join([f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4)]).encode()


def _bounded(value: Any) -> Any:
    """Cut off what goes round in circles or too deep."""
    if not isinstance(value, dict):
        return snapshot(value)
    return {
        key: item if type(item) is orjson.Fragment else snapshot(item)
        for key, item in value.items()
    }


def plain(value: Any) -> Any:
    """Give a form to values that JSON has no type for."""
    if isinstance(value, _TIMES):
        try:
            return value.isoformat()
        except Exception:
            return valid(safe_str(value))
    if isinstance(value, _BYTES):
        return value.decode("utf-8", "backslashreplace")
    if isinstance(value, datetime.timedelta):
        return value.total_seconds()
    if isinstance(value, _SETS):
        return list(value)
    return valid(safe_str(value))


def plain_after(hook: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return a form of values that asks a user's hook first, and `plain` if that fails or says
    nothing new."""

    def form(value: Any) -> Any:
        try:
            given = hook(value)
            return plain(value) if given is value else encodable(snapshot(given))
        except Exception:
            return plain(value)

    return form


def encodable(value: Any) -> Any:
    """Rebuild a value that orjson refuses: odd keys, lone surrogates, integers over 64 bits."""
    if isinstance(value, str):
        return valid(value)
    if isinstance(value, bool):
        return value
    if isinstance(value, int):
        return value if -MAX_64 <= value < 2 * MAX_64 else _large(value)
    if isinstance(value, dict):
        shown: dict[str, Any] = {}
        for key, item in value.items():
            name = key_of(key)
            while name in shown:  # 1 and "1", say
                name += "_"
            shown[name] = encodable(item)
        return shown
    if isinstance(value, list | tuple | set | frozenset):
        return [encodable(item) for item in value]
    return value


def key_of(key: Any) -> str:
    """Return a key as text that can be written as UTF-8."""
    if isinstance(key, float) and not math.isfinite(key):
        return str(key)
    return valid(key if isinstance(key, str) else safe_str(key))


def valid(text: str) -> str:
    """Return text that can be written as UTF-8: lone surrogates are escaped."""
    return str.encode(text, "utf-8", "backslashreplace").decode("utf-8")


def digits_of(value: int) -> str:
    """Return an integer of any size as text."""
    try:
        return int.__repr__(value)
    except ValueError:  # more digits than the interpreter converts
        return hex(value)


def _large(value: int) -> Any:
    digits = digits_of(value)
    return digits if "x" in digits else orjson.Fragment(digits.encode())

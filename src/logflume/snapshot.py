"""Values as they are at the moment of a log call.

Immutable scalars pass as they are and keep their types. Everything else becomes plain data of
bounded depth, items and text, so that later changes of the object do not show in the record and
no foreign code runs after the call. Nothing here raises.
"""

from __future__ import annotations

import datetime
import decimal
import enum
import numbers
import operator
import pathlib
import types
from collections import UserString
from collections.abc import Mapping, Sequence, ValuesView
from collections.abc import Set as AbstractSet
from dataclasses import fields as dataclass_fields
from dataclasses import is_dataclass
from itertools import islice
from typing import Any

__all__ = [
    "SCALARS",
    "safe_repr",
    "safe_str",
    "snapshot",
    "snapshot_args",
    "snapshot_fields",
    "type_name",
]

MAX_DEPTH = 8
MAX_ITEMS = 1_000
MAX_TEXT = 16_384

SCALARS: frozenset[type] = frozenset(
    {
        str, int, float, bool, types.NoneType, bytes, complex,
        datetime.datetime, datetime.date, datetime.time, datetime.timedelta,
        decimal.Decimal,
        pathlib.PosixPath, pathlib.WindowsPath, pathlib.PurePosixPath, pathlib.PureWindowsPath,
    }
)  # fmt: skip

# Whose subclasses are shown as text: foreign code with state of its own would live on in them.
_TEXTUAL = tuple(SCALARS - {str, int, float, bool, types.NoneType, bytes})

_name_of_type = type.__dict__["__name__"].__get__


def type_name(value: object) -> str:
    """Return the name of the value's class, whatever that class or its metaclass says."""
    name: str = _name_of_type(type(value))
    return name


_TEXT = frozenset({str})

# Immutable, too, but known by name: their modules take long to import.
_SCALARS_BY_NAME = {
    ("uuid", "UUID"),
    ("fractions", "Fraction"),
    ("ipaddress", "IPv4Address"),
    ("ipaddress", "IPv6Address"),
    ("ipaddress", "IPv4Network"),
    ("ipaddress", "IPv6Network"),
}


def safe_str(value: object) -> str:
    """Return `str(value)` of bounded length, or a marker when that raises."""
    return _safe_text(str, value)


def safe_repr(value: object) -> str:
    """Return `repr(value)` of bounded length, or a marker when that raises."""
    return _safe_text(repr, value)


def _safe_text(convert: Any, value: object) -> str:
    try:
        text = convert(value)
        if text.__class__ is not str:  # a subclass may carry code of its own
            text = str.__str__(text)
    except Exception as error:
        return f"<unprintable {type_name(value)}: {type_name(error)}>"
    return text if len(text) <= MAX_TEXT else f"{text[:MAX_TEXT]}...<{len(text)} characters>"


def snapshot_fields(fields: dict[str, Any]) -> dict[str, Any]:
    """Return the same keys with snapshotted values, in a dict of its own."""
    if SCALARS.issuperset(map(type, fields.values())) and _TEXT.issuperset(map(type, fields)):
        return fields.copy()
    return {
        key if type(key) is str else str.__str__(key): snapshot(value)
        for key, value in fields.items()
    }


def snapshot_args(args: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return the same positions with snapshotted values."""
    return tuple([snapshot(value) for value in args])


def snapshot(value: Any) -> Any:
    """Return the value itself if it is an immutable scalar, else plain data that equals it."""
    if type(value) in SCALARS:
        return value
    return _Snapshot().take(value, 0)


class _Snapshot:
    """One walk over one value: counts items over all its levels and knows its own path."""

    __slots__ = ("_left", "_path")

    def __init__(self) -> None:
        self._left = MAX_ITEMS
        self._path: set[int] = set()

    def take(self, value: Any, depth: int) -> Any:
        if type(value) in SCALARS:
            return value
        try:
            return self._convert(value, depth)
        except Exception as error:
            return f"<unreadable {type_name(value)}: {type_name(error)}>"

    def _convert(self, value: Any, depth: int) -> Any:
        kind = type(value)  # not `isinstance`, which believes what a value says of its class
        if issubclass(kind, enum.Enum):
            inner = value.value
            if type(inner) in SCALARS:
                return inner
            return self._nested(inner, depth, self.take, of=value)
        if issubclass(kind, _BASES):
            return _plain_base(value, kind)
        if _is_scalar_by_name(kind):
            return value
        if id(value) in self._path:
            return f"<cycle {type_name(value)}>"
        if isinstance(value, Mapping):
            return self._nested(value, depth, self._mapping)
        if issubclass(kind, range | UserString):
            return safe_str(value)
        if isinstance(value, Sequence | AbstractSet | ValuesView):
            return self._nested(value, depth, self._items)
        names = _attributes_shown(value, kind)
        if names is not None:
            shown = {name: _attribute(value, name) for name in names}
            return self._nested(shown, depth, self._mapping, of=value)
        if isinstance(value, numbers.Integral):  # those of NumPy, for example
            return operator.index(value)
        if isinstance(value, numbers.Real):
            return float(value)
        return safe_str(value) if any(map(_is_scalar_by_name, kind.__mro__)) else safe_repr(value)

    def _nested(self, value: Any, depth: int, convert: Any, of: Any = None) -> Any:
        if depth >= MAX_DEPTH:
            return f"<{type_name(of if of is not None else value)}: too deep>"
        key = id(of if of is not None else value)
        self._path.add(key)
        try:
            return convert(value, depth + 1)
        finally:
            self._path.discard(key)

    def _mapping(self, value: Mapping[Any, Any], depth: int) -> dict[Any, Any]:
        taken: dict[Any, Any] = {}
        # All out at once: other threads, and the code of the items, may change the mapping.
        for key, item in list(islice(value.items(), MAX_ITEMS + 1)):
            if self._spent():
                taken["..."] = f"<{len(value) - len(taken)} more>"
                break
            taken[_key(key)] = self.take(item, depth)
        return taken

    def _items(self, value: Sequence[Any] | AbstractSet[Any], depth: int) -> Any:
        names = _names_of_items(type(value))
        if names is not None:
            return self._mapping(dict(zip(names, value, strict=False)), depth)
        taken: list[Any] = []
        for item in list(islice(value, MAX_ITEMS + 1)):
            if self._spent():
                taken.append(f"<{len(value) - len(taken)} more>")
                break
            taken.append(self.take(item, depth))
        return tuple(taken) if isinstance(value, tuple) else taken

    def _spent(self) -> bool:
        self._left -= 1
        return self._left < 0


def _is_scalar_by_name(kind: type) -> bool:
    return (kind.__module__, kind.__qualname__) in _SCALARS_BY_NAME


_BASES = (str, int, float, bytes, bytearray, memoryview, BaseException, *_TEXTUAL)


def _plain_base(value: Any, kind: type) -> Any:
    """Return what a subclass of a built-in type is without the code it adds."""
    if issubclass(kind, str):
        return str.__str__(value)
    if issubclass(kind, int):
        return int.__index__(value)
    if issubclass(kind, float):
        return float.__float__(value)
    if issubclass(kind, bytes | bytearray | memoryview):
        return memoryview(value)[:MAX_TEXT].tobytes()
    if issubclass(kind, datetime.datetime):
        return datetime.datetime.isoformat(value)
    if issubclass(kind, datetime.date):
        return datetime.date.isoformat(value)
    if issubclass(kind, datetime.timedelta):
        return datetime.timedelta.__pos__(value)
    return safe_repr(value) if issubclass(kind, BaseException) else safe_str(value)


def _key(key: Any) -> Any:
    if type(key) in SCALARS:
        return key
    if issubclass(type(key), enum.Enum) and type(key.value) in SCALARS:
        return key.value
    return str.__str__(key) if issubclass(type(key), str) else safe_str(key)


def _names_of_items(kind: type) -> tuple[str, ...] | None:
    """Return the names of a named tuple's items; None for any other type."""
    names = getattr(kind, "_fields", None) if issubclass(kind, tuple) else None
    return names if type(names) is tuple and _TEXT.issuperset(map(type, names)) else None


def _attributes_shown(value: Any, kind: type) -> list[str] | None:
    """Return the names of a dataclass's or msgspec struct's fields; None for anything else."""
    if is_dataclass(kind):
        return [field.name for field in dataclass_fields(value) if field.repr]
    names = getattr(kind, "__struct_fields__", None)
    return list(names) if isinstance(names, tuple) else None


def _attribute(value: Any, name: str) -> Any:
    try:
        return getattr(value, name)
    except Exception as error:  # never set, or a property that fails
        return f"<unreadable: {type_name(error)}>"

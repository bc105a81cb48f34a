"""Values as they are at the moment of a log call.

Immutable scalars pass as they are and keep their types. Everything else becomes plain data of
bounded depth, items and text, so that later changes of the object do not show in the record and
no foreign code runs after the call. Nothing here raises.
"""

from __future__ import annotations

import datetime
import decimal
import enum
import fractions
import ipaddress
import pathlib
import types
import uuid
from collections.abc import Mapping, Sequence, Set
from dataclasses import fields as dataclass_fields
from dataclasses import is_dataclass
from itertools import islice
from typing import Any

__all__ = ["SCALARS", "safe_repr", "safe_str", "snapshot", "snapshot_args", "snapshot_fields"]

MAX_DEPTH = 8
MAX_ITEMS = 1_000
MAX_TEXT = 16_384

SCALARS: frozenset[type] = frozenset(
    {
        str, int, float, bool, types.NoneType, bytes, complex,
        datetime.datetime, datetime.date, datetime.time, datetime.timedelta,
        decimal.Decimal, fractions.Fraction, uuid.UUID,
        pathlib.PosixPath, pathlib.WindowsPath, pathlib.PurePosixPath, pathlib.PureWindowsPath,
        ipaddress.IPv4Address, ipaddress.IPv6Address, ipaddress.IPv4Network, ipaddress.IPv6Network,
    }
)  # fmt: skip


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
        return f"<unprintable {type(value).__name__}: {type(error).__name__}>"
    return text if len(text) <= MAX_TEXT else f"{text[:MAX_TEXT]}...<{len(text)} characters>"


def snapshot_fields(fields: dict[str, Any]) -> dict[str, Any]:
    """Return the same keys with snapshotted values."""
    return {key: snapshot(value) for key, value in fields.items()}


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
            return f"<unreadable {type(value).__name__}: {type(error).__name__}>"

    def _convert(self, value: Any, depth: int) -> Any:
        if isinstance(value, enum.Enum):
            return self.take(value.value, depth)
        if isinstance(value, str):
            return str.__str__(value)
        if isinstance(value, int):
            return int.__index__(value)
        if isinstance(value, float):
            return float.__float__(value)
        if isinstance(value, bytes | bytearray | memoryview):
            return bytes(value[:MAX_TEXT])
        if isinstance(value, BaseException):
            return safe_repr(value)
        if id(value) in self._path:
            return f"<cycle {type(value).__name__}>"
        if isinstance(value, Mapping):
            return self._nested(value, depth, self._mapping)
        if isinstance(value, Sequence | Set):
            return self._nested(value, depth, self._items)
        if is_dataclass(value) and not isinstance(value, type):
            shown = {f.name: getattr(value, f.name) for f in dataclass_fields(value) if f.repr}
            return self._nested(shown, depth, self._mapping, of=value)
        names = getattr(type(value), "__struct_fields__", None)  # msgspec.Struct
        if names is not None:
            shown = {name: getattr(value, name) for name in names}
            return self._nested(shown, depth, self._mapping, of=value)
        return safe_repr(value)

    def _nested(self, value: Any, depth: int, convert: Any, of: Any = None) -> Any:
        if depth >= MAX_DEPTH:
            return f"<{type(of if of is not None else value).__name__}: too deep>"
        key = id(of if of is not None else value)
        self._path.add(key)
        try:
            return convert(value, depth + 1)
        finally:
            self._path.discard(key)

    def _mapping(self, value: Mapping[Any, Any], depth: int) -> dict[Any, Any]:
        taken: dict[Any, Any] = {}
        for key, item in islice(value.items(), MAX_ITEMS + 1):
            if self._spent():
                taken["..."] = f"<{len(value) - len(taken)} more>"
                break
            taken[key if type(key) in SCALARS else safe_str(key)] = self.take(item, depth)
        return taken

    def _items(self, value: Sequence[Any] | Set[Any], depth: int) -> Any:
        taken: list[Any] = []
        for item in islice(value, MAX_ITEMS + 1):
            if self._spent():
                taken.append(f"<{len(value) - len(taken)} more>")
                break
            taken.append(self.take(item, depth))
        return tuple(taken) if isinstance(value, tuple) else taken

    def _spent(self) -> bool:
        self._left -= 1
        return self._left < 0

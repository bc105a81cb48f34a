"""Nested mappings taken apart."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeAlias

from ..snapshot import MAX_DEPTH, snapshot

__all__ = ["Path", "leaves"]

Path: TypeAlias = "tuple[Any, ...]"

_TOO_DEEP = 2 * MAX_DEPTH


def leaves(key: Any, value: Any) -> list[tuple[Path, Any]]:
    """Return what a value holds that is no mapping, or an empty one, with the keys that lead to
    it, of which `key` is the first."""
    if not isinstance(value, dict):
        return [((key,), value)]
    try:
        return list(_walk((key,), value))
    except RecursionError:  # a processor's doing: what is captured has an end
        return list(_walk((key,), snapshot(value)))


def _walk(path: Path, value: Any) -> Iterator[tuple[Path, Any]]:
    if not isinstance(value, dict) or not value:
        yield path, value
        return
    if len(path) > _TOO_DEEP:
        raise RecursionError
    for key, item in value.items():
        yield from _walk((*path, key), item)

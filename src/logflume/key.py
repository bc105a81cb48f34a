"""Which records belong together, and what is known of those that do, bounded in memory.

A key comes from a field or from a callable of the user's, so it may be anything: what is kept of
it is small, can be looked up, and runs no foreign code later.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from types import NoneType
from typing import Any, Generic, TypeAlias, TypeVar

from .digest import blake2b
from .errors import ConfigurationError
from .record import Record
from .snapshot import safe_repr

__all__ = ["Key", "Latest", "brief", "key_of"]

Key: TypeAlias = "str | Callable[[Record], Any]"
"""What records are told apart by: the name of a field, or a callable that is given the record."""

S = TypeVar("S")

_LONGEST = 256
_SMALL = frozenset({float, bool, NoneType})


def key_of(setting: str, key: Key) -> Callable[[Record], Hashable]:
    """Return a function that gives a record's key, as something small that can be looked up.

    It gives None for a record without the field, and raises what a callable raises.

    Raises:
        ConfigurationError: the key is neither the name of a field nor a callable.
    """
    if isinstance(key, str) and key:
        name: str = key

        def of_field(record: Record) -> Hashable:
            return _small(record.fields.get(name))

        return of_field
    if callable(key):
        call = key
        return lambda record: _small(call(record))
    raise ConfigurationError.of(setting, key, "the name of a field, or a callable")


def brief(text: str) -> str | bytes:
    """Return a text itself, or a digest of it that has 16 bytes if it is long."""
    if len(text) <= _LONGEST:
        return text
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _small(value: Any) -> Hashable:
    kind = type(value)
    if kind is str:
        return brief(value)
    if kind is int:
        return value if value.bit_length() <= _LONGEST else brief(hex(value))
    if kind in _SMALL:
        # The one value that is not equal to itself would be a new key each time.
        return value if value == value else "nan"
    if kind is tuple:
        return tuple([_small(item) for item in value])
    return brief(safe_repr(value))


class Latest(Generic[S]):
    """A state for each key, for so many keys at most: the one used longest ago makes room."""

    __slots__ = ("_make", "_most", "_states")

    def __init__(self, most: int, make: Callable[[], S]) -> None:
        self._states: OrderedDict[Hashable, S] = OrderedDict()
        self._most = most
        self._make = make

    def of(self, key: Hashable) -> S:
        """Return the key's state, a new one if it has none (any more)."""
        state = self._states.get(key)
        if state is not None:
            self._states.move_to_end(key)
            return state
        if len(self._states) >= self._most:
            self._states.popitem(last=False)
        state = self._states[key] = self._make()
        return state

    def __len__(self) -> int:
        return len(self._states)

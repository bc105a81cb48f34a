"""MessagePack: one map per record."""

from __future__ import annotations

import datetime
import struct
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec

from ..errors import ConfigurationError
from ..record import Record
from ..setting import flag
from ..snapshot import snapshot
from ._json_values import MAX_64, digits_of, key_of, plain, valid
from ._layout import Layout, free_name
from ._settings import Configured
from ._times import TimeForm, time_form

__all__ = ["Msgpack"]

_NATIVE = frozenset({str, bytes, float, bool, type(None), msgspec.msgpack.Ext})
_SECOND = 1_000_000_000
_TIMESTAMP = -1  # the type of the extension

_pack = msgspec.msgpack.Encoder().encode


class Msgpack(Configured):
    """Write a record as one MessagePack map (github.com/msgpack/msgpack, spec.md), with the keys
    of `record.to_dict()`.

    The timestamp is the extension that the specification has for it, to the nanosecond, and so are
    times with a zone among the fields, to the microsecond. Bytes are bytes, numbers that are not
    finite stay so; integers of more than 64 bits, times without a zone, unknown objects and keys
    that are no text are text; lone surrogates are escaped.

    Maps follow each other with nothing between them, as streaming readers expect:

        Route("app.msgpack", encoder=encoders.Msgpack())
        for record in msgpack.Unpacker(open("app.msgpack", "rb"), timestamp=3): ...

    Args:
        flat, rename, keys: as for `Json`.
        time: `ext`, or a form as for `Json`.
    """

    def __init__(
        self,
        *,
        flat: bool = False,
        rename: Mapping[str, str] | None = None,
        keys: Sequence[str] | None = None,
        time: TimeForm | Literal["ext"] = "ext",
    ) -> None:
        flat = flag("Msgpack.flat", flat)
        try:
            form = _timestamp if time == "ext" else time_form("Msgpack.time", time)
        except ConfigurationError as error:
            raise ConfigurationError(f"{error}, ext") from None
        self._layout = Layout("Msgpack", flat=flat, rename=rename, keys=keys, time=form)
        rename, keys = self._layout.rename or None, self._layout.keys
        self._configure(flat=flat, rename=rename, keys=keys, time=time)

    def encode(self, record: Record, /) -> bytes:
        """Return the record's map."""
        members = self._layout.shown(record)
        try:
            return _pack(_packable(members))
        except Exception:  # lone surrogates, a zone that raises, no end: all is looked at
            bounded = {
                name: item if type(item) in _NATIVE else snapshot(item)
                for name, item in members.items()
            }
            return _pack(_packable(bounded, careful=True))


def _timestamp(time_ns: int) -> msgspec.msgpack.Ext:
    seconds, ns = divmod(time_ns, _SECOND)
    if 0 <= seconds < 2**34:
        return msgspec.msgpack.Ext(_TIMESTAMP, struct.pack(">Q", ns << 34 | seconds))
    return msgspec.msgpack.Ext(_TIMESTAMP, struct.pack(">Iq", ns, seconds))


def _packable(value: Any, *, careful: bool = False) -> Any:
    """Return a value made of what MessagePack has types for.

    `careful` is for what may be such a type and cannot be packed for all that.
    """
    kind = type(value)
    if kind is str:
        return valid(value) if careful else value
    if kind in _NATIVE:
        return value
    if isinstance(value, int):
        return value if -MAX_64 <= value < 2 * MAX_64 else digits_of(value)
    if isinstance(value, dict):
        return _packable_map(value, careful)
    if isinstance(value, list | tuple | set | frozenset):
        return [_packable(item, careful=careful) for item in value]
    if kind is datetime.datetime and value.tzinfo is not None:
        return value if not careful or _can_be_packed(value) else plain(value)
    if isinstance(value, bytearray):
        return bytes(value)
    return plain(value)


def _can_be_packed(value: Any) -> bool:
    try:
        _pack(value)
    except Exception:  # a zone that raises
        return False
    return True


def _packable_map(value: dict[Any, Any], careful: bool) -> dict[str, Any]:
    packable: dict[str, Any] = {}
    for key, item in value.items():
        name = key if type(key) is str and not careful else key_of(key)
        packable[free_name(name, packable)] = _packable(item, careful=careful)
    return packable

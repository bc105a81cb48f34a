"""Records that are not too large."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from copy import copy
from itertools import islice
from typing import Any, TypeVar

from ..errors import ConfigurationError
from ..exception import ExceptionInfo, Frame
from ..pattern import lazy_pattern
from ..record import Record
from ..snapshot import type_name

__all__ = ["Truncate"]

S = TypeVar("S", bound=Sequence[Any])

_CAN_BE_CUT = frozenset({str, bytes, dict, list, tuple})
_SHORTEST = 32  # there must be room for the marker
_MORE = lazy_pattern(r"<(\d+) more>")
_FRAMES_LEFT_OUT = lazy_pattern(r"(\d+) frames left out")


class Truncate:
    """Cut what is too large, and say in its place how much was cut.

    Limits, each for itself:
        max_characters, max_bytes: of every text in the fields and in the exception; bytes are
            those of UTF-8, and of values that are bytes. The marker is counted, too.
        max_items: of every mapping and sequence in a field; the marker comes behind them.
        max_depth: how many mappings and sequences may stand one in another in a field; 0 leaves
            none.
        max_message: characters of the message, which is filled with the fields as they are after
            the cut.
        max_frames: of every exception's traceback; the first and the last ones stay.

        Truncate(max_characters=1_000, max_items=50, max_depth=4, max_frames=20)

    A text is cut between characters (code points), never inside of one; lone surrogates in it
    become question marks, so that it is valid UTF-8. Names of fields are not cut. A record that was
    cut is within the limits: nothing is cut twice.

    Raises:
        ConfigurationError: a limit is no number that makes sense, or none is given.
    """

    inline = True

    def __init__(
        self,
        *,
        max_characters: int | None = None,
        max_bytes: int | None = None,
        max_items: int | None = None,
        max_depth: int | None = None,
        max_message: int | None = None,
        max_frames: int | None = None,
    ) -> None:
        least = {
            "max_characters": (max_characters, _SHORTEST),
            "max_bytes": (max_bytes, _SHORTEST),
            "max_items": (max_items, 0),
            "max_depth": (max_depth, 0),
            "max_message": (max_message, _SHORTEST),
            "max_frames": (max_frames, 1),
        }
        for name, (given, lowest) in least.items():
            if given is not None and (type(given) is not int or given < lowest):
                raise ConfigurationError.of(
                    f"Truncate.{name}", given, f"a whole number from {lowest}, or None"
                )
        if all([given is None for given, _ in least.values()]):
            raise ConfigurationError.of("Truncate", "no limit", f"any of {', '.join(least)}")
        self._max_characters = max_characters
        self._max_bytes = max_bytes
        self._max_items = max_items
        self._max_depth = max_depth
        self._max_message = max_message
        self._max_frames = max_frames
        limits = [sys.maxsize if n is None else n for n in (max_characters, max_bytes)]
        self._surely_short = min(limits[0], limits[1] // 4)

    def __call__(self, record: Record) -> Record:
        """Return the record with all that is within the limits."""
        cut = record
        fields = self._mapping(record.fields, 0)
        if fields is not record.fields:
            cut = cut.replace(fields=fields)
        if self._max_message is not None:
            message = _cut_text(cut.message, self._max_message, None)
            if message is not cut.message:
                cut = cut.replace(message=message)
        if record.exception is not None:
            exception = self._exception(record.exception)
            if exception is not record.exception:
                cut = cut.replace(exception=exception)
        return cut

    def passes(self, records: Sequence[Record]) -> bool:
        """Whether all of these are within the limits."""
        return all([self(record) is record for record in records])

    def _take(self, value: Any, depth: int = 0) -> Any:
        """Return the value, or the same object if it is within the limits."""
        kind = type(value)
        if kind is str:
            return _cut_text(value, self._max_characters, self._max_bytes)
        if kind is bytes:
            return _cut_bytes(value, self._max_bytes)
        if kind is not dict and kind is not list and kind is not tuple:
            return value
        if self._max_depth is not None and depth >= self._max_depth and value:
            return f"<{type_name(value)} of {len(value)}: too deep>"
        if self._max_items is not None and len(value) > self._max_items:
            value = _cut_items(value, self._max_items)
        if kind is dict:
            return self._mapping(value, depth + 1)
        taken = [self._take(item, depth + 1) for item in value]
        return _unless_same(value, taken if kind is list else tuple(taken))

    def _mapping(self, fields: dict[str, Any], depth: int) -> dict[str, Any]:
        changed = {}
        short = self._surely_short
        for name, value in fields.items():
            kind = type(value)
            if kind not in _CAN_BE_CUT or (kind is str and len(value) <= short):
                continue  # most values, so that they cost no call
            taken = self._take(value, depth)
            if taken is not value:
                changed[name] = taken
        return fields | changed if changed else fields

    def _exception(self, info: ExceptionInfo) -> ExceptionInfo:
        frames = info.frames
        if self._max_frames is not None and len(frames) > self._max_frames:
            frames = _cut_frames(frames, self._max_frames)
        parts = {
            "message": self._take(info.message),
            "frames": frames,
            "notes": _unless_same(info.notes, [self._take(note) for note in info.notes]),
            "cause": info.cause and self._exception(info.cause),
            "context": info.context and self._exception(info.context),
            "group": _unless_same(info.group, [self._exception(member) for member in info.group]),
        }
        if all([getattr(info, name) is part for name, part in parts.items()]):
            return info
        changed = copy(info)
        for name, part in parts.items():
            setattr(changed, name, part)
        return changed


def _unless_same(old: S, new: S) -> S:
    """Return the new items, or the old sequence if they are the same objects."""
    return old if all([a is b for a, b in zip(old, new, strict=True)]) else new


def _cut_text(text: str, max_characters: int | None, max_bytes: int | None) -> str:
    kept = text
    room = len(f"...<{len(text)} more characters>")
    if max_characters is not None and len(text) > max_characters:
        kept = text[: max_characters - room]
    if max_bytes is not None and 4 * len(kept) + room > max_bytes:
        most = max_bytes if kept is text else max_bytes - room
        data = kept.encode("utf-8", "replace")
        if len(data) > most:
            kept = data[: max_bytes - room].decode("utf-8", "ignore")
    if kept is text:
        return text
    kept = kept.encode("utf-8", "replace").decode()
    return f"{kept}...<{len(text) - len(kept)} more characters>"


def _cut_bytes(data: bytes, max_bytes: int | None) -> bytes:
    if max_bytes is None or len(data) <= max_bytes:
        return data
    end = max_bytes - len(f"...<{len(data)} more bytes>")
    for _ in range(3):  # most bytes are text: not in the middle of a character
        if data[end] & 0xC0 == 0x80:
            end -= 1
    return data[:end] + b"...<%d more bytes>" % (len(data) - end)


def _cut_items(value: Any, most: int) -> Any:
    """Return the first items of a mapping or sequence, and how many there were besides.

    The last one may say that already, of those that were cut before.
    """
    more = len(value) - most
    last = value.get("...") if type(value) is dict else value[-1]
    said = _MORE.fullmatch(last) if type(last) is str else None
    if said:
        more += int(said[1]) - 1
    marker = f"<{more} more>"
    if type(value) is dict:
        return {**dict(islice(value.items(), most)), "...": marker}
    return [*value[:most], marker] if type(value) is list else (*value[:most], marker)


def _cut_frames(frames: list[Frame], most: int) -> list[Frame]:
    first = most // 2
    last = len(frames) - (most - first)
    hidden = 0
    for frame in frames[first:last]:  # one of them may stand for those cut before
        said = _FRAMES_LEFT_OUT.fullmatch(frame.function)
        hidden += int(said[1]) if said else 1
    return [*frames[:first], Frame("...", 0, f"{hidden} frames left out"), *frames[last:]]

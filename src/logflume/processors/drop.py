"""Records without some of their fields."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from ..errors import ConfigurationError
from ..record import Record

__all__ = ["Drop"]

Matches: TypeAlias = Callable[[str], re.Match[str] | None]

_MAX_KNOWN = 4_096


class Drop:
    """Take fields out of every record, by name.

        Drop("password", "debug.*", "*_raw", "request.headers.cookie")

    `*` stands for any text, `?` for one character. A name with dots is that of a field as it is
    written, and also a path into nested mappings, matched part by part; lists on the way are gone
    through, all their items.

    The message stays as it was, and so do values in it: to hide secrets, use `Pipeline.redact`.

    Raises:
        ConfigurationError: a name is empty or no string, or none is given.
    """

    inline = True

    def __init__(self, *names: str) -> None:
        if not names:
            raise ConfigurationError.of("Drop", "no name", "at least one field's name")
        for name in names:
            if not isinstance(name, str) or not all(name.split(".")):
                raise ConfigurationError.of("Drop", name, "a field's name")
        self._names = frozenset(names)
        self._wild = _Verdicts(names) if any(map(_is_wild, names)) else None
        self._paths = [
            [_matcher(part) if _is_wild(part) else part for part in name.split(".")]
            for name in names
            if "." in name
        ]

    def __call__(self, record: Record) -> Record:
        """Return the record without the fields."""
        fields = record.fields
        rest = self._rest_of(fields)
        return record if rest is fields else record.replace(fields=rest, message=record.message)

    def passes(self, records: Sequence[Record]) -> bool:
        """Whether none of these has any of the fields."""
        return all([self._rest_of(record.fields) is record.fields for record in records])

    def _rest_of(self, fields: dict[str, Any]) -> dict[str, Any]:
        rest = fields
        if self._wild is not None:
            wild = self._wild
            gone = frozenset([name for name in fields if wild[name]])
        else:
            gone = self._names & fields.keys()
        if gone:
            rest = {name: value for name, value in fields.items() if name not in gone}
        for path in self._paths:
            rest = _without(rest, path)
        return rest


class _Verdicts(dict[str, bool]):
    """Whether a name is one of these, some of which have wildcards; worked out once per name."""

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__()
        self._exact = frozenset([name for name in names if not _is_wild(name)])
        self._wild = [_matcher(name) for name in names if _is_wild(name)]

    def __missing__(self, name: str) -> bool:
        if len(self) >= _MAX_KNOWN:  # names made at run time must not fill the memory
            self.clear()
        verdict = self[name] = name in self._exact or any(m(name) for m in self._wild)
        return verdict


def _is_wild(name: str) -> bool:
    return "*" in name or "?" in name


def _matcher(name: str) -> Matches:
    # In file names, brackets hold sets of characters; in names of fields, they are themselves.
    return re.compile(fnmatch.translate(name.replace("[", "[[]"))).match


def _without(value: Any, path: Sequence[str | Matches]) -> Any:
    """Return the value without what the path leads to; itself, if that is nowhere."""
    kind = type(value)
    if kind is list or kind is tuple:
        items = [_without(item, path) for item in value]
        if all([new is old for new, old in zip(items, value, strict=True)]):
            return value
        return kind(items)
    if kind is not dict:
        return value
    part, *rest = path
    if isinstance(part, str):
        found = [part] if part in value else []
    else:
        found = [key for key in value if type(key) is str and part(key)]
    if not found:
        return value
    if not rest:
        return {key: item for key, item in value.items() if key not in found}
    inner = {key: _without(value[key], rest) for key in found}
    if all([inner[key] is value[key] for key in found]):
        return value
    return value | inner

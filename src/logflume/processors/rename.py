"""Other names for fields."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..errors import ConfigurationError
from ..record import Record

__all__ = ["Rename"]


class Rename:
    """Give fields other names; each keeps its place and its value.

        Rename(uid="user_id")
        Rename({"http.status": "http.response.status_code", "user.name": "user.login"})

    A name is looked for as it is written, then, if it has dots, as a path into nested mappings:
    "user.name" is the field of that name, or else the name in the mapping "user". The new name is
    that of a field, dots and all; but what is found in a mapping stays in there if its new name
    begins with the same path.

    Names are changed one after another, in the order given. If the record has the new name
    already, the field keeps its old one, so that no value is lost. So of two fields that shall
    have the same name the first takes it.

    The message stays as it was: its placeholders are the names that the call used.

    Raises:
        ConfigurationError: a name is empty, no string, or its own new one; or none is given.
    """

    inline = True

    def __init__(self, names: Mapping[str, str] | None = None, /, **more: str) -> None:
        if not isinstance(names, Mapping | None):
            raise ConfigurationError.of("Rename", names, "a mapping of old names to new ones")
        given = list((names or {}).items()) + list(more.items())
        if not given:
            raise ConfigurationError.of("Rename", "no name", "at least one name and its new one")
        for old, new in given:
            if not isinstance(old, str) or not old or old == new:
                raise ConfigurationError.of("Rename", old, "a field's name, unlike the new one")
            if not isinstance(new, str) or not new:
                raise ConfigurationError.of(f"Rename[{old!r}]", new, "a field's new name")
        self._names = given
        self._firsts = {part for old, _ in given for part in (old, old.partition(".")[0])}

    def __call__(self, record: Record) -> Record:
        """Return the record with the new names."""
        fields = record.fields
        if self._firsts.isdisjoint(fields):
            return record
        renamed = fields
        for old, new in self._names:
            if old in renamed:
                renamed = _rename(renamed, old, new)
            elif "." in old:
                renamed = _rename_inside(renamed, old, new)
        return (
            record if renamed is fields else record.replace(fields=renamed, message=record.message)
        )

    def passes(self, records: Sequence[Record]) -> bool:
        """Whether none of these has a field to be renamed."""
        firsts = self._firsts
        return all([firsts.isdisjoint(record.fields) for record in records])


def _rename(fields: dict[str, Any], old: str, new: str) -> dict[str, Any]:
    if new in fields:
        return fields
    return {new if name == old else name: value for name, value in fields.items()}


def _rename_inside(fields: dict[str, Any], old: str, new: str) -> dict[str, Any]:
    """Rename what the path leads to; the same mapping if it leads nowhere."""
    *path, name = old.split(".")
    inner: Any = fields
    for part in path:
        if type(inner) is not dict or part not in inner:
            return fields
        inner = inner[part]
    if type(inner) is not dict or name not in inner:
        return fields
    prefix = old.removesuffix(name)
    if new.startswith(prefix):
        renamed = _rename(inner, name, new.removeprefix(prefix))
        return fields if renamed is inner else _put(fields, path, renamed)
    if new in fields:
        return fields
    rest = {key: value for key, value in inner.items() if key != name}
    return {**_put(fields, path, rest), new: inner[name]}


def _put(fields: dict[str, Any], path: Sequence[str], value: Any) -> dict[str, Any]:
    """Return the mapping with another value at the end of the path: nothing is changed in place."""
    first, *rest = path
    return {**fields, first: _put(fields[first], rest, value) if rest else value}

"""Which of a record's keys an encoder shows, under what names and in what order."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from typing import Any, TypeAlias

from ..errors import ConfigurationError
from ..record import Record, Site, process_id
from ._times import iso_us

__all__ = ["PARTS", "Layout", "Part", "free_name"]

Part: TypeAlias = Callable[[Record, Site], Any]


def _template(record: Record, site: Site) -> str | None:
    return record.template if record.message is not record.template else None


def _exception(record: Record, site: Site) -> dict[str, Any] | None:
    return record.exception.to_dict() if record.exception is not None else None


# What `record.to_dict()` shows, in its order, without the copies that it makes; None is left out.
PARTS: dict[str, Part] = {
    "timestamp": lambda record, site: iso_us(record.time_ns),
    "level": lambda record, site: record.level.name,
    "message": lambda record, site: record.message,
    "fields": lambda record, site: record.fields,
    "logger": lambda record, site: record.logger,
    "file": lambda record, site: site.file,
    "line": lambda record, site: site.line,
    "function": lambda record, site: site.function,
    "module": lambda record, site: site.module,
    "process": lambda record, site: process_id(),
    "thread": lambda record, site: record.thread,
    "template": _template,
    "task": lambda record, site: record.task,
    "trace_id": lambda record, site: record.trace_id,
    "span_id": lambda record, site: record.span_id,
    "exception": _exception,
}


class Layout:
    """The members of a record as the settings `flat`, `rename`, `keys` and `time` want them.

    `owner` is the encoder's name, for errors; `time` turns nanoseconds into the timestamp.
    `parts` holds the keys to show, the names that they get, and how each comes from a record.
    """

    def __init__(
        self,
        owner: str,
        *,
        flat: bool = False,
        rename: Mapping[str, str] | None = None,
        keys: Sequence[str] | None = None,
        time: Callable[[int], Any],
    ) -> None:
        self._flat = flat
        self._known = tuple(key for key in PARTS if key != "fields" or not flat)
        self.keys = None if keys is None else self._checked_keys(f"{owner}.keys", keys)
        self.rename = {} if rename is None else self._checked_names(f"{owner}.rename", rename)
        parts: dict[str, Part] = {**PARTS, "timestamp": lambda record, site: time(record.time_ns)}
        shown = self._known if flat or self.keys is None else self.keys
        self.parts = [(key, self.rename.get(key, key), parts[key]) for key in shown]

    def _checked_keys(self, setting: str, given: Sequence[str]) -> tuple[str, ...]:
        accepted = f"different ones, in order, of {', '.join(self._known)}" + self._or_fields
        try:
            keys = () if isinstance(given, str) else tuple(given)
            fine = len(set(keys)) == len(keys) > 0 and all(map(self._is_key, keys))
        except TypeError:
            fine = False
        if not fine:
            raise ConfigurationError.of(setting, given, accepted)
        return keys

    def _checked_names(self, setting: str, given: Mapping[str, str]) -> dict[str, str]:
        shown = self.keys or self._known
        accepted = f"new names for {', '.join(shown)}" + self._or_fields
        if not isinstance(given, Mapping) or not all(
            self._is_key(old) and isinstance(new, str) and new for old, new in given.items()
        ):
            raise ConfigurationError.of(setting, given, accepted)
        if self.keys is not None and not set(given) <= set(shown):
            raise ConfigurationError.of(setting, given, accepted)
        names = [given.get(key, key) for key in dict.fromkeys((*shown, *given))]
        clashes = sorted({name for name in names if names.count(name) > 1})
        if clashes:
            accepted = (
                f"names that differ from all others; {', '.join(clashes)} would be there twice"
            )
            raise ConfigurationError.of(setting, given, accepted)
        return dict(given)

    @property
    def _or_fields(self) -> str:
        return " or a field" if self._flat else ""

    def _is_key(self, name: object) -> bool:
        return isinstance(name, str) and name != "" and (self._flat or name in self._known)

    def shown(self, record: Record) -> dict[str, Any]:
        """Return the record's members; what they hold is the record's own: not to be changed."""
        if self._flat:
            return self._lifted(record)
        site = record.site
        members: dict[str, Any] = {}
        for _, name, part in self.parts:
            value = part(record, site)
            if value is not None:
                members[name] = value
        return members

    def _lifted(self, record: Record) -> dict[str, Any]:
        """Return the members with the fields among them, which give way to the record's own."""
        site = record.site
        members: dict[str, Any] = {}
        for key, _, part in self.parts:
            value = part(record, site)
            if value is not None:
                members[key] = value
        for name, value in record.fields.items():
            members[free_name(name, members)] = value
        if self.keys is not None:
            members = {key: members[key] for key in self.keys if key in members}
        if not self.rename:
            return members
        renamed: dict[str, Any] = {}
        for name, value in members.items():
            renamed[free_name(self.rename.get(name, name), renamed)] = value
        return renamed


def free_name(name: str, taken: Container[str]) -> str:
    """Return the name, or with as many `_` behind it as it takes not to be one of the others."""
    while name in taken:
        name += "_"
    return name

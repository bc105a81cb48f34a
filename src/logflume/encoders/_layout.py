"""Which of a record's keys an encoder shows, under what names and in what order."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from typing import Any

from ..errors import ConfigurationError
from ..record import Record

__all__ = ["KEYS", "Layout", "free_name"]

# The keys of `record.to_dict()`.
KEYS = (
    "timestamp", "level", "message", "fields", "logger", "file", "line", "function", "module",
    "process", "thread", "template", "task", "trace_id", "span_id", "exception",
)  # fmt: skip


class Layout:
    """`record.to_dict()`, as the settings `flat`, `rename`, `keys` and `time` want it.

    `owner` is the encoder's name, for errors. `time` turns nanoseconds into the timestamp; None
    leaves it as it is.
    """

    def __init__(
        self,
        owner: str,
        *,
        flat: bool = False,
        rename: Mapping[str, str] | None = None,
        keys: Sequence[str] | None = None,
        time: Callable[[int], Any] | None = None,
    ) -> None:
        self._flat = flat
        self._known = tuple(key for key in KEYS if key != "fields" or not flat)
        self._time = time
        self.keys = None if keys is None else self._checked_keys(f"{owner}.keys", keys)
        self.rename = {} if rename is None else self._checked_names(f"{owner}.rename", rename)

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
        """Return the record's members; fields lifted to the top give way to the record's own."""
        members = record.to_dict()
        if self._time is not None:
            members["timestamp"] = self._time(record.time_ns)
        if self._flat:
            for name, value in members.pop("fields").items():
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

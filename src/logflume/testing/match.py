"""Which records a test means, and how a record differs from them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from typing import Any, TypeAlias

from ..errors import ConfigurationError
from ..level import Level, parse_level
from ..record import Record
from ..snapshot import SCALARS, safe_repr, snapshot

__all__ = ["Text", "Wanted", "line_of", "nearest"]

Text: TypeAlias = "str | re.Pattern[str] | Callable[[str], bool]"
"""A text itself, a pattern that is searched in it, or a function that says whether it is meant."""

_MISSING: Any = object()
_LONGEST = 120
_PLAIN = (*SCALARS, list, tuple, dict)
_KEPT = {"uuid", "fractions", "ipaddress"}  # whose classes pass as they are


@dataclass(frozen=True)
class Wanted:
    """What a test asks of a record; None asks nothing."""

    message: Text | None = None
    level: Level | None = None
    at_least: Level | None = None
    logger: Text | None = None
    exception: type[BaseException] | str | bool | None = None
    fields: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        message: Text | None = None,
        *,
        level: str | int | Level | None = None,
        at_least: str | int | Level | None = None,
        logger: Text | None = None,
        exception: type[BaseException] | str | bool | None = None,
        fields: Mapping[str, Any] | None = None,
        **more_fields: Any,
    ) -> Wanted:
        """Check what a test gave.

        Raises:
            ConfigurationError: naming what means nothing.
        """
        for name, text in (("message", message), ("logger", logger)):
            if text is not None and not isinstance(text, str | re.Pattern) and not callable(text):
                raise ConfigurationError.of(name, text, "a text, a pattern or a function")
        if not (exception is None or isinstance(exception, str | bool)) and not (
            isinstance(exception, type) and issubclass(exception, BaseException)
        ):
            raise ConfigurationError.of("exception", exception, "a class, its name, True or False")
        if not (fields is None or isinstance(fields, Mapping)):
            raise ConfigurationError.of("fields", fields, "a mapping of names to values")
        return cls(
            message,
            None if level is None else parse_level(level, "level"),
            None if at_least is None else parse_level(at_least, "at_least"),
            logger,
            exception,
            {**(fields or {}), **more_fields},
        )

    def matches(self, record: Record) -> bool:
        """Whether the record is one of those."""
        return not self.differences(record)

    def differences(self, record: Record) -> list[str]:
        """Return a line for each point in which the record is another one."""
        found: list[str] = []
        if self.level is not None and record.level.no != self.level.no:
            found.append(f"level: {record.level}, not {self.level}")
        if self.at_least is not None and record.level.no < self.at_least.no:
            found.append(f"level: {record.level}, below {self.at_least}")
        if not self._has_message(record):
            found.append(f"message: {_short(record.message)}, not {_wish(self.message)}")
        if self.logger is not None and not _is(record.logger, self.logger):
            found.append(f"logger: {_short(record.logger)}, not {_wish(self.logger)}")
        found += self._of_exception(record)
        for name, wanted in self.fields.items():
            given = record.fields.get(name, _MISSING)
            if given is _MISSING:
                found.append(f"{name}: missing, not {_wish(wanted)}")
            elif not _is(given, wanted):
                found.append(f"{name}: {_short(given)}, not {_wish(wanted)}")
        return found

    def _has_message(self, record: Record) -> bool:
        if self.message is None or _is(record.message, self.message):
            return True
        return isinstance(self.message, str) and record.template == self.message

    def _of_exception(self, record: Record) -> list[str]:
        wanted, info = self.exception, record.exception
        if wanted is None:
            return []
        if isinstance(wanted, bool):
            if (info is not None) is wanted:
                return []
            return [f"exception: {info.type}, not none" if info else "exception: none, not any"]
        name = wanted if isinstance(wanted, str) else wanted.__name__
        if info is not None and info.type.rpartition(".")[2] == name.rpartition(".")[2]:
            return []
        return [f"exception: {info.type if info else 'none'}, not {name}"]

    def __str__(self) -> str:
        parts: list[str] = []
        if self.level is not None:
            parts.append(f"level {self.level}")
        if self.at_least is not None:
            parts.append(f"level {self.at_least} or above")
        if self.logger is not None:
            parts.append(f"logger {_wish(self.logger)}")
        if self.message is not None:
            parts.append(f"message {_wish(self.message)}")
        if self.exception is not None:
            name = getattr(self.exception, "__name__", self.exception)
            parts.append(f"exception {name}")
        parts += [f"{name}={_wish(value)}" for name, value in self.fields.items()]
        return ", ".join(parts) or "anything in it"

    def likeness(self, record: Record) -> tuple[float, float]:
        """Return how near a record comes: the more, the nearer."""
        alike = 0.0
        if isinstance(self.message, str):
            alike = SequenceMatcher(None, self.message[:500], record.message[:500]).ratio()
        return -len(self.differences(record)), alike


def _is(given: Any, wanted: Any) -> bool:
    """Whether a value is the one that is wanted. Never raises."""
    try:
        return _fits(given, wanted)
    except Exception:  # foreign code: an odd `__eq__`, a function that expects another type
        return False


def _fits(given: Any, wanted: Any) -> bool:
    if isinstance(wanted, type):
        # Or it was logged itself, and what the record has is its name.
        return isinstance(given, wanted) or bool(given == snapshot(wanted))
    if isinstance(wanted, re.Pattern):
        return isinstance(given, str) and wanted.search(given) is not None
    if given is wanted or bool(given == wanted):
        return True
    if callable(wanted):
        return bool(wanted(given))
    # What was logged is in the record as plain data: so is what it is compared with.
    return bool(given == snapshot(wanted))


def _wish(wanted: Any) -> str:
    """Show what is wanted of a value."""
    if isinstance(wanted, re.Pattern):
        return f"/{wanted.pattern}/"
    if isinstance(wanted, type):
        # Whoever asks for something else would look for the mistake in what was logged.
        hint = "" if _may_be_in_a_record(wanted) else " (records have plain data of it)"
        return f"any {wanted.__name__}{hint}"
    if callable(wanted) and hasattr(wanted, "__qualname__"):
        return f"what {wanted.__qualname__} takes"
    return _short(wanted)


def _may_be_in_a_record(wanted: type) -> bool:
    try:
        return wanted.__module__ in _KEPT or any(issubclass(plain, wanted) for plain in _PLAIN)
    except TypeError:  # a protocol that cannot be asked
        return False


def _short(value: Any) -> str:
    text = safe_repr(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def line_of(record: Record) -> str:
    """Show a record on one line: level, logger, message, fields, exception, place."""
    parts = [f"{record.level.name:<8}", record.logger, _short(record.message)]
    parts += [f"{name}={_short(value)}" for name, value in record.fields.items()]
    if record.exception is not None:
        parts.append(f"({record.exception.type}: {_short(record.exception.message)})")
    parts.append(f"[{record.site.file.rpartition('/')[2]}:{record.site.line}]")
    return " ".join(parts).replace("\n", "\\n")


def nearest(wanted: Wanted, records: Iterable[Record], most: int = 3) -> list[str]:
    """Return the records that come nearest, and in what they differ, as lines of text."""
    by_likeness = sorted(records, key=wanted.likeness, reverse=True)[:most]
    lines: list[str] = []
    for record in by_likeness:
        lines.append(f"  {line_of(record)}")
        lines += [f"      {difference}" for difference in wanted.differences(record)]
    return lines

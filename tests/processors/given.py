"""Records as a log call makes them, at a time that tests set."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from logflume import Record, get_logger
from tests.intake import captured

__all__ = ["Clock", "out_of", "said"]

log = get_logger("tests.processors")


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self, now: float = 1_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def said(message: str = "said", /, *, level: str | int = "INFO", **fields: Any) -> Record:
    """Capture one record; those of one level and message come from one call site."""
    with captured() as taken:
        log.log(level, message, **fields)
    return taken.last


def out_of(returned: Record | Sequence[Record] | None) -> list[Record]:
    """Return what a processor returned as a list."""
    if returned is None:
        return []
    return [returned] if isinstance(returned, Record) else list(returned)

"""Which rotated files are deleted: `Retention`, made by `retention_of` from what the user gave."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["OldFile", "Retention", "retention_of"]


@dataclass(frozen=True, slots=True)
class OldFile:
    """A rotated file: its size in bytes, and the POSIX time at which it was rotated."""

    path: Path
    size: int
    time: float


Choose = Callable[[list[OldFile]], Iterable[OldFile | Path]]


@dataclass(frozen=True, slots=True, repr=False)
class Retention:
    """Which rotated files are deleted: those that any of the rules gives up. False without any."""

    given: tuple[object, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.given)

    def __repr__(self) -> str:
        return f"Retention({', '.join(map(repr, self.given))})"

    def doomed(self, files: Sequence[OldFile], now: float) -> list[OldFile]:
        """Return the files to delete, the oldest first. Touches nothing."""
        raise NotImplementedError


def retention_of(given: object) -> Retention:
    """Read what was given as `retention`."""
    raise NotImplementedError

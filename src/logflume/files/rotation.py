"""When a file is full: `Rotation`, made by `rotation_of` from what the user gave."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Rotation", "rotation_of"]

FullEnough = Callable[[Path, int], bool]


@dataclass(frozen=True, slots=True, repr=False)
class Rotation:
    """When a file is rotated: whichever of its rules comes first. False without any rule."""

    max_bytes: int | None = None
    callables: tuple[FullEnough, ...] = ()
    given: tuple[object, ...] = ()

    def __bool__(self) -> bool:
        raise NotImplementedError

    def __repr__(self) -> str:
        return f"Rotation({', '.join(map(repr, self.given))})"

    def next_after(self, began: float) -> float | None:
        """Return the POSIX time at which a file that was begun at `began` must be rotated.

        None: no rule is about time.
        """
        raise NotImplementedError


def rotation_of(given: object) -> Rotation:
    """Read what was given as `rotation`."""
    raise NotImplementedError

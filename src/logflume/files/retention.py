"""Which rotated files are deleted: `Retention`, made by `retention_of` from what the user gave."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import ConfigurationError
from .settings import is_function, parse_size, rules_in, seconds_of, whole

__all__ = ["OldFile", "Retention", "retention_of"]


@dataclass(frozen=True, slots=True)
class OldFile:
    """A rotated file: its size in bytes, and the POSIX time at which it was rotated."""

    path: Path
    size: int
    time: float


Choose = Callable[[list[OldFile]], "Iterable[OldFile | Path] | None"]

_ACCEPTED = (
    'a number of files above 0, an age ("14 days", a timedelta), a size of all rotated files '
    'together ("2 GB"), a function (files) -> files to delete, or a list of these'
)


@dataclass(frozen=True, slots=True, repr=False)
class Retention:
    """Which rotated files are deleted: those that any of the rules gives up. False without any.

    The file that is being written to is none of them, and never counts.
    """

    max_files: int | None = None
    max_age: float | None = None
    max_bytes: int | None = None
    callables: tuple[Choose, ...] = ()
    given: tuple[object, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.given)

    def __repr__(self) -> str:
        return f"Retention({', '.join(map(repr, self.given))})"

    def doomed(self, files: Sequence[OldFile], now: float) -> list[OldFile]:
        """Return the files to delete, the oldest first. Touches nothing.

        Of a number or of a size, the newest files are kept without gaps: what is older than one
        that is too much goes as well. Functions get all files, the newest first; what they return
        beside these is ignored, and what they raise comes out here.
        """
        newest_first = sorted(files, key=lambda file: (file.time, file.path), reverse=True)
        doomed = set(newest_first[self.max_files :]) if self.max_files is not None else set()
        together = 0
        for file in newest_first:
            together += file.size
            if self.max_bytes is not None and together > self.max_bytes:
                doomed.add(file)
            if self.max_age is not None and now - file.time > self.max_age:
                doomed.add(file)
        paths: set[Path] = set()
        for choose in self.callables:
            for chosen in choose(list(newest_first)) or ():
                paths.add(chosen.path if isinstance(chosen, OldFile) else Path(os.fspath(chosen)))
        return [file for file in reversed(newest_first) if file in doomed or file.path in paths]


def retention_of(given: object) -> Retention:
    """Read what was given as `retention`: one rule, a list or tuple of rules, or None.

        retention_of(["14 days", "2 GB"])   # neither older nor more than that

    Raises:
        ConfigurationError: naming `File.retention` and what is accepted. So is 0, which could mean
            that nothing is kept as well as that all is.
    """
    rules = rules_in(given)
    if given is not None and not rules:
        raise ConfigurationError.of("File.retention", given, _ACCEPTED)
    counts: list[int] = []
    ages: list[float] = []
    sizes: list[int] = []
    callables: list[Choose] = []
    for rule in rules:
        if (count := whole(rule)) is not None:
            counts.append(count)
        elif (age := seconds_of(rule)) is not None:
            ages.append(age)
        elif isinstance(rule, str) and (size := parse_size(rule)) is not None:
            sizes.append(size)
        elif is_function(rule):
            callables.append(rule)  # type: ignore[arg-type]
        else:
            raise ConfigurationError.of("File.retention", rule, _ACCEPTED)
    return Retention(
        min(counts, default=None),
        min(ages, default=None),
        min(sizes, default=None),
        tuple(callables),
        rules,
    )

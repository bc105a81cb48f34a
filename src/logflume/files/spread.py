"""Many files at once: which record goes to which, with only so many of them open."""

from __future__ import annotations

import errno
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..record import Record
from .append import in_pieces
from .naming import Family
from .output import Output, Terms
from .paths import PathTemplate

__all__ = ["Spread", "Written"]

_MOST_KNOWN = 4_096

# What no later attempt at the same path will change.
_HOPELESS = {
    getattr(errno, name)
    for name in (
        "EACCES", "EPERM", "EISDIR", "ENOTDIR", "ELOOP", "ENAMETOOLONG", "EINVAL", "EILSEQ",
    )
}  # fmt: skip

_TOO_MANY = {errno.EMFILE, errno.ENFILE}


@dataclass
class Written:
    """What became of records, by position: `done` are in their files, `hopeless` never will be."""

    done: set[int] = field(default_factory=set)
    hopeless: list[int] = field(default_factory=list)
    hopeless_error: OSError | None = None
    error: OSError | None = None
    """Why the others may succeed later."""


class Spread:
    """The files of a path template, at most `max_open` of them open: the last ones used.

    Not thread-safe, but for `outputs` and `is_open`. `first_seen` is called with each file that is
    opened for the first time.
    """

    def __init__(
        self,
        template: PathTemplate,
        terms: Terms,
        max_open: int,
        first_seen: Callable[[Family], None],
    ) -> None:
        self._template = template
        self._terms = terms
        self._max_open = max_open
        self._first_seen = first_seen
        self._families: dict[tuple[str, ...], Family] = {}
        self._seen: set[Path] = set()
        self._open: dict[Path, Output] = {}  # the one used last comes last

    def write(self, records: Sequence[Record], encoded: Sequence[bytes], skip: set[int]) -> Written:
        """Append records to their files, in order within each, but for those at `skip`."""
        groups: dict[tuple[str, ...], list[int]] = {}
        values_of = self._template.values_of
        for position, record in enumerate(records):
            if position not in skip:
                groups.setdefault(values_of(record), []).append(position)
        written = Written(set(skip))
        for values, positions in groups.items():
            self._write_group(values, positions, encoded, written)
        return written

    def _write_group(
        self,
        values: tuple[str, ...],
        positions: list[int],
        encoded: Sequence[bytes],
        written: Written,
    ) -> None:
        lines = [encoded[position] for position in positions]
        count = 0
        error: OSError | None
        while True:
            left = lines[count:]
            sizes = [*map(len, left)]
            try:
                output = self._output_for(values)
                done, error = output.write(in_pieces(left), sizes, sum(sizes))
                count += done
            except OSError as problem:
                error = problem
            if error is None or error.errno not in _TOO_MANY or len(self._open) < 2:
                break
            self._close_oldest(len(self._open) // 2)
        written.done.update(positions[:count])
        if error is None:
            return
        if error.errno in _HOPELESS:
            written.hopeless += positions[count:]
            written.hopeless_error = error
        else:
            written.error = error

    def _output_for(self, values: tuple[str, ...]) -> Output:
        family = self._families.get(values)
        if family is None:
            if len(self._families) >= _MOST_KNOWN:  # values without end must not fill the memory
                self._families.clear()
            family = self._families[values] = self._template.family_of(values)
        output = self._open.pop(family.path, None)
        if output is not None:
            self._open[family.path] = output
            return output
        self._close_oldest(len(self._open) - self._max_open + 1)
        output = self._open[family.path] = Output(family, self._terms)
        if family.path not in self._seen:
            if len(self._seen) >= _MOST_KNOWN:
                self._seen.clear()
            self._seen.add(family.path)
            self._first_seen(family)
        return output

    def _close_oldest(self, count: int) -> None:
        for _ in range(count):
            self._close(self._open.pop(next(iter(self._open))))

    def _close(self, output: Output) -> None:
        try:
            output.close()
        except OSError as error:
            self._terms.tell(f"{output.path}: not synced: {error.strerror or error}")

    def is_open(self, path: Path) -> bool:
        """Whether this file is being written to."""
        return path in self._open

    def outputs(self) -> list[Output]:
        """Return the files that are open."""
        return list(self._open.values())

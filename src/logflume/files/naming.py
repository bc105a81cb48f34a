"""What rotated files are called, and which files in a folder are a sink's own.

`app.jsonl` is rotated into `app.2026-11-21_10-15-30.jsonl`: the moment of the rotation in UTC, so
that names sort by age, also where clocks are changed twice a year. More within the same second get
a number: `app.2026-11-21_10-15-30_001.jsonl`. Archives have one of `ARCHIVES` behind that.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .retention import OldFile

__all__ = ["ARCHIVES", "NOFOLLOW", "Family", "split_name"]

ARCHIVES = (".zst", ".gz", ".bz2", ".xz", ".lzma", ".zip")
"""The suffixes of archives that are a sink's own, whatever it compresses with now."""

MOST_PER_SECOND = 999

NOFOLLOW = getattr(os, "O_NOFOLLOW", 0)

_STAMP = r"\.([0-9]{4}-[0-9]{2}-[0-9]{2}_[0-9]{2}-[0-9]{2}-[0-9]{2})(?:_([0-9]{3}))?"


def split_name(name: str) -> tuple[str, str]:
    """Split a file's name where the moment of its rotation goes: `("app", ".jsonl")`."""
    suffix = Path(name).suffix
    return name.removesuffix(suffix), suffix


class Family:
    """A file and what it was rotated into.

    `suffix` is the end of the file's name that stays behind the moment. Where the path has the
    date in it, `patterns` are regular expressions for its last segments (the very last one without
    the suffix), and the files of other dates belong to the family as well.
    """

    def __init__(
        self,
        path: Path,
        suffix: str | None = None,
        patterns: Sequence[str] = (),
        archive_suffix: str = "",
    ) -> None:
        self.path = path
        self.suffix = split_name(path.name)[1] if suffix is None else suffix
        self._stem = path.name[: len(path.name) - len(self.suffix)]
        self._archives = (*ARCHIVES, archive_suffix) if archive_suffix else ARCHIVES
        *folders, self._last_pattern = patterns or [re.escape(self._stem)]
        self._folder_patterns = folders
        self._dated = bool(patterns)
        self._last = (0, 0)

    # Compiled when they are needed: a file that is not rotated pays for none of them.

    @cached_property
    def _names(self) -> re.Pattern[str]:
        """What files of the family are called, whatever their date."""
        return re.compile(f"(?:{self._last_pattern})(?:{_STAMP})?{self._end}")

    @cached_property
    def _own(self) -> re.Pattern[str]:
        """What `path` is called when it was rotated."""
        return re.compile(re.escape(self._stem) + _STAMP + self._end)

    @cached_property
    def _end(self) -> str:
        archive = "|".join(map(re.escape, self._archives))
        return f"{re.escape(self.suffix)}(?P<archive>{archive})?"

    @cached_property
    def _folders(self) -> list[re.Pattern[str]]:
        """What the folders of other dates are called, from the outermost one on."""
        return [re.compile(pattern) for pattern in self._folder_patterns]

    def is_rotated(self, name: str) -> bool:
        """Whether this is the name of a file that `path` was rotated into, not yet compressed."""
        match = self._own.fullmatch(name)
        return match is not None and not match["archive"] and _time_of(match) is not None

    def claim(self, when: float) -> Path:
        """Take the next free name: an empty file is made there, to be replaced by the rotated one.

        Raises:
            OSError: no file can be made in the folder.
        """
        second, number = int(when), 0
        if self._last[0] >= second > self._last[0] - 60:  # more in the same second, or it is back
            second, number = self._last[0], self._last[1] + 1
        while True:
            if number > MOST_PER_SECOND:
                second, number = second + 1, 0
            target = self._name_at(second, number)
            taken = any(os.path.lexists(f"{target}{suffix}") for suffix in self._archives)
            if not taken and _make_empty(target):
                self._last = second, number
                return target
            number += 1

    def _name_at(self, second: int, number: int) -> Path:
        stamp = f"{datetime.fromtimestamp(second, UTC):%Y-%m-%d_%H-%M-%S}"
        count = f"_{number:03}" if number else ""
        return self.path.with_name(f"{self._stem}.{stamp}{count}{self.suffix}")

    def rotated(self) -> list[Path]:
        """Return the rotated files of `path` itself that are not compressed, the oldest first."""
        return sorted(
            self.path.with_name(name)
            for name in _names_in(self.path.parent)
            if self.is_rotated(name)
        )

    def last_rotation(self) -> float | None:
        """Return when `path` was rotated last, as far as the names of the files tell."""
        matches = map(self._own.fullmatch, _names_in(self.path.parent))
        times = [_time_of(match) for match in matches if match is not None]
        return max((time for time in times if time is not None), default=None)

    def old_files(self, is_open: Callable[[Path], bool]) -> list[OldFile]:
        """Return the files that retention is about: all of the family that are not in use.

        Links and anything else that is no plain file never belong to it.
        """
        from .retention import OldFile  # loaded by whoever asks for old files

        found = []
        for entry in self._walk(self.path.parents[len(self._folders)], 0):
            match = self._names.fullmatch(entry.name)
            path = Path(entry.path)
            if match is None or path == self.path or is_open(path):
                continue
            try:
                status = entry.stat(follow_symlinks=False)
            except OSError:  # somebody else has deleted it
                continue
            time = _time_of(match) if match[1] else status.st_mtime
            if time is not None and (match[1] or self._dated):
                found.append(OldFile(path, status.st_size, time))
        return found

    def folders_of(self, path: Path) -> list[Path]:
        """Return the folders made for one date that a file of the family is in, inner ones first:
        they go when they are empty."""
        return list(path.parents)[: len(self._folders)]

    def _walk(self, folder: Path, depth: int) -> Iterator[os.DirEntry[str]]:
        """Yield the plain files in all the folders that files of the family may be in."""
        try:
            entries = list(os.scandir(folder))
        except OSError:  # not there yet, or not ours to read: nothing in it was made by us
            return
        inner = depth < len(self._folders)
        for entry in entries:
            if not inner:
                if entry.is_file(follow_symlinks=False):
                    yield entry
            elif entry.is_dir(follow_symlinks=False) and self._folders[depth].fullmatch(entry.name):
                yield from self._walk(Path(entry.path), depth + 1)


def _names_in(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)
    except FileNotFoundError:
        return []


def _make_empty(target: Path) -> bool:
    try:
        fd = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | NOFOLLOW, 0o600)
    except FileExistsError:
        return False
    os.close(fd)
    return True


def _time_of(match: re.Match[str]) -> float | None:
    """Return when a file was rotated; the number in its second counts as milliseconds."""
    year, month, day, hour, minute, second = map(int, re.split("[-_]", match[1]))
    try:
        moment = datetime(year, month, day, hour, minute, second, tzinfo=UTC)
    except ValueError:  # digits, but no date
        return None
    return moment.timestamp() + int(match[2] or 0) / 1_000

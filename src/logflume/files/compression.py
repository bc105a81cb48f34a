"""Rotated files made small, so that a crash at any moment leaves the file or its archive whole.

The steps, each of which may be the last before power fails:

1. The archive is made under a name of its own, `.{source}.tmp`, which must not exist; on disk.
2. It gets its real name, which must not exist either; the folder on disk.
3. The source is deleted.

So an archive that has its name is complete, and there is no moment without source and archive.
What is left over - a partial archive, or a source beside its archive - `recover` clears away. The
partial archive is locked while it is being made, so that another process does not clear it away.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from ..errors import ConfigurationError
from .formats import FORMATS, Format, Packing, format_of
from .settings import is_function
from .whole import created, give_up, publish, regular, remove_abandoned, reopened

__all__ = ["PARTIAL_SUFFIX", "Compression", "compression_of", "recover"]

PARTIAL_SUFFIX = ".tmp"
"""An archive in the making is `.{name of the source}{PARTIAL_SUFFIX}`, beside the source."""

Compress = Callable[[Path, Path], object]

_CHUNK = 65_536  # between two questions whether to stop: some 50 ms of xz, less of the others
_PIECE = 4_096  # of an archive that is checked: what it unpacks to has room in memory

_ACCEPTED = (
    '"zstd", "gzip", "xz" or "bz2", with a level if wanted ("zstd:19"), a function '
    '(source, target), or a suffix and a function (".lz4", function)'
)


def _never() -> bool:
    return False


@dataclass(frozen=True, slots=True, repr=False)
class Compression:
    """How rotated files are compressed, and the `suffix` that their names get."""

    suffix: str
    method: tuple[Format, int] | Compress  # a format and its level, or a function of the user's
    given: object

    def __repr__(self) -> str:
        return f"Compression({self.given!r})"

    def compress(self, source: Path, mode: int, stop: Callable[[], bool] = _never) -> Path | None:
        """Replace a file by its archive `source.name + suffix`; blocks for as long as that takes.

        Returns the archive's path; None when `stop()`, asked between chunks, was true first: then
        the source is as it was. (A user's function is not interrupted.) The archive has the
        permissions `mode`, whatever the umask is, and the source's time of modification. An archive
        that is there already, as after a crash, is kept if it holds just this source.

        Symbolic links are not followed, in place of the source neither. Whatever is raised, the
        source stays, and nothing partial does.

        Raises:
            FileNotFoundError: there is no source, whether there is an archive or not.
            FileExistsError: the name of the archive is taken, or another process makes it now.
            OSError: the disk is full, say, or the source was written to meanwhile.
            Exception: what a user's function raises.
        """
        target = source.with_name(source.name + self.suffix)
        os.lstat(source)
        if os.path.lexists(target):
            if not _holds(target, source, stop):
                if stop():
                    return None
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target))
        elif not self._make(source, target, mode, stop):
            return None
        give_up(source)
        return target

    def _make(self, source: Path, target: Path, mode: int, stop: Callable[[], bool]) -> bool:
        """Make the archive under its real name; false if stopped."""
        unfinished = source.with_name(f".{source.name}{PARTIAL_SUFFIX}")
        with regular(source) as data, created(unfinished, mode) as archive:
            before = os.fstat(data.fileno())
            if callable(self.method):
                if stop():
                    return False
                if sys.platform == "win32":  # where what is open here could not be renamed
                    archive.close()
                self.method(source, unfinished)
                with reopened(unfinished, archive) as made:
                    publish(made, target, data, before)
                return True
            format_, level = self.method
            if not _pack(format_.pack(level, before.st_size), data, before.st_size, archive, stop):
                return False
            publish(archive, target, data, before)
            return True


def compression_of(given: object) -> Compression | None:
    """Read what was given as `compression`: the name of a format, a function, or None.

        compression_of("zstd:19")              # a format, and its level
        compression_of((".lz4", function))     # function(source: Path, target: Path)

    A function writes all of `source` to `target`: an empty file that is there, with the right
    permissions, and which is renamed when the function has returned. Without a suffix of its own,
    archives get ".compressed".

    Raises:
        ConfigurationError: naming `File.compression` and what is accepted, or what to install.
    """
    if given is None:
        return None
    if isinstance(given, str):
        return _by_name(given)
    suffix: Any = ".compressed"
    function: Any = given
    if isinstance(given, list | tuple) and len(given) == 2:
        suffix, function = given
    if not (is_function(function) and _is_suffix(suffix)):
        raise ConfigurationError.of("File.compression", given, _ACCEPTED)
    return Compression(suffix, function, given)


def _by_name(given: str) -> Compression:
    name, colon, number = given.strip().lower().partition(":")
    found = next((format_ for format_ in FORMATS if name in format_.names), None)
    if found is None:
        raise ConfigurationError.of("File.compression", given, _ACCEPTED)
    level = found.usual_level
    if colon:
        level = int(number) if number.isascii() and number.isdecimal() and len(number) < 3 else -1
        if level not in found.levels:
            accepted = f"{name}:{found.levels[0]} to {name}:{found.levels[-1]}"
            raise ConfigurationError.of("File.compression", given, accepted)
    if (remedy := found.missing()) is not None:
        raise ConfigurationError(f"File.compression: {given!r} needs {found.module}: {remedy}")
    return Compression(found.suffix, (found, level), given)


def _is_suffix(suffix: object) -> bool:
    return (
        isinstance(suffix, str)
        and len(suffix) > 1
        and suffix[0] == "."
        and not set(suffix) & set("/\\\0")
        and not suffix.endswith((PARTIAL_SUFFIX, "."))
    )


def recover(
    folder: Path, is_ours: Callable[[str], bool], stop: Callable[[], bool] = _never
) -> None:
    """Mend what a crash left in a folder; blocks for as long as that takes.

    Partial archives are deleted. A source beside its archive is deleted if the archive, unpacked,
    is just that source; otherwise both stay, as they do for formats that are not known here.
    `is_ours` gets the names that rotated files have without a compression's suffix; nothing else
    is touched. With `stop` it ends early; it can be done again at any time.

    Raises:
        OSError: the first that came up; the other files were gone through all the same.
    """
    first: OSError | None = None
    try:
        names = set(os.listdir(folder))
    except FileNotFoundError:
        return
    for name in sorted(names):
        if stop():
            return
        try:
            _mend(folder, name, names, is_ours, stop)
        except OSError as error:
            first = first or error
    if first is not None:
        raise first


def _mend(
    folder: Path,
    name: str,
    names: set[str],
    is_ours: Callable[[str], bool],
    stop: Callable[[], bool],
) -> None:
    if name.startswith(".") and name.endswith(PARTIAL_SUFFIX):
        if is_ours(name[1 : -len(PARTIAL_SUFFIX)]):
            remove_abandoned(folder / name)
    elif (format_ := format_of(name)) is not None:
        source = name.removesuffix(format_.suffix)
        if source in names and is_ours(source) and _holds(folder / name, folder / source, stop):
            give_up(folder / source)


def _pack(
    packing: Packing, data: BinaryIO, left: int, archive: BinaryIO, stop: Callable[[], bool]
) -> bool:
    """Write the archive of so many bytes; false if stopped."""
    while left:
        if stop():
            return False
        chunk = data.read(min(_CHUNK, left))
        if not chunk:
            raise OSError(f"{data.name} was made shorter while it was compressed")
        left -= len(chunk)
        archive.write(packing.compress(chunk))
    archive.write(packing.flush())
    return True


def _holds(archive: Path, source: Path, stop: Callable[[], bool]) -> bool:
    """Whether an archive is complete, and of just this file. Reads both, one piece at a time."""
    format_ = format_of(archive.name)
    if format_ is None or format_.missing() is not None:
        return False
    unpacking = format_.unpack()
    try:
        with regular(archive) as packed, regular(source) as data:
            while piece := packed.read(_PIECE):
                if stop():
                    return False
                plain = unpacking.decompress(piece)
                if plain != data.read(len(plain)):
                    return False
            return unpacking.eof and not unpacking.unused_data and not data.read(1)
    except Exception:  # each format has errors of its own; whichever it is, nothing is deleted
        return False

"""Files that get their name when they are complete, and never in place of another.

A file is `created` under a temporary name, locked while it is written, and `publish`ed under its
real one. Nothing here follows symbolic links.
"""

from __future__ import annotations

import errno
import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import BinaryIO

if sys.platform != "win32":
    import fcntl

__all__ = ["created", "give_up", "publish", "regular", "remove_abandoned", "reopened"]

# What systems say that have no hard links, or not on this disk.
_NO_LINKS = {errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EMLINK}


def publish(archive: BinaryIO, target: Path, data: BinaryIO, before: os.stat_result) -> None:
    """Give a complete archive its real name, on which it never replaces anything."""
    now = os.fstat(data.fileno())
    if (now.st_size, now.st_mtime_ns) != (before.st_size, before.st_mtime_ns):
        raise OSError(f"{data.name} was written to while it was compressed")
    archive.flush()
    where = archive.fileno() if os.utime in os.supports_fd else archive.name
    os.utime(where, ns=(before.st_atime_ns, before.st_mtime_ns))
    os.fsync(archive.fileno())
    made = os.fstat(archive.fileno())
    if sys.platform == "win32":  # where open files cannot be renamed, and renaming never replaces
        archive.close()
        os.rename(archive.name, target)
    else:
        _rename_new(archive.name, target)
        # Had another process put a file of its own under the temporary name, that is what the
        # target is now. The lock is against that, but not every disk has locks.
        if not os.path.samestat(made, os.lstat(target)):
            os.unlink(target)
            raise OSError(f"{archive.name} was replaced by another process")


def _rename_new(old: str, new: Path) -> None:
    """Rename a file unless the new name is taken, or give it the new name beside the old one."""
    try:
        os.link(old, new, follow_symlinks=False)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        if os.path.lexists(new):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(new)) from None
        os.rename(old, new)


def give_up(source: Path) -> None:
    """Delete a file whose archive is complete, when its folder is known to have the archive."""
    if sys.platform != "win32":
        folder = os.open(source.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # folders cannot be synced here
                raise
        finally:
            os.close(folder)
    with suppress(FileNotFoundError):  # by another process, or by the user's function
        os.unlink(source)


def remove_abandoned(unfinished: Path) -> None:
    """Delete a partial archive, unless a process is making it now."""
    kind = os.lstat(unfinished).st_mode
    if stat.S_ISDIR(kind):
        return
    if not stat.S_ISREG(kind):  # a symbolic link, say: not followed, but in the way
        os.unlink(unfinished)
        return
    with regular(unfinished) as file:
        try:
            _lock(file)
        except BlockingIOError:
            return
        os.unlink(unfinished)


@contextmanager
def created(unfinished: Path, mode: int) -> Iterator[BinaryIO]:
    """Make a new file, and delete that name in the end: by then it has another, or is given up."""
    with open(unfinished, "xb", opener=partial(_open_here, mode=mode)) as file:
        try:
            _lock(file)
            if sys.platform != "win32":
                os.fchmod(file.fileno(), mode)  # whatever the umask is
            yield file
        finally:
            if sys.platform == "win32":  # where open files cannot be deleted
                with suppress(OSError):
                    file.close()
            with suppress(FileNotFoundError):
                os.unlink(unfinished)


@contextmanager
def reopened(unfinished: Path, created: BinaryIO) -> Iterator[BinaryIO]:
    """Open what a user's function made of our file, or put in its place, with its permissions."""
    with open(unfinished, "r+b", opener=_open_here) as file:
        _refuse_irregular(file)
        if sys.platform != "win32":
            os.fchmod(file.fileno(), stat.S_IMODE(os.fstat(created.fileno()).st_mode))
        yield file


@contextmanager
def regular(path: Path) -> Iterator[BinaryIO]:
    """Open a file for reading if it is just that: no symbolic link, no folder, no pipe."""
    with open(path, "rb", opener=_open_here) as file:
        _refuse_irregular(file)
        yield file


def _refuse_irregular(file: BinaryIO) -> None:
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        raise OSError(f"{file.name} is no regular file")


def _open_here(path: str, flags: int, mode: int = 0o600) -> int:
    """Open what has this name itself, without following or waiting for it."""
    if sys.platform != "win32":
        flags |= os.O_NOFOLLOW | os.O_NONBLOCK
    return os.open(path, flags, mode)


def _lock(file: BinaryIO) -> None:
    """Mark a file as being made: until it is closed, locking it again is a BlockingIOError."""
    if sys.platform != "win32":
        try:
            fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise
        except OSError:  # no locks on this disk
            pass

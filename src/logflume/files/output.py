"""One file that records are appended to, and its blocking operations: open, write, rotate.

Not thread-safe: everything but `sync` is called in one thread. The file may be moved away, deleted
or cut by others at any time. Its path is looked at before each batch, which costs a microsecond,
and the size that counts is the file's own.
"""

from __future__ import annotations

import os
import stat
import time
from bisect import bisect_right
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .append import cut_out, whole_records, write_all
from .naming import NOFOLLOW, Family
from .shared import SideLock
from .tail import BINARY, begun_at, claim_alone, is_json_lines, mark_in_use, mend

if TYPE_CHECKING:
    from .rotation import Rotation

__all__ = ["Output", "Terms"]

HOLD = 10.0
"""Seconds after which a rotation that failed is tried again."""

CLOCK_STEP = 3_600.0
"""Seconds that the clock may go back before the file counts as begun just now."""


def _nothing(*_: Any) -> None:
    pass


@dataclass(frozen=True)
class Terms:
    """What all the files of a sink have in common.

    `fsync` is True where each batch goes to the disk, `durable` where files do sooner or later.
    `tell` says what went wrong without loss; `rotated` is called with each rotated file; `later`
    has something done in another thread; `lock` makes a lock where `sync` comes from another one;
    `turn_at` keeps other sinks of this process off a file.
    """

    mode: int = 0o600
    rotation: Rotation | None = None
    fsync: bool = False
    durable: bool = False
    shared: bool = False
    follow: bool = True
    clock: Callable[[], float] = time.time
    tell: Callable[[str], None] = _nothing
    rotated: Callable[[Family, Path], None] = _nothing
    later: Callable[[Callable[[], None]], Any] = lambda job: job()
    lock: Callable[[], Any] = nullcontext
    turn_at: Callable[[Path], AbstractContextManager[Any]] = lambda path: nullcontext()


class Output:
    """The file at `family.path`: opened when needed, rotated when due."""

    def __init__(self, family: Family, terms: Terms) -> None:
        self.path = family.path
        self.family = family
        self._terms = terms
        self._fd = -1
        self._identity = (0, 0)
        self._regular = False
        self._size = 0
        self._checked = 0  # the size up to which the file is known to end with a whole line
        self._cut_to: int | None = None
        self._hold_until = 0.0
        self._unsynced = False
        self._swap = terms.lock()  # around which file it is, and what of it is synced
        rotation = terms.rotation
        self._max_bytes = None if rotation is None else rotation.max_bytes
        self._timed = rotation is not None and rotation.next_after(terms.clock()) is not None
        self._began: float | None = None
        self._due = 0.0
        self._floor = 0.0
        self._lock = SideLock(family.path, terms.mode) if terms.shared else None
        self._turn: AbstractContextManager[Any] | None = None

    # Everything here raises OSError where the system refuses.

    def open(self) -> None:
        """Open the file, made with its folders if it is missing.

        What a process that was killed has left of a line is mended already if the file is one of
        JSON lines. If not, what is written first tells what it is a file of.
        """
        with self._alone():
            self._find()
            if self._regular and self._size and is_json_lines(self.path):
                try:
                    self._mend_tail([memoryview(b"\n")])
                except OSError:  # a full disk: before the first record, then
                    pass

    def write(
        self, blocks: Sequence[memoryview], sizes: Sequence[int], nbytes: int
    ) -> tuple[int, OSError | None]:
        """Append records, rotating where that is due: how many were written, and what stopped it.

        `sizes` are the records' lengths in the blocks, each of whole ones. No record is ever torn,
        in no file.
        """
        done = 0
        try:
            with self._alone():
                self._find()
                self._mend_tail(blocks)
                if self._terms.rotation is None or not self._regular:
                    return self._append(blocks, sizes)
                if self._is_due():
                    self._rotate()
                if self._max_bytes is None or self._size + nbytes <= self._max_bytes:
                    return self._append(blocks, sizes)
                ends = list(accumulate(sizes, initial=0))
                while done < len(sizes):
                    stop = self._most_that_fit(ends, done)
                    part = cut_out(blocks, ends[done], ends[stop])
                    count, error = self._append(part, sizes[done:stop])
                    done += count
                    if error is not None:
                        return done, error
        except OSError as error:
            return done, error
        return done, None

    def _alone(self) -> AbstractContextManager[Any]:
        """Return what keeps others off the file: other processes, or other sinks of this one."""
        if self._lock is not None:
            return self._lock.held()
        if self._turn is None:
            self._turn = self._terms.turn_at(self.path)
        return self._turn

    # The file itself.

    def _find(self) -> None:
        """Make sure that what is open is what the path names, and how large it is."""
        if self._fd >= 0:
            try:
                status = os.stat(self.path)
            except FileNotFoundError:
                pass
            else:
                if (status.st_dev, status.st_ino) == self._identity:
                    self._size = status.st_size
                    return
            self._let_go()  # moved or deleted by somebody else
        self._open()

    def _open(self) -> None:
        terms = self._terms
        os.makedirs(self.path.parent, exist_ok=True)
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | BINARY | (0 if terms.follow else NOFOLLOW)
        try:
            fd = os.open(self.path, flags | os.O_EXCL, terms.mode)
            created = True
        except FileExistsError:
            fd = os.open(self.path, flags, terms.mode)
            created = False
        try:
            if created and hasattr(os, "fchmod"):  # whatever the umask is
                os.fchmod(fd, terms.mode)
            status = os.fstat(fd)
            self._regular = stat.S_ISREG(status.st_mode)
            if self._regular and not terms.shared:
                mark_in_use(fd)
            if created and terms.durable:
                _sync_folder(self.path.parent)
        except BaseException:
            os.close(fd)
            raise
        self._fd = fd
        self._identity = (status.st_dev, status.st_ino)
        self._size = status.st_size
        self._checked = 0
        self._cut_to = None
        self._began = None

    def _let_go(self, *, at_once: bool = False) -> None:
        """Leave a file that is no longer the path's: what is in it shall be kept, too."""
        fd, unsynced = self._taken()

        def close() -> None:
            try:
                if unsynced:
                    os.fsync(fd)
            except OSError as error:
                self._terms.tell(f"{self.path}: not synced after its rotation: {error.strerror}")
            finally:
                os.close(fd)

        if unsynced and not at_once:  # another thread has the time for that
            self._terms.later(close)
        else:
            close()

    def _taken(self) -> tuple[int, bool]:
        """Take the file, to close it, and whether it is to be synced before."""
        with self._swap:
            fd, self._fd = self._fd, -1
            unsynced, self._unsynced = self._unsynced, False
        return fd, unsynced

    def close(self) -> None:
        """Close the file, synced first where it is to be."""
        fd, unsynced = self._taken()
        if self._lock is not None:
            self._lock.close()
        if fd >= 0:
            try:
                if unsynced:
                    os.fsync(fd)
            finally:
                os.close(fd)

    def forget(self) -> None:
        """Close what a parent process had open, in its child, which has written nothing."""
        # A thread of the parent's may have held the one that there was.
        self._swap = self._terms.lock()
        self._unsynced = False
        self.close()

    def sync(self) -> None:
        """Have what was written until now on the disk; from any thread.

        Should the file be rotated right now, that sees to it itself.
        """
        with self._swap:
            if not self._unsynced or self._fd < 0:
                return
            fd = os.dup(self._fd)
            self._unsynced = False
        try:
            os.fsync(fd)
        except OSError:
            self._unsynced = True
            raise
        finally:
            os.close(fd)

    # Its end.

    def _mend_tail(self, blocks: Sequence[memoryview]) -> None:
        """Cut or close what a process that was killed, or a full disk, has left half written."""
        if self._cut_to is not None:
            if self._size > self._cut_to:
                os.ftruncate(self._fd, self._cut_to)
                self._size = self._cut_to
            self._cut_to = None
        if self._size == self._checked or not self._regular or not blocks:
            return
        # Alone in an open file, only this process writes, and it writes whole records. And whether
        # a file is one of lines is seen from what is to be written.
        if (self._checked == 0 or self._terms.shared) and bytes(blocks[-1][-1:]) == b"\n":
            self._size = mend(
                self.path, self._fd, self._size, self._terms.mode, shared=self._terms.shared
            )
        self._checked = self._size

    def _append(
        self, blocks: Sequence[memoryview], sizes: Sequence[int]
    ) -> tuple[int, OSError | None]:
        taken, error = write_all(self._fd, blocks)
        whole = taken
        count = len(sizes)
        if error is not None:
            count, whole = whole_records(sizes, taken)
        self._size += taken
        if self._regular and self._terms.durable:
            self._unsynced = True
            if self._terms.fsync and (failure := self._sync_now()) is not None:
                # What the system could not write it may have forgotten: it is all written again.
                count, whole, error = 0, 0, failure
        self._checked = self._size
        if taken > whole:
            self._cut(self._size - (taken - whole))
        return count, error

    def _sync_now(self) -> OSError | None:
        try:
            os.fsync(self._fd)
        except OSError as error:
            return error
        self._unsynced = False
        return None

    def _cut(self, size: int) -> None:
        """Take a torn record off the end; if that fails, before the next one is written."""
        try:
            os.ftruncate(self._fd, size)
            self._size = self._checked = size
        except OSError:
            if self._terms.shared:  # others may write behind it before: whoever does mends it
                self._checked = -1
            else:
                self._cut_to = size

    # Rotation.

    def _most_that_fit(self, ends: Sequence[int], done: int) -> int:
        """Return up to where records fit into the file, after a rotation if none does."""
        assert self._max_bytes is not None
        stop = bisect_right(ends, ends[done] + self._max_bytes - self._size, lo=done) - 1
        if stop <= done and self._size:
            if not self._rotate():
                return len(ends) - 1  # better too large than lost
            stop = bisect_right(ends, ends[done] + self._max_bytes, lo=done) - 1
        return max(stop, done + 1)

    def _is_due(self) -> bool:
        """Whether the time has come, or a rule of the user's own says so."""
        rotation = self._terms.rotation
        assert rotation is not None
        if self._timed and self._is_time():
            return True
        for rule in rotation.callables:
            try:
                if self._size and rule(self.path, self._size):
                    return True
            except Exception as error:
                self._terms.tell(f"{self.path}: rotation rule failed: {type(error).__name__}")
        return False

    def _is_time(self) -> bool:
        now = self._terms.clock()
        if not self._size:  # a file begins with its first record
            self._begin_now()
            return False
        if self._began is None:
            self._begin(begun_at(self.path, self.family.last_rotation(), now))
        elif now < self._began - CLOCK_STEP:
            self._begin(now)
        if now < self._due:
            return False
        # Set back a little, the clock will reach the same moment again: once is enough.
        self._floor = self._due
        return True

    def _begin_now(self) -> None:
        now = self._terms.clock()
        self._begin(max(now, self._floor) if self._floor - now < CLOCK_STEP else now)

    def _begin(self, began: float) -> None:
        rotation = self._terms.rotation
        assert rotation is not None
        self._began = began
        due = rotation.next_after(began)
        self._due = float("inf") if due is None else due

    def _rotate(self) -> bool:
        """Move the file away and begin a new one; False if that cannot be done now.

        Raises:
            OSError: it was moved away, but no new one can be made.
        """
        if not self._size or time.monotonic() < self._hold_until:
            return False
        if not self._terms.shared and not claim_alone(self._fd):
            return self._not_rotated(
                "others write to it, too, whose lines could be lost: all need shared=True, "
                "or each a file of its own"
            )
        target = None
        try:
            target = self.family.claim(self._terms.clock())
            if os.name == "nt":  # there, open files cannot be renamed
                self._let_go(at_once=True)
            os.replace(self.path, target)
        except OSError as error:
            if target is not None:
                target.unlink(missing_ok=True)
            return self._not_rotated(error.strerror or str(error))
        if self._fd >= 0:
            self._let_go()
        self._terms.rotated(self.family, target)
        self._open()
        if self._timed:
            self._begin_now()
        return True

    def _not_rotated(self, why: str) -> bool:
        self._hold_until = time.monotonic() + HOLD
        self._terms.tell(f"{self.path}: not rotated: {why}")
        if self._fd >= 0 and not self._terms.shared:
            mark_in_use(self._fd)
        self._find()
        return False


def _sync_folder(folder: Path) -> None:
    """Have the name of a new file on the disk, too, where folders can be synced."""
    try:
        fd = os.open(folder, os.O_RDONLY)
    except OSError:  # Windows opens no folders
        return
    try:
        os.fsync(fd)
    except OSError:
        pass
    finally:
        os.close(fd)

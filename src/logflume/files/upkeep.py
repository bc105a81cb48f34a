"""What is done with rotated files, behind the back of the one that is written: archive, delete.

Its methods block, for seconds even. A sink calls them in one thread, which is not the one it
writes in.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from .compression import Compression, recover
from .naming import Family
from .retention import Retention
from .shared import SideLock

__all__ = ["Upkeep"]

MOST_REFUSED = 1_000
"""Files of one family that are tried again before the next start."""

PAUSE = 0.05
"""Seconds until a lock that somebody else holds is asked for again."""


class Upkeep:
    """Compresses rotated files and deletes what retention gives up. Nothing here raises.

    `is_open` says which files are still written to, `tell` is told what went wrong, `stop` says
    that there is no more time: what is not compressed then is left for the next `tidy`. `in_turn`
    does something to a file while no other sink of this process does, or nothing after `stop`.
    """

    def __init__(
        self,
        retention: Retention | None,
        compression: Compression | None,
        *,
        mode: int,
        shared: bool,
        clock: Callable[[], float],
        is_open: Callable[[Path], bool],
        tell: Callable[[str], None],
        stop: Callable[[], bool],
        in_turn: Callable[[Path, Callable[[], None]], None],
    ) -> None:
        self._retention = retention
        self._compression = compression
        self._mode = mode
        self._shared = shared
        self._clock = clock
        self._is_open = is_open
        self._tell = tell
        self._stop = stop
        self._refused: dict[Path, list[Path]] = {}  # what could not be compressed, by its family
        self._in_turn = in_turn

    def tidy(self, family: Family, left: Sequence[Path]) -> None:
        """Mend what a crash left, compress what is left over, and let retention have its way.

        `left` are the rotated files that were there when the sink was opened: one rotated since
        then is dealt with by `rotated`, and may not even be in its place yet.
        """
        self._alone(family, lambda: self._tidy(family, left))

    def rotated(self, family: Family, path: Path) -> None:
        """Compress a rotated file, and let retention have its way."""
        self._alone(family, lambda: self._keep([path], family))

    def _tidy(self, family: Family, left: Sequence[Path]) -> None:
        if self._compression is not None:
            try:
                recover(family.path.parent, family.is_rotated, self._stop)
            except Exception as error:
                self._tell(f"{family.path}: not recovered: {_describe(error)}")
        self._keep(left, family)

    def _keep(self, paths: Sequence[Path], family: Family) -> None:
        # What is to be deleted need not be compressed; what is compressed may be kept for longer.
        self._retain(family)
        if self._compression is not None:
            refused = [path for path in paths if not self._compress(path, self._compression)]
            if not refused:  # it may have been the disk, which has room again
                self._compress_refused(family, self._compression)
            elif len(known := self._refused.setdefault(family.path, [])) < MOST_REFUSED:
                known += refused
            self._retain(family)

    def _compress_refused(self, family: Family, compression: Compression) -> None:
        """Try again what could not be compressed, until one cannot: that comes last next time."""
        refused = self._refused.pop(family.path, [])
        while refused:
            path = refused.pop(0)
            if not self._compress(path, compression):
                self._refused[family.path] = [*refused, path]
                return

    def _alone(self, family: Family, work: Callable[[], None]) -> None:
        """Do something while nobody else does it for the same file."""
        if not self._shared:
            self._in_turn(family.path, work)
            return
        lock = SideLock(family.path, self._mode, "upkeep")
        try:
            while not self._stop():
                with lock.held_if_free() as free:
                    if free:
                        work()
                        return
                time.sleep(PAUSE)
        except OSError as error:
            self._tell(f"{lock.path}: {_describe(error)}")
        finally:
            lock.close()

    def _compress(self, path: Path, compression: Compression) -> bool:
        """Compress a file; False if that failed and it is to be tried again."""
        try:
            if not self._stop() and path.stat().st_size:
                compression.compress(path, self._mode, self._stop)
        except FileNotFoundError:  # deleted, or compressed by another process
            pass
        except Exception as error:
            self._tell(f"{path}: not compressed: {_describe(error)}")
            return False
        return True

    def _retain(self, family: Family) -> None:
        if self._retention is None or self._stop():
            return
        try:
            files = family.old_files(self._is_open)
            known = {file.path for file in files}
            doomed = self._retention.doomed(files, self._clock())
        except Exception as error:  # a rule of the user's own
            self._tell(f"{family.path}: retention failed: {_describe(error)}")
            return
        for file in doomed:
            if file.path in known:
                self._delete(file.path, family)

    def _delete(self, path: Path, family: Family) -> None:
        try:
            os.unlink(path)
        except FileNotFoundError:
            return
        except OSError as error:
            self._tell(f"{path}: not deleted: {_describe(error)}")
            return
        for folder in family.folders_of(path):
            try:
                os.rmdir(folder)
            except OSError:  # not empty
                return


def _describe(error: Exception) -> str:
    text = error.strerror if isinstance(error, OSError) else None
    return text or f"{type(error).__name__}: {error}"

"""The source lines of exceptions, read where reading may take its time."""

from __future__ import annotations

import linecache
from collections.abc import Sequence

import anyio

from ..exception import ExceptionInfo
from .backend import Worker

__all__ = ["Sources"]

MOST_SECONDS = 1.0


class Sources:
    """Fills `Frame.source` and `span` in, off the loop; a slow disk costs at most a second."""

    def __init__(self) -> None:
        self._worker: Worker | None = None

    async def fill(self, exceptions: Sequence[ExceptionInfo]) -> None:
        """Find the source lines of these exceptions and all they are linked to."""
        if not exceptions:
            return
        if self._worker is None:
            self._worker = Worker("logflume sources")
        with anyio.move_on_after(MOST_SECONDS):
            await self._worker.run(_fill, exceptions)

    def close(self) -> None:
        """Let the worker thread end."""
        if self._worker is not None:
            self._worker.shutdown()


def _fill(exceptions: Sequence[ExceptionInfo]) -> None:
    for exception in exceptions:
        for info in exception.walk():
            for frame in info.frames:
                try:
                    frame.show(linecache.getline(frame.file, frame.line))
                except Exception:  # unreadable, undecodable: the frame goes without
                    frame.source = frame.span = None

"""Letting the loop have its turn, in a task that may never wait for anything."""

from __future__ import annotations

import time

from anyio.lowlevel import checkpoint

__all__ = ["Turn"]

MOST = 0.001
"""Seconds for which such a task goes on. A turn for each batch would cost small ones ten times what
their sink does."""


class Turn:
    """One task's turn on the loop."""

    def __init__(self) -> None:
        self._until = time.monotonic() + MOST

    async def end(self) -> None:
        """Let others have theirs, if this one was long enough."""
        if time.monotonic() > self._until:
            await checkpoint()
            self._until = time.monotonic() + MOST

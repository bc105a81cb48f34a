"""Waiting, on the loop, until something that is counted has come about."""

from __future__ import annotations

from collections.abc import Callable

import anyio
from anyio.lowlevel import checkpoint_if_cancelled

__all__ = ["Progress"]


class Progress:
    """Tells those who wait that there may be news; they look for themselves. One loop only."""

    def __init__(self) -> None:
        self._waiting: list[anyio.Event] = []

    def tell(self) -> None:
        """Let everybody who waits look again."""
        if self._waiting:
            waiting, self._waiting = self._waiting, []
            for event in waiting:
                event.set()

    async def until(self, reached: Callable[[], bool]) -> None:
        """Wait until the condition holds."""
        while not reached():
            event = anyio.Event()
            self._waiting.append(event)
            await event.wait()
            # On asyncio, anyio cancels no task that is about to wake up: one whose event is set
            # in each turn of the loop would never hear of it.
            await checkpoint_if_cancelled()

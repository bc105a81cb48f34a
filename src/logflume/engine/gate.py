"""The gate: routes that ask callers to wait, as long as their sinks make progress."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
from anyio.abc import TaskGroup

if TYPE_CHECKING:
    from .door import Door
    from .route import Route

__all__ = ["Gate"]


class Gate:
    """Shut while any route with `overflow="wait"` is congested and moves. On the loop only.

    The pump goes on meanwhile, so no route ever waits for another: it is the callers who do.
    """

    def __init__(self, door: Door) -> None:
        self._door = door
        self._holders: set[Route] = set()
        self._tasks: TaskGroup | None = None

    def watch_in(self, tasks: TaskGroup) -> None:
        """Say where the tasks may run that look whether a route still moves."""
        self._tasks = tasks

    def hold(self, route: Route, shut: bool) -> None:
        """Ask callers to wait on behalf of a route, or no longer."""
        if shut and route not in self._holders:
            self._holders.add(route)
            self._door.gate(True)
            if self._tasks is not None:
                self._tasks.start_soon(self._watch, route)
        elif not shut and route in self._holders:
            self._holders.discard(route)
            if not self._holders:
                self._door.gate(False)

    async def _watch(self, route: Route) -> None:
        while route in self._holders:  # noqa: ASYNC110 - until a time that moves
            await anyio.sleep(max(route.check_progress(), 0.001))

"""Tasks for those who cannot start one themselves: other threads, and callbacks of the loop,
where anyio knows of no task and so of no backend."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, TypeAlias

import anyio
from anyio.abc import TaskGroup

from .backend import Loop, protect_from_interrupts

__all__ = ["Errands"]

_Errand: TypeAlias = tuple[
    Callable[..., Coroutine[Any, Any, object]], tuple[Any, ...], Callable[[], object] | None
]


class Errands:
    """Starts tasks in a pipeline's task group, asked for from any thread."""

    def __init__(self, here: Loop) -> None:
        self._here = here
        self._waiting: deque[_Errand] = deque()
        self._alarm: anyio.Event | None = None
        self._over = False

    def ask(
        self,
        function: Callable[..., Coroutine[Any, Any, object]],
        args: tuple[Any, ...] = (),
        otherwise: Callable[[], object] | None = None,
    ) -> None:
        """Start a task on the loop, from anywhere; call `otherwise` if that comes too late."""
        self._waiting.append((function, args, otherwise))
        if not self._here.call(self._wake) or self._over:
            self.give_up()

    def _wake(self) -> None:
        if self._alarm is not None:
            self._alarm.set()

    async def run(self, tasks: TaskGroup) -> None:
        """Start what is asked for, until cancelled."""
        while True:
            alarm = self._alarm = anyio.Event()
            while self._waiting:
                function, args, _ = self._waiting.popleft()
                tasks.start_soon(protect_from_interrupts(function), *args)
            await alarm.wait()

    def give_up(self) -> None:
        """Tell those whose task was not started, now and from now on."""
        self._over = True
        while True:
            try:
                *_, otherwise = self._waiting.popleft()
            except IndexError:
                return
            if otherwise is not None:
                otherwise()

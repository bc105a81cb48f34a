"""The pump: the task that takes records from the door, runs the processors, and offers what is
left to the routes. It never waits for a route."""

from __future__ import annotations

import contextvars
import time
from collections.abc import Awaitable, Sequence
from typing import Any

import anyio
from anyio.lowlevel import checkpoint

from ..context import enter_origins
from ..lazy import lazy_failure, settle_lazy
from ..level import Thresholds
from ..record import Record
from .backend import survivable
from .door import DOOR, Door, no_step
from .ledger import News, describe
from .processing import PROCESSORS, Processing
from .progress import Progress
from .routes import Routes
from .sources import Sources

__all__ = ["Pump"]

FAILED = "error"

FEW = 64
"""Records of which less is worth a rest, if no route would send them at once anyway."""


class Pump:
    """Moves records from a door to routes."""

    def __init__(
        self,
        door: Door,
        routes: Routes,
        thresholds: Thresholds,
        processing: Processing,
        news: News,
        progress: Progress,
    ) -> None:
        self._door = door
        self._routes = routes
        self._thresholds = thresholds
        self._processing = processing
        self._news = news
        self._progress = progress
        self._sources = Sources()
        self._next: Processing | None = None
        self._release_all = False
        self._in_hand = 0
        self.is_done = False
        """Whether nothing more will come to the routes."""

    async def run(self) -> None:
        """Pass on what comes, by the burst, until the door has come to its end."""
        enter_origins(frozenset((PROCESSORS,)))
        self._context = contextvars.copy_context()
        if self._processing.inline:
            self._door.step = self._step
        while True:
            if self._next is not None:
                await self._change()
            records = self._door.take()
            if records:
                await self._pass_on(records, self._door.special)
            due = self._processing.due()
            if due is not None and (self._release_all or due <= time.monotonic()):
                await self._release()
                await checkpoint()  # though one of them always has more to give out
            elif records:
                rest = self._routes.rest if len(records) < FEW else 0.0
                if rest:
                    await self._door.rest(rest)
                else:
                    await checkpoint()
            elif not await self._sleep(due):
                break
        await self._release(everything=True)
        self.is_done = True
        self._progress.tell()

    def use(self, processing: Processing) -> None:
        """Run other processors from the next burst on, after the old ones gave out what they keep.
        On the loop, or before it runs."""
        self._next = processing
        self._door.step = no_step
        self._door.hurry()

    async def _change(self) -> None:
        await self._release(everything=True)
        if self._next is not None:
            self._processing, self._next = self._next, None
        if self._processing.inline:
            self._door.step = self._step

    def close(self) -> None:
        """Let the thread end that reads source lines."""
        self._sources.close()

    async def _sleep(self, due: float | None) -> bool:
        self._release_all = False
        self._progress.tell()
        with anyio.move_on_after(None if due is None else max(0.0, due - time.monotonic())):
            return await self._door.sleep()
        return True

    async def release(self) -> None:
        """Let processors give out what they keep, if they will; from another task of the loop."""
        if self._processing.due() is not None and not self.is_done:
            self._release_all = True
            self._door.hurry()
            await self._progress.until(lambda: self.is_done or not self._release_all)

    async def _release(self, *, everything: bool = False) -> None:
        everything, self._release_all = everything or self._release_all, False
        try:
            records = await self._processing.release(everything=everything)
            if records:
                self._routes.offer(records)
        except Exception as error:
            self._news.add(DOOR, FAILED, 0, describe(error))
        else:
            self._door.settle(len(records), -len(records))
        enter_origins(frozenset((PROCESSORS,)))
        self._progress.tell()

    def _step(self) -> None:
        """Pass on what is there now, for a caller on this loop; only if nothing is special."""
        self._context.run(self._pass_on_now)

    def _pass_on_now(self) -> None:
        taken = self._door.take()
        try:
            records = self._processing.run_now(taken)
            self._offer(records, changed=records is not taken, special=False)
        except BaseException as error:
            self._fail(len(taken), error)
            if not isinstance(error, Exception):
                raise
        else:
            self._door.settle(len(records), len(taken) - len(records))
        self._progress.tell()

    async def _pass_on(self, taken: list[Record], special: bool) -> None:
        """Take records from the door to the routes, and settle them there whatever happens."""
        self._in_hand = len(taken)
        try:
            if special:
                await self._prepare([r for r in taken if r.extra is not None])
            records = await self._processing.run(taken)
            self._offer(records, changed=records is not taken, special=special)
        except Exception as error:
            self._fail(len(taken), error)
        else:
            self._door.settle(len(records), len(taken) - len(records))
        self._in_hand = 0
        self._progress.tell()

    def lose_hand(self, error: BaseException) -> None:
        """Give up what a cancelled `run` was about to pass on. It may be run again."""
        lost, self._in_hand = self._in_hand, 0
        if lost:
            self._fail(lost, error)
            self._progress.tell()

    def _offer(self, records: list[Record], *, changed: bool, special: bool) -> None:
        if records:
            lowest = 0 if changed else self._thresholds.lowest
            self._routes.offer(records, lowest, special=special or changed)
            if special or changed:
                enter_origins(frozenset((PROCESSORS,)))

    def _fail(self, count: int, error: BaseException) -> None:
        self._door.lose(count, FAILED)
        self._news.add(DOOR, FAILED, count, describe(error))

    async def _prepare(self, records: Sequence[Record]) -> None:
        """Do what few records need: await lazy values, find the source lines of exceptions."""
        waited = _Patience(self._processing.timeout)
        for record in records:
            lazy = record.extra is not None and record.extra.lazy
            if lazy and self._routes.want(record):
                await settle_lazy(record, waited)
        await self._sources.fill([r.exception for r in records if r.exception is not None])


class _Patience:
    """Awaits what foreign code has to say, for so many seconds at most.

    Once something took longer, it waits for nothing more: a burst may hold hundreds of the kind.
    """

    def __init__(self, timeout: float) -> None:
        self._timeout = timeout

    async def __call__(self, awaitable: Awaitable[Any]) -> Any:
        try:
            with anyio.fail_after(self._timeout):
                return await awaitable
        except BaseException as error:
            if not survivable(error):
                raise
            if isinstance(error, TimeoutError):
                self._timeout = 0.0
            return lazy_failure(error)

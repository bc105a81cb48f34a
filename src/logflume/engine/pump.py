"""The pump: the task that takes records from the door, runs the processors, and offers what is
left to the routes. It never waits for a route."""

from __future__ import annotations

import contextvars
import inspect
from collections.abc import Sequence
from typing import Any

import anyio
from anyio.lowlevel import checkpoint

from ..context import enter_origins
from ..lazy import settle_lazy
from ..level import Thresholds
from ..protocols import Processor
from ..record import Record
from .backend import survivable
from .door import DOOR, Door
from .ledger import News, describe
from .progress import Progress
from .routes import Routes
from .sources import Sources

__all__ = ["Pump"]

PROCESSORS = "processors"
"""The origin of what processors log."""

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
        processors: tuple[Processor, ...],
        processor_timeout: float,
        news: News,
        progress: Progress,
    ) -> None:
        self._door = door
        self._routes = routes
        self._thresholds = thresholds
        self._processors = processors
        self._processor_timeout = processor_timeout
        self._news = news
        self._progress = progress
        self._sources = Sources()

    async def run(self) -> None:
        """Pass on what comes, by the burst, until the door has come to its end."""
        enter_origins(frozenset((PROCESSORS,)))
        if not self._processors:
            self._context = contextvars.copy_context()
            self._door.step = self._step
        while True:
            records = self._door.take()
            if records:
                await self._pass_on(records, self._door.special)
                rest = self._routes.rest if len(records) < FEW else 0.0
                if rest:
                    await self._door.rest(rest)
                else:
                    await checkpoint()
            elif not await self._door.sleep():
                self._progress.tell()
                return

    def close(self) -> None:
        """Let the thread end that reads source lines."""
        self._sources.close()

    def _step(self) -> None:
        """Pass on what is there now, for a caller on this loop; only if nothing is special."""
        self._context.run(self._pass_on_now)

    def _pass_on_now(self) -> None:
        records = self._door.take()
        try:
            self._routes.offer(records, self._thresholds.lowest, special=False)
        except BaseException as error:
            self._door.lose(len(records), FAILED)
            self._news.add(DOOR, FAILED, len(records), describe(error))
            if not isinstance(error, Exception):
                raise
        else:
            self._door.settle(len(records), 0)
        self._progress.tell()

    async def _pass_on(self, records: list[Record], special: bool) -> None:
        """Take records from the door to the routes, and settle them there whatever happens."""
        taken = len(records)
        try:
            if special:
                await self._prepare([r for r in records if r.extra is not None])
            lowest = self._thresholds.lowest
            if self._processors:
                records = [r for r in [await self._process(r) for r in records] if r is not None]
                special, lowest = True, 0
            if records:
                self._routes.offer(records, lowest, special=special)
                enter_origins(frozenset((PROCESSORS,)))
        except Exception as error:
            self._door.lose(taken, FAILED)
            self._news.add(DOOR, FAILED, taken, describe(error))
        else:
            self._door.settle(len(records), taken - len(records))
        self._progress.tell()

    async def _prepare(self, records: Sequence[Record]) -> None:
        """Do what few records need: await lazy values, find the source lines of exceptions."""
        for record in records:
            lazy = record.extra is not None and record.extra.lazy
            if lazy and self._routes.want(record):
                await settle_lazy(record)
        await self._sources.fill([r.exception for r in records if r.exception is not None])

    async def _process(self, record: Record) -> Record | None:
        if PROCESSORS in record.origins:  # logged by a processor: it would go round in circles
            return record
        for processor in self._processors:
            try:
                result: Any = processor(record)
                if inspect.isawaitable(result):
                    with anyio.fail_after(self._processor_timeout):
                        result = await result
                if result is None:
                    return None
                if not isinstance(result, Record):
                    raise TypeError(f"a processor returned {type(result).__name__}, not a Record")
                record = result
            except BaseException as error:
                if not survivable(error):
                    raise
                record = _without_step(record, processor, error)
        return record


def _without_step(record: Record, processor: Processor, error: BaseException) -> Record:
    """Return the record as it goes on when a processor fails: without that step, and saying so.

    A processor with `fail_closed = True` guards secrets: nothing that it did not see may pass.
    """
    name = getattr(processor, "__name__", type(processor).__name__)
    note = {"logflume.failed_processor": name, "logflume.error": type(error).__name__}
    if getattr(processor, "fail_closed", False):
        return record.replace(message=f"<withheld: {name} failed>", fields=note).bare()
    return record.replace(fields={**record.fields, **note})

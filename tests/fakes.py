"""Sinks that behave, and misbehave, on command; all of them event-driven.

Everything awaits on the pipeline's loop; what they saw may be read from any thread.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator
from typing import Any

import anyio
import blockbuster.blockbuster as guard

from logflume import Record, Rejected, Retryable, SinkBatch

__all__ = [
    "Collect",
    "Flaky",
    "Gate",
    "Hang",
    "Raising",
    "Rejecting",
    "Slow",
    "Unopenable",
    "may_block",
    "unmeasured",
]


@contextlib.contextmanager
def may_block() -> Iterator[None]:
    """Let this block of a test block the loop's thread: see `no_blocking_calls`."""
    guard._skip.value = True
    try:
        yield
    finally:
        guard._skip.value = False


def unmeasured() -> dict[str, str]:
    """Return the environment without coverage, which loads modules and opens files of its own."""
    return {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}


class Collect:
    """Keep what is sent: `batches`, `records`, `encoded`, `messages`.

    Attributes of the sink protocol (`one_by_one`, `route_defaults`) are given as keywords.
    """

    def __init__(self, name: str = "collect", **attributes: Any) -> None:
        self.name = name
        self.batches: list[list[Record]] = []
        self.encoded: list[bytes] = []
        self.sends = 0
        self.opened = 0
        self.closed = 0
        self._arrived = threading.Condition()
        self._news = anyio.Event()
        for attribute, value in attributes.items():
            setattr(self, attribute, value)

    async def open(self) -> None:
        self.opened += 1

    async def send(self, batch: SinkBatch, /) -> None:
        self.sends += 1
        await self.before(batch)
        self.keep(batch.records, batch.encoded)

    async def aclose(self) -> None:
        self.closed += 1

    async def before(self, batch: SinkBatch) -> None:
        """What a misbehaving sink does first; raising or cancelled, nothing is kept."""

    def keep(self, records: Any, encoded: Any = ()) -> None:
        with self._arrived:
            self.batches.append(list(records))
            self.encoded += encoded
            self._arrived.notify_all()
        news, self._news = self._news, anyio.Event()
        news.set()

    @property
    def records(self) -> list[Record]:
        return [record for batch in list(self.batches) for record in batch]

    @property
    def messages(self) -> list[str]:
        return [record.message for record in self.records]

    async def until(self, count: int, seconds: float = 10.0) -> None:
        """Wait, on the pipeline's loop, until this many records came."""
        with anyio.fail_after(seconds):
            while len(self.records) < count:
                await self._news.wait()

    def wait(self, count: int, seconds: float = 10.0) -> None:
        """Wait, in a thread without a loop, until this many records came."""
        with self._arrived:
            came = self._arrived.wait_for(lambda: len(self.records) >= count, seconds)
        assert came, f"{self.name}: {len(self.records)} records came, not {count}"


class Gate(Collect):
    """Hold every send until `let_through()`; `entered` is set while (and after) one waits."""

    def __init__(self, name: str = "gate", **attributes: Any) -> None:
        super().__init__(name, **attributes)
        self.entered = anyio.Event()
        self._gate = anyio.Event()

    def let_through(self) -> None:
        """Open the gate for good. Call it on the pipeline's loop."""
        self._gate.set()

    def hold(self) -> None:
        """Shut the gate again, for the sends to come."""
        self._gate, self.entered = anyio.Event(), anyio.Event()

    async def before(self, batch: SinkBatch) -> None:
        self.entered.set()
        await self._gate.wait()


class Hang(Collect):
    """Never answer; `entered` is set once a send hangs."""

    def __init__(self, name: str = "hang", **attributes: Any) -> None:
        super().__init__(name, **attributes)
        self.entered = anyio.Event()

    async def before(self, batch: SinkBatch) -> None:
        self.entered.set()
        await anyio.sleep_forever()


class Slow(Collect):
    """Take this many seconds for each batch."""

    def __init__(self, seconds: float, name: str = "slow", **attributes: Any) -> None:
        super().__init__(name, **attributes)
        self.seconds = seconds

    async def before(self, batch: SinkBatch) -> None:
        await anyio.sleep(self.seconds)


class Flaky(Collect):
    """Fail the first `times` sends with Retryable."""

    def __init__(
        self,
        times: int,
        name: str = "flaky",
        *,
        retry_after: float | None = None,
        **attributes: Any,
    ) -> None:
        super().__init__(name, **attributes)
        self.times = times
        self.retry_after = retry_after

    async def before(self, batch: SinkBatch) -> None:
        if self.sends <= self.times:
            raise Retryable("not now", retry_after=self.retry_after)


class Rejecting(Collect):
    """Reject the records that `refuses` says, given to Rejected themselves or by position."""

    def __init__(
        self,
        refuses: Callable[[Record], bool],
        name: str = "rejecting",
        *,
        by_index: bool = False,
        **attributes: Any,
    ) -> None:
        super().__init__(name, **attributes)
        self.refuses = refuses
        self.by_index = by_index

    async def before(self, batch: SinkBatch) -> None:
        refused = [i for i, record in enumerate(batch.records) if self.refuses(record)]
        if refused:
            self.keep([r for i, r in enumerate(batch.records) if i not in refused])
            chosen = refused if self.by_index else [batch.records[i] for i in refused]
            raise Rejected("refused", records=chosen, reason="refused")


class Raising(Collect):
    """Raise an error, by default a plain bug, at every send."""

    def __init__(
        self, error: BaseException | None = None, name: str = "raising", **attributes: Any
    ) -> None:
        super().__init__(name, **attributes)
        self.error = error if error is not None else RuntimeError("a bug")

    async def before(self, batch: SinkBatch) -> None:
        raise self.error


class Unopenable(Collect):
    """Fail to open."""

    def __init__(
        self, error: Exception | None = None, name: str = "unopenable", **attributes: Any
    ) -> None:
        super().__init__(name, **attributes)
        self.error = error if error is not None else OSError("no such place")

    async def open(self) -> None:
        raise self.error

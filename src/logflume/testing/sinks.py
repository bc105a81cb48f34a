"""Sinks for tests: one that keeps what it is sent, and those that misbehave on command.

All are driven by events, never by polling. Everything awaits on the pipeline's loop; what they saw
may be read from any thread. Each takes attributes of the sink protocol (`one_by_one`,
`route_defaults`, see `logflume.Sink`) as further keywords.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

import anyio

from ..errors import Rejected, Retryable
from ..protocols import SinkBatch
from ..record import Record
from ..setting import function, positive
from ._forks import renew_in_children
from .clock import ManualClock

__all__ = [
    "Collect",
    "Flaky",
    "Gate",
    "Hang",
    "Raising",
    "Rejecting",
    "Slow",
    "Unopenable",
]


class Collect:
    """Keep what is sent: `batches`, `records`, `encoded` (if its route has an encoder), `messages`.

    `opened`, `sends` and `closed` count the calls. Its route delivers without an encoder unless
    that has one.

        async with Pipeline(sink := Collect()):
            await log.ainfo("Hello")
        assert sink.messages == ["Hello"]
    """

    def __init__(self, name: str = "collect", **attributes: Any) -> None:
        self.name = name
        self.batches: list[list[Record]] = []
        self.encoded: list[bytes] = []
        self.sends = 0
        self.opened = 0
        self.closed = 0
        renew_in_children(self)
        self._news = anyio.Event()
        for attribute, value in attributes.items():
            setattr(self, attribute, value)

    def _renew(self) -> None:
        self._arrived = threading.Condition()

    async def open(self) -> None:
        """Count it."""
        self.opened += 1

    async def send(self, batch: SinkBatch, /) -> None:
        """Misbehave, if this is such a sink; keep the batch, if it still comes to that."""
        self.sends += 1
        await self.before(batch)
        self.keep(batch.records, batch.encoded if batch.is_encoded else ())

    async def aclose(self) -> None:
        """Count it."""
        self.closed += 1

    async def before(self, batch: SinkBatch) -> None:
        """What a misbehaving sink does first; raising or cancelled, nothing is kept."""

    def keep(self, records: Sequence[Record], encoded: Sequence[bytes] = ()) -> None:
        """Keep these, and tell those who wait for them."""
        with self._arrived:
            self.batches.append(list(records))
            self.encoded += encoded
            self._arrived.notify_all()
        news, self._news = self._news, anyio.Event()
        news.set()

    @property
    def records(self) -> list[Record]:
        """What came so far, in its order."""
        return [record for batch in list(self.batches) for record in batch]

    @property
    def messages(self) -> list[str]:
        """The rendered messages of `records`."""
        return [record.message for record in self.records]

    async def until(self, count: int, seconds: float = 10.0) -> None:
        """Wait, on the pipeline's loop, until this many records came.

        Raises:
            TimeoutError: they did not, in so many seconds.
        """
        with anyio.move_on_after(seconds):
            while len(self.records) < count:
                await self._news.wait()
            return
        raise TimeoutError(f"{self.name}: {len(self.records)} records came, not {count}")

    def wait(self, count: int, seconds: float = 10.0) -> None:
        """Block, in a thread without a loop, until this many records came.

        Raises:
            AssertionError: they did not, in so many seconds.
        """
        with self._arrived:
            came = self._arrived.wait_for(lambda: len(self.records) >= count, seconds)
        assert came, f"{self.name}: {len(self.records)} records came, not {count}"


class Gate(Collect):
    """Hold every send until `let_through()`; `entered` is set while (and after) one waits.

    gate = Gate()
    async with Pipeline(gate):
        await log.ainfo("Held")
        await gate.entered.wait()  # now the sink is busy with it
        gate.let_through()
    """

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
        """Wait for the gate."""
        self.entered.set()
        await self._gate.wait()


class Hang(Collect):
    """Never answer: the route's `timeout` has to end it. `entered` is set once a send hangs.

    Route(Hang(), timeout=0.1)
    """

    def __init__(self, name: str = "hang", **attributes: Any) -> None:
        super().__init__(name, **attributes)
        self.entered = anyio.Event()

    async def before(self, batch: SinkBatch) -> None:
        """Wait for ever."""
        self.entered.set()
        await anyio.sleep_forever()


class Slow(Collect):
    """Take this many seconds for each batch: by the clock that is given, or else in real time.

    clock = ManualClock()
    slow = Slow(2.0, clock=clock)  # takes a batch when the test says `clock.advance(2.0)`
    """

    def __init__(
        self,
        seconds: float,
        name: str = "slow",
        *,
        clock: ManualClock | None = None,
        **attributes: Any,
    ) -> None:
        super().__init__(name, **attributes)
        positive("Slow.seconds", seconds, zero=True)
        self.seconds = seconds
        self.clock = clock

    async def before(self, batch: SinkBatch) -> None:
        """Sleep."""
        await (anyio.sleep if self.clock is None else self.clock.sleep)(self.seconds)


class Flaky(Collect):
    """Fail the first `times` sends with `Retryable`, each of them after `retry_after` again.

    Route(Flaky(2), retry=Retry(initial=0.001))  # delivers at the third attempt
    """

    def __init__(
        self,
        times: int,
        name: str = "flaky",
        *,
        retry_after: float | None = None,
        **attributes: Any,
    ) -> None:
        super().__init__(name, **attributes)
        positive("Flaky.times", times, zero=True, whole=True)
        self.times = times
        self.retry_after = retry_after

    async def before(self, batch: SinkBatch) -> None:
        """Fail, if it is one of the first."""
        if self.sends <= self.times:
            raise Retryable("not now", retry_after=self.retry_after)


class Rejecting(Collect):
    """Reject the records that `refuses` says and take the others.

    They are given to `Rejected` themselves, or by position if `by_index`.

        Rejecting(lambda record: "secret" in record.fields)
    """

    def __init__(
        self,
        refuses: Callable[[Record], bool],
        name: str = "rejecting",
        *,
        by_index: bool = False,
        **attributes: Any,
    ) -> None:
        super().__init__(name, **attributes)
        function("Rejecting.refuses", refuses)
        self.refuses = refuses
        self.by_index = by_index

    async def before(self, batch: SinkBatch) -> None:
        """Keep those that are not refused, and reject the others."""
        refused = [i for i, record in enumerate(batch.records) if self.refuses(record)]
        if refused:
            self.keep([r for i, r in enumerate(batch.records) if i not in refused])
            chosen = refused if self.by_index else [batch.records[i] for i in refused]
            raise Rejected("refused", records=chosen, reason="refused")


class Raising(Collect):
    """Raise an error, by default a RuntimeError as of a plain bug, at every send.

    Raising(ConnectionResetError("by peer"))
    """

    def __init__(
        self, error: BaseException | None = None, name: str = "raising", **attributes: Any
    ) -> None:
        super().__init__(name, **attributes)
        self.error = error if error is not None else RuntimeError("a bug")

    async def before(self, batch: SinkBatch) -> None:
        """Raise it."""
        raise self.error


class Unopenable(Collect):
    """Fail to open, by default with an OSError.

    Unopenable(PermissionError("read-only"))
    """

    def __init__(
        self, error: Exception | None = None, name: str = "unopenable", **attributes: Any
    ) -> None:
        super().__init__(name, **attributes)
        self.error = error if error is not None else OSError("no such place")

    async def open(self) -> None:
        """Raise it."""
        raise self.error

"""A route: which records go to a sink, and how. One supervised task each.

    offer (from the pump): filter -> encode, shared between equal encoders -> buffer
    serve (the route's task): batch -> send, in time -> retry -> ledger

Chunks, not records, are handed over: a chunk that a route takes whole costs it a few
instructions. The buffer is bounded in records and in encoded bytes. A full buffer never holds up
the pump or another route: what does not fit is dropped and counted. A route with
`overflow="wait"` shuts the door's gate before that, so that callers that can wait do.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import anyio

from ..context import enter_origins
from ..errors import ConfigurationError, PipelineError
from ..level import Level, parse_level
from ..protocols import Encoder, Filter, Sink, SinkBatch
from ..record import Record
from ..setting import known_options, positive
from .backend import survivable
from .batch import Batch
from .buffer import Buffer
from .chunk import Chunk, encoder_of
from .delivery import SHUTDOWN, Delivery
from .ledger import Account, News, describe
from .retry import Retry

__all__ = ["Route"]

OVERFLOWS = ("drop", "wait")
CLOSE_TIMEOUT = 1.0

# The reasons under which the ledger counts what is dropped.
FULL = "buffer full"
UNENCODABLE = "unencodable"
NOT_OPEN = "not open"

_DEFAULTS: dict[str, Any] = {
    "level": 0,
    "filter": None,
    "batch": Batch(),
    "retry": Retry(),
    "timeout": 30.0,
    "buffer_records": 65_536,
    "buffer_bytes": 67_108_864,
    "overflow": "drop",
}


def _only_sinks(given: object, /, **options: Any) -> Sink:
    if isinstance(given, Sink):
        return given
    raise ConfigurationError.of("sink", given, "a sink: an object with open, send and aclose")


coerce: Callable[..., Sink] = _only_sinks


def adopt_coercion(function: Callable[..., Sink]) -> None:
    """Say what makes sinks of paths, streams and callables, with the sink's options: called by the
    package of sinks, which the engine does not know."""
    global coerce
    coerce = function


class Route:
    """Which records go to a sink, and how.

    `sink` is a Sink, a path (a file of JSON lines), a stream (a console) or a callable (called
    with `record.to_dict()`). A route belongs to one pipeline, once.

    Options, each with the sink's own default where it has one:
        name: its key in `Pipeline.stats().routes` and the id that `remove` takes.
        level: records below it are filtered.
        filter: `Record -> bool`, called on the loop; one that raises lets the record pass.
        encoder: one of `encoders`, or a function `Record -> bytes`; None for the sink's own.
        batch, retry: see `Batch` and `Retry`.
        timeout: seconds that one `send` (or `open`) may take before it counts as failed.
        buffer_records, buffer_bytes: what may wait here; encoded bytes.
        overflow: "drop" what comes while the buffer is full; or "wait": let callers that can
            wait do so, as long as the sink makes progress (console and file routes do).
        patience: seconds without progress after which "wait" becomes "drop", until the next.

    Raises:
        ConfigurationError: an option is unknown or means nothing.
    """

    @known_options("route option")
    def __init__(
        self,
        sink: object,
        *,
        name: str | None = None,
        level: str | int | Level | None = None,
        filter: Filter | None = None,  # noqa: A002 - the field's term
        encoder: Encoder | Callable[[Record], bytes] | None = None,
        batch: Batch | None = None,
        retry: Retry | None = None,
        timeout: float | None = None,
        buffer_records: int | None = None,
        buffer_bytes: int | None = None,
        overflow: str | None = None,
        patience: float = 1.0,
    ) -> None:
        self.sink: Sink = coerce(sink)
        given = {
            "level": level,
            "filter": filter,
            "encoder": encoder,
            "batch": batch,
            "retry": retry,
            "timeout": timeout,
            "buffer_records": buffer_records,
            "buffer_bytes": buffer_bytes,
            "overflow": overflow,
        }
        chosen: dict[str, Any] = {"encoder": None, **_DEFAULTS}
        chosen |= getattr(self.sink, "route_defaults", {})
        chosen |= {option: value for option, value in given.items() if value is not None}
        self.name: str = name or getattr(self.sink, "name", "") or type(self.sink).__name__.lower()
        self.level = parse_level(chosen["level"], "Route.level")
        # A `processors.Filter` says by `accepts` what it is where nothing can be awaited.
        self.filter: Filter | None = getattr(chosen["filter"], "accepts", chosen["filter"])
        self.encoder: Encoder | None = encoder_of(chosen["encoder"])
        self.batch: Batch = chosen["batch"]
        self.retry: Retry = chosen["retry"]
        self.timeout: float = chosen["timeout"]
        self.buffer_records: int = chosen["buffer_records"]
        self.buffer_bytes: int = chosen["buffer_bytes"]
        self.overflow: str = chosen["overflow"]
        self.patience = patience
        self._validate()
        self._claimed = False
        self.start_over()

    def _validate(self) -> None:
        if not isinstance(self.name, str):
            raise ConfigurationError.of("Route.name", self.name, "text")
        positive("Route.timeout", self.timeout)
        positive("Route.buffer_records", self.buffer_records, whole=True)
        positive("Route.buffer_bytes", self.buffer_bytes, whole=True)
        positive("Route.patience", self.patience, zero=True)
        if self.overflow not in OVERFLOWS:
            raise ConfigurationError.of("Route.overflow", self.overflow, " or ".join(OVERFLOWS))
        if not isinstance(self.batch, Batch):
            raise ConfigurationError.of("Route.batch", self.batch, "a logflume.Batch")
        if not isinstance(self.retry, Retry):
            raise ConfigurationError.of("Route.retry", self.retry, "a logflume.Retry")
        if self.filter is not None and not callable(self.filter):
            raise ConfigurationError.of("Route.filter", self.filter, "a callable Record -> bool")

    def start_over(self) -> None:
        """Begin with an empty buffer and ledger, as after a fork."""
        self.account = Account()
        self._buffer = self._new_buffer(0)
        self._since = 0.0
        self._alarm: anyio.Event | None = None
        self._awaits_work = False
        self._closing = False
        self._failed: str | None = None
        self.is_open = False
        """Whether its sink is open, or was."""
        self.on_trial = False
        """Whether somebody waits to hear that its sink does not open, so nobody else is told."""
        self._special = False
        self._delivery: Delivery | None = None
        self._hurry_to = 0
        self._stalled_at = -1.0
        self._until_ns: int | None = None

    def _new_buffer(self, slack: int) -> Buffer:
        most_bytes = self.buffer_bytes * (2 if slack else 1)
        blocks = getattr(self.sink, "wants_blocks", False)
        return Buffer(self.buffer_records + slack, most_bytes, self.batch, blocks=blocks)

    def claim(self, name: str) -> None:
        """Make this the route of one pipeline, under this name.

        Raises:
            PipelineError: it is another pipeline's already.
        """
        if self._claimed:
            raise PipelineError(
                f"route {self.name!r} belongs to a pipeline already: make a new one"
            )
        self._claimed = True
        self.name = name

    def attach(
        self,
        news: News,
        gate: Callable[[Route, bool], None],
        progress: Callable[[], None],
        *,
        slack: int,
    ) -> None:
        """Connect with a pipeline.

        `gate` asks the door to let callers wait, `progress` tells that records are settled;
        `slack` is how many records the door may still hold when the gate is shut.
        """
        self._news = news
        self._gate = gate
        self._progress = progress
        if hasattr(self.sink, "tell"):
            self.sink.tell = lambda text: news.add(self.name, text, 0)
        if self.overflow == "wait":
            self._buffer = self._new_buffer(slack)

    # The pump's side. Never waits.

    def offer(self, chunk: Chunk) -> None:
        """Take what this route wants of a chunk into its buffer, and count the rest."""
        if self._closing:
            return
        records = chunk.records
        received = len(records)
        if self._failed is not None:
            self.account.offer(received, dropped={NOT_OPEN: received})
            self._news.add(self.name, NOT_OPEN, received, self._failed)
            return
        self._enter_origins_of(records if chunk.special else ())
        picked = self._pick(chunk)
        if picked is not None:
            records = [records[i] for i in picked]
        if not records:
            self.account.offer(received, filtered=received)
            return
        filtered = received - len(records)
        dropped: dict[str, int] = {}
        encoded = failure = None
        if self.encoder is not None:
            encoded = chunk.encode(self.encoder, picked)
            if encoded.broken:
                dropped[UNENCODABLE] = len(encoded.broken)
                failure = encoded.failure
                whole = [i for i in range(len(records)) if i not in encoded.broken]
                records, encoded = [records[i] for i in whole], encoded.pick(whole)
        was_empty = not self._buffer.count
        kept = self._buffer.put(records, encoded)
        if kept < len(records):
            dropped[FULL] = len(records) - kept
        self.account.offer(received, filtered=filtered, pending=kept, dropped=dropped)
        if failure is not None:
            self.account.fail(failure)
        for reason, count in dropped.items():
            self._news.add(self.name, reason, count, failure if reason == UNENCODABLE else None)
        if kept:
            self._special = self._special or chunk.special
            self._stored(was_empty)

    def _pick(self, chunk: Chunk) -> list[int] | None:
        """Return the positions of the records this route wants; None for all."""
        name, no, accepts = self.name, self.level.no, self._accepts
        all_pass = self.filter is None and self._until_ns is None
        if chunk.lowest >= no and all_pass and not chunk.special:
            return None
        picked = [
            i
            for i, r in enumerate(chunk.records)
            if r.level.no >= no
            and (r.extra is None or (name not in r.extra.origins and name not in r.extra.without))
            and accepts(r)
        ]
        return None if len(picked) == len(chunk.records) else picked

    def leave(self) -> None:
        """Take nothing from now on but what was logged before."""
        self._until_ns = time.time_ns()

    def _accepts(self, record: Record) -> bool:
        if self._until_ns is not None and record.time_ns > self._until_ns:
            return False
        if self.filter is None:
            return True
        try:
            return bool(self.filter(record))
        except Exception as error:
            self._tell_failure("filter failed, the record passed", error)
            return True

    def wants(self, record: Record) -> bool:
        """Whether this route would take a record."""
        return (
            record.level.no >= self.level.no
            and self.name not in record.origins | record.without
            and self._accepts(record)
        )

    def _stored(self, was_empty: bool) -> None:
        if was_empty:
            self._since = time.monotonic()
        if self._alarm is not None and (self._awaits_work or self._is_due()):
            self._alarm.set()
        if self.overflow == "wait" and self._is_congested() and self._stalled_at < self._moved_at():
            self._gate(self, True)

    def _is_congested(self) -> bool:
        buffer = self._buffer
        return buffer.count >= self.buffer_records or buffer.nbytes >= self.buffer_bytes

    def _is_due(self) -> bool:
        return (
            self._closing
            or self.account.settled < self._hurry_to
            or self._buffer.count >= self.batch.max_records
            or self._buffer.nbytes >= self.batch.max_bytes
        )

    def check_progress(self) -> float:
        """Open the gate again if the sink has not moved for too long; return when to look next."""
        idle = time.monotonic() - max(self._since, self._moved_at())
        if idle < self.patience:
            return self.patience - idle
        self._stalled_at = time.monotonic()
        self._gate(self, False)
        return 0.0

    def _moved_at(self) -> float:
        return 0.0 if self._delivery is None else self._delivery.moved_at

    @property
    def failure(self) -> str | None:
        """Why its sink did not open, or is open no longer."""
        return self._failed

    def hurry(self) -> None:
        """Send what is here now at once, without waiting for more."""
        self._hurry_to = self.account.received
        if self._alarm is not None:
            self._alarm.set()

    def close(self) -> None:
        """Take no more; `serve` ends once what is here is settled."""
        self._closing = True
        if self._delivery is not None:
            self._delivery.last_call()
        if self._alarm is not None:
            self._alarm.set()

    # The route's own task.

    async def serve(self) -> None:
        """Open the sink, send batches until closed, close the sink."""
        enter_origins(frozenset((self.name,)))
        delivery = self._delivery = Delivery(
            self.name, self.sink, self.retry, self.timeout, self.account, self._news, self._progress
        )
        if self._closing:
            delivery.last_call()
        try:
            if not await self._open(delivery):
                return
            while self._buffer.count or not self._closing:
                if self._buffer.count:
                    await self._linger()
                    batch = self._take()
                    if self._special:
                        self._enter_origins_of(batch.records)
                    await delivery.deliver(batch)
                    if delivery.abandoned:
                        self._buffer.forfeit()
                    else:
                        self._buffer.give_back(batch)
                else:
                    await self._wait(None)
        finally:
            self.lose_rest()
            with anyio.CancelScope(shield=True), anyio.move_on_after(CLOSE_TIMEOUT, shield=True):
                try:
                    await self.sink.aclose()
                except BaseException as error:
                    if not survivable(error):
                        raise
                    if self._failed is None:
                        self._tell_failure("close failed", error)

    async def _open(self, delivery: Delivery) -> bool:
        try:
            with anyio.fail_after(self.timeout):
                await self.sink.open()
        except BaseException as error:
            self._failed = describe(error)
            if not survivable(error):
                raise
            if not self.on_trial:
                self._tell_failure("sink does not open", error)
            delivery.drop(self._buffer.clear(), NOT_OPEN, error)
            self._gate(self, False)
            self._progress()
            return False
        self.is_open = True
        self._progress()
        return True

    async def _wait(self, timeout: float | None) -> None:
        self._awaits_work = timeout is None
        self._alarm = anyio.Event()
        try:
            with anyio.move_on_after(timeout):
                await self._alarm.wait()
        finally:
            self._alarm = None

    async def _linger(self) -> None:
        """Give a batch the time to fill."""
        left = self._since + self.batch.max_age - time.monotonic()
        if left > 0 and not self._is_due():
            await self._wait(left)

    def _take(self) -> SinkBatch:
        batch = self._buffer.take()
        if self.overflow == "wait" and not self._is_congested():
            self._gate(self, False)
        return batch

    def lose_rest(self) -> None:
        """Drop what was not sent, counted."""
        lost = self._buffer.clear()
        if lost:
            self.account.drop(lost, SHUTDOWN)
            self._news.add(self.name, SHUTDOWN, lost)
        self._gate(self, False)

    def give_up(self, error: BaseException) -> None:
        """Take nothing more, and count what comes: its task was ended by what that calls."""
        self._failed = "its task was cancelled"
        if self.is_open or not self.on_trial:
            self._tell_failure(self._failed, error)
        self.lose_rest()

    def _tell_failure(self, what: str, error: BaseException) -> None:
        text = f"{what}: {describe(error)}"
        self.account.fail(text)
        self._news.add(self.name, text, 0)

    def _enter_origins_of(self, records: Sequence[Record]) -> None:
        """Let records that the sink, filter or encoder logs now come back neither here nor to
        where these were."""
        theirs = [record.extra.origins for record in records if record.extra is not None]
        enter_origins(frozenset((self.name,)).union(*theirs))

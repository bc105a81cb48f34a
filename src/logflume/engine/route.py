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
from collections.abc import Callable, Iterable, Sequence, Sized
from typing import Any

import anyio

from ..context import enter_origins
from ..errors import ConfigurationError, PipelineError, Rejected, Retryable
from ..level import Level, parse_level
from ..protocols import Encoder, Filter, Sink, SinkBatch
from ..record import Record
from ..snapshot import safe_str
from .batch import Batch, positive
from .ledger import Account, News
from .retry import Retry

__all__ = ["Chunk", "Route"]

OVERFLOWS = ("drop", "wait")
CLOSE_TIMEOUT = 1.0

# The reasons under which the ledger counts what is dropped.
FULL = "buffer full"
UNENCODABLE = "unencodable"
NOT_OPEN = "not open"
TIMEOUT = "timeout"
ERROR = "error"
EXHAUSTED = "retries exhausted"
SHUTDOWN = "shutdown"

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


def _only_sinks(given: object) -> Sink:
    if isinstance(given, Sink):
        return given
    raise ConfigurationError.of("sink", given, "a sink: an object with open, send and aclose")


_coerce: Callable[[object], Sink] = _only_sinks


def adopt_coercion(coerce: Callable[[object], Sink]) -> None:
    """Say what makes sinks of paths, streams and callables: called by the package of sinks,
    which the engine does not know."""
    global _coerce
    _coerce = coerce


class Chunk:
    """Records on their way from the pump to the routes, and their bytes by encoder.

    `lowest` is a level that no record is below, `special` whether any may have an `extra`;
    `shared` holds the encoders that several routes use: those encode the whole chunk once.
    """

    __slots__ = ("_encoded", "lowest", "records", "shared", "special")

    def __init__(
        self,
        records: list[Record],
        lowest: int = 0,
        special: bool = True,
        shared: frozenset[Encoder] = frozenset(),
    ) -> None:
        self.records = records
        self.lowest = lowest
        self.special = special
        self.shared = shared
        self._encoded: dict[Encoder, tuple[list[bytes], set[int]]] = {}

    def encoded_by(self, encoder: Encoder) -> tuple[list[bytes], set[int]]:
        """Return what `encode` makes of all records, once per equal encoder."""
        encoded = self._encoded.get(encoder)
        if encoded is None:
            encoded = self._encoded[encoder] = encode(encoder, self.records)
        return encoded


class Route:
    """Which records go to a sink, and how.

    `sink` is a Sink, a path (a file of JSON lines), a stream (a console) or a callable (called
    with `record.to_dict()`). A route belongs to one pipeline, once.

    Options, each with the sink's own default where it has one:
        name: its key in `Pipeline.stats().routes` and the id that `remove` takes.
        level: records below it are filtered.
        filter: `Record -> bool`, called on the loop; one that raises lets the record pass.
        encoder: `Record -> bytes`; None for the sink's own.
        batch, retry: see `Batch` and `Retry`.
        timeout: seconds that one `send` (or `open`) may take before it counts as failed.
        buffer_records, buffer_bytes: what may wait here; encoded bytes.
        overflow: "drop" what comes while the buffer is full; or "wait": let callers that can
            wait do so, as long as the sink makes progress (console and file routes do).
        patience: seconds without progress after which "wait" becomes "drop", until the next.

    Raises:
        ConfigurationError: an option is unknown or means nothing.
    """

    def __init__(
        self,
        sink: object,
        *,
        name: str | None = None,
        level: str | int | Level | None = None,
        filter: Filter | None = None,  # noqa: A002 - the field's term
        encoder: Encoder | None = None,
        batch: Batch | None = None,
        retry: Retry | None = None,
        timeout: float | None = None,
        buffer_records: int | None = None,
        buffer_bytes: int | None = None,
        overflow: str | None = None,
        patience: float = 1.0,
    ) -> None:
        self.sink: Sink = _coerce(sink)
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
        self.filter: Filter | None = chosen["filter"]
        self.encoder: Encoder | None = chosen["encoder"]
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
        if self.encoder is not None and not isinstance(self.encoder, Encoder):
            raise ConfigurationError.of("Route.encoder", self.encoder, "an encoder, see logflume.encoders")

    def start_over(self) -> None:
        """Begin with an empty buffer and ledger, as after a fork."""
        self.account = Account()
        self._records: list[Record] = []
        self._encoded: list[bytes] = []
        self._nbytes = 0
        self._since = 0.0
        self._progressed = 0.0
        self._alarm: anyio.Event | None = None
        self._awaits_work = False
        self._closing = False
        self._failed: str | None = None
        self._special = False
        self._hurry_to = 0
        self._stalled = False

    def claim(self, name: str) -> None:
        """Make this the route of one pipeline, under this name.

        Raises:
            PipelineError: it is another pipeline's already.
        """
        if self._claimed:
            raise PipelineError(f"route {self.name!r} belongs to a pipeline already: make a new one")
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
        waits = self.overflow == "wait"
        self._most_records = self.buffer_records + (slack if waits else 0)
        self._most_bytes = self.buffer_bytes * (2 if waits else 1)

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
        picked = self._pick(chunk)
        if picked is not None:
            records = [records[i] for i in picked]
        if not records:
            self.account.offer(received, filtered=received)
            return
        filtered = received - len(records)
        encoded, broken = self._encode(chunk, records, picked)
        dropped: dict[str, int] = {}
        if broken:
            dropped[UNENCODABLE] = len(broken)
            records = [r for i, r in enumerate(records) if i not in broken]
            encoded = [e for i, e in enumerate(encoded) if i not in broken]
        room, nbytes = self._fit(records, encoded)
        if room < len(records):
            dropped[FULL] = len(records) - room
            records, encoded = records[:room], encoded[:room]
        self.account.offer(received, filtered=filtered, pending=room, dropped=dropped)
        for reason, count in dropped.items():
            self._news.add(self.name, reason, count)
        if room:
            self._special = self._special or chunk.special
            self._store(records, encoded, nbytes)

    def _pick(self, chunk: Chunk) -> list[int] | None:
        """Return the positions of the records this route wants; None for all."""
        no = self.level.no
        if chunk.lowest >= no and self.filter is None and not chunk.special:
            return None
        name, accepts = self.name, self._accepts
        picked = [
            i
            for i, r in enumerate(chunk.records)
            if r.level.no >= no and (r.extra is None or name not in r.extra.origins) and accepts(r)
        ]
        return None if len(picked) == len(chunk.records) else picked

    def _accepts(self, record: Record) -> bool:
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
            and self.name not in record.origins
            and self._accepts(record)
        )

    def _encode(
        self, chunk: Chunk, records: list[Record], picked: list[int] | None
    ) -> tuple[list[bytes], set[int]]:
        """Return the bytes of the picked records, and the positions of those that have none."""
        if self.encoder is None:
            return [], set()
        if picked is None or self.encoder in chunk.shared:
            encoded, broken = chunk.encoded_by(self.encoder)
            if picked is not None:
                encoded = [encoded[i] for i in picked]
                broken = {at for at, i in enumerate(picked) if i in broken}
        else:
            encoded, broken = encode(self.encoder, records)
        return encoded, broken

    def _weights(self, records: Sequence[Record], encoded: Sequence[bytes]) -> Iterable[int]:
        return map(estimated_size, records) if self.encoder is None else map(len, encoded)

    def _fit(self, records: list[Record], encoded: list[bytes]) -> tuple[int, int]:
        """Return how many of the records fit into the buffer, and their bytes."""
        room = min(len(records), self._most_records - len(self._records))
        if room <= 0:
            return 0, 0
        nbytes = sum(self._weights(records, encoded))
        if room == len(records) and self._nbytes + nbytes <= self._most_bytes:
            return room, nbytes
        fitting = nbytes = 0
        for weight in self._weights(records, encoded):
            # One record always fits, or one larger than the buffer could never pass.
            if fitting == room or (self._nbytes + nbytes + weight > self._most_bytes and
                                   (fitting or self._records)):
                break
            fitting += 1
            nbytes += weight
        return fitting, nbytes

    def _store(self, records: list[Record], encoded: list[bytes], nbytes: int) -> None:
        if not self._records:
            self._since = time.monotonic()
            self._progressed = max(self._progressed, self._since)
        self._records += records
        self._encoded += encoded
        self._nbytes += nbytes
        if self._alarm is not None and (self._awaits_work or self._is_due()):
            self._alarm.set()
        if self.overflow == "wait" and self._is_congested() and not self._stalled:
            self._gate(self, True)

    def _is_congested(self) -> bool:
        return len(self._records) >= self.buffer_records or self._nbytes >= self.buffer_bytes

    def _is_due(self) -> bool:
        batch = self.batch
        return (
            self._closing
            or self.account.settled < self._hurry_to
            or len(self._records) >= batch.max_records
            or self._nbytes >= batch.max_bytes
        )

    def check_progress(self) -> float:
        """Open the gate again if the sink has not moved for too long; return when to look next."""
        idle = time.monotonic() - self._progressed
        if idle < self.patience:
            return self.patience - idle
        self._stalled = True
        self._gate(self, False)
        return 0.0

    def hurry(self) -> None:
        """Send what is here now at once, without waiting for more."""
        self._hurry_to = self.account.received
        if self._alarm is not None:
            self._alarm.set()

    def close(self) -> None:
        """Take no more; `serve` ends once what is here is settled."""
        self._closing = True
        if self._alarm is not None:
            self._alarm.set()

    # The route's own task.

    async def serve(self) -> None:
        """Open the sink, send batches until closed, close the sink."""
        enter_origins(frozenset((self.name,)))
        if not await self._open():
            return
        try:
            while self._records or not self._closing:
                if self._records:
                    await self._linger()
                    await self._deliver(self._take())
                else:
                    await self._wait(None)
        finally:
            self._lose_rest()
            with anyio.CancelScope(shield=True), anyio.move_on_after(CLOSE_TIMEOUT, shield=True):
                try:
                    await self.sink.aclose()
                except Exception as error:
                    self._tell_failure("close failed", error)

    async def _open(self) -> bool:
        try:
            with anyio.fail_after(self.timeout):
                await self.sink.open()
        except Exception as error:
            self._failed = describe(error)
            self._tell_failure("sink does not open", error)
            lost = len(self._records)
            self.account.drop(lost, NOT_OPEN, self._failed)
            if lost:
                self._news.add(self.name, NOT_OPEN, lost, self._failed)
            self._clear()
            self._gate(self, False)
            self._progress()
            return False
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
        age = self.batch.max_age
        if not age or self._is_due():
            return
        left = self._since + age - time.monotonic()
        if left > 0:
            await self._wait(left)

    def _take(self) -> SinkBatch:
        """Take the next batch out of the buffer."""
        records, encoded, nbytes = self._records, self._encoded, self._nbytes
        batch = self.batch
        if len(records) <= batch.max_records and nbytes <= batch.max_bytes:
            self._clear()
        else:
            count = nbytes = 0
            for weight in self._weights(records, encoded):
                if count == batch.max_records or (count and nbytes + weight > batch.max_bytes):
                    break
                count += 1
                nbytes += weight
            self._records, self._encoded = records[count:], encoded[count:]
            self._nbytes -= nbytes
            records, encoded = records[:count], encoded[:count]
        if self.overflow == "wait" and not self._is_congested():
            self._gate(self, False)
        return SinkBatch(records, encoded, nbytes)

    def _clear(self) -> None:
        self._records, self._encoded, self._nbytes = [], [], 0

    async def _deliver(self, batch: SinkBatch) -> None:
        """Send a batch, again if that may help, and count what became of each record."""
        if self._special:
            self._enter_origins_of(batch)
        repeats = 0
        started = time.monotonic()
        try:
            while len(batch):
                problem = await self._send(batch)
                self._progress()
                batch = batch.rest()
                if problem is None:
                    repeats = 0
                    continue
                repeats += 1
                pause = self.retry.pause(repeats, problem.retry_after)
                late = time.monotonic() - started + pause > self.retry.max_elapsed
                if repeats >= self.retry.attempts or late:
                    self._drop(batch, EXHAUSTED, problem)
                    self._progress()
                    return
                self.account.retry(describe(problem))
                await anyio.sleep(pause)
        except BaseException:
            self._drop(batch.rest(), SHUTDOWN)
            raise

    async def _send(self, batch: SinkBatch) -> Retryable | None:
        """Send once and settle what that decides; return the problem if sending again may help."""
        scope = anyio.CancelScope(deadline=anyio.current_time() + self.timeout)

        def advanced(count: int, nbytes: int) -> None:
            self.account.deliver(count, nbytes)
            self._moved()
            scope.deadline = anyio.current_time() + self.timeout

        batch.on_advance = advanced
        try:
            with scope:
                await self.sink.send(batch)
        except Retryable as problem:
            return problem
        except Rejected as problem:
            rest = batch.rest()
            kept = rest.without(problem.records, batch.advanced)
            batch.advanced = len(batch)
            self._settle(kept)
            lost = SinkBatch(rest.records[len(kept) :])
            self._drop(lost, problem.reason, problem.__cause__ or problem)
        except Exception as error:
            self._drop(self._failed_part(batch), ERROR, error)
        else:
            if scope.cancelled_caught:
                error = TimeoutError(f"no answer within {self.timeout:g} s")
                self._drop(self._failed_part(batch), TIMEOUT, error)
            else:
                rest = batch.rest()
                batch.advanced = len(batch)
                self._settle(rest)
        return None

    def _failed_part(self, batch: SinkBatch) -> SinkBatch:
        """Take off what a failure concerns: the whole rest, or the first record of it."""
        rest = batch.rest()
        if getattr(self.sink, "one_by_one", False):
            rest = SinkBatch(rest.records[:1])
        batch.advanced += len(rest)
        return rest

    def _settle(self, delivered: SinkBatch) -> None:
        self.account.deliver(len(delivered), delivered.nbytes)
        self._moved()

    def _moved(self) -> None:
        self._progressed = time.monotonic()
        self._stalled = False

    def _drop(
        self, lost: Sized, reason: str, error: BaseException | None = None
    ) -> None:
        count = len(lost)
        if count:
            text = None if error is None else describe(error)
            self.account.drop(count, reason, text)
            self._news.add(self.name, reason, count, text)

    def _lose_rest(self) -> None:
        self._drop(self._records, SHUTDOWN)
        self._clear()
        self._gate(self, False)

    def _tell_failure(self, what: str, error: BaseException) -> None:
        text = f"{what}: {describe(error)}"
        self.account.fail(text)
        self._news.add(self.name, text, 0)

    def _enter_origins_of(self, batch: SinkBatch) -> None:
        """Let records that the sink logs now come back neither here nor to where these were."""
        origins = frozenset((self.name,))
        for record in batch.records:
            if record.extra is not None:
                origins |= record.extra.origins
        enter_origins(origins)


def describe(error: BaseException) -> str:
    """Say what an error is, in one short line."""
    text = safe_str(error).replace("\n", " ")[:200]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def encode(encoder: Encoder, records: Sequence[Record]) -> tuple[list[bytes], set[int]]:
    """Encode records; if an encoder fails, find out at which, and go on with the others."""
    try:
        return encoder.encode_many(records), set()
    except Exception:
        pass
    encoded: list[bytes] = []
    broken: set[int] = set()
    for position, record in enumerate(records):
        try:
            encoded.append(encoder.encode(record))
        except Exception:
            encoded.append(b"")
            broken.add(position)
    return encoded, broken


def estimated_size(record: Record) -> int:
    """Guess how much memory a record holds that is kept unencoded."""
    return 256 + _weight(record.template) + _weight(record.args) + _weight(record.fields)


def _weight(value: Any) -> int:
    if isinstance(value, str | bytes):
        return 64 + len(value)
    if isinstance(value, dict):
        return 64 + sum(_weight(key) + _weight(item) for key, item in value.items())
    if isinstance(value, list | tuple):
        return 64 + sum(map(_weight, value))
    return 32

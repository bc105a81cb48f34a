"""The shapes of what plugs in: sinks, encoders, processors, and who takes a logger's records.

The engine knows plug-ins only through these. Structural: nothing needs to be inherited.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from itertools import accumulate
from typing import Any, Protocol, TypeAlias, overload, runtime_checkable

from .record import Record
from .stats import FlushReport

__all__ = [
    "Controls",
    "Encoder",
    "Filter",
    "Intake",
    "LineSizes",
    "Processed",
    "Processor",
    "Sink",
    "SinkBatch",
]

Processed: TypeAlias = "Record | Sequence[Record] | None"
"""What comes out of a processor: the record, several or none in their order, or None (filtered)."""

Processor: TypeAlias = Callable[[Record], "Processed | Awaitable[Processed]"]
"""`Record -> Record | None`, sync or async; None means filtered.

A processor may keep records back and return them later, several at a time: they count as filtered
until then, and as delivered afterwards. What it may have besides:

- `inline = True`: it never returns an awaitable, so a caller on the loop may run it at once;
- `fail_closed = True`: if it raises, all that the caller gave is withheld;
- `passes(records) -> bool`: whether each of these would come out as it went in. It is asked about
  hundreds at a time, and if so, the processor is not called for them;
- `current_span() -> tuple[int, int] | None`: the trace and span ids that a record shall have. It is
  asked in the caller, by every call that is captured while the pipeline is the current one: it
  must be quick, and know its way about threads;
- `due() -> float | None`: the `time.monotonic()` at which it wants to give out what it keeps, and
  `release() -> Sequence[Record]`, which does; `release` is also called by a flush and at the end,
  unless `due` says None. Both are called on the loop; what comes out goes through the processors
  behind it;
- `forget()`: drop what is kept; called in the child of a fork.
"""

_make_encoder: Callable[[], Encoder]


def adopt_encoder(make: Callable[[], Encoder]) -> None:
    """Say what encodes records for a sink that asks for bytes where its route has no encoder:
    called by the package of encoders, which nothing here knows."""
    global _make_encoder
    _make_encoder = make


Filter: TypeAlias = Callable[[Record], bool]
"""Whether a route takes a record. Called on the loop: it must not block."""


class LineSizes(Sequence[int]):
    """The sizes of records that are a line each, in blocks of whole ones: found by their ends when
    first asked for, which few do."""

    __slots__ = ("_blocks", "_count", "_found")

    def __init__(self, blocks: Sequence[memoryview], count: int) -> None:
        self._blocks = blocks
        self._count = count
        self._found: list[int] | None = None

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, index: int, /) -> int: ...

    @overload
    def __getitem__(self, index: slice, /) -> list[int]: ...

    def __getitem__(self, index: int | slice, /) -> int | list[int]:
        return self._all()[index]

    def __iter__(self) -> Iterator[int]:
        return iter(self._all())

    def _all(self) -> list[int]:
        if self._found is None:
            self._found = self._find()
        return self._found

    def _find(self) -> list[int]:
        whole = b"".join(self._blocks)
        sizes = [len(line) + 1 for line in whole.split(b"\n")[:-1]]
        if len(sizes) == self._count and sum(sizes) == len(whole):
            return sizes
        # Not what the encoder has promised: then they stay together.
        return [len(whole), *[0] * (self._count - 1)]


class SinkBatch:
    """What a sink is sent: records, and their encoded bytes one for one.

    A sink that says `wants_blocks = True` gets neither: its `blocks` are the same bytes joined by
    the hundred (far cheaper to hold), `sizes` the length of each record in them. Valid until `send`
    returns; treat the lists as read-only, since routes with equal encoders share them.
    """

    __slots__ = ("_encoded", "advanced", "blocks", "nbytes", "on_advance", "records", "sizes")

    def __init__(
        self,
        records: Sequence[Record] = (),
        encoded: Sequence[bytes] = (),
        blocks: Sequence[memoryview] = (),
        sizes: Sequence[int] = (),
        nbytes: int = 0,
    ) -> None:
        self.records = records
        self._encoded = encoded
        self.blocks = blocks
        self.sizes = sizes
        self.nbytes = nbytes
        self.advanced = 0
        self.on_advance: Callable[[int, int], bool] | None = None

    def __len__(self) -> int:
        return len(self.records) or len(self.sizes)

    @property
    def encoded(self) -> Sequence[bytes]:
        """The bytes of each record, by the route's encoder. Where it has none, they are lines of
        JSON, made when they are first asked for."""
        if not self._encoded and self.records:
            encode = _make_encoder().encode
            self._encoded = [encode(record) for record in self.records]
            self.nbytes = sum(map(len, self._encoded))
        return self._encoded

    @property
    def is_encoded(self) -> bool:
        """Whether there are bytes already."""
        return bool(self._encoded or self.blocks)

    def advance(self, count: int) -> bool:
        """Say that the next `count` records are delivered: counted as such even if a later part
        of the batch fails, and the send's time limit starts anew: also by `advance(0)`, which is no
        progress for callers that wait. Call it on the loop.

        Returns whether it does: if not, the limit was over before, and the next thing that is
        awaited is cancelled. A sink of `one_by_one` returns then, and is sent the rest again.
        """
        done = range(self.advanced, min(self.advanced + max(0, count), len(self)))
        self.advanced = done.stop
        if self.on_advance is None:
            return True
        return self.on_advance(len(done), self.pick(done).nbytes)

    def rest(self) -> SinkBatch:
        """Return the batch without what `advance` has passed."""
        return self.pick(range(self.advanced, len(self))) if self.advanced else self

    def without(self, chosen: Sequence[Any] | None, offset: int = 0) -> SinkBatch:
        """Return the batch without these records, given themselves or by position (plus offset);
        None stands for all."""
        if chosen is None:
            return SinkBatch()
        positions = {item - offset for item in chosen if isinstance(item, int)}
        named = {id(item) for item in chosen if not isinstance(item, int)}
        if named:
            positions |= {i for i, r in enumerate(self.records) if id(r) in named}
        return self.pick([i for i in range(len(self)) if i not in positions])

    def pick(self, positions: Sequence[int]) -> SinkBatch:
        """Return the batch of the records at these positions, which are in order."""
        if not positions:  # at the end of each batch that was sent whole
            return SinkBatch()
        records = [self.records[i] for i in positions] if self.records else ()
        encoded = [self._encoded[i] for i in positions] if self._encoded else ()
        if not self.blocks:
            return SinkBatch(records, encoded, nbytes=sum(map(len, encoded)))
        ends = list(accumulate(self.sizes))
        whole = b"".join(self.blocks)
        block = b"".join([whole[ends[i] - self.sizes[i] : ends[i]] for i in positions])
        sizes = [self.sizes[i] for i in positions]
        return SinkBatch(records, encoded, [memoryview(block)], sizes, len(block))


@runtime_checkable
class Sink(Protocol):
    """Where records go: the only plug-in that awaits the world.

    `open` is called once on the pipeline's loop before the first batch, `aclose` once after the
    last; `send` is never called twice at a time. `send` raises `Retryable` for what may work
    later and `Rejected` for records that never will; anything else, and a send that takes longer
    than the route's timeout, counts as a failure of all that `batch.advance` has not passed.

    A sink may have attributes: `name: str`; `route_defaults: dict`, the options that a Route
    takes on where its user says nothing; `wants_blocks = True`, see `SinkBatch`;
    `one_by_one = True`, if whatever `send` raises concerns only the first record not passed, and
    the others are yet to be sent; `tell`, which its route replaces by a function that takes a text,
    from any thread, and tells in band of trouble that cost no record.
    """

    async def open(self) -> None: ...

    async def send(self, batch: SinkBatch, /) -> None: ...

    async def aclose(self) -> None: ...


@runtime_checkable
class Encoder(Protocol):
    """`Record -> bytes`, pure: no I/O, no waiting. Called on the loop.

    Encoders that are equal (`==`, with a hash to match) encode a record once for all their routes.
    For speed, an encoder may have `encode_into(records, write) -> list[int] | None` as well, which
    calls `write` with each record's bytes and returns what each call returned. Or None, if each is
    one line: it ends with a line feed, and has no other; then `write` may be given several at once.
    """

    def encode(self, record: Record, /) -> bytes: ...


class Intake(Protocol):
    """Who takes a logger's records: a pipeline's door, or what starts the default pipeline.

    On the thread `ident`, a record without an `extra` may be appended to `queue` while that is
    shorter than `mark`, and that is all. Otherwise the first two ways are for calls on that thread,
    the last two for calls from any other. None of them raises.

    The task that a call on that thread comes from is what `task_of` says of `task_key`. It has a
    `name`, as trio's do, or a `get_name()`.
    """

    ident: int
    thread: str
    task_key: Any
    tasks_have_names: bool
    queue: deque[Record]
    mark: int

    @property
    def task_of(self) -> Callable[[Any], Any]: ...

    def submit(self, record: Record, /) -> None: ...

    def asubmit(self, record: Record, /) -> Coroutine[Any, Any, None]: ...

    def submit_from_afar(self, record: Record, /) -> None: ...

    def asubmit_from_afar(self, record: Record, /) -> Coroutine[Any, Any, None]: ...

    def wants(self, level_no: int, /) -> bool: ...


class Controls(Protocol):
    """What a logger may ask of the current pipeline."""

    def add(self, sink: Any, /, **route_options: Any) -> str: ...

    def remove(self, route_id: str, /) -> None: ...

    def add_callback(
        self, function: Callable[[dict[str, Any]], Any], name: str | None = None
    ) -> str: ...

    def remove_callback(self, callback_id: str, /) -> None: ...

    def configure(
        self, *, level: str | int | None, json: bool | None, color: bool | None
    ) -> None: ...

    def complete(self, timeout: float | None = None) -> FlushReport: ...

    async def flush(self, timeout: float | None = None) -> FlushReport: ...

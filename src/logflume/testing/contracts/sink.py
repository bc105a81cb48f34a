"""The contract of sinks."""

from __future__ import annotations

import inspect
import types
from collections.abc import Awaitable, Callable, Coroutine, Generator, Sequence
from typing import Any

import anyio
import pytest

from ...engine.pipeline import Pipeline
from ...engine.route import Route
from ...errors import Rejected, Retryable
from ...protocols import Sink, SinkBatch
from ...record import Record
from ..made import record_of
from ..odd import odd_records
from ._shared import BACKENDS, fail_for, look, run

__all__ = ["SinkContract"]

each_backend = pytest.mark.parametrize("backend", list(BACKENDS))


class SinkContract:
    """What a pipeline expects of a sink. Say how to `make` one.

    `make` is called on a running loop; each time, it makes a new sink that goes to a place that is
    still empty. If what came there can be looked at, let `arrived` return it. `within` is how many
    seconds each test may take.
    """

    within: float = 10.0

    def make(self) -> Sink:
        """Return a new sink, not yet open."""
        raise NotImplementedError(f"{type(self).__name__}.make: how is the sink made?")

    def arrived(self) -> Sequence[bytes] | None:
        """Return what came to where the last sink writes, a record each; None if nobody knows.

        Called after it was closed.
        """
        return None

    def _run(self, backend: str, test: Callable[[], Awaitable[None]]) -> None:
        run(backend, test, self.within)

    def _check_arrived(self, expected: Sequence[bytes]) -> None:
        arrived = self.arrived()
        if arrived is not None and any(expected):
            same = "what arrived is to be what was sent, once and in its order"
            assert list(arrived) == list(expected), same

    @each_backend
    def test_a_route_takes_it(self, backend: str) -> None:
        """It has the methods of a sink, and defaults that mean something."""

        async def test() -> None:
            sink = self.make()
            assert isinstance(sink, Sink), "open, send or aclose is missing"
            for method in (sink.open, sink.send, sink.aclose):
                assert inspect.iscoroutinefunction(method), f"{method} is to be async"
            options = inspect.signature(Route).parameters.keys() - {"sink", "name"}
            unknown = sorted(getattr(sink, "route_defaults", {}).keys() - options)
            assert not unknown, f"route_defaults: a Route has no {', '.join(unknown)}"
            Route(sink)

        self._run(backend, test)

    @each_backend
    def test_it_takes_batches_in_their_order(self, backend: str) -> None:
        """Opened once, sent several batches one after the other, closed once."""
        expected: list[bytes] = []

        async def test() -> None:
            sink = self.make()
            await sink.open()
            for size in (1, 3, 100):
                records = [record_of("record {n}", n=n) for n in range(size)]
                batch, encoded = batch_for(sink, records)
                expected.extend(encoded)
                await sink.send(batch)
            await sink.aclose()

        self._run(backend, test)
        self._check_arrived(expected)

    @each_backend
    def test_it_may_be_closed_without_a_record(self, backend: str) -> None:
        """As when nothing was logged."""

        async def test() -> None:
            sink = self.make()
            await sink.open()
            await sink.aclose()

        self._run(backend, test)

    @each_backend
    def test_a_batch_may_be_empty(self, backend: str) -> None:
        """It is nothing, and so is what comes of it."""

        async def test() -> None:
            sink = self.make()
            await sink.open()
            await sink.send(SinkBatch())
            await sink.aclose()

        self._run(backend, test)
        assert not self.arrived(), "nothing was sent, and something arrived"

    @each_backend
    def test_it_survives_odd_records(self, backend: str) -> None:
        """It takes them, or says so by `Rejected` or `Retryable`; and goes on with the next."""
        failed: dict[str, str] = {}
        last: list[bytes] = []

        async def test() -> None:
            sink = self.make()
            await sink.open()
            for odd, record in odd_records().items():
                batch, _ = batch_for(sink, [record])
                try:
                    await sink.send(batch)
                except (Rejected, Retryable):
                    pass
                except Exception as error:
                    failed[odd] = repr(error)
            if not failed:
                batch, encoded = batch_for(sink, [record_of("after all the odd ones")])
                last.extend(encoded)
                await sink.send(batch)
            await sink.aclose()

        self._run(backend, test)
        fail_for(failed)
        arrived = self.arrived() if last else None
        if arrived is not None:
            assert list(arrived[-1:]) == last, "the record after the odd ones did not arrive"

    @each_backend
    def test_it_changes_nothing_of_a_batch(self, backend: str) -> None:
        """Other sinks have the same lists and records."""

        async def test() -> None:
            sink = self.make()
            await sink.open()
            batch, _ = batch_for(sink, [record_of("{n}", n=n, tags=["a"]) for n in range(3)])
            before = look_of_batch(batch)
            await sink.send(batch)
            assert look_of_batch(batch) == before, "the batch, or a record, is another one now"
            await sink.aclose()

        self._run(backend, test)

    @each_backend
    def test_a_cancelled_send_leaves_it_able_to_go_on(self, backend: str) -> None:
        """As after a route's time limit: at its first await and at a later one, if it has them."""

        async def test() -> None:
            sink = self.make()
            await sink.open()
            batch, _ = batch_for(sink, [record_of("cancelled")])
            with anyio.CancelScope() as scope:
                scope.cancel()
                await _unless_swallowed(sink.send(batch))
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(sink.send, batch_for(sink, [record_of("cancelled, too")])[0])
                await anyio.lowlevel.checkpoint()
                tasks.cancel_scope.cancel()
            await sink.send(batch_for(sink, [record_of("not cancelled")])[0])
            await sink.aclose()

        self._run(backend, test)
        arrived = self.arrived()
        came = arrived is None or b"not cancelled" in b"".join(arrived)
        assert came, "what was sent after the cancelled one did not arrive"

    @each_backend
    def test_it_can_be_closed_after_a_cancelled_open(self, backend: str) -> None:
        """`aclose` is called whether `open` came to its end or not."""

        async def test() -> None:
            sink = self.make()
            with anyio.CancelScope() as scope:
                scope.cancel()
                await sink.open()
            await sink.aclose()

        self._run(backend, test)

    @each_backend
    def test_it_delivers_what_a_pipeline_gives_it(self, backend: str) -> None:
        """All that was logged, and the ledger says the same."""

        async def test() -> None:
            async with Pipeline(self.make(), level="INFO") as pipeline:
                for n in range(10):
                    await pipeline.door.asubmit(record_of("record {n}", n=n))
            (counts,) = pipeline.stats().routes.values()
            assert (counts.received, counts.delivered, counts.pending) == (10, 10, 0), counts

        self._run(backend, test)
        arrived = self.arrived()
        count = 10 if arrived is None else len(arrived)
        assert count == 10, "the ledger says 10 delivered, another number arrived"

    @each_backend
    def test_a_cancelled_pipeline_still_closes_it(self, backend: str) -> None:
        """What was accepted is settled, in bounded time."""

        async def test() -> None:
            with anyio.CancelScope() as scope:
                async with Pipeline(self.make(), level="INFO", shutdown_timeout=1.0) as pipeline:
                    await pipeline.door.asubmit(record_of("the last one"))
                    scope.cancel()
                    await anyio.sleep_forever()
            (counts,) = pipeline.stats().routes.values()
            assert counts.balanced, counts
            assert counts.pending == 0, counts

        self._run(backend, test)


@types.coroutine
def _unless_swallowed(send: Coroutine[Any, Any, None]) -> Generator[Any, Any, None]:
    """Await a send that is cancelled: it may end, but not as if nothing had been. What is thrown
    in is seen on asyncio; on trio, cancellation is no matter of who runs the coroutine."""
    thrown: BaseException | None = None
    value: Any = None
    while True:
        try:
            wanted = send.send(value) if thrown is None else send.throw(thrown)
        except StopIteration:
            swallowed = isinstance(thrown, anyio.get_cancelled_exc_class())
            assert not swallowed, "send swallowed its cancellation: raise it again"
            return
        value, thrown = None, None
        try:
            value = yield wanted
        except BaseException as error:
            thrown = error


def batch_for(sink: Sink, records: list[Record]) -> tuple[SinkBatch, list[bytes]]:
    """Return a batch as this sink's route makes it, and the bytes of its records."""
    encoder = Route(sink).encoder
    encoded = [] if encoder is None else [encoder.encode(record) for record in records]
    size = sum(map(len, encoded))
    if getattr(sink, "wants_blocks", False):
        blocks = [memoryview(b"".join(encoded))]
        return SinkBatch(blocks=blocks, sizes=[len(it) for it in encoded], nbytes=size), encoded
    return SinkBatch(records, list(encoded), nbytes=size), encoded


def look_of_batch(batch: SinkBatch) -> list[Any]:
    """Return all that a sink can see of a batch, to be compared with what it is afterwards."""
    looks = [look(record) for record in batch.records]
    return [looks, list(batch.encoded), [bytes(it) for it in batch.blocks], list(batch.sizes)]

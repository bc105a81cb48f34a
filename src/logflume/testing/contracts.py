"""The tests that every sink, encoder and processor should pass, for plug-ins of your own, too.

Subclass one in a test module of yours, under a name that pytest collects, and say how to make the
plug-in; add tests of its own below:

    class TestMySink(SinkContract):
        def make(self) -> MySink:
            return MySink("localhost", 1234)

        def test_it_says_where_it_is(self) -> None: ...

The tests run the loops by themselves (asyncio, uvloop and trio, as far as they are installed), so
that no plugin for async tests is needed. What `make` needs of pytest, a fixture of the class that
says `autouse=True` can put on `self`, which is another one for each test.
"""

from __future__ import annotations

import importlib.util
import inspect
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import anyio
import pytest

from ..encoders import Json
from ..engine.pipeline import Pipeline
from ..engine.route import Route
from ..errors import Rejected, Retryable
from ..protocols import Encoder, Processor, Sink, SinkBatch
from ..record import Record
from ..snapshot import safe_repr
from .made import record_of
from .odd import odd_records

__all__ = ["EncoderContract", "ProcessorContract", "SinkContract"]

_BACKENDS: dict[str, dict[str, Any]] = {"asyncio": {"backend": "asyncio"}}
if importlib.util.find_spec("uvloop") is not None:
    _BACKENDS["uvloop"] = {"backend": "asyncio", "backend_options": {"use_uvloop": True}}
if importlib.util.find_spec("trio") is not None:
    _BACKENDS["trio"] = {"backend": "trio"}

each_backend = pytest.mark.parametrize("backend", list(_BACKENDS))


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
        async def main() -> None:
            with anyio.fail_after(self.within):
                await test()

        anyio.run(main, **_BACKENDS[backend])

    def _check_arrived(self, expected: Sequence[bytes]) -> None:
        arrived = self.arrived()
        if arrived is not None and any(expected):
            assert list(arrived) == list(expected)

    @each_backend
    def test_a_route_takes_it(self, backend: str) -> None:
        """It has the methods of a sink, and defaults that mean something."""

        async def test() -> None:
            sink = self.make()
            assert isinstance(sink, Sink), "open, send or aclose is missing"
            for method in (sink.open, sink.send, sink.aclose):
                assert inspect.iscoroutinefunction(method), f"{method} is to be async"
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
                batch, encoded = _batch_for(sink, records)
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
        assert not self.arrived()

    @each_backend
    def test_it_survives_odd_records(self, backend: str) -> None:
        """It takes them, or says so by `Rejected` or `Retryable`; and goes on with the next."""
        failed: dict[str, str] = {}

        async def test() -> None:
            sink = self.make()
            await sink.open()
            for odd, record in odd_records().items():
                batch, _ = _batch_for(sink, [record])
                try:
                    await sink.send(batch)
                except (Rejected, Retryable):
                    pass
                except Exception as error:
                    failed[odd] = repr(error)
            await sink.aclose()

        self._run(backend, test)
        _raise(failed)

    @each_backend
    def test_it_changes_nothing_of_a_batch(self, backend: str) -> None:
        """Other sinks have the same lists and records."""

        async def test() -> None:
            sink = self.make()
            await sink.open()
            batch, _ = _batch_for(sink, [record_of("{n}", n=n, tags=["a"]) for n in range(3)])
            before = _look_of_batch(batch)
            await sink.send(batch)
            assert _look_of_batch(batch) == before
            await sink.aclose()

        self._run(backend, test)

    @each_backend
    def test_a_cancelled_send_leaves_it_able_to_go_on(self, backend: str) -> None:
        """As after a route's time limit: at its first await and at a later one, if it has them."""

        async def test() -> None:
            sink = self.make()
            await sink.open()
            batch, _ = _batch_for(sink, [record_of("cancelled")])
            with anyio.CancelScope() as scope:
                scope.cancel()
                await sink.send(batch)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(sink.send, _batch_for(sink, [record_of("cancelled, too")])[0])
                await anyio.lowlevel.checkpoint()
                tasks.cancel_scope.cancel()
            await sink.send(_batch_for(sink, [record_of("not cancelled")])[0])
            await sink.aclose()

        self._run(backend, test)
        arrived = self.arrived()
        assert arrived is None or b"not cancelled" in b"".join(arrived)

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
        assert arrived is None or len(arrived) == 10

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


class EncoderContract:
    """What a route expects of an encoder. Say how to `make` one.

    `lines = False` is for formats that do not write just one line of text per record.
    """

    lines: bool = True

    def make(self) -> Encoder:
        """Return an encoder; called again, one that is equal."""
        raise NotImplementedError(f"{type(self).__name__}.make: how is the encoder made?")

    def test_a_route_takes_it(self) -> None:
        """It has an `encode`, which is not async."""
        encoder = self.make()
        assert isinstance(encoder, Encoder)
        assert not inspect.iscoroutinefunction(encoder.encode)

    def test_any_record_gives_bytes(self) -> None:
        """Whatever is in it, and the same again."""
        encoder = self.make()

        def check(record: Record) -> None:
            encoded = encoder.encode(record)
            assert type(encoded) is bytes
            assert encoder.encode(record) == encoded

        _raise(_failures(check))

    def test_it_changes_nothing_of_a_record(self) -> None:
        """Other routes have the same one."""
        encoder = self.make()

        def check(record: Record) -> None:
            before = _look(record)
            encoder.encode(record)
            assert _look(record) == before

        _raise(_failures(check))

    def test_a_record_is_one_line(self) -> None:
        """Of valid UTF-8, ended by a line feed; no control character in it can forge another one,
        or be one for a terminal."""
        if not self.lines:
            pytest.skip("this format does not consist of lines")
        encoder = self.make()

        def check(record: Record) -> None:
            encoded = encoder.encode(record)
            assert encoded.endswith(b"\n"), "there is no line feed at its end"
            encoded.decode("utf-8")
            controls = sorted({byte for byte in encoded[:-1] if byte < 0x20 and byte != 0x09})
            assert not controls, f"there are control characters in it: {bytes(controls)!r}"

        _raise(_failures(check))

    def test_it_encodes_what_was_logged(self) -> None:
        """Another message gives other bytes."""
        encoder = self.make()
        assert encoder.encode(record_of("one")) != encoder.encode(record_of("two"))

    def test_those_that_are_made_alike_are_equal(self) -> None:
        """With a hash to match: routes with equal ones share the bytes. It equals nothing else."""
        one, other = self.make(), self.make()
        assert one == other
        assert hash(one) == hash(other)
        assert one != object()

    def test_the_fast_way_writes_the_same(self) -> None:
        """`encode_into`, if it has that, writes just what `encode` returns."""
        encoder = self.make()
        encode_into = getattr(encoder, "encode_into", None)
        if encode_into is None:
            pytest.skip("it has no encode_into")
        records = list(odd_records().values())
        written: list[bytes] = []

        def write(encoded: bytes) -> int:
            written.append(bytes(encoded))
            return len(encoded)

        sizes = encode_into(records, write)
        assert written == [encoder.encode(record) for record in records]
        assert list(sizes) == list(map(len, written))


class ProcessorContract:
    """What a pipeline expects of a processor. Say how to `make` one; it may be async."""

    def make(self) -> Processor:
        """Return a processor that has seen nothing yet. Called on a running loop."""
        raise NotImplementedError(f"{type(self).__name__}.make: how is the processor made?")

    def _run(self, test: Callable[[], Awaitable[None]]) -> None:
        anyio.run(test, **_BACKENDS["asyncio"])

    def _check_each(self, check: Callable[[Record], Awaitable[None]]) -> None:
        failed: dict[str, str] = {}

        async def test() -> None:
            for odd, record in odd_records().items():
                try:
                    await check(record)
                except Exception as error:
                    failed[odd] = f"{type(error).__name__}: {error}"

        self._run(test)
        _raise(failed)

    def test_it_returns_records_and_changes_none(self) -> None:
        """A record, several or None, whatever is in it; changes are made in copies."""

        async def check(record: Record) -> None:
            before = _look(record)
            await _out_of(self.make(), record)
            assert _look(record) == before, "the record that it was given is another one now"

        self._check_each(check)

    def test_what_it_returns_can_be_written(self) -> None:
        """By `encoders.Json`, and as the dict that callbacks get."""

        async def check(record: Record) -> None:
            for returned in await _out_of(self.make(), record):
                returned.to_dict()
                assert Json().encode(returned).endswith(b"\n")

        self._check_each(check)

    def test_inline_ones_return_nothing_to_await(self) -> None:
        """`inline = True` promises that."""

        async def test() -> None:
            processor = self.make()
            if not getattr(processor, "inline", False):
                pytest.skip("it is not inline")
            result = processor(record_of("said"))
            assert not inspect.isawaitable(result)

        self._run(test)

    def test_what_passes_comes_out_as_it_went_in(self) -> None:
        """Where `passes` says so, the processor is not called at all."""

        async def test() -> None:
            passes = getattr(self.make(), "passes", None)
            if passes is None:
                pytest.skip("it has no passes")
            for odd, record in odd_records().items():
                if self.make().passes([record]):  # type: ignore[attr-defined]
                    before = _look(record)
                    out = await _out_of(self.make(), record)
                    assert [_look(it) for it in out] == [before], odd

        self._run(test)

    def test_what_it_keeps_back_it_gives_out_or_forgets(self) -> None:
        """`release` gives out records until `due` says None; after `forget`, there are none."""

        async def test() -> None:
            if getattr(self.make(), "due", None) is None:
                pytest.skip("it keeps nothing back")
            await self._check_that_it_leaves("release")
            await self._check_that_it_leaves("forget")

        self._run(test)

    async def _check_that_it_leaves(self, how: str) -> None:
        processor: Any = self.make()
        for _ in range(10):
            await _out_of(processor, record_of("said"))
        due = processor.due()
        assert due is None or isinstance(due, int | float), f"due() gives {due!r}"
        left = getattr(processor, how)()
        assert all(isinstance(record, Record) for record in left or ())
        assert processor.due() is None, f"after {how}(), due() is to say None"

    def test_it_runs_in_a_pipeline(self) -> None:
        """Which fails for none of its records."""

        async def test() -> None:
            taken: list[dict[str, Any]] = []
            if hasattr(self.make(), "due"):  # or the pipeline would ask it for ever
                await self._check_that_it_leaves("release")

            async def keep(record: dict[str, Any]) -> None:
                taken.append(record)

            async with Pipeline(keep, processors=[self.make()], level="INFO") as pipeline:
                for n in range(3):
                    await pipeline.door.asubmit(record_of("record {n}", n=n))
            assert pipeline.stats().door.balanced
            assert not [it for it in taken if "logflume.failed_processor" in it["fields"]]

        self._run(test)


def _failures(check: Callable[[Record], None]) -> dict[str, str]:
    """Check all odd records, and return what went wrong with which."""
    failed: dict[str, str] = {}
    for odd, record in odd_records().items():
        try:
            check(record)
        except Exception as error:
            failed[odd] = f"{type(error).__name__}: {error}"
    return failed


def _raise(failed: dict[str, str]) -> None:
    __tracebackhide__ = True
    if failed:
        told = "\n".join(f"  {odd}: {error}" for odd, error in failed.items())
        raise AssertionError(f"{len(failed)} of the odd records:\n{told}")


def _batch_for(sink: Sink, records: list[Record]) -> tuple[SinkBatch, list[bytes]]:
    """Return a batch as this sink's route makes it, and the bytes of its records."""
    encoder = Route(sink).encoder
    encoded = [] if encoder is None else [encoder.encode(record) for record in records]
    size = sum(map(len, encoded))
    if getattr(sink, "wants_blocks", False):
        blocks = [memoryview(b"".join(encoded))]
        return SinkBatch(blocks=blocks, sizes=[len(it) for it in encoded], nbytes=size), encoded
    return SinkBatch(records, list(encoded), nbytes=size), encoded


async def _out_of(processor: Processor, record: Record) -> list[Record]:
    result: Any = processor(record)
    if inspect.isawaitable(result):
        result = await result
    if result is None:
        return []
    records = [result] if isinstance(result, Record) else list(result)
    for it in records:
        assert isinstance(it, Record), f"it returned {type(it).__name__}, not a Record"
    return records


def _look(record: Record) -> list[str]:
    """Return all that a record says, as text: values that equal nothing can be compared."""
    parts = (
        record.to_dict(), record.time_ns, record.template, record.args, record.call_fields,
        record.bound, record.context, record.extra,
    )  # fmt: skip
    return [safe_repr(part) for part in parts]


def _look_of_batch(batch: SinkBatch) -> list[Any]:
    looks = [_look(record) for record in batch.records]
    return [looks, list(batch.encoded), [bytes(it) for it in batch.blocks], list(batch.sizes)]

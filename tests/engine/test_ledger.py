"""received = delivered + filtered + dropped + pending: at every moment, from any thread."""

from __future__ import annotations

import threading

import anyio
import pytest
from anyio.lowlevel import checkpoint

from logflume import Batch, Pipeline, Record, Retry, Route, SinkBatch, Stats, encoders, get_logger
from tests.fakes import Collect, Flaky, Gate, Hang, Raising, Rejecting, may_block

log = get_logger("tests.ledger")


def assert_balanced(stats: Stats) -> None:
    for name, counts in {"door": stats.door, **stats.routes}.items():
        assert counts.balanced, f"{name}: {counts}"
        assert counts.pending >= 0, f"{name}: {counts}"
        assert min([0, *counts.dropped.values()]) == 0, f"{name}: {counts}"


def misbehaving() -> list[Route]:
    return [
        Route(Collect("plain")),
        Route(Collect("some"), level="WARNING", filter=lambda r: r.fields.get("n", 0) % 3 > 0),
        Route(Flaky(3), retry=Retry(initial=0.0), batch=Batch(max_records=7)),
        Route(Rejecting(lambda r: r.fields.get("n", 0) % 5 == 0), batch=Batch(max_records=11)),
        Route(Raising(), batch=Batch(max_records=3)),
        Route(Hang(), timeout=0.01, batch=Batch(max_records=50)),
        Route(Gate(), buffer_records=10),
    ]


async def test_the_sum_holds_while_everything_goes_wrong() -> None:
    """Sampled from another thread under load, no look ever finds a sum that does not hold."""
    routes = misbehaving()
    gate = routes[-1].sink
    over = threading.Event()
    problems: list[str] = []
    looks = 0

    def odd(record: Record) -> Record | None:
        if record.fields.get("n", 0) % 7 == 0:
            return None
        if record.fields.get("n", 0) % 11 == 0:
            raise ValueError("a processor's bug")
        return record

    pipeline = Pipeline(*routes, processors=[odd], capacity=50, shutdown_timeout=2.0)

    def sample() -> None:
        nonlocal looks
        while not over.is_set():
            looks += 1
            try:
                assert_balanced(pipeline.stats())
            except AssertionError as error:
                problems.append(str(error))

    def log_from_afar() -> None:
        for n in range(300):
            log.warning("from afar", n=n)

    sampler = threading.Thread(target=sample)
    async with pipeline:
        sampler.start()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(anyio.to_thread.run_sync, log_from_afar)
            for n in range(300):
                await log.ainfo("waits", n=n)
                log.error("does not wait", n=n)
                if n % 20 == 0:
                    await checkpoint()
        assert isinstance(gate, Gate)
        gate.let_through()
        await pipeline.flush()
        assert_balanced(pipeline.stats())
    over.set()
    with may_block():
        sampler.join()
    assert not problems, problems[:3]
    assert looks > 10
    stats = pipeline.stats()
    assert_balanced(stats)
    assert stats.door.pending == 0
    assert [c.pending for c in stats.routes.values()] == [0] * len(routes)
    assert stats.door.received == 900


async def test_what_the_door_delivers_every_route_receives() -> None:
    """Each route is offered what the door delivered, and says what it filtered."""
    everything, errors = Collect("everything"), Collect("errors")
    async with Pipeline(everything, Route(errors, level="ERROR")) as pipeline:
        for n in range(10):
            await log.alog("ERROR" if n % 2 else "INFO", "one", n=n)
        await pipeline.flush()
        stats = pipeline.stats()
    assert stats.door.delivered == 10
    assert stats.routes["everything"].received == stats.routes["errors"].received == 10
    assert stats.routes["errors"].filtered == 5
    assert stats.routes["errors"].delivered == 5


async def test_a_processor_filters_at_the_door() -> None:
    """Records that a processor turns to None are filtered, not dropped."""
    sink = Collect()
    async with Pipeline(sink, processors=[lambda r: None]) as pipeline:
        await log.ainfo("gone")
        await pipeline.flush()
        assert pipeline.stats().door.filtered == 1
    assert sink.messages == []


async def test_a_hung_sink_leaves_nothing_pending_after_close() -> None:
    """What a sink did not deliver in time is counted under "shutdown"."""
    sink = Hang()
    async with Pipeline(sink, shutdown_timeout=0.05) as pipeline:
        for n in range(5):
            await log.ainfo("stuck", n=n)
        while pipeline.stats().routes["hang"].received < 5:
            await checkpoint()
    counts = pipeline.stats().routes["hang"]
    assert counts.pending == 0
    assert counts.dropped == {"shutdown": 5}


async def test_bytes_and_records_of_a_delivery_are_counted() -> None:
    """`bytes` is what was delivered, encoded."""
    sink = Collect()
    async with Pipeline(Route(sink, encoder=encoders.Json())) as pipeline:
        await log.ainfo("one", n=1)
        await pipeline.flush()
        assert pipeline.stats().routes["collect"].bytes == len(b"".join(sink.encoded)) > 0


async def test_an_advance_beyond_the_batch_counts_no_more_than_there_is() -> None:
    """A sink that miscounts cannot unbalance the ledger."""

    class Miscounting(Collect):
        async def send(self, batch: SinkBatch, /) -> None:
            batch.advance(-1)
            batch.advance(1_000)

    async with Pipeline(Miscounting()) as pipeline:
        await log.ainfo("one")
        await pipeline.flush()
        counts = pipeline.stats().routes["collect"]
    assert (counts.delivered, counts.pending) == (1, 0)


async def test_drops_are_told_in_band() -> None:
    """A loss shows up as a record of its own on the routes, with its reason and number."""
    sink, gate = Collect(), Gate()
    async with Pipeline(sink, Route(gate, buffer_records=1)) as pipeline:
        log.info("first")
        await gate.entered.wait()
        for _ in range(1_204):
            await log.ainfo("more")
        await sink.until(1_206)
        (told,) = [r for r in sink.records if r.logger == "logflume"]
        assert told.message == "1,203 records dropped by route 'gate': buffer full"
        assert told.fields == {"route": "gate", "reason": "buffer full", "count": 1_203}
        assert told.level.name == "WARNING"
        gate.let_through()
        assert (await pipeline.flush()).complete


async def test_drops_are_told_at_most_every_few_seconds() -> None:
    """A sink that fails at each record is told of a few times, not once for each."""
    sink = Collect()
    async with Pipeline(sink, Raising()) as pipeline:
        for _ in range(20):
            await log.ainfo("one")
            await pipeline.flush()
        await sink.until(21)
        for _ in range(20):
            await log.ainfo("one")
            await pipeline.flush()
        told = [r.message for r in sink.records if r.logger == "logflume"]
    assert len(told) == 1
    assert "dropped by route 'raising': error (RuntimeError: a bug)" in told[0]


async def test_the_last_losses_are_told_before_closing() -> None:
    """What was lost just before the end is told in band too, at the end."""
    sink = Collect()
    async with Pipeline(sink, Raising()) as pipeline:
        await log.ainfo("one")
        await pipeline.flush()
    assert [r.logger for r in sink.records].count("logflume") == 1


async def test_losses_with_nobody_to_tell_go_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    """When the only route is the one that fails, stderr is told."""
    async with Pipeline(Raising()) as pipeline:
        await log.ainfo("one")
        await pipeline.flush()
    told = capsys.readouterr().err
    assert "1 record dropped by route 'raising': error (RuntimeError: a bug)" in told

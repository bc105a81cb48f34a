"""A route: what it takes, when it sends, what it does about failures, and whom they harm."""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import anyio
import pytest

from logflume import (
    Batch,
    ConfigurationError,
    Pipeline,
    PipelineError,
    Record,
    Rejected,
    Retry,
    Retryable,
    Route,
    RouteCounts,
    SinkBatch,
    encoders,
    get_logger,
)
from logflume.engine import backend, delivery
from tests.fakes import (
    Collect,
    Flaky,
    Gate,
    Hang,
    Raising,
    Rejecting,
    Slow,
    Unopenable,
    name_of_case,
)

log = get_logger("tests.route")
AT_ONCE = Retry(initial=0.0)

on_asyncio = pytest.mark.parametrize(
    "anyio_backend",
    [("asyncio", {"use_uvloop": False}), ("asyncio", {"use_uvloop": True})],
    ids=["asyncio", "uvloop"],
)
"""Where a task can be cancelled by itself, past all scopes."""


async def sent_to(route: Route | Collect, count: int = 1, **settings: Any) -> RouteCounts:
    """Log some records to a pipeline with this route, and return what it counted."""
    async with Pipeline(route, **settings) as pipeline:
        for n in range(count):
            await log.ainfo("{n}", n=n)
        await pipeline.flush(10)
        (counts,) = pipeline.stats().routes.values()
        return counts


# What it takes.


async def test_the_level_decides() -> None:
    """Records below the route's level are filtered and counted so."""
    sink = Collect()
    async with Pipeline(Route(sink, level="WARNING")) as pipeline:
        for level in ("INFO", "WARNING", "ERROR"):
            await log.alog(level, level)
        await pipeline.flush()
        assert pipeline.stats().routes["collect"].filtered == 1
    assert sink.messages == ["WARNING", "ERROR"]


async def test_the_filter_decides() -> None:
    """Records that the filter refuses are filtered."""
    sink = Collect()
    counts = await sent_to(Route(sink, filter=lambda r: r.fields["n"] % 2 == 1), 4)
    assert sink.messages == ["1", "3"]
    assert counts.filtered == 2


async def test_a_filter_that_raises_lets_the_record_pass() -> None:
    """A broken filter loses nothing, and the ledger says what is wrong with it."""
    sink = Collect()

    def broken(record: Record) -> bool:
        raise KeyError("nothing")

    counts = await sent_to(Route(sink, filter=broken))
    assert sink.messages[0] == "0"
    assert counts.last_error is not None
    assert "filter failed" in counts.last_error


async def test_a_filter_that_logs_does_not_go_round_in_circles() -> None:
    """What a route's filter or encoder logs is not sent to that route."""
    first, second = Collect("first"), Collect("second")

    def talkative(record: Record) -> bool:
        log.info("looking at {message}", message=record.message[:20])
        return True

    async with Pipeline(Route(first, filter=talkative), Route(second, filter=talkative)) as p:
        await log.ainfo("one")
        for _ in range(5):
            await p.flush(5)
        assert p.stats().door.received <= 5
        assert first.messages[0] == "one"


async def test_secrets_in_a_sink_s_error_are_not_told(capsys: pytest.CaptureFixture[str]) -> None:
    """Not in the statistics, not in band, and not on stderr."""

    class Chatty(Collect):
        async def send(self, batch: object) -> None:
            raise OSError("no answer from https://app:hunter2@db/?token=hunter2 " + "x" * 300)

        async def aclose(self) -> None:
            raise OSError("password=hunter2")

    other = Collect("other")
    async with Pipeline(Chatty("chatty"), other) as pipeline:
        await log.ainfo("one")
        await pipeline.flush(5)
        told = str(pipeline.stats().routes["chatty"].last_error)
    assert told.startswith("OSError: no answer from https://app:[redacted]@db")
    text = told + str(other.messages) + str(capsys.readouterr())
    assert "close failed" in text
    assert "hunter2" not in text


async def test_a_sink_s_error_cannot_forge_lines_on_stderr(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Control characters are shown as escapes there, too."""

    class Chatty(Collect):
        async def aclose(self) -> None:
            raise OSError("a\r\x1b[31mb\u202e")

    async with Pipeline(Chatty("chatty")):
        await log.ainfo("one")
    told = capsys.readouterr().err
    assert "close failed" in told
    assert not set("\r\x1b\u202e") & set(told)


# Batches.


async def test_a_batch_has_at_most_max_records() -> None:
    """What piles up is sent in batches of max_records."""
    sink = Collect()
    await sent_to(Route(sink, batch=Batch(max_records=4, max_age=60.0)), 10)
    assert [len(batch) for batch in sink.batches] == [4, 4, 2]


async def test_a_batch_has_at_most_max_bytes() -> None:
    """A batch ends before it exceeds max_bytes; one larger record goes alone."""
    sink = Collect()
    route = Route(
        sink, encoder=encoders.Json(), batch=Batch(max_bytes=100, max_age=60.0), overflow="drop"
    )
    await sent_to(route, 5)
    assert [len(batch) for batch in sink.batches] == [1] * 5


async def test_a_batch_waits_for_its_age() -> None:
    """With max_age, records are sent once the first has waited that long."""
    sink = Collect()
    async with Pipeline(Route(sink, batch=Batch(max_age=1.0))):
        for n in range(3):
            await log.ainfo(str(n))
        assert sink.batches == []
        await sink.until(3)
    assert len(sink.batches) == 1


async def test_a_flush_does_not_wait_for_the_age() -> None:
    """Flushing sends what is there at once."""
    sink = Collect()
    with anyio.fail_after(10):
        counts = await sent_to(Route(sink, batch=Batch(max_age=3600.0)), 3)
    assert counts.delivered == 3


async def test_closing_does_not_wait_for_the_age() -> None:
    """Closing sends what is there at once."""
    sink = Collect()
    with anyio.fail_after(20):
        async with Pipeline(Route(sink, batch=Batch(max_age=3600.0))):
            await log.ainfo("one")
    assert sink.messages == ["one"]


async def test_order_is_kept() -> None:
    """Records reach the sink in the order of their calls, whatever the batches."""
    sink = Collect()
    await sent_to(Route(sink, batch=Batch(max_records=3)), 100)
    assert sink.messages == [str(n) for n in range(100)]


# Failures.


async def test_a_retryable_batch_is_sent_again() -> None:
    """The same batch is sent until it succeeds, and repeats are counted."""
    sink = Flaky(3)
    counts = await sent_to(Route(sink, retry=AT_ONCE), 2)
    assert sink.messages == ["0", "1"]
    assert (counts.retries, counts.delivered) == (3, 2)
    assert counts.last_error == "Retryable: not now"


async def test_attempts_are_bounded() -> None:
    """After `attempts` sends the batch is dropped and counted; the next one has its own."""
    sink = Flaky(3)
    route = Route(sink, retry=Retry(attempts=3, initial=0.0), batch=Batch(max_records=1))
    counts = await sent_to(route, 2)
    assert sink.messages == ["1"]
    assert counts.dropped == {"retries exhausted": 1}


async def test_retry_after_is_honoured() -> None:
    """The pause before a repeat is at least what the sink asked for."""
    sink = Flaky(1, retry_after=0.15)
    started = anyio.current_time()
    await sent_to(Route(sink, retry=AT_ONCE))
    assert anyio.current_time() - started > 0.149
    assert sink.messages == ["0"]


@pytest.mark.parametrize("retry_after", [1e9, math.inf])
async def test_a_retry_after_beyond_max_elapsed_is_not_waited_for(retry_after: float) -> None:
    """A pause that would end too late is not begun."""
    sink = Flaky(1, retry_after=retry_after)
    counts = await sent_to(Route(sink, retry=Retry(max_elapsed=10.0)))
    assert counts.dropped == {"retries exhausted": 1}


async def test_time_in_which_the_process_stood_still_is_no_reason_to_give_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A machine slept, or a serverless platform stopped the process, while a send was under way:
    the connection may be gone, but the send after it has every chance."""
    hours = 0

    class Asleep(Flaky):
        async def before(self, batch: SinkBatch) -> None:
            nonlocal hours
            hours += 1
            await super().before(batch)

    awake = time.monotonic
    monkeypatch.setattr(
        delivery, "time", SimpleNamespace(monotonic=lambda: awake() + hours * 3_600)
    )
    retry = Retry(max_elapsed=10.0, initial=0.0)
    counts = await sent_to(Route(Asleep(3), retry=retry, timeout=3.0))
    assert (counts.delivered, counts.retries) == (1, 3)


@pytest.mark.parametrize("retry_after", [math.nan, -5.0, "soon", object()])
async def test_a_retry_after_that_means_nothing_harms_nobody(retry_after: Any) -> None:
    """The record is sent again or counted as lost; the pipeline goes on."""
    sink = Flaky(1, retry_after=retry_after)
    counts = await sent_to(Route(sink, retry=AT_ONCE, batch=Batch(max_records=1)), 3)
    assert counts.delivered + counts.lost == 3
    assert counts.delivered >= 2


@pytest.mark.parametrize("records", [3, "abc", [None], [99, -99], iter(())])
async def test_a_rejection_that_means_nothing_harms_nobody(records: Any) -> None:
    """The batch is settled one way or the other; the pipeline goes on."""

    class Odd(Collect):
        async def before(self, batch: SinkBatch) -> None:
            if self.sends == 1:
                raise Rejected(records=records)

    counts = await sent_to(Route(Odd(), batch=Batch(max_records=1)), 2)
    assert counts.balanced
    assert (counts.received, counts.pending) == (2, 0)


@pytest.mark.parametrize("by_index", [False, True])
async def test_rejected_records_alone_are_dropped(by_index: bool) -> None:
    """The rest of the batch was delivered; nothing of it is sent again."""
    sink = Rejecting(lambda r: r.fields["n"] % 2 == 0, by_index=by_index)
    counts = await sent_to(Route(sink, batch=Batch(max_age=60.0)), 6)
    assert (counts.delivered, counts.dropped) == (3, {"refused": 3})
    assert sink.messages == ["1", "3", "5"]
    assert sink.sends == 1


async def test_a_rejection_without_records_is_of_the_whole_batch() -> None:
    """`Rejected()` drops all that was sent."""
    counts = await sent_to(Raising(Rejected("no")), 3)
    assert (counts.delivered, counts.dropped) == (0, {"rejected": 3})


async def test_what_was_passed_is_not_sent_again() -> None:
    """After `advance`, a failure concerns only the rest of the batch."""

    class Half(Collect):
        async def send(self, batch: SinkBatch, /) -> None:
            self.sends += 1
            if self.sends == 1:
                self.keep(batch.records[:2])
                batch.advance(2)
                raise Retryable
            self.keep(batch.records)

    sink = Half()
    counts = await sent_to(Route(sink, retry=AT_ONCE, batch=Batch(max_age=60.0)), 5)
    assert sink.messages == [str(n) for n in range(5)]
    assert counts.delivered == 5


@pytest.mark.parametrize("one_by_one", [False, True])
async def test_a_send_that_ends_in_spite_of_its_time_limit_is_told(one_by_one: bool) -> None:
    """`advance` says so. What the sink leaves then is sent again, if it takes one by one; another
    has delivered all when it returns."""

    class Stubborn(Collect):
        def __init__(self) -> None:
            super().__init__(one_by_one=one_by_one)
            self.in_time: list[bool] = []

        async def send(self, batch: SinkBatch, /) -> None:
            self.sends += 1
            self.in_time.append(batch.advance(1))
            if self.sends == 1:
                with contextlib.suppress(anyio.get_cancelled_exc_class()):
                    await anyio.sleep_forever()
                self.in_time.append(batch.advance(1))
            self.in_time.append(batch.advance(0))
            self.keep(batch.records)

    sink = Stubborn()
    counts = await sent_to(Route(sink, timeout=0.5, batch=Batch(max_age=60.0)), 4)
    assert [len(batch) for batch in sink.batches] == ([4, 2] if one_by_one else [4])
    assert sink.in_time == [True, False, False, True, True][: 5 if one_by_one else 3]
    assert (counts.delivered, counts.dropped) == (4, {})


async def test_a_sink_that_says_no_more_than_that_it_goes_on_holds_up_nobody() -> None:
    """`advance(0)` keeps its send from being given up, but callers do not wait for it."""

    class Waiting(Collect):
        async def before(self, batch: SinkBatch) -> None:
            while not released.is_set():
                await anyio.sleep(0.01)
                assert batch.advance(0)

    released = anyio.Event()
    sink = Waiting()
    route = Route(sink, timeout=1.0, buffer_records=10, overflow="wait", patience=0.1)
    async with Pipeline(route, capacity=20) as pipeline:
        with anyio.fail_after(10):
            for n in range(200):
                await log.ainfo(str(n))
        released.set()
        assert (await pipeline.flush(10)).complete
        counts = pipeline.stats().routes["collect"]
    assert counts.dropped.keys() == {"buffer full"}
    assert sink.messages[0] == "0"


async def test_a_sink_that_never_waits_leaves_the_loop_to_others() -> None:
    """Also while one batch follows the other."""
    turns = 0
    turns_at: list[int] = []

    class Busy(Collect):
        async def send(self, batch: SinkBatch, /) -> None:
            until = time.perf_counter() + 0.0015
            while time.perf_counter() < until:
                pass
            turns_at.append(turns)

    route = Route(Busy(), batch=Batch(max_records=1))
    async with Pipeline(route) as pipeline, anyio.create_task_group() as tasks:
        for n in range(60):
            log.info(str(n))
        tasks.start_soon(pipeline.flush, 20)
        while len(turns_at) < 60:
            turns += 1
            await anyio.lowlevel.checkpoint()
    assert max(Counter(turns_at).values()) <= 3


async def test_a_sink_of_one_by_one_that_hears_of_no_limit_has_delivered_all() -> None:
    """Only what it was told of can be the reason why it returns."""

    class Deaf(Collect):
        async def before(self, batch: SinkBatch) -> None:
            with contextlib.suppress(anyio.get_cancelled_exc_class()):
                await anyio.sleep_forever()

    sink = Deaf(one_by_one=True)
    counts = await sent_to(Route(sink, timeout=0.05, batch=Batch(max_age=60.0)), 4)
    assert (sink.sends, counts.delivered) == (1, 4)


async def test_a_send_that_takes_too_long_is_given_up() -> None:
    """After `timeout` the batch is dropped and counted; the next one is sent."""

    class HangsOnce(Collect):
        async def before(self, batch: SinkBatch) -> None:
            if self.sends == 1:
                await anyio.sleep_forever()

    sink = HangsOnce()
    counts = await sent_to(Route(sink, timeout=0.5, batch=Batch(max_records=1)), 2)
    assert counts.dropped == {"timeout": 1}
    assert sink.messages == ["1"]
    assert counts.last_error == "TimeoutError: no answer within 0.5 s"


def base_exceptions() -> list[BaseException]:
    class OfItsOwn(BaseException):
        pass

    return [SystemExit(1), asyncio.CancelledError(), OfItsOwn("odd"), RuntimeError("a bug")]


@pytest.mark.parametrize("error", base_exceptions(), ids=lambda e: type(e).__name__)
async def test_whatever_a_sink_raises_it_is_the_sinks_own_failure(error: BaseException) -> None:
    """Any exception of a sink costs its batch; the route and the others go on."""
    other = Collect("other")

    class RaisesOnce(Collect):
        async def before(self, batch: SinkBatch) -> None:
            if self.sends == 1:
                raise error

    sink = RaisesOnce()
    async with Pipeline(Route(sink, batch=Batch(max_records=1)), other) as pipeline:
        await log.ainfo("0")
        await log.ainfo("1")
        assert (await pipeline.flush(5)).complete
        counts = pipeline.stats().routes["collect"]
    assert counts.dropped == {"error": 1}
    assert sink.messages == ["1"]
    assert other.messages[:2] == ["0", "1"]


@pytest.mark.parametrize("where", ["open", "aclose"])
@pytest.mark.parametrize("error", base_exceptions(), ids=lambda e: type(e).__name__)
async def test_whatever_opening_and_closing_raise_harms_nobody(
    where: str, error: BaseException
) -> None:
    """A sink that cannot be opened or closed is told of; the others do not notice."""
    other, sink = Collect("other"), Collect()

    async def fail() -> None:
        raise error

    setattr(sink, where, fail)
    async with Pipeline(sink, other) as pipeline:
        await log.ainfo("one")
        assert (await pipeline.flush(5)).complete
    assert other.messages[0] == "one"
    counts = pipeline.stats().routes["collect"]
    assert type(error).__name__ in str(counts.last_error)
    assert counts.pending == 0


async def test_a_sink_that_does_not_open_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    """Its records are counted as dropped; which sink and why is told to the others."""
    other = Collect("other")
    async with Pipeline(Unopenable(), other) as pipeline:
        await log.ainfo("one")
        await pipeline.flush(5)
        await log.ainfo("two")
        await pipeline.flush(5)
        counts = pipeline.stats().routes["unopenable"]
        assert counts.dropped == {"not open": 2}
        assert counts.last_error == "sink does not open: OSError: no such place" or (
            counts.last_error == "OSError: no such place"
        )
    assert other.messages[:2] == ["one", "two"]
    assert any("'unopenable'" in m and "no such place" in m for m in other.messages)


async def test_an_open_that_hangs_is_given_up() -> None:
    """Opening has the route's timeout too; records wait for it, and are dropped then."""

    class HangsOpening(Collect):
        async def open(self) -> None:
            await anyio.sleep_forever()

    counts = await sent_to(Route(HangsOpening(), timeout=0.05))
    assert counts.dropped == {"not open": 1}


async def test_records_wait_for_a_sink_that_opens_slowly() -> None:
    """What is logged while a sink is being opened is delivered to it."""
    may_open = anyio.Event()

    class OpensLate(Collect):
        async def open(self) -> None:
            await may_open.wait()

    sink = OpensLate()
    async with Pipeline(sink):
        await log.ainfo("early")
        may_open.set()
        await sink.until(1)
    assert sink.messages == ["early"]


async def test_one_bad_sink_harms_no_other() -> None:
    """Sinks that raise, hang, are slow or do not open leave the others' records alone."""
    good = Collect("good")
    bad = [Raising(), Hang(), Slow(0.5), Unopenable(), Flaky(10**6)]
    async with Pipeline(*bad, good, shutdown_timeout=0.1):
        for n in range(200):
            await log.ainfo(str(n))
        await good.until(200)
        assert [m for m in good.messages if m.isdecimal()] == [str(n) for n in range(200)]


# Buffers.


async def test_a_full_buffer_drops_the_newest() -> None:
    """With overflow="drop", what does not fit is dropped and counted; nobody waits."""
    sink = Gate()
    async with Pipeline(Route(sink, buffer_records=5, batch=Batch(max_records=1))) as pipeline:
        await log.ainfo("0")
        await sink.entered.wait()
        for n in range(1, 20):
            await log.ainfo(str(n))
        while pipeline.stats().routes["gate"].received < 20:
            await anyio.lowlevel.checkpoint()
        assert pipeline.stats().routes["gate"].dropped == {"buffer full": 14}
        sink.let_through()
        await pipeline.flush(5)
    assert sink.messages[:6] == [str(n) for n in range(6)]


async def test_a_buffer_is_bounded_in_bytes() -> None:
    """Encoded bytes count too: large records fill a buffer before its number does."""
    sink = Gate()
    route = Route(sink, encoder=encoders.Json(), buffer_bytes=5_000, batch=Batch(max_records=1))
    async with Pipeline(route) as pipeline:
        await log.ainfo("0")
        await sink.entered.wait()
        for _ in range(20):
            await log.ainfo("x" * 1_000)
        while pipeline.stats().routes["gate"].received < 21:
            await anyio.lowlevel.checkpoint()
        counts = pipeline.stats().routes["gate"]
        assert 3 <= counts.pending <= 5
        sink.let_through()


async def test_a_record_larger_than_the_buffer_passes_alone() -> None:
    """One record always fits, or it could never be delivered."""
    sink = Collect()
    route = Route(sink, encoder=encoders.Json(), buffer_bytes=10)
    counts = await sent_to(route)
    assert counts.delivered == 1


async def test_waiting_ends_when_the_sink_does_not_move() -> None:
    """A hung sink with overflow="wait" holds callers up for `patience` seconds, not for ever."""
    sink, other = Hang(), Collect("other")
    route = Route(
        sink, overflow="wait", patience=0.05, buffer_records=2, batch=Batch(max_records=1)
    )
    async with Pipeline(route, other, capacity=10, shutdown_timeout=0.05) as pipeline:
        with anyio.fail_after(10):
            for n in range(300):
                await log.ainfo(str(n))
        await other.until(300)
        assert pipeline.stats().door.dropped == {}
    assert [m for m in other.messages if m.isdecimal()] == [str(n) for n in range(300)]


# Encoders.


class Counting(encoders.Json):
    """Count what is encoded, over all encoders of a test."""

    def __init__(self, calls: list[int]) -> None:
        super().__init__()
        self.calls = calls

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Counting)

    def __hash__(self) -> int:
        return 1

    def encode_into(self, records: Any, write: Any, /) -> list[Any]:
        self.calls.append(len(records))
        return super().encode_into(records, write)


async def test_equal_encoders_encode_once() -> None:
    """Routes with equal encoders share the bytes; each record is encoded once."""
    calls: list[int] = []
    a, b = Collect("a"), Collect("b")
    async with Pipeline(
        Route(a, encoder=Counting(calls)),
        Route(b, encoder=Counting(calls), filter=lambda r: r.fields["n"] % 2 == 0),
    ) as pipeline:
        for n in range(10):
            await log.ainfo("one", n=n)
        await pipeline.flush(5)
    assert sum(calls) == 10
    assert b.encoded == a.encoded[::2]


async def test_a_record_that_cannot_be_encoded_is_dropped_alone(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The others of its chunk are delivered, each with its own bytes; why is told."""

    class Fragile(encoders.Json):
        def encode(self, record: Record, /) -> bytes:
            if record.fields.get("n") == 1:
                raise ValueError("cannot")
            return record.message.encode()

    sink = Collect()
    counts = await sent_to(Route(sink, encoder=Fragile()), 3)
    assert counts.dropped == {"unencodable": 1}
    assert counts.last_error == "ValueError: cannot"
    assert sink.encoded[:2] == [b"0", b"2"]
    told = "1 record dropped by route 'collect': unencodable (ValueError: cannot)"
    assert told in capsys.readouterr().err


async def test_a_function_is_an_encoder() -> None:
    """Of the same function, routes share the bytes."""
    calls: list[str] = []

    def shout(record: Record) -> bytes:
        calls.append(record.message)
        return record.message.upper().encode()

    a, b = Collect("a"), Collect("b")
    async with Pipeline(Route(a, encoder=shout), Route(b, encoder=shout)):
        await log.ainfo("said")
    assert a.encoded == b.encoded == [b"SAID"]
    assert calls == ["said"]


async def test_a_sink_may_ask_for_bytes_where_its_route_has_no_encoder() -> None:
    """They are lines of JSON, one for each record, and what it was sent of them is counted."""

    class Lines(Collect):
        async def send(self, batch: SinkBatch, /) -> None:
            self.encoded += batch.encoded
            batch.advance(1)
            assert list(batch.rest().encoded) == self.encoded[1:]

    asks, never = Lines("asks"), Collect("never")
    async with Pipeline(asks, never) as pipeline:
        for n in range(3):
            log.info("said {n}", n=n)
    assert [json.loads(line)["message"] for line in asks.encoded] == ["said 0", "said 1", "said 2"]
    routes = pipeline.stats().routes
    assert routes["asks"].bytes == len(b"".join(asks.encoded))
    assert routes["never"].bytes == 0
    assert not never.encoded


# Settings.


@pytest.mark.parametrize(
    "options",
    [
        {"level": "LOUD"},
        {"timeout": 0},
        {"timeout": math.nan},
        {"buffer_records": 0},
        {"buffer_records": 1.5},
        {"buffer_bytes": -1},
        {"overflow": "block"},
        {"batch": 10},
        {"retry": 3},
        {"filter": "INFO"},
        {"encoder": "json"},
        {"encoder": encoders.Json},
        {"patience": -1},
        {"name": 3},
    ],
    ids=str,
)
def test_settings_that_mean_nothing_are_refused(options: dict[str, Any]) -> None:
    """A wrong option raises at once, and names the setting."""
    (option,) = options
    with pytest.raises(ConfigurationError, match=rf"Route\.{option}: got .*; accepted: "):
        Route(Collect(), **options)


def test_an_option_that_there_is_not_is_refused() -> None:
    """It says which there are."""
    given: dict[str, Any] = {"levle": "INFO"}
    with pytest.raises(ConfigurationError, match=r"route option: got 'levle'; accepted: .*level"):
        Route(Collect(), **given)


@pytest.mark.parametrize("sink", [None, 3, object(), Collect, b"bytes"], ids=name_of_case)
def test_what_is_no_sink_is_refused(sink: object) -> None:
    """A route is given a sink, a path, a stream or a callable."""
    with pytest.raises(ConfigurationError, match="sink: got"):
        Route(sink)


def test_a_route_belongs_to_one_pipeline() -> None:
    """The same route twice, or in two pipelines, is refused."""
    route = Route(Collect())
    Pipeline(route)
    with pytest.raises(PipelineError, match="belongs to a pipeline already"):
        Pipeline(route)


async def test_a_real_cancellation_is_not_taken_for_a_failure() -> None:
    """`survivable` tells an exception of foreign code from the end of this task."""
    with anyio.CancelScope() as scope:
        scope.cancel()
        with pytest.raises(anyio.get_cancelled_exc_class()) as caught:
            await anyio.sleep(1)
        assert not backend.survivable(caught.value)
    assert backend.survivable(asyncio.CancelledError())
    assert not backend.survivable(KeyboardInterrupt())


def cancel_this_task() -> None:
    task = asyncio.current_task()
    assert task is not None
    task.cancel()


async def end_at_next_await(message: str) -> None:
    cancel_this_task()
    await asyncio.sleep(0)


async def leave_it_cancelled(message: str) -> None:
    cancel_this_task()
    if message == "0":  # it hides what has happened, so the next failure is taken for it
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(0)
    else:
        raise asyncio.CancelledError


@on_asyncio
@pytest.mark.parametrize("cancel", [end_at_next_await, leave_it_cancelled])
@pytest.mark.parametrize("overflow", ["drop", "wait"])
async def test_a_callback_that_cancels_its_own_task_ends_its_route_alone(
    cancel: Callable[[str], Awaitable[None]], overflow: str
) -> None:
    """What the route is offered from then on is counted and told; all others go on."""
    other = Collect("other")

    async def cancels(record: dict[str, Any]) -> None:
        if record["logger"] == log.name:
            await cancel(record["message"])

    async with Pipeline(other, Route(cancels, overflow=overflow, buffer_records=2)) as pipeline:
        for n in range(6):
            await log.ainfo(str(n))
            assert (await pipeline.flush(5)).complete
        assert not pipeline.is_closed
        stats = pipeline.stats()
        counts = stats.routes["cancels"]
        assert counts.dropped["not open"] >= 4
        assert counts.balanced
        assert counts.pending == 0
        assert str(counts.last_error).startswith("its task was cancelled: CancelledError")
        await other.until(8)
    own = [record.message for record in other.records if record.logger == log.name]
    assert own == [str(n) for n in range(6)]
    told = [record.message for record in other.records if record.logger == "logflume"]
    assert "route 'cancels': its task was cancelled: CancelledError" in told
    assert any("'cancels': not open (its task was cancelled)" in message for message in told)


@on_asyncio
@pytest.mark.parametrize("where", ["open", "aclose"])
@pytest.mark.parametrize("awaits", [True, False])
async def test_opening_and_closing_may_cancel_their_own_task(where: str, awaits: bool) -> None:
    """The others do not notice, and the pipeline closes in order."""
    other, sink = Collect("other"), Collect()

    async def cancel() -> None:
        cancel_this_task()
        if awaits:
            await asyncio.sleep(0)

    setattr(sink, where, cancel)
    async with Pipeline(sink, other) as pipeline:
        await log.ainfo("one")
        assert (await pipeline.flush(5)).complete
        await log.ainfo("two")
        assert (await pipeline.flush(5)).complete
    own = [record.message for record in other.records if record.logger == log.name]
    assert own == ["one", "two"]
    counts = pipeline.stats().routes["collect"]
    assert "CancelledError" in str(counts.last_error) or (where == "aclose" and not awaits)
    assert counts.balanced
    assert counts.pending == 0


@on_asyncio
async def test_a_task_that_is_cancelled_when_it_has_ended_ends_no_other() -> None:
    """Nothing is awaited any more that the cancellation could come to."""
    other, sink = Slow(0.1, "other"), Collect()

    async def cancel() -> None:
        cancel_this_task()

    sink.aclose = cancel  # type: ignore[method-assign]
    async with Pipeline(sink, other):
        await log.ainfo("one")
    assert other.messages == ["one"]


async def test_trouble_that_cost_no_record_is_told_in_band() -> None:
    """A sink with `tell` is given a way to: on the other routes, from any thread."""
    shown = Collect("shown")
    troubled = Collect("troubled", tell=print)
    async with Pipeline(shown, troubled):
        tell: Any = troubled.tell  # type: ignore[attr-defined]
        await anyio.to_thread.run_sync(tell, "app.jsonl: not compressed")
        await shown.until(1)
    assert shown.messages == ["route 'troubled': app.jsonl: not compressed"]
    assert troubled.messages == []


class Late:
    """Gives up its first send, as one whose thread does not answer; the thread reads on."""

    name = "late"
    wants_blocks = True

    def __init__(self, error: Exception) -> None:
        self.error = error
        self.left: list[memoryview] = []
        self.sent: list[bytes] = []

    async def open(self) -> None: ...

    async def aclose(self) -> None: ...

    async def send(self, batch: SinkBatch) -> None:
        if not self.left:
            self.left = [memoryview(block) for block in batch.blocks]
            raise self.error
        self.sent += [bytes(block) for block in batch.blocks]


@pytest.mark.parametrize("error", [TimeoutError(), Retryable("late")], ids=repr)
async def test_memory_that_a_thread_may_read_is_not_used_again(error: Exception) -> None:
    """Though the sink has said itself that a send failed."""
    sink = Late(error)
    route = Route(sink, encoder=encoders.Json(), retry=AT_ONCE)
    async with Pipeline(route) as pipeline:
        await log.ainfo("first")
        await pipeline.flush()
        first = bytes(sink.left[0])
        assert b'"first"' in first
        for _ in range(20):
            await log.ainfo("something else")
            await pipeline.flush()
        assert bytes(sink.left[0]) == first

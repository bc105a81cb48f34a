"""Callbacks: what they get, who waits for them (nobody), and what they cannot break."""

from __future__ import annotations

import contextlib
import functools
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import anyio
import pytest

from logflume import (
    ConfigurationError,
    Pipeline,
    Rejected,
    Retry,
    Retryable,
    Route,
    RouteCounts,
    get_logger,
)
from tests.fakes import Collect

log = get_logger("tests.callbacks")
KEYS = {
    "timestamp", "level", "message", "fields", "logger", "file", "line", "function", "module",
    "process", "thread",
}  # fmt: skip


async def test_async_callbacks_are_awaited() -> None:
    """A coroutine function gets each record as a dict, in order, on the pipeline's loop."""
    got: list[dict[str, Any]] = []
    threads: list[int] = []

    async def callback(record: dict[str, Any]) -> None:
        await anyio.lowlevel.checkpoint()
        threads.append(threading.get_ident())
        got.append(record)

    async with Pipeline() as pipeline:
        assert pipeline.add_callback(callback) == "callback"
        for n in range(3):
            await log.ainfo("number {n}", n=n)
    assert [r["message"] for r in got] == ["number 0", "number 1", "number 2"]
    assert set(got[0]) >= KEYS
    assert got[0]["fields"] == {"n": 0}
    assert set(threads) == {threading.get_ident()}


async def test_sync_callbacks_run_in_a_worker_thread() -> None:
    """A plain function never runs on the loop, and may block."""
    threads: list[int] = []
    release = threading.Event()

    def callback(record: dict[str, Any]) -> None:
        release.wait(10)
        threads.append(threading.get_ident())

    async with Pipeline() as pipeline:
        log.add_callback(callback)
        await log.ainfo("one")
        await anyio.lowlevel.checkpoint()
        release.set()
        await pipeline.flush(5)
    assert len(threads) == 1
    assert threads[0] != threading.get_ident()


async def test_partials_objects_and_functions_that_return_awaitables() -> None:
    """Whatever a callable returns is awaited if it can be."""
    got: list[str] = []

    async def coroutine(tag: str, record: dict[str, Any]) -> None:
        got.append(tag)

    class Called:
        async def __call__(self, record: dict[str, Any]) -> None:
            got.append("object")

    async with Pipeline() as pipeline:
        pipeline.add_callback(functools.partial(coroutine, "partial"))
        pipeline.add_callback(Called())
        pipeline.add_callback(lambda record: coroutine("lambda", record))
        await log.ainfo("one")
        await pipeline.flush(5)
    assert sorted(got) == ["lambda", "object", "partial"]


async def test_names_are_ids_and_unknown_ones_no_error() -> None:
    """`add_callback` returns the id; removing an unknown one, or twice, is no error."""
    got: list[str] = []

    async def callback(record: dict[str, Any]) -> None:
        got.append(record["message"])

    async with Pipeline() as pipeline:
        assert log.add_callback(callback, name="mine") == "mine"
        second = log.add_callback(callback)
        third = log.add_callback(callback)
        assert len({"mine", second, third}) == 3
        with pytest.raises(ConfigurationError, match=r"Route\.name"):
            log.add_callback(callback, name="mine")
        log.remove_callback(second)
        log.remove_callback(third)
        log.remove_callback(third)
        log.remove_callback("never heard of")
        await log.ainfo("one")
        await pipeline.flush(5)
        log.remove_callback("mine")
        await log.ainfo("two")
        await pipeline.flush(5)
    assert got == ["one"]


async def test_what_was_logged_before_removal_still_arrives() -> None:
    """Removing a callback drops nothing that it already had."""
    got: list[str] = []
    release = anyio.Event()

    async def callback(record: dict[str, Any]) -> None:
        await release.wait()
        got.append(record["message"])

    async with Pipeline() as pipeline:
        pipeline.add_callback(callback, "slow")
        for n in range(3):
            await log.ainfo(str(n))
        while pipeline.stats().routes["slow"].received < 3:
            await anyio.lowlevel.checkpoint()
        pipeline.remove_callback("slow")
        release.set()
    assert got == ["0", "1", "2"]


async def test_one_that_raises_is_counted_and_told() -> None:
    """Each failing call costs its own record; the others get all of theirs."""
    got: list[str] = []
    sink = Collect()

    async def broken(record: dict[str, Any]) -> None:
        if record["fields"].get("n", 1) % 2:
            raise LookupError("not there")
        got.append(record["message"])

    def broken_too(record: dict[str, Any]) -> None:
        raise SystemExit(1)

    async with Pipeline(sink) as pipeline:
        pipeline.add_callback(broken)
        pipeline.add_callback(broken_too)
        for n in range(4):
            await log.ainfo(str(n), n=n)
        assert (await pipeline.flush(5)).complete
        routes = pipeline.stats().routes
        assert routes["broken"].dropped == {"error": 2}
        assert routes["broken_too"].dropped == {"error": 4}
    assert got == ["0", "2"]
    assert sink.messages[:4] == ["0", "1", "2", "3"]
    assert any("LookupError: not there" in m for m in sink.messages)


async def counts_of(
    kind: str, call: Callable[[str], None], count: int = 10, **options: Any
) -> RouteCounts:
    """Log some numbers to a callback of this kind, and return what its route counted."""

    async def awaited(record: dict[str, Any]) -> None:
        await anyio.lowlevel.checkpoint()
        call(record["message"])

    kinds: dict[str, Callable[[dict[str, Any]], Any]] = {
        "async": awaited,
        "sync": lambda record: call(record["message"]),
        "sync that returns an awaitable": lambda record: awaited(record),
    }
    async with Pipeline(Route(kinds[kind], name="it", **options)) as pipeline:
        for n in range(count):
            log.info(str(n))
        assert (await pipeline.flush(20)).complete
        return pipeline.stats().routes["it"]


each_kind = pytest.mark.parametrize("kind", ["async", "sync", "sync that returns an awaitable"])


@each_kind
@pytest.mark.parametrize("records", [None, [], [0], [7, 8]])
async def test_what_one_rejects_is_one_record(kind: str, records: list[int] | None) -> None:
    """`Rejected` drops the record that the callback was called with; it gets all the others."""
    got: list[str] = []

    def call(message: str) -> None:
        if message == "3":
            raise Rejected("no", records=records, reason="refused")
        got.append(message)

    counts = await counts_of(kind, call)
    assert got == list("012456789")
    assert (counts.delivered, counts.dropped) == (9, {"refused": 1})


@each_kind
async def test_one_is_called_again_with_one_record(kind: str) -> None:
    """After `Retryable`, each record has all its attempts, whatever became of those before it."""
    calls: list[str] = []

    def call(message: str) -> None:
        calls.append(message)
        if message == "3" or calls.count(message) < 3:
            raise Retryable("later")

    counts = await counts_of(kind, call, retry=Retry(attempts=3, initial=0.0))
    assert calls == [n for n in "0123456789" for _ in range(3)]
    assert (counts.delivered, counts.dropped) == (9, {"retries exhausted": 1})
    assert counts.retries == 20


async def test_a_record_s_repeats_take_no_time_from_the_next() -> None:
    """`max_elapsed` counts from the first call with a record."""
    calls: list[str] = []

    def call(message: str) -> None:
        calls.append(message)
        if calls.count(message) < 2:
            raise Retryable("later", retry_after=0.15)

    counts = await counts_of("async", call, retry=Retry(initial=0.0, max_elapsed=1.0))
    assert (counts.delivered, counts.retries) == (10, 10)


@pytest.mark.parametrize(
    "error",
    [Retryable("later", retry_after="soon"), Rejected(reason=[])],  # type: ignore[arg-type]
    ids=["later", "no"],
)
async def test_what_one_raises_that_means_nothing_is_of_one_record(error: Exception) -> None:
    """Whatever a problem says of itself, the next records come, and all are counted."""
    got: list[str] = []

    def call(message: str) -> None:
        if message == "3":
            raise error
        got.append(message)

    counts = await counts_of("async", call, retry=Retry(attempts=2, initial=0.0))
    assert got == list("012456789")
    assert (counts.delivered, counts.lost) == (9, 1)


@pytest.mark.parametrize("kind", ["async", "sync that returns an awaitable"])
async def test_one_that_ends_in_spite_of_the_time_limit_takes_no_other_record_with_it(
    kind: str,
) -> None:
    """It has done its work late, or says so; the next record has a time limit of its own."""
    got: list[str] = []
    calls: list[str] = []

    async def stubborn(record: dict[str, Any]) -> None:
        calls.append(record["message"])
        if record["message"] in "03":
            with contextlib.suppress(anyio.get_cancelled_exc_class()):
                await anyio.sleep_forever()
        else:
            await anyio.lowlevel.checkpoint()
        got.append(record["message"])

    given = stubborn if kind == "async" else lambda record: stubborn(record)
    async with Pipeline(Route(given, name="it", timeout=0.5)) as pipeline:
        for n in range(6):
            log.info(str(n))
        assert (await pipeline.flush(20)).complete
        counts = pipeline.stats().routes["it"]
    assert got == calls == list("012345")
    assert (counts.delivered, counts.dropped) == (6, {})


def spin() -> None:
    """Take more than the millisecond after which all else has its turn."""
    until = time.perf_counter() + 0.0015
    while time.perf_counter() < until:
        pass


async def test_one_that_never_waits_leaves_the_loop_to_others() -> None:
    """Everybody else on the loop has a turn each millisecond, not each batch."""
    turns = 0
    turns_at: list[int] = []

    async def busy(record: dict[str, Any]) -> None:
        spin()
        turns_at.append(turns)

    async with Pipeline(busy) as pipeline, anyio.create_task_group() as tasks:
        for n in range(60):
            log.info(str(n))
        tasks.start_soon(pipeline.flush, 20)
        while len(turns_at) < 60:
            turns += 1
            await anyio.lowlevel.checkpoint()
    assert max(Counter(turns_at).values()) <= 3


async def test_one_that_never_waits_does_not_hold_up_the_end() -> None:
    """Closing ends it in time; what it did not have by then is counted as lost."""

    async def busy(record: dict[str, Any]) -> None:
        spin()

    async with Pipeline(busy, shutdown_timeout=0.1) as pipeline:
        for n in range(1_000):
            log.info(str(n))
    counts = pipeline.stats().routes["busy"]
    assert counts.dropped.keys() == {"shutdown"}
    assert counts.balanced


async def test_a_slow_callback_delays_nobody() -> None:
    """One that hangs holds up neither callers nor the other callbacks."""
    sink = Collect()

    async def hangs(record: dict[str, Any]) -> None:
        await anyio.sleep_forever()

    release = threading.Event()

    def hangs_too(record: dict[str, Any]) -> None:
        release.wait(30)

    async with Pipeline(sink, shutdown_timeout=0.1) as pipeline:
        pipeline.add_callback(hangs)
        pipeline.add_callback(hangs_too)
        with anyio.fail_after(5):
            for n in range(100):
                await log.ainfo(str(n))
            await sink.until(100)
    release.set()
    counts = pipeline.stats().routes
    assert counts["hangs"].pending == counts["hangs_too"].pending == 0


@pytest.mark.parametrize("kind", ["async", "sync"])
async def test_one_that_logs_does_not_loop(kind: str) -> None:
    """What a callback logs goes to everybody else, never back to itself."""
    sink = Collect()
    got: list[str] = []

    def echo(record: dict[str, Any]) -> None:
        got.append(record["message"])
        log.info("echo of {what}", what=record["message"])

    async def aecho(record: dict[str, Any]) -> None:
        got.append(record["message"])
        await log.ainfo("echo of {what}", what=record["message"])

    async with Pipeline(sink) as pipeline:
        pipeline.add_callback(echo if kind == "sync" else aecho)
        await log.ainfo("one")
        await sink.until(2)
        await pipeline.flush(5)
        await pipeline.flush(5)
    assert got == ["one"]
    assert sink.messages == ["one", "echo of one"]


async def test_two_that_log_at_each_other_come_to_an_end() -> None:
    """A record logged for a record that a callback logged returns to neither."""
    sink = Collect()

    async def ping(record: dict[str, Any]) -> None:
        await log.ainfo("ping")

    def pong(record: dict[str, Any]) -> None:
        log.info("pong")

    async with Pipeline(sink) as pipeline:
        pipeline.add_callback(ping)
        pipeline.add_callback(pong)
        await log.ainfo("serve")
        for _ in range(10):
            await pipeline.flush(5)
    # What is logged during a batch counts as coming from wherever its records came, so how often
    # they hear of each other depends on what came together.
    assert set(sink.messages) == {"serve", "ping", "pong"}
    assert len(sink.messages) <= 5


async def test_callbacks_come_and_go_while_records_flow() -> None:
    """Adding and removing routes from other threads disturbs no other route."""
    sink = Collect()

    def churn() -> None:
        for _ in range(50):
            log.remove_callback(log.add_callback(lambda record: None))

    async with Pipeline(sink), anyio.create_task_group() as tasks:
        tasks.start_soon(anyio.to_thread.run_sync, churn)
        for n in range(500):
            await log.ainfo(str(n))
            await anyio.lowlevel.checkpoint()
    assert sink.messages == [str(n) for n in range(500)]


def test_what_is_not_callable_is_refused() -> None:
    """`add_callback` says what it takes."""
    with pytest.raises(ConfigurationError, match="add_callback: got 3; accepted: a callable"):
        Pipeline().add_callback(3)  # type: ignore[arg-type]

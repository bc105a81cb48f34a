"""Callables as sinks: awaited or in a thread of their own, one record after the other."""

from __future__ import annotations

import functools
import gc
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import anyio
import pytest

from logflume import ConfigurationError, Pipeline, Retry, Route, SinkBatch, get_logger
from logflume.sinks import Callback, _one_by_one, as_sink
from logflume.sinks.callback import is_async
from tests.fakes import may_block
from tests.intake import record_of


def batch_of(*messages: str) -> SinkBatch:
    return SinkBatch([record_of(message) for message in messages])


class Object:
    """A callable object of either kind."""

    def __call__(self, record: dict[str, Any]) -> None: ...

    async def method(self, record: dict[str, Any]) -> None: ...


class AsyncObject:
    async def __call__(self, record: dict[str, Any]) -> None: ...


async def function(record: dict[str, Any]) -> None: ...


def test_coroutine_functions_are_known_in_every_dress() -> None:
    """Coroutine functions, methods, objects and partials of them are awaited on the loop."""
    nested = functools.partial(functools.partial(function))
    awaited = [function, nested, AsyncObject(), functools.partial(AsyncObject()), Object().method]
    called = [Object(), print, lambda record: function(record), dict]
    assert all(is_async(given) for given in awaited)
    assert not any(is_async(given) for given in called)


@pytest.mark.parametrize("kind", ["async", "sync", "sync that returns an awaitable"])
async def test_records_come_in_order_one_at_a_time(kind: str) -> None:
    """Each record is a dict of the callable's own, the next comes after the one before is done."""
    seen: list[str] = []
    threads: set[int] = set()

    async def awaited(record: dict[str, Any]) -> None:
        await anyio.lowlevel.checkpoint()
        seen.append(record["message"])
        record["fields"]["mine"] = 1

    def called(record: dict[str, Any]) -> None:
        threads.add(threading.get_ident())
        seen.append(record["message"])

    functions: dict[str, Callable[[dict[str, Any]], Any]] = {
        "async": awaited,
        "sync": called,
        "sync that returns an awaitable": lambda record: awaited(record),
    }
    sink = Callback(functions[kind])
    await sink.open()
    batch = batch_of("a", "b", "c")
    await sink.send(batch)
    await sink.aclose()
    assert seen == ["a", "b", "c"]
    assert batch.advanced == 3 or kind == "sync"
    assert all(record.fields == {} for record in batch.records)
    assert threading.get_ident() not in threads


@pytest.mark.parametrize("kind", ["async", "sync", "sync that returns an awaitable"])
async def test_a_failure_is_of_one_record(kind: str) -> None:
    """What is raised comes out of `send`, and the batch knows how far it got."""
    seen: list[str] = []

    async def awaited(record: dict[str, Any]) -> None:
        called(record)

    def called(record: dict[str, Any]) -> None:
        if record["message"] == "bad":
            raise ValueError("wrong")
        seen.append(record["message"])

    functions: dict[str, Callable[[dict[str, Any]], Any]] = {
        "async": awaited,
        "sync": called,
        "sync that returns an awaitable": lambda record: awaited(record),
    }
    sink = Callback(functions[kind])
    await sink.open()
    batch = batch_of("a", "b", "bad", "c")
    with pytest.raises(ValueError, match="wrong"):
        await sink.send(batch)
    assert batch.advanced == 2
    await sink.send(batch.pick([3]))
    await sink.aclose()
    assert seen == ["a", "b", "c"]


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt, StopIteration])
async def test_what_ends_programs_ends_one_call(error: type[BaseException]) -> None:
    """`sys.exit()` in a callback's thread is a failure like others, not the program's end."""

    def leaves(record: dict[str, Any]) -> None:
        raise error

    sink = Callback(leaves)
    await sink.open()
    with pytest.raises(Exception, match=r"raised StopIteration|callback raised") as caught:
        await sink.send(batch_of("a"))
    assert isinstance(caught.value, RuntimeError)
    await sink.aclose()


async def test_a_call_that_is_given_up_does_not_hold_up_the_next() -> None:
    """After a call that hangs was cancelled, the next records go to another thread."""
    hanging, released = threading.Event(), threading.Event()
    seen: list[str] = []

    def slow(record: dict[str, Any]) -> None:
        if record["message"] == "hang":
            hanging.set()
            released.wait(10)
        seen.append(record["message"])

    sink = Callback(slow)
    await sink.open()

    async def cancel_when_it_hangs(scope: anyio.CancelScope) -> None:
        while not hanging.is_set():
            await anyio.lowlevel.checkpoint()
        scope.cancel()

    async with anyio.create_task_group() as tasks:
        with anyio.CancelScope() as scope:
            tasks.start_soon(cancel_when_it_hangs, scope)
            await sink.send(batch_of("hang"))
    assert scope.cancelled_caught
    with anyio.fail_after(5):
        await sink.send(batch_of("next"))
    assert seen == ["next"]
    released.set()
    await sink.aclose()


@pytest.mark.parametrize("kind", ["good", "bad", "awaitable"])
async def test_a_loop_that_stands_still_is_no_call_that_takes_too_long(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A call that ended in its time counts as what it was, however late the loop hears of it."""
    begun, go_on = threading.Event(), threading.Event()
    seen: list[str] = []

    async def later(message: str) -> None:
        seen.append(message)

    def call(record: dict[str, Any]) -> Any:
        begun.set()
        go_on.wait()
        if kind == "awaitable":
            return later(record["message"])
        seen.append(record["message"])
        if kind == "bad":
            raise ValueError("wrong")
        return None

    monkeypatch.setattr(_one_by_one, "HOP", -1.0)  # each record by itself
    sink = Callback(call)
    async with Pipeline(Route(sink, name="it", timeout=1.0)) as pipeline:
        for n in range(3):
            get_logger("tests.callback").info(str(n))
        while not begun.is_set():
            await anyio.lowlevel.checkpoint()
        with may_block():
            go_on.set()
            while sink._thread.goes_on:
                time.sleep(0.001)
            time.sleep(1.1)  # longer than the time limit
        await pipeline.flush(timeout=20)
        counts = pipeline.stats().routes["it"]
    assert seen == ["0", "1", "2"]
    assert counts.dropped == ({"error": 3} if kind == "bad" else {})


async def test_a_coroutine_that_comes_too_late_is_closed() -> None:
    """Python would warn of one that nobody awaits."""
    begun, go_on, ended = threading.Event(), threading.Event(), threading.Event()

    async def later() -> None: ...

    def call(record: dict[str, Any]) -> Any:
        begun.set()
        go_on.wait()
        threading.Timer(0.05, ended.set).start()
        return later()

    sink = Callback(call)
    await sink.open()

    async def cancel_when_it_ended(scope: anyio.CancelScope) -> None:
        while not begun.is_set():
            await anyio.lowlevel.checkpoint()
        with may_block():
            go_on.set()
            ended.wait()
        scope.cancel()

    async with anyio.create_task_group() as tasks:
        with anyio.CancelScope() as scope:
            tasks.start_soon(cancel_when_it_ended, scope)
            await sink.send(batch_of("a"))
    await sink.aclose()
    gc.collect()


async def test_a_call_has_all_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """The time limit starts anew with each report of the thread, so these are milliseconds apart,
    however quick the calls are."""
    now = 0.0
    reports: list[float] = []

    def call(record: dict[str, Any]) -> None:
        nonlocal now
        now += 0.002

    def on_advance(count: int, nbytes: int) -> bool:
        reports.append(now)
        return True

    monkeypatch.setattr(_one_by_one, "time", SimpleNamespace(monotonic=lambda: now))
    sink = Callback(call)
    await sink.open()
    batch = batch_of(*map(str, range(100)))
    batch.on_advance = on_advance
    await sink.send(batch)
    await sink.aclose()
    assert batch.advanced == 100
    assert max(after - before for before, after in pairwise([0.0, *reports])) < 0.01


async def test_closing_what_was_not_opened_is_no_error() -> None:
    """`aclose` may be called in every state."""
    await Callback(print).aclose()
    await Callback(function).aclose()


@pytest.mark.parametrize(
    ("given", "name"),
    [
        (function, "function"),
        (lambda record: None, "lambda"),
        (functools.partial(print), "partial"),
        (Object(), "Object"),
        (Object().method, "method"),
    ],
    ids=["function", "lambda", "partial", "object", "method"],
)
def test_a_route_is_named_after_its_callable(given: Any, name: str) -> None:
    """The name in the ledger is the function's, or that of an object's class."""
    assert Callback(given).name == name


@pytest.mark.parametrize("awaits", [False, True])
async def test_only_the_record_that_a_call_hangs_at_is_lost(awaits: bool) -> None:
    """Those before and after it in the batch come once each."""
    hung = threading.Event()
    seen: list[str] = []

    async def later() -> None: ...

    def call(record: dict[str, Any]) -> Any:
        seen.append(record["message"])
        if record["message"] == "5":
            hung.wait()
        return later() if awaits else None

    async with Pipeline(Route(call, timeout=1.0, retry=Retry(attempts=1))) as pipeline:
        for n in range(10):
            get_logger("tests.callback").info(str(n))
        await pipeline.flush(timeout=20)
        counts = pipeline.stats().routes["call"]
        hung.set()
    assert seen == list("0123456789")
    assert (counts.delivered, counts.dropped) == (9, {"timeout": 1})


async def test_later_records_wait_when_four_calls_hang() -> None:
    """They come when one of these ends, however many time limits that takes."""
    hung = threading.Event()
    seen: list[str] = []

    def call(record: dict[str, Any]) -> None:
        if int(record["message"]) < 4:
            hung.wait(10)
        else:
            seen.append(record["message"])

    async with Pipeline(Route(call, timeout=0.5)) as pipeline:
        for n in range(10):
            get_logger("tests.callback").info(str(n))
        with anyio.fail_after(20):
            while pipeline.stats().routes["call"].dropped != {"timeout": 4}:
                await anyio.sleep(0.01)
        assert (await pipeline.flush(1.2)).pending == {"call": 6}
        hung.set()
        assert (await pipeline.flush(20)).complete
        counts = pipeline.stats().routes["call"]
    assert seen == list("456789")
    assert (counts.delivered, counts.dropped) == (6, {"timeout": 4})


def generator(record: dict[str, Any]) -> Iterator[None]:
    yield


async def async_generator(record: dict[str, Any]) -> AsyncIterator[None]:
    yield


class Yields:
    def __call__(self, record: dict[str, Any]) -> Iterator[None]:
        yield

    async def method(self, record: dict[str, Any]) -> AsyncIterator[None]:
        yield


@pytest.mark.parametrize(
    "given",
    [
        generator,
        async_generator,
        functools.partial(generator),
        functools.partial(functools.partial(async_generator)),
        Yields(),
        Yields().method,
        functools.partial(Yields()),
    ],
    ids=["sync", "async", "partial", "partial of a partial", "object", "method", "of an object"],
)
def test_generators_are_refused(given: Any) -> None:
    """Calling one runs nothing of it: each record would count as delivered."""
    for take in (Callback, Pipeline, Route, Pipeline().add_callback):
        with pytest.raises(ConfigurationError, match=r"callback: got .*; accepted: a function"):
            take(given)


def test_an_odd_name_is_no_error() -> None:
    """A `__name__` that is no string is text."""
    odd = Object()
    odd.__name__ = None  # type: ignore[attr-defined]
    assert Callback(odd).name == "None"


def test_a_callable_given_as_a_sink_is_a_callback() -> None:
    """A Pipeline takes a callable for a callback; a class is taken for a forgotten call."""
    assert isinstance(as_sink(print), Callback)
    assert isinstance(as_sink(sys.displayhook), Callback)
    for wrong in (Callback, Object, 5, None, object()):
        with pytest.raises(ConfigurationError, match="sink"):
            as_sink(wrong)

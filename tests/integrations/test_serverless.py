"""Functions of serverless platforms: delivered when they answer, reminded where they are not."""

from __future__ import annotations

import asyncio
import functools
import inspect
import threading
import time
from collections.abc import AsyncIterator, Iterator
from types import SimpleNamespace
from typing import Any

import anyio
import pytest

from logflume import Batch, ConfigurationError, Pipeline, Route, get_logger
from logflume.engine import invocations
from logflume.integrations.serverless import flush_after_invocation
from tests.fakes import Collect, Gate, Hang, may_block

log = get_logger("tests.serverless")

PLATFORMS = {
    "AWS Lambda": {"AWS_LAMBDA_FUNCTION_NAME": "f", "LAMBDA_TASK_ROOT": "/var/task"},
    "Google Cloud Functions": {"K_SERVICE": "f", "FUNCTION_TARGET": "f"},
    "Azure Functions": {"FUNCTIONS_WORKER_RUNTIME": "python"},
}


def patient(sink: Any) -> Route:
    """Return a route that sends nothing by itself for a minute."""
    return Route(sink, batch=Batch(max_records=1_000, max_age=60.0))


@pytest.fixture(autouse=True)
def no_platform(monkeypatch: pytest.MonkeyPatch) -> None:
    """Begin with no platform, no flushes announced and nobody reminded."""
    for name in ("AWS_EXECUTION_ENV", *(name for names in PLATFORMS.values() for name in names)):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(invocations, "_flushes", False)
    monkeypatch.setattr(invocations, "_reminded", False)


# The decorator, on functions without a loop.


def test_a_function_returns_when_what_it_logged_is_delivered() -> None:
    """However long the route would have waited for more."""
    sink = Collect()

    @flush_after_invocation()
    def function(event: dict[str, int], context: object) -> int:
        log.info("called")
        return event["n"]

    with Pipeline(patient(sink)):
        assert function({"n": 7}, None) == 7
        assert sink.messages == ["called"]


def test_a_function_that_raises_is_flushed_as_well() -> None:
    """And its exception is the same, without a trace of the flush."""
    sink = Collect()
    error = ZeroDivisionError()

    @flush_after_invocation()
    def function() -> None:
        log.info("called")
        raise error

    with Pipeline(patient(sink)):
        with pytest.raises(ZeroDivisionError) as caught:
            function()
        assert sink.messages == ["called"]
    assert caught.value is error
    assert error.__context__ is None


def test_given_pipelines_are_flushed_at_the_same_time() -> None:
    """All that are given, and no other; one that hangs takes nothing of the others' time."""
    given, other = Collect(), Collect()
    with Pipeline(Hang(), shutdown_timeout=0.0) as hanging:
        log.info("hangs")
        with Pipeline(patient(given)) as second:
            log.info("given")
            with Pipeline(patient(other)):
                log.info("other")
                flush_after_invocation(hanging, second, timeout=1.5)(lambda: None)()
                assert given.messages == ["given"]
                assert other.messages == []


def test_without_threads_pipelines_are_flushed_one_after_the_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each with the time that is left; the function's result is what it was."""
    one, two = Collect(), Collect()

    def start(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with Pipeline(patient(one)) as first, Pipeline(patient(two)) as second:

        @flush_after_invocation(first, second, timeout=5.0)
        def function() -> int:
            log.info("called")
            return 7

        log.info("before")
        with monkeypatch.context() as system:
            system.setattr(threading.Thread, "start", start)
            assert function() == 7
        assert two.messages == ["before", "called"]

    with Pipeline(patient(two)) as second:
        log.info("late")
        with Pipeline(Hang(), shutdown_timeout=0.0) as hanging, monkeypatch.context() as system:
            log.info("hangs")
            system.setattr(threading.Thread, "start", start)
            assert flush_after_invocation(second, hanging, timeout=1.5)(lambda: 8)() == 8
            assert two.messages == ["before", "called", "late"]


def test_what_takes_too_long_is_told_and_waits(capfd: pytest.CaptureFixture[str]) -> None:
    """The function answers in time; what is pending is on stderr, and still delivered later."""
    gate = Gate()

    @flush_after_invocation(timeout=0.1)
    def function() -> str:
        log.info("called")
        return "in time"

    with Pipeline(gate):
        started = time.monotonic()
        assert function() == "in time"
        assert time.monotonic() - started < 20.0
        told = capfd.readouterr().err
        assert told == "logflume: records still pending 0.1 s after an invocation: 1 at 'gate'\n"
        gate.let_through()
    assert gate.messages == ["called"]


class Context:
    """What AWS Lambda gives a function as its second argument."""

    def __init__(self, left_ms: int) -> None:
        self.left_ms = left_ms

    def get_remaining_time_in_millis(self) -> int:
        return self.left_ms


@pytest.mark.parametrize("by_name", [False, True], ids=["by position", "by name"])
def test_a_flush_ends_before_the_invocation_does(
    by_name: bool, capfd: pytest.CaptureFixture[str]
) -> None:
    """Where the context says what is left, a part of that is the most."""

    @flush_after_invocation(timeout=60.0)
    def function(event: object, context: Context) -> None:
        log.info("called")

    with Pipeline(Hang(), shutdown_timeout=0.0):
        started = time.monotonic()
        if by_name:
            function({}, context=Context(400))
        else:
            function(SimpleNamespace(get_remaining_time_in_millis="no"), Context(400))
        assert time.monotonic() - started < 20.0
    assert "pending 0.15 s after" in capfd.readouterr().err


def test_an_invocation_that_is_over_is_not_prolonged() -> None:
    """Nothing left: nothing waited for."""

    @flush_after_invocation(timeout=60.0)
    def function(event: object, context: Context) -> None:
        log.info("called")

    with Pipeline(Hang(), shutdown_timeout=0.0):
        started = time.monotonic()
        function({}, Context(0))
        assert time.monotonic() - started < 20.0


def test_without_any_pipeline_there_is_nothing_to_do() -> None:
    """Neither before the first record nor after the last pipeline was closed."""

    @flush_after_invocation()
    def function() -> int:
        return 1

    with Pipeline(Collect()) as pipeline:
        pass
    assert function() == 1
    assert flush_after_invocation(pipeline)(function)() == 1


# On loops.


async def test_an_async_function_returns_when_all_is_delivered() -> None:
    """On the loop of the pipeline, which is not blocked meanwhile."""
    sink = Collect()

    @flush_after_invocation()
    async def function(n: int) -> int:
        await log.ainfo("called")
        return n

    async with Pipeline(patient(sink)):
        assert await function(7) == 7
        assert sink.messages == ["called"]


async def test_an_async_function_may_have_its_pipeline_in_a_thread() -> None:
    """As the default one is."""
    sink = Collect()
    with may_block():
        pipeline = Pipeline(patient(sink)).__enter__()
    try:

        @flush_after_invocation(pipeline)
        async def function() -> None:
            log.info("called")

        await function()
        assert sink.messages == ["called"]
    finally:
        await pipeline.aclose()


async def test_a_cancelled_function_is_flushed_before_it_ends() -> None:
    """Shielded, within the deadline; then the cancellation goes on."""
    sink = Collect()

    @flush_after_invocation()
    async def function() -> None:
        log.info("called")
        scope.cancel()
        await anyio.sleep_forever()

    async with Pipeline(patient(sink)):
        with anyio.CancelScope() as scope:
            await function()
        assert scope.cancelled_caught
        assert sink.messages == ["called"]


async def test_a_cancelled_function_does_not_wait_for_ever() -> None:
    """The deadline holds under the shield, too."""

    @flush_after_invocation(timeout=0.05)
    async def function() -> None:
        log.info("called")
        await anyio.sleep_forever()

    async with Pipeline(Hang(), shutdown_timeout=0.0):
        with anyio.fail_after(5), anyio.move_on_after(0.05):
            await function()


def test_asyncio_s_own_cancellation_is_no_different() -> None:
    """Of tasks, by `timeout` and by `wait_for`."""
    sink = Collect()

    @flush_after_invocation()
    async def function() -> None:
        log.info("called")
        await asyncio.sleep(60)

    async def main() -> None:
        async with Pipeline(patient(sink)):
            task = asyncio.create_task(function())
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert sink.messages == ["called"]
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(function(), 0.01)
            assert sink.messages == ["called"] * 2
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.01):
                    await function()
            assert sink.messages == ["called"] * 3

    asyncio.run(main())


@pytest.mark.parametrize(
    "anyio_backend",
    [("asyncio", {"use_uvloop": False}), ("asyncio", {"use_uvloop": True})],
    ids=["asyncio", "uvloop"],
)
@pytest.mark.parametrize("times", [1, 3])
async def test_asyncio_s_own_cancellation_ends_no_flush(times: int) -> None:
    """However often it comes meanwhile: it goes on when all is delivered."""
    gate = Gate()

    @flush_after_invocation()
    async def function() -> None:
        log.info("called")

    async with Pipeline(patient(gate)):
        task = asyncio.create_task(function())
        await gate.entered.wait()
        for _ in range(times):
            task.cancel()
            await anyio.wait_all_tasks_blocked()
        assert not task.done()
        gate.let_through()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert gate.messages == ["called"]


def test_a_cancelled_flush_has_no_more_time_than_any_other(
    capfd: pytest.CaptureFixture[str],
) -> None:
    """What is left of it; and what is pending then is told once."""

    @flush_after_invocation(timeout=0.3)
    async def function() -> None:
        log.info("called")

    async def main() -> None:
        async with Pipeline(Hang(), shutdown_timeout=0.0):
            started = time.monotonic()
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(function(), 0.1)
            assert time.monotonic() - started > 0.25
            with may_block():
                assert capfd.readouterr().err.count("still pending 0.3 s after") == 1

    asyncio.run(main())


async def test_a_scope_that_is_cancelled_meanwhile_ends_no_flush() -> None:
    """The function's result is what it was; the scope has its way after that."""
    gate = Gate()

    @flush_after_invocation()
    async def function() -> int:
        log.info("called")
        return 7

    async def let_through_later(scope: anyio.CancelScope) -> None:
        await gate.entered.wait()
        scope.cancel()
        await anyio.wait_all_tasks_blocked()
        gate.let_through()

    async with Pipeline(patient(gate)), anyio.create_task_group() as tasks:
        with anyio.CancelScope() as scope:
            tasks.start_soon(let_through_later, scope)
            assert await function() == 7
            assert gate.messages == ["called"]


async def test_an_async_function_s_exception_is_the_same() -> None:
    """Not wrapped in a group by the tasks that flush."""

    @flush_after_invocation()
    async def function() -> None:
        raise ZeroDivisionError

    async with Pipeline(Collect()) as pipeline:
        with pytest.raises(ZeroDivisionError):
            await function()
        with pytest.raises(ZeroDivisionError):
            await flush_after_invocation(pipeline, pipeline)(function)()


async def test_a_sync_function_on_a_loop_never_blocks_it(capfd: pytest.CaptureFixture[str]) -> None:
    """It is not flushed; that is told, once."""

    @flush_after_invocation()
    def function() -> int:
        log.info("called")
        return 1

    async with Pipeline(sink := Collect()):
        assert function() + function() == 2
        assert sink.messages == []
    with may_block():
        assert capfd.readouterr().err.count("runs on an event loop") == 1


# What may be decorated, and what becomes of it.


def plain(function: Any) -> Any:
    """A decorator that hides whether a function is async."""

    @functools.wraps(function)
    def wrapped(*args: Any) -> Any:
        return function(*args)

    return wrapped


async def test_an_async_function_under_a_plain_decorator_is_flushed(
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Once what it returns has been awaited, not when it has merely been called."""
    sink = Collect()

    async def called(event: str) -> str:
        await anyio.sleep(0)
        log.info(event)
        return event

    async with Pipeline(patient(sink)):
        assert await flush_after_invocation()(plain(called))("plain") == "plain"
        assert sink.messages == ["plain"]
        method: Any = staticmethod(called)
        assert await flush_after_invocation()(method)("static") == "static"
        assert sink.messages == ["plain", "static"]
    assert not capfd.readouterr().err


def test_a_coroutine_whose_loop_has_ended_can_be_closed() -> None:
    """As the garbage collector does it: nothing can be awaited any more, on whatever loop."""

    @flush_after_invocation()
    async def called() -> None:
        log.info("Called")
        await asyncio.get_running_loop().create_future()

    async def begin(coroutine: Any) -> None:
        coroutine.send(None)

    coroutine = called()
    with Pipeline(Collect()):
        asyncio.run(begin(coroutine))
        coroutine.close()


@pytest.mark.parametrize("timeout", [10**10, 1e300])
def test_a_timeout_may_be_as_long_as_one_likes(
    timeout: float, capfd: pytest.CaptureFixture[str]
) -> None:
    """Longer than what threads of Python can wait, too."""
    one, two = Collect(), Collect()
    with (
        Pipeline(patient(one), shutdown_timeout=timeout, block_timeout=timeout) as first,
        Pipeline(patient(two)) as second,
    ):

        @flush_after_invocation(first, second, timeout=timeout)
        def called() -> None:
            log.info("Called")

        called()
        assert two.messages == ["Called"]
    assert not capfd.readouterr().err


def test_a_function_that_calls_itself_is_flushed_once() -> None:
    """At its very end: the deadline is that of the invocation."""

    @flush_after_invocation(timeout=0.3)
    def called(depth: int) -> int:
        log.info("Called")
        return depth and called(depth - 1) + 1

    @flush_after_invocation(timeout=0.3)
    async def awaited(depth: int) -> int:
        log.info("Awaited")
        return depth and await awaited(depth - 1) + 1

    with Pipeline(Hang(), shutdown_timeout=0.0):
        started = time.monotonic()
        assert called(50) == 50
        assert asyncio.run(awaited(50)) == 50
        assert 0.5 < time.monotonic() - started < 20.0  # and not a hundred times 0.3


class Callables:
    """Things that can be called and are no plain functions."""

    async def __call__(self, event: str) -> str:
        return event

    def method(self, event: str) -> str:
        return event


def generator() -> Iterator[int]:
    yield 1


async def async_generator() -> AsyncIterator[int]:
    yield 1


class Yields:
    def __call__(self) -> Iterator[int]:
        yield 1


@pytest.mark.parametrize(
    "function", [generator, async_generator, Yields(), Callables, 5, functools.partial(generator)]
)
def test_what_cannot_be_flushed_after_is_refused(function: Any) -> None:
    """A generator's call returns before it has run; a class is none."""
    with pytest.raises(ConfigurationError, match="accepted: a function or an async function"):
        flush_after_invocation()(function)
    assert not invocations._flushes


def test_settings_that_mean_nothing_are_refused() -> None:
    """Also the function itself, given by who forgot the parentheses."""
    with pytest.raises(ConfigurationError, match=r"accepted: .*`@flush_after_invocation\(\)`"):
        flush_after_invocation(generator)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="timeout: got -1; accepted"):
        flush_after_invocation(timeout=-1)
    with pytest.raises(ConfigurationError, match=r"timeout: got 1000.*; accepted"):
        flush_after_invocation(timeout=10**400)


def test_frameworks_see_the_function_that_is_decorated() -> None:
    """Its name, its signature, and whether it is async."""

    @flush_after_invocation()
    def function(req: int) -> str:
        """Say so."""
        return "sync"

    @flush_after_invocation()
    async def async_function(req: int) -> str:
        return "async"

    assert (function.__name__, function.__doc__) == ("function", "Say so.")
    assert list(inspect.signature(async_function).parameters) == ["req"]
    assert inspect.iscoroutinefunction(async_function)
    assert not inspect.iscoroutinefunction(function)


async def test_methods_and_objects_can_be_decorated() -> None:
    """An object whose `__call__` is async counts as async."""
    assert await flush_after_invocation()(Callables())("a") == "a"
    with may_block():
        assert await anyio.to_thread.run_sync(
            flush_after_invocation()(Callables().method), "b"
        ) == ("b")


# The platforms, and the reminder.


@pytest.mark.parametrize(
    ("environ", "name"),
    [
        *((environ, name) for name, environ in PLATFORMS.items()),
        ({"AWS_EXECUTION_ENV": "AWS_Lambda_python3.13"}, "AWS Lambda"),
        ({"AWS_EXECUTION_ENV": "AWS_ECS_FARGATE"}, None),
        ({"FUNCTION_NAME": "f", "FUNCTION_TRIGGER_TYPE": "http"}, "Google Cloud Functions"),
        ({"K_SERVICE": "a Cloud Run service"}, None),
        ({"FUNCTION_TARGET": "functions-framework on a desk"}, None),
        ({"FUNCTION_NAME": "mine"}, None),
        ({"AZURE_FUNCTIONS_ENVIRONMENT": "Production"}, "Azure Functions"),
        ({}, None),
    ],
)
def test_platforms_are_known_by_their_environment(
    environ: dict[str, str], name: str | None
) -> None:
    """By the variables they always set, not by those that others set, too."""
    assert invocations.platform(environ) == name


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(invocations, "REMIND_AFTER", 0.0)


@pytest.mark.parametrize("name", PLATFORMS)
@pytest.mark.usefixtures("soon")
async def test_who_does_not_flush_is_reminded_once(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In band, by the first pipeline of the process, and by no other."""
    for variable, value in PLATFORMS[name].items():
        monkeypatch.setenv(variable, value)
    async with Pipeline(sink := Collect()):
        await sink.until(1)
    [record] = sink.records
    assert (record.logger, record.level.name) == ("logflume", "WARNING")
    assert record.message.startswith(f"{name} lets this process stand still")
    assert "flush_after_invocation()" in record.message
    assert record.fields == {"platform": name}
    assert not invocations.needs_reminder()


@pytest.mark.usefixtures("soon")
async def test_who_flushes_is_not_reminded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even if the function is decorated after the pipeline has begun."""
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "f")
    said: list[str] = []
    assert invocations.needs_reminder()
    flush_after_invocation()(lambda: None)
    await invocations.remind(lambda message, fields: said.append(message))
    assert said == []


async def test_a_pipeline_within_an_invocation_is_no_reason_for_a_reminder(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is closed, and so drained, before the reminder comes."""
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "f")
    async with Pipeline(sink := Collect()):
        await log.ainfo("short")
    assert sink.messages == ["short"]
    assert invocations.needs_reminder()

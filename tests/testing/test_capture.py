"""`capture()`: takes what is said in its block, wherever and however, and leaves no trace."""

from __future__ import annotations

import contextlib
import contextvars
import threading
from functools import partial

import anyio
import anyio.from_thread
import anyio.to_thread
import pytest

from logflume import (
    ConfigurationError,
    Pipeline,
    Record,
    Route,
    disable,
    enable,
    get_logger,
    processors,
)
from logflume import capture as capturing
from logflume.engine import current
from logflume.testing import Collect, Hang, ManualClock, capture

log = get_logger("tests.capture")


def said(*texts: str) -> None:
    for text in texts:
        log.info(text)


async def test_it_takes_sync_and_async_calls_with_nothing_configured() -> None:
    """A record is there when the call returns; no pipeline is started for it."""
    with capture() as logs:
        log.info("User {user} logged in", user="alice")
        assert logs.messages == ["User alice logged in"]
        await log.awarning("Slow", ms=12)
    log.debug("after it")
    assert [r.level.name for r in logs] == ["INFO", "WARNING"]
    assert logs[0].fields == {"user": "alice"}
    assert logs[0].site.function == "test_it_takes_sync_and_async_calls_with_nothing_configured"
    assert current._open == []


def test_it_takes_them_in_scripts_and_threads() -> None:
    """Without any loop, and from threads that were there before."""
    go, done = threading.Event(), threading.Event()

    def work() -> None:
        go.wait()
        log.info("from afar")
        done.set()

    thread = threading.Thread(target=work, name="worker")
    thread.start()
    with capture() as logs:
        log.info("from here")
        go.set()
        done.wait()
    thread.join()
    assert logs.messages == ["from here", "from afar"]
    assert [record.thread for record in logs] == ["MainThread", "worker"]


async def test_records_say_which_task_they_were_logged_in() -> None:
    """The task is told as it is by a pipeline."""
    sink = Collect()
    async with Pipeline(sink):
        log.info("in the pipeline")
    with capture() as logs:
        log.info("in the capture")
    assert logs[0].task == sink.records[0].task is not None


async def test_nothing_reaches_a_pipeline_that_runs_or_is_opened_meanwhile() -> None:
    """Pipelines may open and close in the block: records stay where they are taken."""
    outer, inner = Collect("outer"), Collect("inner")
    async with Pipeline(outer):
        with capture() as logs:
            said("one")
            async with Pipeline(inner):
                said("two")
            said("three")
        said("four")
    assert logs.messages == ["one", "two", "three"]
    assert (outer.messages, inner.messages) == (["four"], [])


async def test_a_pipeline_opened_in_the_block_gets_records_after_it() -> None:
    """What the block is left with is the pipeline of that moment, not that of its beginning."""
    sink = Collect()
    taking = capture()
    logs = taking.__enter__()
    async with Pipeline(sink):
        said("taken")
        taking.__exit__(None, None, None)
        said("delivered")
    assert (logs.messages, sink.messages) == (["taken"], ["delivered"])


async def test_passed_on_records_reach_the_pipeline_as_well() -> None:
    """With `pass_on`, at the pipeline's own levels, waiting and not."""
    sink = Collect()
    async with Pipeline(sink, level="INFO"):
        with capture(pass_on=True) as logs:
            log.debug("too low for it")
            log.info("sync")
            await log.ainfo("async")
            await anyio.to_thread.run_sync(log.info, "from a thread")
        log.debug("still too low")
    assert logs.messages == ["too low for it", "sync", "async", "from a thread"]
    assert sink.messages == ["sync", "async", "from a thread"]


@pytest.mark.parametrize("error", [None, RuntimeError("no"), KeyboardInterrupt()])
def test_all_is_as_before_whatever_ends_the_block(error: BaseException | None) -> None:
    """Levels and the way of records are restored, and nobody holds on to the capture."""
    before = capturing._intake, log.is_enabled_for("DEBUG")
    with contextlib.suppress(RuntimeError, KeyboardInterrupt), capture() as logs:
        assert log.is_enabled_for("TRACE")
        said("taken")
        if error is not None:
            raise error
    assert type(capturing._intake) is type(before[0])
    assert log.is_enabled_for("DEBUG") is before[1] is False
    assert capturing._interceptor is None
    assert logs.messages == ["taken"]


async def test_cancellation_ends_it_too() -> None:
    """A block that is cancelled leaves nothing behind."""
    with anyio.CancelScope() as scope, capture() as logs:
        said("taken")
        scope.cancel()
        await anyio.sleep_forever()
    assert capturing._interceptor is None
    assert logs.messages == ["taken"]


def test_an_outer_capture_has_the_records_of_inner_ones() -> None:
    """Each takes what is said in its block, at its own level."""
    with capture() as outer:
        said("before")
        with capture(level="WARNING") as inner:
            log.info("quiet")
            log.error("loud")
        said("after")
    assert outer.messages == ["before", "quiet", "loud", "after"]
    assert inner.messages == ["loud"]


def test_captures_may_be_left_in_any_order() -> None:
    """Leaving the outer one first takes nothing from the inner one."""
    first, second = capture(), capture()
    outer, inner = first.__enter__(), second.__enter__()
    said("both")
    first.__exit__(None, None, None)
    said("the inner one")
    second.__exit__(None, None, None)
    said("none")
    assert (outer.messages, inner.messages) == (["both"], ["both", "the inner one"])


async def test_concurrent_tasks_have_their_own() -> None:
    """What a task says that is in a capture does not count for those beside it."""
    taken: dict[str, list[str]] = {}
    entered = anyio.Event()
    count = 0

    async def work(name: str) -> None:
        nonlocal count
        with capture() as logs:
            count += 1
            if count == 2:
                entered.set()
            await entered.wait()
            log.info(name)
            await anyio.to_thread.run_sync(log.info, f"{name} in a thread")
            async with anyio.create_task_group() as children:
                children.start_soon(log.ainfo, f"{name} in a child")
            taken[name] = logs.messages

    with capture() as around:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(work, "a")
            tasks.start_soon(work, "b")
    assert taken == {
        name: [name, f"{name} in a thread", f"{name} in a child"] for name in ("a", "b")
    }
    assert sorted(around.messages) == sorted(taken["a"] + taken["b"])


def test_concurrent_threads_have_their_own() -> None:
    """So it is with threads, which do not share a context either."""
    taken: dict[str, list[str]] = {}
    both = threading.Barrier(2)

    def work(name: str) -> None:
        with capture() as logs:
            both.wait()
            log.info(name)
            both.wait()
        taken[name] = logs.messages

    threads = [threading.Thread(target=work, args=(name,)) for name in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert taken == {"a": ["a"], "b": ["b"]}


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_loop_that_runs_in_the_block_is_within_it(backend: str) -> None:
    """Captures that its tasks open are inner ones, whatever context the loop runs in."""

    async def main() -> None:
        with capture() as inner:
            said("inside")
        assert inner.messages == ["inside"]

    with capture() as logs:
        contextvars.Context().run(partial(anyio.run, main, backend=backend))
    assert logs.messages == ["inside"]


async def test_a_task_from_before_counts_for_a_capture_after_it() -> None:
    """A server that runs in the test is heard by captures that are opened later."""
    ask = anyio.Event()
    answered = anyio.Event()

    async def serve() -> None:
        await ask.wait()
        log.info("served")
        answered.set()

    with capture() as outer:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(serve)
            with capture() as inner:
                ask.set()
                await answered.wait()
    assert outer.messages == inner.messages == ["served"]


def test_a_level_limits_what_is_taken() -> None:
    """Down to TRACE by default; else what is given, or what the pipeline has."""
    with capture() as everything, capture(level="ERROR") as errors, capture(level=None) as usual:
        for level in ("TRACE", "DEBUG", "INFO", "ERROR"):
            log.log(level, level)
    assert everything.messages == ["TRACE", "DEBUG", "INFO", "ERROR"]
    assert errors.messages == ["ERROR"]
    assert usual.messages == ["INFO", "ERROR"]


def test_levels_of_the_pipeline_may_change_meanwhile() -> None:
    """`level=None` follows what `configure` and `set_level` say."""
    with Pipeline() as pipeline, capture(level=None) as logs:
        log.debug("not yet")
        pipeline.set_level("tests", "DEBUG")
        log.debug("now")
    assert logs.messages == ["now"]


def test_loggers_that_are_switched_off_stay_so() -> None:
    """`disable` goes before any level."""
    disable("tests.capture")
    try:
        with capture() as logs:
            said("nobody hears")
    finally:
        enable("tests.capture")
    assert logs.messages == []


def test_a_level_that_means_nothing_is_refused() -> None:
    """At once, naming the setting, and without taking anything over."""
    refused = pytest.raises(ConfigurationError, match=r"capture\.level: got 'loud'")
    with refused, capture(level="loud"):
        pass
    assert capturing._interceptor is None


async def test_redaction_and_processors_run_on_request() -> None:
    """In the order of a pipeline: redaction first; and not at all by default."""
    with capture() as raw, capture(redact=True, processors=[processors.Add(env="t")]) as logs:
        log.info("Login", password="hunter2")
        await log.ainfo("Login", password="hunter2")
    assert [r.fields for r in raw] == [{"password": "hunter2"}] * 2
    assert [r.fields for r in logs] == [{"password": "[redacted]", "env": "t"}] * 2


async def test_async_processors_are_awaited_by_the_call_or_by_settle() -> None:
    """An awaited call returns once they are done, a plain one on a loop leaves that to settle."""

    async def mark(record: Record) -> Record:
        await anyio.sleep(0)
        await log.ainfo("said by the processor")
        return record.replace(fields={**record.fields, "marked": True})

    with capture(processors=[mark]) as logs:
        await log.ainfo("first")
        logs.assert_logged("first", marked=True)
        log.info("second")
        log.info("third")
        assert logs.find("second") == []
        await logs.settle()
        assert [r.message for r in logs.find(marked=True)] == ["first", "second", "third"]
    assert len(logs.find("said by the processor")) == 3


async def test_a_plain_function_may_return_something_to_await() -> None:
    """It is found out with the first record, which is not lost by it."""

    async def mark(record: Record) -> Record:
        await anyio.sleep(0)
        return record.replace(fields={"marked": True})

    with capture(processors=[lambda record: mark(record)]) as logs:
        log.info("first")
        await log.ainfo("second")
        await logs.settle()
    assert [r.message for r in logs.find(marked=True)] == ["first", "second"]


def test_async_processors_run_at_once_where_no_loop_runs() -> None:
    """A call of a plain thread may block, so the record is there when it returns."""

    async def mark(record: Record) -> Record:
        await anyio.sleep(0)
        return record.replace(fields={"marked": True})

    with capture(processors=[mark]) as logs:
        log.info("said")
        logs.assert_logged("said", marked=True)


def test_what_processors_keep_back_comes_out_at_the_end() -> None:
    """As at the end of a pipeline."""
    with capture(processors=[processors.Dedupe(60.0)]) as logs:
        for _ in range(3):
            log.info("again")
        assert len(logs) == 1
    assert len(logs) == 2


async def test_lazy_values_are_worked_out() -> None:
    """Sync ones in the call; async ones in an awaited call, or when settled."""

    async def late() -> str:
        await anyio.sleep(0)
        return "late"

    lazy = log.opt(lazy=True)
    with capture() as logs:
        lazy.info("{value}", value=lambda: "at once")
        assert logs.messages == ["at once"]
        await lazy.ainfo("{value}", value=late)
        lazy.info("plain {value}", value=late)
        assert logs.messages == ["at once", "late"]
        await logs.settle()
        assert logs.messages == ["at once", "late", "plain late"]
        lazy.info("never {value}", value=late)
    assert logs.messages[-1] == "never <not evaluated>"


async def test_lazy_values_are_worked_out_once_when_passed_on() -> None:
    """The pipeline and the capture have the same record."""
    calls: list[int] = []

    async def late() -> int:
        calls.append(1)
        await anyio.sleep(0)
        return 42

    sink = Collect()
    async with Pipeline(sink):
        with capture(pass_on=True) as logs:
            log.opt(lazy=True).info("It is {value}", value=late)
            await logs.settle()
            assert logs.messages == ["It is 42"]
    assert sink.messages == ["It is 42"]
    assert calls == [1]


async def test_settle_waits_until_tasks_are_done_with_logging() -> None:
    """Until all others wait for something, however many turns it takes."""

    async def work() -> None:
        for n in range(20):
            log.info("step", n=n)
            await anyio.sleep(0)

    with capture() as logs:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(work)
            await logs.settle()
            assert len(logs) == 20


async def test_settle_ends_where_logging_does_not() -> None:
    """After `within` seconds it says so."""

    async def work() -> None:
        while True:
            log.info("on and on")
            await anyio.sleep(0)

    with capture() as logs:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(work)
            with pytest.raises(TimeoutError, match=r"not settled in 0\.01 s"):
                await logs.settle(within=0.01)
            tasks.cancel_scope.cancel()


def test_a_clock_says_when_records_were_logged() -> None:
    """Instead of the time of day."""
    clock = ManualClock("2026-05-06T07:08:09Z")
    with capture(clock=clock) as logs:
        log.info("one")
        clock.advance(1.5)
        log.info("two")
    assert [r.timestamp for r in logs] == [
        "2026-05-06T07:08:09.000000Z",
        "2026-05-06T07:08:10.500000Z",
    ]


async def test_it_takes_the_span_of_the_pipeline_s_or_its_own_processors() -> None:
    """Trace ids are read in the call."""

    class Traced:
        inline = True

        def current_span(self) -> tuple[int, int]:
            return 1, 2

        def __call__(self, record: Record) -> Record:
            return record

    with capture(processors=[Traced()]) as logs:
        said("own")
    async with Pipeline(processors=[Traced()]):
        with capture() as more:
            said("the pipeline's")
    assert logs[0].span_id == more[0].span_id == "0000000000000002"


def test_exceptions_and_context_are_in_the_records() -> None:
    """All that a pipeline would see."""
    with capture() as logs, log.contextualize(request="42"):
        try:
            raise ValueError("odd")
        except ValueError:
            log.bind(user="alice").exception("Failed")
    record = logs.one("Failed", exception=ValueError, request="42", user="alice")
    assert record.exception is not None
    assert record.exception.message == "odd"


async def test_a_failure_tells_of_what_is_not_settled() -> None:
    """Or a missing `settle` would look like a missing record."""

    async def late() -> str:
        return "late"

    with capture() as logs:
        log.opt(lazy=True).info("{value}", value=late)
        with pytest.raises(AssertionError, match=r"1 record filtered, or not settled yet"):
            logs.one("late")
        await logs.settle()
        logs.assert_logged("late")


def test_a_processor_that_fails_is_left_out_and_told() -> None:
    """As in a pipeline: nothing is raised into the caller, and the record goes on."""

    def broken(record: Record) -> Record:
        raise RuntimeError("no")

    with capture(processors=[broken]) as logs:
        log.info("said", n=1)
    assert logs.one("said", n=1).fields["logflume.failed_processor"] == "broken"


def test_what_sync_processors_log_is_taken_and_does_not_go_round_in_circles() -> None:
    """It passes them, as in a pipeline."""

    def chatty(record: Record) -> Record:
        log.debug("about {what}", what=record.message)
        return record.replace(fields={"marked": True})

    with capture(processors=[chatty]) as logs:
        log.info("said")
    assert sorted(logs.messages) == ["about said", "said"]
    assert [record.message for record in logs.find(marked=True)] == ["said"]


def test_a_capture_decorates_functions_too() -> None:
    """As every context manager of its kind."""
    sink = Collect()

    @capture()
    def quietly() -> None:
        log.error("nobody hears")

    with Pipeline(sink):
        quietly()
        said("heard")
    assert sink.messages == ["heard"]


def test_a_clock_that_is_none_is_refused() -> None:
    """At once, rather than in every log call."""
    refused = pytest.raises(ConfigurationError, match=r"capture\.clock: got 5")
    with refused, capture(clock=5):  # type: ignore[arg-type]
        pass
    assert capturing._interceptor is None


async def test_until_finds_what_is_there_while_a_sink_hangs() -> None:
    """What was passed on may never arrive; that it was logged is known all the same."""
    sink = Hang()
    async with Pipeline(Route(sink, timeout=60.0), shutdown_timeout=0.0) as pipeline:
        with capture(pass_on=True) as logs:
            log.info("here")
            await sink.entered.wait()
            await logs.until("here", within=5.0)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(logs.until, "there")
                await anyio.wait_all_tasks_blocked()
                log.info("there")
    assert pipeline.stats().door.balanced


def test_processors_of_several_captures_may_log_in_several_threads() -> None:
    """No thread waits for another that is in the midst of another capture's processors."""
    in_outer, in_inner = threading.Event(), threading.Event()

    def outer(record: Record) -> Record:
        if record.message == "second":
            in_outer.set()
            in_inner.wait(5.0)
            log.info("by the outer one")
        return record

    def inner(record: Record) -> Record:
        if record.message == "first":
            in_inner.set()
            in_outer.wait(5.0)
            log.info("by the inner one")
        return record

    with capture(processors=[outer]) as around, capture(processors=[inner]) as logs:
        threads = [
            threading.Thread(target=log.info, args=(text,), daemon=True)
            for text in ("first", "second")
        ]
        threads[0].start()
        in_inner.wait(5.0)
        threads[1].start()
        for thread in threads:
            thread.join(10.0)
        assert not any(thread.is_alive() for thread in threads)
    said_by_all = ["by the inner one", "by the outer one", "first", "second"]
    assert sorted(around.messages) == sorted(logs.messages) == said_by_all

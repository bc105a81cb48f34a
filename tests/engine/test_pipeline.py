"""The pipeline: its ways of running, its processors, routes, levels and flushes."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from logflume import (
    Batch,
    ConfigurationError,
    Pipeline,
    PipelineError,
    Record,
    Route,
    context,
    encoders,
    get_logger,
)
from logflume import log as default_log
from tests.fakes import Collect, Gate, Hang, Slow, may_block

log = get_logger("tests.pipeline")


# Ways of running.


async def test_in_a_block() -> None:
    """`async with Pipeline(...)` takes what is logged inside it."""
    sink = Collect()
    async with Pipeline(sink) as pipeline:
        assert isinstance(pipeline, Pipeline)
        log.info("sync")
        await log.ainfo("async")
    assert sink.messages == ["sync", "async"]


async def test_in_a_task_group() -> None:
    """`await tg.start(pipeline.run)` returns the pipeline, which takes records at once."""
    sink = Collect()
    async with anyio.create_task_group() as tasks:
        pipeline = await tasks.start(Pipeline(sink).run)
        log.info("at once")
        await pipeline.aclose()
    assert sink.messages == ["at once"]


def test_in_a_script() -> None:
    """`with Pipeline(...)` runs the loop in a background thread, and drains on leaving."""
    sink = Collect()
    with Pipeline(sink) as pipeline:
        for n in range(100):
            log.info(str(n))
        assert pipeline.complete(5).complete
        assert len(sink.records) == 100
        log.info("last")
    assert sink.messages[-1] == "last"
    assert "logflume" not in {thread.name for thread in threading.enumerate()}


def test_by_default(capsys: pytest.CaptureFixture[str]) -> None:
    """With nothing configured, a console on stderr gets it; `add` and `set_level` work on it."""
    sink = Collect()
    default_log.add(sink)
    log.info("nothing configured")
    assert default_log.complete(5).complete
    assert "nothing configured" in capsys.readouterr().err
    assert sink.messages == ["nothing configured"]


async def test_a_pipeline_without_routes() -> None:
    """No routes is fine; they may come later, and get what is logged from then on."""
    sink = Collect()
    async with Pipeline() as pipeline:
        await log.ainfo("before")
        await pipeline.flush(5)
        pipeline.add(sink)
        await log.ainfo("after")
    assert sink.messages == ["after"]


# Routes.


async def test_routes_come_and_go() -> None:
    """`add` returns an id, `remove` takes it; what a removed route holds is delivered."""
    sink = Gate()
    async with Pipeline() as pipeline:
        route_id = log.add(sink, batch=Batch(max_records=1))
        assert route_id == "gate"
        for n in range(3):
            await log.ainfo(str(n))
        await sink.entered.wait()
        log.remove(route_id)
        await log.ainfo("later")
        sink.let_through()
        with pytest.raises(ConfigurationError, match="route id: got 'gate'"):
            pipeline.remove(route_id)
    assert sink.messages == ["0", "1", "2"]
    assert sink.closed == 1


async def test_routes_come_from_other_threads() -> None:
    """`add` works from any thread; what is logged after it returns goes there."""
    sink = Collect()
    async with Pipeline() as pipeline:
        await anyio.to_thread.run_sync(pipeline.add, sink)
        await log.ainfo("one")
        await pipeline.flush(5)
    assert sink.messages == ["one"]


async def test_names_are_unique() -> None:
    """Equal names get a number, unless they were given on purpose."""
    pipeline = Pipeline(Collect(), Collect())
    assert list(pipeline.stats().routes) == ["collect", "collect-2"]
    with pytest.raises(ConfigurationError, match=r"Route\.name"):
        pipeline.add(Collect(), name="collect")
    with pytest.raises(ConfigurationError, match=r"Route\.name"):
        pipeline.add(Collect(), name="door")


async def test_unknown_options_are_refused() -> None:
    """An unknown route option raises, and says which there are."""
    with pytest.raises(ConfigurationError, match=r"route option: got 'colour'; accepted: .*level"):
        Pipeline().add(Collect(), colour=True)
    with pytest.raises(ConfigurationError, match="no options beside a Route"):
        Pipeline().add(Route(Collect()), level="INFO")
    given: dict[str, Any] = {"sinks": [Collect()]}
    with pytest.raises(ConfigurationError, match=r"Pipeline option: got 'sinks'; .*level"):
        Pipeline(**given)


@pytest.mark.parametrize(
    "settings",
    [
        {"level": "LOUD"},
        {"capacity": 0},
        {"capacity": 1.5},
        {"shutdown_timeout": -1},
        {"block_timeout": float("nan")},
        {"processor_timeout": 0},
        {"processors": [3]},
    ],
    ids=str,
)
def test_settings_that_mean_nothing_are_refused(settings: dict[str, Any]) -> None:
    """A wrong setting raises at once, and names itself."""
    (setting,) = settings
    with pytest.raises(ConfigurationError, match=rf"Pipeline\.{setting}: got .*; accepted: "):
        Pipeline(Collect(), **settings)


# Processors.


async def test_processors_run_in_order() -> None:
    """Each gets what the one before returned; sync and async mix."""
    sink = Collect()

    def first(record: Record) -> Record:
        return record.replace(fields={**record.fields, "steps": "1"})

    async def second(record: Record) -> Record:
        await anyio.lowlevel.checkpoint()
        return record.replace(fields={**record.fields, "steps": record.fields["steps"] + "2"})

    async with Pipeline(sink, processors=[first, second]):
        await log.ainfo("one")
    assert sink.records[0].fields == {"steps": "12"}


def broken(record: Record) -> Record:
    raise ValueError("a secret")


async def hung(record: Record) -> Record:
    await anyio.sleep_forever()
    return record


def lost(record: Record) -> Any:
    return "no record"


def leaving(record: Record) -> Record:
    raise SystemExit


@pytest.mark.parametrize("processor", [broken, hung, lost, leaving], ids=lambda p: p.__name__)
async def test_a_processor_that_fails_is_left_out(processor: Any) -> None:
    """The record goes on without that step, and says so; names, no values."""
    sink = Collect()
    async with Pipeline(sink, processors=[processor], processor_timeout=0.05):
        await log.ainfo("one", n=1)
        await sink.until(1)
    (record,) = sink.records
    assert record.message == "one"
    assert record.fields["n"] == 1
    assert record.fields["logflume.failed_processor"] == processor.__name__
    assert "secret" not in str(record.fields)


async def test_all_processors_that_failed_are_named() -> None:
    """In their order."""
    sink = Collect()
    async with Pipeline(sink, processors=[broken, leaving]):
        await log.ainfo("one")
        await sink.until(1)
    assert sink.records[0].fields == {
        "logflume.failed_processor": "broken, leaving",
        "logflume.error": "ValueError, SystemExit",
    }


@pytest.mark.parametrize(
    "anyio_backend",
    [("asyncio", {"use_uvloop": False}), ("asyncio", {"use_uvloop": True})],
    ids=["asyncio", "uvloop"],
)
@pytest.mark.parametrize("where", ["await", "call", "last"])
async def test_a_processor_that_cancels_its_own_task_ends_nothing(where: str) -> None:
    """What it was at may be lost, counted and told; all that comes later is processed."""

    async def cancels(record: Record) -> Record:
        if record.message == ("3" if where == "last" else "1"):
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
            if where == "await":
                await asyncio.sleep(0)
        return record

    sink = Slow(0.05)
    async with Pipeline(sink, processors=[cancels]) as pipeline:
        for n in range(4):
            log.info(str(n))
            if where != "last":
                assert (await pipeline.flush(5)).complete
    door = pipeline.stats().door
    assert door.balanced
    assert door.pending == 0
    assert door.dropped == ({"error": 1} if where == "await" else {})
    own = [record.message for record in sink.records if record.logger == log.name]
    assert own == [str(n) for n in range(4) if n != 1 or where != "await"]
    told = [record.message for record in sink.records if record.logger == "logflume"]
    if where == "await":
        assert told == ["1 record dropped at the door: error (CancelledError)"]


async def test_a_processor_that_fails_closed_withholds_the_content() -> None:
    """One that guards secrets lets nothing pass that it did not see."""

    class Guard:
        fail_closed = True

        def __call__(self, record: Record) -> Record:
            raise ValueError

    sink = Collect()
    async with Pipeline(Route(sink, encoder=encoders.Json()), processors=[Guard()]):
        await log.bind(token="hunter2").ainfo("hunter2 {p}", p="hunter2")
        await sink.until(1)
    assert b"hunter2" not in b"".join(sink.encoded)
    assert "withheld" in sink.messages[0]


async def test_a_processor_that_logs_does_not_loop() -> None:
    """What a processor logs goes to the routes, past the processors."""
    sink = Collect()

    def talkative(record: Record) -> Record:
        log.info("processing")
        return record

    async with Pipeline(sink, processors=[talkative]) as pipeline:
        await log.ainfo("one")
        for _ in range(3):
            await pipeline.flush(5)
    assert sink.messages == ["one", "processing"]


# Levels.


async def test_levels_are_hierarchical_and_change_while_running() -> None:
    """`app.db` inherits `app`; a change holds for the next call."""
    sink = Collect()
    app, db = get_logger("app"), get_logger("app.db")
    async with Pipeline(sink, level="WARNING") as pipeline:
        db.info("no")
        pipeline.set_level("app", "DEBUG")
        db.debug("yes")
        pipeline.set_level("app.db", "ERROR")
        db.warning("no")
        app.debug("yes too")
        pipeline.set_level(None, "CRITICAL")
        log.error("no")
    assert sink.messages == ["yes", "yes too"]


async def test_the_environment_sets_levels(monkeypatch: pytest.MonkeyPatch) -> None:
    """LOGFLUME_LEVEL holds where the program says nothing."""
    monkeypatch.setenv("LOGFLUME_LEVEL", "error,app.db=debug")
    sink = Collect()
    async with Pipeline(sink):
        get_logger("app").warning("no")
        get_logger("app.db").debug("yes")
    assert sink.messages == ["yes"]


# Flushing.


async def test_flush_waits_for_what_was_accepted_before() -> None:
    """The report is complete, and everything has arrived."""
    sink = Collect()
    async with Pipeline(sink) as pipeline:
        for n in range(100):
            log.info(str(n))
        report = await pipeline.flush()
        assert (report.complete, report.pending) == (True, {})
        assert len(sink.records) == 100


async def test_a_flush_that_takes_too_long_says_what_is_pending() -> None:
    """After `timeout` seconds the report names the routes and how much is left."""
    sink, well = Hang(), Collect()
    async with Pipeline(sink, well, shutdown_timeout=0.05) as pipeline:
        for _ in range(3):
            await log.ainfo("stuck")
        await well.until(3)
        report = await pipeline.flush(0.5)
        assert (report.complete, report.pending) == (False, {"hang": 3})


async def test_a_flush_without_time_is_never_complete_by_mistake(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also if the time is over before the routes were looked at."""
    sink = Gate()
    async with Pipeline(sink) as pipeline:
        await log.ainfo("said")
        await sink.entered.wait()
        monkeypatch.setattr(pipeline._run._pump, "release", anyio.sleep_forever)
        report = await pipeline.flush(0.01)
        assert not report.complete
        assert report.pending == {"gate": 1}
        sink.let_through()


async def test_flush_does_not_wait_for_later_records() -> None:
    """A stream of new records does not keep a flush from returning."""
    async with Pipeline(Collect()) as pipeline, anyio.create_task_group() as tasks:

        async def forever() -> None:
            while True:
                await log.ainfo("on and on")

        tasks.start_soon(forever)
        with anyio.fail_after(5):
            for _ in range(3):
                assert (await pipeline.flush()).complete
        tasks.cancel_scope.cancel()


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
async def test_flush_from_another_loop(backend: str) -> None:
    """Any loop may flush a pipeline of another."""
    sink = Collect()
    async with Pipeline(sink) as pipeline:
        log.info("one")

        def other() -> None:
            async def flush() -> None:
                assert (await pipeline.flush(5)).complete
                assert sink.messages == ["one"]

            anyio.run(flush, backend=backend)

        await anyio.to_thread.run_sync(other)


async def test_complete_from_a_thread_and_not_on_a_loop() -> None:
    """`complete` blocks a plain thread until all is settled, and refuses to block a loop."""
    sink = Collect()
    async with Pipeline(sink) as pipeline:
        log.info("one")
        with pytest.raises(PipelineError, match="acomplete"):
            log.complete()
        report = await anyio.to_thread.run_sync(log.complete)
        assert report.complete
        assert sink.messages == ["one"]
        assert (await log.acomplete(5)).complete
    assert (await pipeline.flush()).complete


async def test_a_blocked_loop_does_not_hold_complete_up_beyond_its_timeout() -> None:
    """`complete(timeout)` returns in time, and says what is pending."""
    sink = Hang()
    async with Pipeline(sink, shutdown_timeout=0.05):
        await log.ainfo("one")
        report = await anyio.to_thread.run_sync(log.complete, 0.05)
        assert not report.complete


# Context.


async def test_context_is_inherited_by_tasks_and_threads() -> None:
    """Child tasks and worker threads carry the fields of the block they were started in."""
    sink = Collect()
    async with Pipeline(sink):
        with context(request=7):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(log.ainfo, "a task")
            await anyio.to_thread.run_sync(log.info, "a thread")
        log.info("outside")
    assert [r.fields for r in sink.records] == [{"request": 7}, {"request": 7}, {}]


async def test_context_does_not_leak_between_siblings() -> None:
    """What one task binds no other sees."""
    sink = Collect()
    met: list[int] = []
    both = anyio.Event()

    async def work(n: int) -> None:
        with context(n=n):
            met.append(n)
            if len(met) == 2:
                both.set()
            await both.wait()
            await log.ainfo("from {me}", me=n)

    async with Pipeline(sink), anyio.create_task_group() as tasks:
        tasks.start_soon(work, 1)
        tasks.start_soon(work, 2)
    assert all(r.fields["n"] == r.fields["me"] for r in sink.records)
    assert len(sink.records) == 2


async def test_a_context_closed_from_another_task_raises_nothing() -> None:
    """An async generator with a contextualize block may be closed by its consumer elsewhere."""
    sink = Collect()

    async def numbers() -> AsyncIterator[int]:
        with log.contextualize(inside=True):
            log.info("in the generator")
            yield 1

    async with Pipeline(sink) as pipeline:
        generator = numbers()
        assert await anext(generator) == 1

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(generator.aclose)  # type: ignore[attr-defined]
        await pipeline.flush(5)

        def elsewhere() -> None:
            log.info("elsewhere")

        thread = threading.Thread(target=elsewhere)
        thread.start()
        await sink.until(2)
        await anyio.to_thread.run_sync(thread.join)
    assert [r.fields for r in sink.records] == [{"inside": True}, {}]


async def test_a_sinks_task_does_not_carry_the_context_of_whoever_opened_it() -> None:
    """What a sink logs by itself has no fields of the block in which the pipeline was opened."""
    other = Collect("other")

    class Talking(Collect):
        async def before(self, batch: object) -> None:
            log.info("by a sink")

    with context(secret="hunter2"):
        async with Pipeline(Talking(), other) as pipeline:
            await get_logger("x").ainfo("one")
            await pipeline.flush(5)
            await other.until(2)
    assert [r.fields for r in other.records if r.message == "by a sink"] == [{}]


# Options of sinks.


async def test_a_path_may_be_added_with_the_options_of_its_sink(tmp_path: Path) -> None:
    """Those of the route and those of the file side by side, as users of other loggers write it."""
    path = tmp_path / "app.jsonl"
    async with Pipeline() as pipeline:
        pipeline.add(path, rotation="1 KB", retention=2, level="WARNING")
        for n in range(20):
            log.info("not there")
            log.warning("line {n}", n=n, text="x" * 200)
        await pipeline.flush(10)
    with may_block():
        rotated = [file for file in tmp_path.iterdir() if file != path]
        assert 1 <= len(rotated) <= 2
        assert b"not there" not in path.read_bytes()


@pytest.mark.parametrize(
    ("sink", "options"),
    [("app.jsonl", {"rotate": "1 KB"}), (print, {"rotation": "1 KB"}), (Collect(), {"mode": 5})],
    ids=["path", "callable", "sink"],
)
def test_an_option_that_neither_route_nor_sink_knows_is_refused(
    sink: Any, options: dict[str, Any]
) -> None:
    """Naming it, and what is accepted."""
    with pytest.raises(ConfigurationError, match=r"option: got .*; accepted: "):
        Pipeline().add(sink, **options)


# Routes that leave.


async def test_what_was_logged_before_a_removal_is_delivered() -> None:
    """It may still be at the door then; what is logged afterwards is not for the route."""
    sink = Collect()
    async with Pipeline() as pipeline:
        for n in range(3):
            route_id = pipeline.add(sink, name="mine") if not n else pipeline.add(Collect("other"))
            log.info("before {n}", n=n)
            pipeline.remove(route_id)
            log.info("after {n}", n=n)
    assert sink.messages == ["before 0"]
    assert sink.closed == 1


async def test_a_flush_waits_for_a_route_that_leaves() -> None:
    """What was logged before its removal is settled with all else, and counted until the end."""
    sink = Gate()
    async with Pipeline() as pipeline:
        pipeline.add(sink, name="it")
        await log.ainfo("said")
        pipeline.remove("it")
        report = await pipeline.flush(0.05)
        assert not report.complete
        assert report.pending == {"it": 1}
        assert pipeline.stats().routes["it"].pending == 1
        sink.let_through()
        assert (await pipeline.flush(5)).complete
        assert sink.messages == ["said"]
        await pipeline._run.progress.until(lambda: not pipeline.stats().routes)


def test_a_script_may_read_what_it_logged_to_a_route_it_removed(tmp_path: Path) -> None:
    """`complete` waits for it."""
    path = tmp_path / "said.jsonl"
    with Pipeline() as pipeline:
        route_id = pipeline.add(path)
        log.info("said")
        pipeline.remove(route_id)
        assert log.complete(5).complete
        assert b'"said"' in path.read_bytes()


async def test_a_route_may_take_the_name_of_one_that_leaves() -> None:
    """The one that leaves gets nothing of what is logged afterwards."""
    old, new = Collect(), Collect()
    async with Pipeline(Route(old, name="it")) as pipeline:
        await log.ainfo("old")
        pipeline.remove("it")
        pipeline.add(new, name="it")
        await log.ainfo("new")
    assert old.messages == ["old"]
    assert new.messages[-1] == "new"


def test_a_script_may_remove_a_route_at_once() -> None:
    """From another thread than the loop's, and before the loop is up."""
    taken: list[list[str]] = [[] for _ in range(20)]
    with Pipeline():
        for n, mine in enumerate(taken):
            callback = log.add_callback(lambda record, mine=mine: mine.append(record["message"]))
            log.info("record {n}", n=n)
            log.remove_callback(callback)
            log.info("too late")
    assert [mine[-1] for mine in taken] == [f"record {n}" for n in range(20)]


async def test_a_route_that_is_removed_before_it_opens_is_never_opened() -> None:
    """Nothing was logged for it."""
    sink = Collect()
    pipeline = Pipeline(Route(sink, name="it"))
    pipeline.remove("it")
    async with pipeline:
        await log.ainfo("m")
    assert sink.opened == 0

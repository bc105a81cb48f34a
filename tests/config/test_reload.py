"""Another configuration for a pipeline that runs: nothing is lost, or nothing has changed."""

from __future__ import annotations

import gzip
import json
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio import to_thread
from anyio.abc import TaskGroup

from logflume import (
    ConfigurationError,
    Pipeline,
    PipelineError,
    Record,
    Route,
    configure_from,
    get_logger,
)
from tests.fakes import Collect, Gate, Hang, Unopenable, may_block

log = get_logger("tests.reload")


def routes(*sinks: Any, **options: Any) -> dict[str, Any]:
    return {"routes": [{"sink": sink, **options} for sink in sinks]}


def by_name(pipeline: Pipeline) -> dict[str, Route]:
    return {route.name: route for route in pipeline._routes}


async def test_records_go_to_the_new_routes_from_then_on() -> None:
    """What was logged before goes to the old set, what is logged afterwards to the new one."""
    old, new = Collect("old"), Collect("new")
    async with configure_from(routes(old)) as pipeline:
        await log.ainfo("one")
        await pipeline.flush()
        await pipeline.reload(routes(new))
        await log.ainfo("two")
    assert (old.messages, new.messages) == (["one"], ["two"])
    assert (old.opened, old.closed, new.opened, new.closed) == (1, 1, 1, 1)
    assert list(pipeline.stats().routes) == ["new"]


async def test_an_unchanged_route_stays_as_it_is() -> None:
    """Its sink is not opened again, and its ledger goes on."""
    same, other = Collect("same"), Collect("other")
    async with configure_from(routes(same)) as pipeline:
        await log.ainfo("one")
        await pipeline.reload(routes(other, same))
        await log.ainfo("two")
    assert (same.messages, other.messages) == (["one", "two"], ["two"])
    assert (same.opened, same.closed) == (1, 1)
    assert pipeline.stats().routes["same"].delivered == 2
    assert list(pipeline.stats().routes) == ["other", "same"]


async def test_an_unchanged_file_stays_open(tmp_path: Path) -> None:
    """Equal tables are the same route: the file's handle is the one it had."""
    file = tmp_path / "logflume.toml"
    same = f'[[routes]]\nsink = {{ type = "file", path = "{tmp_path}/same.jsonl" }}\n'
    with may_block():
        file.write_text(same)
    pipeline = await to_thread.run_sync(configure_from, file)
    async with pipeline:
        await log.ainfo("one")
        route = by_name(pipeline)["same.jsonl"]
        with may_block():
            file.write_text(same + same.replace("same", "more"))
        await pipeline.reload()
        assert by_name(pipeline)["same.jsonl"] is route
        await log.ainfo("two")
    with may_block():
        assert (tmp_path / "same.jsonl").read_text().count("\n") == 2
        assert (tmp_path / "more.jsonl").read_text().count("\n") == 1


async def test_a_changed_route_keeps_its_name() -> None:
    """The new route of a sink is counted under the name that the old one had."""
    async with configure_from(routes(Collect("a"), Collect("b"))) as pipeline:
        await pipeline.reload(routes(Collect("a"), level="error"))
        assert list(pipeline.stats().routes) == ["a"]
        await pipeline.reload(routes(Collect("a"), Collect("a")))
        assert list(pipeline.stats().routes) == ["a", "a-2"]


async def test_a_route_that_goes_delivers_what_it_holds() -> None:
    """A removed route ends once its buffer is empty; nobody waits for that."""
    old, new = Gate("old"), Collect("new")
    async with configure_from(routes(old)) as pipeline:
        for number in range(10):
            await log.ainfo(str(number))
        await old.entered.wait()
        await pipeline.reload(routes(new))
        assert old.messages == []
        old.let_through()
    assert old.messages == [str(number) for number in range(10)]
    assert old.closed == 1


async def test_new_sinks_are_open_before_old_ones_are_let_go() -> None:
    """As long as a new sink opens, records go to the old set."""
    old, new = Collect("old"), SlowToOpen("new")
    async with configure_from(routes(old)) as pipeline, anyio.create_task_group() as tasks:
        tasks.start_soon(pipeline.reload, routes(new))
        await new.opening.wait()
        await log.ainfo("one")
        await pipeline.flush()
        assert old.messages == ["one"]
        new.may_open.set()
    assert new.messages == []


class SlowToOpen(Collect):
    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.opening = anyio.Event()
        self.may_open = anyio.Event()

    async def open(self) -> None:
        self.opening.set()
        await self.may_open.wait()
        await super().open()


async def test_a_sink_that_does_not_open_changes_nothing(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The reload raises, all goes on as before, and what was opened is closed again."""
    old, good = Collect("old"), Collect("good")
    async with configure_from({**routes(old), "level": "info"}) as pipeline:
        with pytest.raises(PipelineError, match=r"route 'unopenable': .*no such place"):
            await pipeline.reload({**routes(good, Unopenable()), "level": "debug"})
        log.debug("not taken")
        await log.ainfo("one")
        assert list(pipeline.stats().routes) == ["old"]
        pipeline.add(Collect("good"))  # its name is free again
    assert old.messages == ["one"]
    assert good.messages == []
    assert (good.opened, good.closed) == (1, 1)
    assert capsys.readouterr().err == ""


async def test_a_configuration_that_is_wrong_changes_nothing() -> None:
    """A setting that means nothing raises before anything is touched."""
    old, new = Collect("old"), Collect("new")
    async with configure_from(routes(old)) as pipeline:
        with pytest.raises(ConfigurationError, match=r"routes\[1\]\.levle: unknown"):
            await pipeline.reload({"routes": [{"sink": new}, {"sink": new, "levle": 3}]})
        await log.ainfo("one")
    assert (old.messages, new.opened) == (["one"], 0)


async def test_what_the_door_is_made_of_cannot_change() -> None:
    """A capacity that differs is refused; the same one is fine."""
    async with configure_from({**routes(), "capacity": 100}) as pipeline:
        await pipeline.reload({"capacity": 100, **routes()})
        with pytest.raises(ConfigurationError, match="capacity: got 99; accepted: 100, as long"):
            await pipeline.reload({"capacity": 99, **routes()})


async def test_levels_are_replaced() -> None:
    """The root and the names have the levels of the new configuration, and no others."""
    db, other = get_logger("app.db"), get_logger("other")
    async with configure_from({**routes(), "levels": {"app": "error"}}) as pipeline:
        pipeline.set_level("other", "error")
        assert not db.is_enabled_for("info")
        await pipeline.reload({**routes(), "level": "warning", "levels": {"app.db": "debug"}})
        assert db.is_enabled_for("debug")
        assert other.is_enabled_for("warning")
        assert not get_logger("app").is_enabled_for("info")


class Mark:
    inline = True

    def __init__(self, mark: str) -> None:
        self.mark = mark

    def __call__(self, record: Record) -> Record:
        return record.replace(message=f"{record.message}{self.mark}")


async def mark_slowly(record: Record) -> Record:
    await anyio.lowlevel.checkpoint()
    return record.replace(message=f"{record.message}~")


async def test_processors_are_replaced() -> None:
    """Those of the new configuration run on what is logged afterwards."""
    sink = Collect()
    a = {"type": f"{__name__}:Mark", "mark": "a"}
    b = {"type": f"{__name__}:Mark", "mark": "b"}
    async with configure_from({**routes(sink), "processors": [a]}) as pipeline:
        for number, processors in enumerate([[a, b], [mark_slowly], [b], []]):
            await log.ainfo(str(number))
            await pipeline.flush()
            await pipeline.reload({**routes(sink), "processors": processors})
        await log.ainfo("4")
    assert sink.messages == ["0a", "1ab", "2~", "3b", "4"]


async def test_an_unchanged_processor_goes_on() -> None:
    """It keeps its state, as a limit of rates has to."""
    a = {"type": f"{__name__}:Mark", "mark": "a"}
    async with configure_from({**routes(), "processors": [a]}) as pipeline:
        (before,) = [processor for _, processor in pipeline.configured._processors]
        await pipeline.reload({**routes(), "processors": [a, mark_slowly]})
        after = [processor for _, processor in pipeline.configured._processors]
    assert after == [before, mark_slowly]


class Keep:
    """Keeps back all records until it is asked for them."""

    inline = True

    def __init__(self) -> None:
        self.kept: list[Record] = []

    def __call__(self, record: Record) -> None:
        self.kept.append(record)

    def due(self) -> float | None:
        return 1e12 if self.kept else None

    def release(self) -> Sequence[Record]:
        kept, self.kept = self.kept, []
        return kept


async def test_what_a_processor_keeps_is_given_out_when_it_goes() -> None:
    """A record that a processor keeps back is not lost with it."""
    sink = Collect()
    async with configure_from({**routes(sink), "processors": [Keep()]}) as pipeline:
        await log.ainfo("kept")
        await pipeline.reload(routes(sink))
        await log.ainfo("passed")
        await pipeline.flush()
    assert sink.messages == ["kept", "passed"]
    door = pipeline.stats().door
    assert (door.received, door.delivered, door.filtered) == (2, 2, 0)


async def test_what_was_added_later_stays() -> None:
    """A reload replaces what was configured, also in code; not what `add` added."""
    first, added, new = Collect("first"), Collect("added"), Collect("new")
    async with Pipeline(first) as pipeline:
        pipeline.add(added)
        await pipeline.reload(routes(new))
        await log.ainfo("one")
        await pipeline.flush()
        pipeline.remove("new")
        await pipeline.reload(routes(new, name="again"))
        await log.ainfo("two")
    assert first.messages == []
    assert added.messages == ["one", "two"]
    assert new.messages == ["one", "two"]


async def test_a_route_that_was_removed_comes_back() -> None:
    """What a configuration says is there after a reload, also if it was removed by hand."""
    file = Collect("a")
    async with configure_from(routes(file)) as pipeline:
        pipeline.remove("a")
        await pipeline.reload(routes(file))
        assert list(pipeline.stats().routes) == ["a"]


async def test_reloads_are_serialised() -> None:
    """The one that is asked for last is what remains."""
    sinks = [SlowToOpen(str(number)) for number in range(5)]
    async with configure_from(routes()) as pipeline, anyio.create_task_group() as tasks:
        for sink in sinks:
            tasks.start_soon(pipeline.reload, routes(sink))
            await sinks[0].opening.wait()
            await anyio.wait_all_tasks_blocked()
            assert [s.opening.is_set() for s in sinks] == [True, False, False, False, False]
        for sink in sinks:
            sink.may_open.set()
            await sink.opening.wait()
    assert [(sink.opened, sink.closed) for sink in sinks] == [(1, 1)] * 5
    assert list(pipeline.stats().routes) == ["4"]


async def test_a_reload_that_nobody_waits_for_goes_on() -> None:
    """Cancelling the caller changes nothing about it."""
    old, new = Collect("old"), SlowToOpen("new")
    async with configure_from(routes(old)) as pipeline:
        with anyio.move_on_after(0.05):
            await pipeline.reload(routes(new))
        assert list(pipeline.stats().routes) == ["old"]
        new.may_open.set()
        await pipeline.reload(routes(new))  # waits for its turn
        assert list(pipeline.stats().routes) == ["new"]
    assert new.opened == 1


async def test_closing_does_not_wait_for_a_reload() -> None:
    """A sink that hangs in opening is given up with the shutdown; whoever waits is told."""
    old, new = Collect("old"), SlowToOpen("new")
    config = {**routes(old), "shutdown_timeout": 1.0}
    told: list[PipelineError] = []

    async def reload() -> None:
        with pytest.raises(PipelineError) as error:
            await pipeline.reload(routes(new))
        told.append(error.value)

    async with anyio.create_task_group() as tasks:
        with anyio.fail_after(5):
            async with configure_from(config) as pipeline:
                tasks.start_soon(reload)
                await new.opening.wait()
                await log.ainfo("one")
    assert len(told) == 1
    assert old.messages == ["one"]


async def test_a_pipeline_that_is_not_open_cannot_be_reloaded() -> None:
    """Before and after there is nobody to do it."""
    pipeline = configure_from(routes())
    with pytest.raises(PipelineError, match="is open"):
        await pipeline.reload(routes())
    async with pipeline:
        pass
    with pytest.raises(PipelineError, match="is open"):
        await pipeline.reload(routes())


def test_threads_reload_too() -> None:
    """From a thread without a loop, it waits, and raises."""
    old, new = Collect("old"), Collect("new")
    with configure_from(routes(old)) as pipeline:
        log.info("one")
        pipeline.reload_and_wait(routes(new))
        log.info("two")
        with pytest.raises(ConfigurationError):
            pipeline.reload_and_wait({"nonsense": 1})
        with pytest.raises(PipelineError):
            pipeline.reload_and_wait(routes(Unopenable()))
    assert (old.messages, new.messages) == (["one"], ["two"])


async def test_a_loop_is_never_blocked_by_it() -> None:
    """`reload_and_wait` refuses to; `reload` serves any loop."""
    with may_block():
        pipeline = configure_from(routes(Collect("old"))).__enter__()
    try:
        with pytest.raises(PipelineError, match="would block"):
            pipeline.reload_and_wait(routes())
        await pipeline.reload(routes(Collect("new")))
        assert list(pipeline.stats().routes) == ["new"]
    finally:
        with may_block():
            pipeline.close()


async def test_a_hung_sink_is_let_go_and_does_not_hold_up_the_next() -> None:
    """A reload gets rid of a sink that hangs; what it holds is counted at the end."""
    old, new = Hang("old"), Collect("new")
    async with configure_from({**routes(old), "shutdown_timeout": 0.1}) as pipeline:
        await log.ainfo("one")
        await old.entered.wait()
        await pipeline.reload({**routes(new), "shutdown_timeout": 0.1})
        await log.ainfo("two")
    assert new.messages == ["two"]


RELOADS = 50


class Talk:
    """Threads and tasks that log until they are told to stop; `said` counts."""

    def __init__(self) -> None:
        self.over = threading.Event()
        self.said: list[int] = []

    def start_in(self, tasks: TaskGroup) -> None:
        for who in range(2):
            tasks.start_soon(to_thread.run_sync, self._in_thread, who)
            tasks.start_soon(self._in_task, who)

    def _in_thread(self, who: int) -> None:
        count = 0
        while not self.over.is_set():
            log.info(f"thread-{who}-{count}")
            count += 1
            if count % 20 == 0:
                self.over.wait(0.001)
        self.said.append(count)

    async def _in_task(self, who: int) -> None:
        count = 0
        while not self.over.is_set():
            await log.ainfo(f"task-{who}-{count}")
            count += 1
            if count % 50 == 0:
                await anyio.sleep(0.001)
        self.said.append(count)


def other_files(folder: Path, number: int) -> dict[str, Any]:
    sink = {"type": "file", "path": str(folder / f"{number}.txt")}
    return {"routes": [{"sink": sink, "encoder": f"{__name__}:Plain"}], "capacity": 1_000}


def other_processors(folder: Path, number: int) -> dict[str, Any]:
    processors: list[list[Any]] = [[], [mark_slowly], [Mark("")]]
    return {**other_files(folder, 0), "processors": processors[number % 3]}


@pytest.mark.parametrize(("config", "files"), [(other_files, RELOADS + 1), (other_processors, 1)])
async def test_no_record_is_lost_or_doubled_by_reloads(
    tmp_path: Path, config: Callable[[Path, int], dict[str, Any]], files: int
) -> None:
    """Logged from threads and tasks during 50 reloads, each record is there exactly once."""
    talk = Talk()
    async with configure_from(config(tmp_path, 0)) as pipeline, anyio.create_task_group() as tasks:
        talk.start_in(tasks)
        for number in range(1, RELOADS + 1):
            await pipeline.reload(config(tmp_path, number))
            await anyio.sleep(0.002)
        talk.over.set()
    with may_block():
        texts = [path.read_text() for path in tmp_path.glob("*.txt")]
    lines = Counter(line.rstrip("~") for text in texts for line in text.splitlines())
    assert pipeline.stats().door.dropped == {}
    assert set(lines.values()) == {1}
    assert lines.total() == sum(talk.said) > 1_000
    assert len(texts) == files


class Plain:
    def encode(self, record: Record, /) -> bytes:
        return f"{record.message}\n".encode()


def test_the_order_of_a_thread_is_kept_over_a_change_of_processors() -> None:
    """Records logged before a reload come before those logged after it."""
    sink = Collect()
    makers: list[Callable[[Record], Any]] = [mark_slowly, Mark("!")]
    with configure_from(routes(sink)) as pipeline:
        for number in range(20):
            for again in range(20):
                log.info(f"{number * 20 + again:04}")
            pipeline.reload_and_wait({**routes(sink), "processors": [makers[number % 2]]})
    numbers = [message[:4] for message in sink.messages]
    assert numbers == sorted(numbers)
    assert len(numbers) == 400


async def test_another_rotation_for_the_same_file_loses_nothing(tmp_path: Path) -> None:
    """The old sink and the new one are at one file for a moment, and take turns."""
    path = tmp_path / "a.jsonl"

    def config(kilobytes: int) -> dict[str, Any]:
        sink = {"type": "file", "path": str(path), "rotation": f"{kilobytes} KB"}
        return routes({**sink, "compression": "gzip"})

    count = 0
    async with configure_from(config(8)) as pipeline:
        for number in range(10):
            for _ in range(100):
                await log.ainfo("x", count=count)
                count += 1
            await pipeline.reload(config(8 + number % 2))
    assert numbers_in(tmp_path) == list(range(count))


def numbers_in(folder: Path) -> list[int]:
    """Return the numbers of all records in the files of a folder, also in compressed ones."""
    found: list[int] = []
    with may_block():
        for file in folder.iterdir():
            content = file.read_bytes()
            lines = (gzip.decompress(content) if file.suffix == ".gz" else content).splitlines()
            found += [json.loads(line)["fields"]["count"] for line in lines]
    return sorted(found)


async def test_settings_that_are_left_out_are_the_defaults_again() -> None:
    """As in a pipeline that is made of the new configuration."""
    config = {**routes(Collect()), "shutdown_timeout": 30, "processor_timeout": 9}
    async with configure_from(config) as pipeline:
        assert (pipeline.shutdown_timeout, pipeline._processing.timeout) == (30, 9)
        await pipeline.reload(routes(Collect()))
        assert (pipeline.shutdown_timeout, pipeline._processing.timeout) == (5, 5)

"""What anyio does not say about loops."""

from __future__ import annotations

import asyncio
import sys
import types
from typing import Any

import anyio
import pytest

from logflume import Pipeline, get_logger
from logflume.engine.backend import in_trio, running_loop
from tests.fakes import Collect


def test_trio_that_another_thread_is_importing_costs_no_record(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A module is among the loaded ones before its names are there: nothing runs in it yet."""
    sink = Collect()
    with Pipeline(sink):
        monkeypatch.setitem(sys.modules, "trio", types.ModuleType("trio"))
        assert not in_trio()
        get_logger("app").info("logged meanwhile")
        monkeypatch.undo()
    assert [record.message for record in sink.records] == ["logged meanwhile"]


@pytest.mark.parametrize("anyio_backend", ["trio"])
@pytest.mark.parametrize("inside", [True, False], ids=["its own variable", "its function"])
async def test_the_task_that_trio_is_in(inside: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """By name, none between tasks; whether or not it still keeps it where it does."""
    import trio

    current_task: Any = trio.lowlevel.current_task
    if not inside:
        monkeypatch.setattr(trio.lowlevel, "current_task", lambda: current_task())
    here = running_loop()
    assert (here.task_key == "task") is inside
    assert here.task_of(here.task_key) is current_task()

    sink = Collect()
    log = get_logger("app")

    class Instrument(trio.abc.Instrument):
        def before_io_wait(self, timeout: float) -> None:
            trio.lowlevel.remove_instrument(self)
            log.info("{task}", task=here.task_of(here.task_key))

    async def work() -> None:
        await log.ainfo("in a task")
        log.opt(depth=0).info("with options")

    async with Pipeline(sink), anyio.create_task_group() as tasks:
        tasks.start_soon(work, name="worker")
        trio.lowlevel.add_instrument(Instrument())
        await sink.until(3)
    found = {record.message: record.task for record in sink.records}
    assert found == {"in a task": "worker", "with options": "worker", "None": None}


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("at_home", [True, False])
async def test_a_task_that_cannot_say_its_name_loses_no_record(at_home: bool) -> None:
    """One of a class of somebody's own: the record has none."""

    class Nameless(asyncio.Task[Any]):
        def get_name(self) -> str:
            raise ValueError("no name")

    async def work() -> None:
        await get_logger("app").ainfo("said")

    def elsewhere() -> None:
        async def main() -> None:
            await Nameless(work(), loop=asyncio.get_running_loop())

        asyncio.run(main())

    sink = Collect()
    async with Pipeline(sink):
        if at_home:
            await Nameless(work(), loop=asyncio.get_running_loop())
        else:
            await anyio.to_thread.run_sync(elsewhere)
        await sink.until(1)
    (record,) = sink.records
    assert (record.message, record.task) == ("said", None)

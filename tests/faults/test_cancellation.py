"""Cancellation injected at each await of ainfo, flush and aclose, one after the other."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Generator
from typing import Any, TypeAlias

import anyio
import pytest

from logflume import Batch, Pipeline, Route, get_logger
from tests.fakes import Collect, Gate

UnderFire: TypeAlias = Callable[[Any], Coroutine[Any, Any, None]]

log = get_logger("tests.cancellation")


class CancelAt:
    """Await something, and cancel the scope at its n-th suspension; `hit` says if there was one."""

    def __init__(self, awaited: Awaitable[Any], scope: anyio.CancelScope, at: int) -> None:
        self.awaited = awaited
        self.scope = scope
        self.at = at
        self.hit = False

    def __await__(self) -> Generator[Any, Any, Any]:
        inner = self.awaited.__await__()
        value: Any = None
        problem: BaseException | None = None
        for suspension in range(1_000_000):
            try:
                yielded = inner.send(value) if problem is None else inner.throw(problem)
            except StopIteration as stop:
                return stop.value
            if suspension == self.at:
                self.hit = True
                self.scope.cancel()
            value, problem = None, None
            try:
                value = yield yielded
            except BaseException as error:
                problem = error
        return None


async def cancel_everywhere(
    attempt: Callable[[UnderFire], Awaitable[None]],
) -> int:
    """Repeat an attempt with the cancellation one await later, until it comes too late."""
    for at in range(1_000):
        hits: list[CancelAt] = []
        scope = anyio.CancelScope()

        async def under_fire(
            awaited: Awaitable[Any],
            at: int = at,
            hits: list[CancelAt] = hits,
            scope: anyio.CancelScope = scope,
        ) -> None:
            with scope:
                hits.append(CancelAt(awaited, scope, at))
                await hits[0]

        await attempt(under_fire)
        if not hits[0].hit:
            return at
    raise AssertionError("no end of awaits")


async def test_ainfo_cancelled_at_every_await() -> None:
    """A cancelled call is accepted or counted as cancelled, never both and never neither."""

    async def attempt(under_fire: UnderFire) -> None:
        release = anyio.Event()

        async def hold(record: Any) -> Any:
            await release.wait()
            return record

        sink = Collect()
        async with Pipeline(sink, capacity=1, processors=[hold]) as pipeline:
            await log.ainfo("first")
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(under_fire, log.ainfo("under fire"))
                await anyio.wait_all_tasks_blocked()
                release.set()
            await log.ainfo("last")
            assert (await pipeline.flush(5)).complete
            door = pipeline.stats().door
        got_in = "under fire" in sink.messages
        assert door.balanced
        assert door.received == 3
        assert door.dropped == ({} if got_in else {"cancelled": 1})
        own = [r.message for r in sink.records if r.logger == log.name]
        assert own == ["first", *["under fire"] * got_in, "last"]

    assert await cancel_everywhere(attempt) >= 1


async def test_flush_cancelled_at_every_await() -> None:
    """A cancelled flush changes nothing: the records arrive, and another flush works."""

    async def attempt(under_fire: UnderFire) -> None:
        sink = Gate()
        async with Pipeline(Route(sink, batch=Batch(max_age=60.0))) as pipeline:
            await log.ainfo("one")
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(under_fire, pipeline.flush())
                await anyio.wait_all_tasks_blocked()
                sink.let_through()
            assert (await pipeline.flush(5)).complete
        assert sink.messages == ["one"]

    assert await cancel_everywhere(attempt) >= 1


async def test_aclose_cancelled_at_every_await() -> None:
    """A cancelled aclose leaves the closing to go on; everything is delivered."""

    async def attempt(under_fire: UnderFire) -> None:
        sink = Gate()
        async with anyio.create_task_group() as host:
            pipeline = await host.start(Pipeline(sink).run)
            await log.ainfo("one")
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(under_fire, pipeline.aclose())
                await anyio.wait_all_tasks_blocked()
                sink.let_through()
            with anyio.fail_after(5):
                await pipeline.aclose()
        assert sink.messages == ["one"]
        assert sink.closed == 1

    assert await cancel_everywhere(attempt) >= 1


async def test_the_whole_block_cancelled_at_every_await() -> None:
    """Wherever `async with Pipeline` is cancelled, also in its opening, it ends clean."""

    async def attempt(under_fire: UnderFire) -> None:
        sink = Collect()
        logged = 0

        async def body() -> None:
            nonlocal logged
            async with pipeline:
                for _ in range(3):
                    log.info("one")
                    logged += 1
                    await anyio.lowlevel.checkpoint()

        pipeline = Pipeline(sink)
        with anyio.fail_after(10):
            await under_fire(body())
        assert pipeline.is_closed
        stats = pipeline.stats()
        assert (stats.door.received, stats.door.pending) == (logged, 0)
        assert len(sink.records) == logged

    assert await cancel_everywhere(attempt) >= 3


@pytest.mark.parametrize("calls", [1, 50])
async def test_many_cancelled_waiters_leave_the_door_whole(calls: int) -> None:
    """When all who wait are cancelled at once, the door takes new records as before."""
    release = anyio.Event()

    async def hold(record: Any) -> Any:
        await release.wait()
        return record

    sink = Collect()
    async with Pipeline(sink, capacity=1, processors=[hold]) as pipeline:
        await log.ainfo("first")
        async with anyio.create_task_group() as tasks:
            for _ in range(calls):
                tasks.start_soon(log.ainfo, "never")
            await anyio.wait_all_tasks_blocked()
            tasks.cancel_scope.cancel()
        release.set()
        await log.ainfo("last")
        await pipeline.flush(5)
        assert pipeline.stats().door.dropped == {"cancelled": calls}
    assert [r.message for r in sink.records if r.logger == log.name] == ["first", "last"]

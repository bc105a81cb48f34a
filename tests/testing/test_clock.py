"""A manual clock: stands still, moves when told, wakes sleepers, keeps to what users gave."""

from __future__ import annotations

import datetime
from typing import Any

import anyio
import anyio.to_thread
import pytest

from logflume import ConfigurationError, processors
from logflume.testing import ManualClock, record_of


def test_it_stands_still_until_it_is_moved() -> None:
    """All three faces of it move together."""
    clock = ManualClock("2026-05-06T07:08:09+02:00")
    before = clock()
    clock.advance(0.25)
    clock.advance(0)
    assert clock() - before == 0.25
    assert clock.now().isoformat() == "2026-05-06T05:08:09.250000+00:00"
    assert clock.time_ns() == int(clock.now().timestamp() * 1000) * 1_000_000


def test_processors_take_it_as_their_clock() -> None:
    """No test waits for a window to pass."""
    clock = ManualClock()
    limit = processors.RateLimit(1, clock=clock)
    passed = [limit(record_of("said")) is not None for _ in range(2)]
    clock.advance(60)
    assert [*passed, limit(record_of("said")) is not None] == [True, False, True]


async def test_sleepers_wake_up_in_time() -> None:
    """When it was moved so far, from any thread; those who sleep longer sleep on."""
    clock = ManualClock()
    woken: list[float] = []

    async def sleeper(seconds: float) -> None:
        await clock.sleep(seconds)
        woken.append(seconds)

    async with anyio.create_task_group() as tasks:
        for seconds in (3.0, 1.0, 0.0):
            tasks.start_soon(sleeper, seconds)
        await anyio.wait_all_tasks_blocked()
        assert (woken, clock.sleeping) == ([0.0], 2)
        await anyio.to_thread.run_sync(clock.advance, 1.0)
        await anyio.wait_all_tasks_blocked()
        assert (woken, clock.sleeping) == ([0.0, 1.0], 1)
        tasks.cancel_scope.cancel()
    assert clock.sleeping == 0


@pytest.mark.parametrize(
    "start", ["yesterday", "2026-01-02T03:04:05", datetime.datetime(2026, 1, 2), 5]
)
def test_a_time_without_a_zone_is_refused(start: object) -> None:
    """It would mean another moment on each machine."""
    with pytest.raises(ConfigurationError, match=r"ManualClock\.start: got"):
        ManualClock(start)  # type: ignore[arg-type]


def test_it_never_goes_backwards() -> None:
    """As no monotonic clock does."""
    with pytest.raises(ConfigurationError, match=r"ManualClock\.advance: got -1"):
        ManualClock().advance(-1)


@pytest.mark.parametrize("seconds", ["1", float("nan"), float("inf"), None])
async def test_seconds_that_mean_nothing_are_refused_by_sleep(seconds: Any) -> None:
    """As `advance` does."""
    with pytest.raises(ConfigurationError, match=r"ManualClock\.sleep"):
        await ManualClock().sleep(seconds)


async def test_sleeping_for_less_than_nothing_does_not_wait() -> None:
    """As with any sleep."""
    await ManualClock().sleep(-1)

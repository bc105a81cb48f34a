"""Time of a call below the level: the best of several loops, less the best empty loop."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from itertools import repeat
from typing import Final

from benchmarks.job import Job, Opener, Sample

REPEATS: Final = 7


def measure(job: Job, opener: Opener) -> Sample:
    """Measure a synchronous contender, without any event loop."""
    opened = opener(job)
    assert isinstance(opened, AbstractContextManager)
    with opened as session:
        session.burst(0, job.records)
        timed = [_timed(session.burst, job.records) for _ in range(REPEATS)]
        return _sample(job, min(timed), min(_timed(empty, job.records) for _ in range(REPEATS)))


async def ameasure(job: Job, opener: Opener) -> Sample:
    """Measure a contender that needs a running loop; the empty loop is in a coroutine, too."""
    opened = opener(job)
    assert not isinstance(opened, AbstractContextManager)
    async with opened as session:
        await session.burst(0, job.records)
        timed = [await _atimed(session.burst, job.records) for _ in range(REPEATS)]
        bare = [await _atimed(aempty, job.records) for _ in range(REPEATS)]
        return _sample(job, min(timed), min(bare))


def empty(first: int, count: int) -> None:
    """The loop of every contender, without its call."""
    for _ in repeat(None, count):
        pass


async def aempty(first: int, count: int) -> None:
    """Like `empty`, in a coroutine."""
    for _ in repeat(None, count):
        pass


def _timed(burst: Callable[[int, int], None], count: int) -> float:
    started = time.perf_counter()
    burst(0, count)
    return time.perf_counter() - started


async def _atimed(burst: Callable[[int, int], Awaitable[None]], count: int) -> float:
    started = time.perf_counter()
    await burst(0, count)
    return time.perf_counter() - started


def _sample(job: Job, seconds: float, bare: float) -> Sample:
    return {"ns": (seconds - bare) / job.records * 1e9}

"""How late the event loop is while 5,000 records are logged per second.

One task sleeps 1 ms over and over and notes by how much each sleep was too long. Another one
logs `PER_TICK` records each millisecond; when it is late it catches up tick by tick and lets
the loop run in between. The first `SETTLE_S` seconds are not counted. What the loop's timers
themselves are late by is the row "nothing" of the same backend.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from typing import Final

import anyio

from benchmarks import lines
from benchmarks.job import Job, Opener, Sample

TICK_S: Final = 0.001
PER_TICK: Final = 5
SETTLE_S: Final = 0.3
PATIENCE_S: Final = 10.0
"""How far behind the calls may fall before the measurement is given up."""

Burst = Callable[[int, int], Awaitable[None]]


async def ameasure(job: Job, opener: Opener) -> Sample:
    """Measure on the loop that runs this, a synchronous contender included."""
    opened = opener(job)
    if isinstance(opened, AbstractContextManager):
        with opened as session:
            plain = session.burst

            async def burst(first: int, count: int) -> None:
                plain(first, count)

            sample, logged = await _lag(job, burst)
            session.flush()
    else:
        async with opened as asession:
            sample, logged = await _lag(job, asession.burst)
            await asession.flush()
    if not job.contender.startswith("nothing"):
        _verify(job, logged)
    return sample


async def _lag(job: Job, burst: Burst) -> tuple[Sample, int]:
    """Run both tasks; return the figures and how many records were logged."""
    late: list[float] = []
    settled = time.perf_counter() + SETTLE_S
    end = settled + job.seconds

    async def probe() -> None:
        while (now := time.perf_counter()) < end:
            await anyio.sleep(TICK_S)
            if now >= settled:
                late.append(time.perf_counter() - now - TICK_S)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(probe)
        with anyio.fail_after(job.seconds + PATIENCE_S):
            logged = await _paced(burst, end)
    late.sort()
    sample = {
        "p50_ms": late[len(late) // 2] * 1e3,
        "p99_ms": late[int(len(late) * 0.99)] * 1e3,
        "max_ms": late[-1] * 1e3,
        "per_second": logged / (job.seconds + SETTLE_S),
    }
    return sample, logged


async def _paced(burst: Burst, end: float) -> int:
    """Log `PER_TICK` records per tick until `end`; return how many that were."""
    logged = 0
    due = time.perf_counter()
    while due < end:
        await burst(logged, PER_TICK)
        logged += PER_TICK
        due += TICK_S
        await anyio.sleep(max(0.0, due - time.perf_counter()))
    return logged


def _verify(job: Job, logged: int) -> None:
    """Count the lines after the contender was closed."""
    found = lines.count(job.path)
    if found != logged:
        raise lines.WrongLinesError(f"{found:,} lines in the file, {logged:,} were logged")

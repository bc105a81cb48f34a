"""Time per record from the first call until the operating system has the last one.

A warm-up of `WARM_UP` records comes first, so that lazy imports, caches and the specialising
interpreter are settled. The clock stops after `flush`; the lines are counted right then,
before anything is closed. The garbage collector runs as it does in any program.

Before that, two scrap files as large as the lines will be are written and deleted. A virtual
machine may get each page of memory from its host on first touch, at 10 µs and more, so the page
cache of a fresh file can cost thrice what the floor does, and only for those who come first. One is
written in pieces as small as a file's buffer, the other in large and odd ones, for which the
system takes pages of all sizes, from elsewhere; and both on each CPU in turn, since each keeps the
pages that were freed on it, and who writes in a thread of its own may do so on any.

The machine's pace is told before and after: see `pace`.
"""

from __future__ import annotations

import os
import time
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final

from benchmarks import lines, pace
from benchmarks.job import AsyncSession, Job, Opener, Sample

WARM_UP: Final = 1_000
SCRAP: Final = bytes(8_192)
LARGE_SCRAP: Final = bytes(717_260)
SCRAP_PER_RECORD: Final = 1_024
MOST_CPUS: Final = 8
LOCAL: Final = "local"


def measure(job: Job, opener: Opener) -> Sample:
    """Measure a synchronous contender, without any event loop."""
    opened = opener(job)
    assert isinstance(opened, AbstractContextManager)
    warm_pages(job)
    waited = pace.settle(job.pace, job.patience_s)
    with opened as session:
        session.burst(0, WARM_UP)
        session.flush()
        started = time.perf_counter()
        session.burst(WARM_UP, job.records)
        session.flush()
        seconds = time.perf_counter() - started
        at = pace.now()
        return {**_sample(job, seconds), "pace_ms": at, "waited_s": waited}


async def ameasure(job: Job, opener: Opener) -> Sample:
    """Measure a contender whose calls are awaited, on the loop that runs this."""
    opened = opener(job)
    assert not isinstance(opened, AbstractContextManager)
    warm_pages(job)
    waited = pace.settle(job.pace, job.patience_s)
    async with opened as session:
        seconds = await _timed(job, session)
        told = {"pace_ms": pace.now(), "waited_s": waited}
        if job.work != LOCAL:
            return {**_sample(job, seconds), **told}
    # Rotated files are compressed in the background until the end.
    per_line = lines.verify_all(Path(job.path), WARM_UP + job.records)
    return {"ns": seconds / job.records * 1e9, "bytes": per_line, **told}


def warm_pages(job: Job) -> None:
    """Make the system own the memory that the lines will take in its page cache, on each CPU."""
    if not hasattr(os, "sched_setaffinity"):
        _warm_here(job)
        return
    allowed = os.sched_getaffinity(0)
    try:
        for cpu in sorted(allowed)[:MOST_CPUS]:
            os.sched_setaffinity(0, {cpu})
            _warm_here(job)
    finally:
        os.sched_setaffinity(0, allowed)


def _warm_here(job: Job) -> None:
    size = job.records * SCRAP_PER_RECORD
    for scrap in (SCRAP, LARGE_SCRAP):
        path = Path(f"{job.path}.scrap")
        with path.open("wb", buffering=0) as file:
            for _ in range(size // len(scrap) + 1):
                file.write(scrap)
        path.unlink()


async def _timed(job: Job, session: AsyncSession) -> float:
    await session.burst(0, WARM_UP)
    await session.flush()
    started = time.perf_counter()
    await session.burst(WARM_UP, job.records)
    await session.flush()
    return time.perf_counter() - started


def _sample(job: Job, seconds: float) -> Sample:
    expected = WARM_UP + job.records
    text = job.contender.startswith("picologging")
    floor = job.contender.startswith("floor")
    last = str((job.records if floor else expected) - 1)
    per_line = lines.verify(job.path, expected, last, text=text)
    second = Path(f"{job.path}.second")
    if second.exists():
        lines.verify(str(second), expected, last)
    return {"ns": seconds / job.records * 1e9, "bytes": per_line}

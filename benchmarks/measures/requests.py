"""Time that a middleware adds to a request, with the flush of what it logs: that of the app under
it, less that of the bare app, of which the faster of two measurements counts."""

from __future__ import annotations

import time

from benchmarks import lines
from benchmarks.contenders import asgi_
from benchmarks.job import AsyncSession, Job, Opener, Sample
from benchmarks.measures.throughput import WARM_UP, warm_pages


async def ameasure(job: Job, opener: Opener) -> Sample:
    """Measure on the loop that runs this; each request is to leave one line."""
    bare = asgi_.serving(asgi_.app)
    warm_pages(job)
    opened = opener(job)
    async with opened as session:  # type: ignore[union-attr]
        before = await _timed(bare, job.records)
        seconds = await _timed(session, job.records)
        own = min(before, await _timed(bare, job.records))
        expected = WARM_UP + job.records
        lines.verify(job.path, expected, str(expected - 1))
    return {"ns": (seconds - own) / job.records * 1e9, "bare": own / job.records * 1e9}


async def _timed(session: AsyncSession, count: int) -> float:
    await session.burst(0, WARM_UP)
    await session.flush()
    started = time.perf_counter()
    await session.burst(WARM_UP, count)
    await session.flush()
    return time.perf_counter() - started

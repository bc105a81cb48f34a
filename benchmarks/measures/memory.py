"""How much memory a program takes while it logs faster than its sink can follow.

The resident set is read every `STEP` records from `/proc/self/statm`, or, where there is
none, as the peak that `getrusage` knows. Growth is counted from when `WARM_UP` records were
logged; that of the second half of the records tells a leak from a buffer that has filled.
"""

from __future__ import annotations

import resource
import sys
import time
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final

from benchmarks.job import Job, Opener, Sample

STEP: Final = 10_000
WARM_UP: Final = 1_000
MIB: Final = 1 << 20
STATM: Final = Path("/proc/self/statm")


def resident() -> int:
    """Return the bytes that this process holds in memory."""
    if STATM.exists():
        return int(STATM.read_text().split()[1]) * resource.getpagesize()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


async def ameasure(job: Job, opener: Opener) -> Sample:
    """Log all records, and look at the memory in between."""
    opened = opener(job)
    assert not isinstance(opened, AbstractContextManager)
    async with opened as session:
        await session.burst(0, WARM_UP)
        await session.flush()
        start = resident()
        peaks = [start, start]
        started = time.perf_counter()
        for first in range(0, job.records, STEP):
            await session.burst(first, STEP)
            half = int(first >= job.records // 2)
            peaks[half] = max(peaks[half], resident())
        await session.flush()
        seconds = time.perf_counter() - started
    return {
        "start_mib": start / MIB,
        "peak_mib": max(peaks) / MIB,
        "grown_mib": (max(peaks) - start) / MIB,
        "late_mib": max(0, peaks[1] - peaks[0]) / MIB,
        "per_second": job.records / seconds,
    }

"""How late the event loop is while 5,000 records are logged per second.

Another process writes the time into a socket each millisecond, and a task notes how old it is
when it is read: so late would be a request. Not by sleeping: epoll counts in milliseconds, so a
sleep ends up to one too late if its time comes soon after another task's, and in time if that
task is busy just so long. One more task logs `PER_TICK` records each millisecond; when it is late
it catches up tick by tick and lets the loop run in between. The first `SETTLE_S` seconds are not
counted. What a loop with nothing to do takes is the row "nothing" of the same backend.
"""

from __future__ import annotations

import socket
import struct
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
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

    async def probe(ticks: socket.socket) -> None:
        while True:
            await anyio.wait_readable(ticks)
            stamps = ticks.recv(65_536)
            now = time.perf_counter()
            if now >= settled:
                late.extend([now - stamp for (stamp,) in struct.iter_unpack("d", stamps)])

    with _ticking() as ticks:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(probe, ticks)
            with anyio.fail_after(job.seconds + PATIENCE_S):
                logged = await _paced(burst, end)
            tasks.cancel_scope.cancel()
    late.sort()
    sample = {
        "p50_ms": late[len(late) // 2] * 1e3,
        "p99_ms": late[int(len(late) * 0.99)] * 1e3,
        "max_ms": late[-1] * 1e3,
        "per_second": logged / (job.seconds + SETTLE_S),
    }
    return sample, logged


_TICKS = """
import socket, struct, sys, time
out = socket.socket(fileno=int(sys.argv[1]))
due = time.perf_counter()
while True:
    due += float(sys.argv[2])
    time.sleep(max(0.0, due - time.perf_counter()))
    out.send(struct.pack("d", time.perf_counter()))
"""


@contextmanager
def _ticking() -> Iterator[socket.socket]:
    """Have a process write the time each tick; `perf_counter` is the same in all of them."""
    ticks, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    with ticks, theirs:
        ticks.setblocking(False)
        command = [sys.executable, "-S", "-c", _TICKS, str(theirs.fileno()), str(TICK_S)]
        process = subprocess.Popen(command, pass_fds=[theirs.fileno()])
        try:
            yield ticks
        finally:
            process.kill()
            process.wait()


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

"""A process that is stopped for a while and goes on: nothing gives up, explodes or is uncounted."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")

PROGRAM = """
import sys, threading
import anyio
from logflume import Batch, Pipeline, Retry, Retryable, Route, log

class Sink:
    def __init__(self, name, seconds, failures=0):
        self.name, self.seconds, self.failures = name, seconds, failures
    async def open(self): ...
    async def send(self, batch):
        await anyio.sleep(self.seconds)
        if self.failures:
            self.failures -= 1
            raise Retryable("down", retry_after=0.3)
    async def aclose(self): ...

BY_TENS = Batch(max_records=10)
THRICE = Retry(initial=0.0, max_elapsed=2.4)
with Pipeline(
    Route(Sink("quick", 0), batch=BY_TENS),
    Route(Sink("in a send", 0.05), batch=BY_TENS, timeout=0.5),
    Route(Sink("in a pause", 0, 3), retry=THRICE, batch=BY_TENS, timeout=0.5),
    shutdown_timeout=10.0,
) as pipeline:
    for n in range(100): log.info("before")
    print("logged", flush=True)
    sys.stdin.readline()
    for n in range(100): log.info("after")
    report = pipeline.complete(10)
    assert report.complete, report
stats = pipeline.stats()
for counts in [stats.door, *stats.routes.values()]:
    assert counts.balanced and not counts.pending, stats
assert stats.door.received == 200, stats
for name in ("quick", "in a pause"):  # beside the news of what the other lost
    assert not stats.routes[name].lost and stats.routes[name].delivered >= 200, stats
assert stats.routes["in a send"].lost <= 10, stats
"""


def test_a_process_that_stood_still_goes_on() -> None:
    """Stopped in the middle of a send and of a pause before a repeat, for longer than either's
    limit: at most the batch that was under way counts as late."""
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "logged\n"
    os.kill(process.pid, signal.SIGSTOP)
    time.sleep(2.6)  # the only clock that goes on is the system's
    os.kill(process.pid, signal.SIGCONT)
    _, told = process.communicate("go on\n", timeout=30)
    assert process.returncode == 0, told

"""SIGTERM waits for what is on its way, where nobody else takes it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from logflume.integrations.processes import deliver_before_sigterm


@pytest.fixture(autouse=True)
def signal_as_before() -> Iterator[None]:
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


def test_who_takes_the_signal_already_keeps_it() -> None:
    """A program that ends itself in good order on SIGTERM goes on doing so."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    deliver_before_sigterm()
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN


def test_only_the_main_thread_can_ask_for_it() -> None:
    """Elsewhere Python lets nobody take a signal; that is no error here."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    thread = threading.Thread(target=deliver_before_sigterm)
    thread.start()
    thread.join()
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


PROGRAM = """
import asyncio, signal, sys
from logflume import Pipeline, get_logger
from logflume.integrations.processes import deliver_before_sigterm

deliver_before_sigterm()
log = get_logger("app")

def end():
    for n in range(1_000):
        log.info("{n}", n=n)
    signal.raise_signal(signal.SIGTERM)
    print("not reached")

async def in_loop():
    end()

async def on_this_loop():
    async with Pipeline("other.jsonl"):
        end()

with Pipeline("out.jsonl"):
    if sys.argv[1] == "plain":
        end()
    asyncio.run(in_loop() if sys.argv[1] == "in a loop" else on_this_loop())
"""


@pytest.mark.skipif(sys.platform == "win32", reason="a signal's number is no exit code there")
@pytest.mark.parametrize(
    ("where", "delivered"), [("plain", 1_000), ("in a loop", 1_000), ("on this loop", 0)]
)
def test_all_is_delivered_before_the_process_ends(
    where: str, delivered: int, tmp_path: Path
) -> None:
    """By the signal, as its parent expects. A loop that stands still is not waited for."""
    (tmp_path / "out.jsonl").touch()
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM, where],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGTERM, "", "")
    lines = (tmp_path / "out.jsonl").read_text().splitlines()
    assert [json.loads(line)["fields"]["n"] for line in lines] == list(range(delivered))


CLOSING = """
import os, signal, sys, time
import anyio
from logflume import Pipeline, get_logger
from logflume.integrations.processes import deliver_before_sigterm

deliver_before_sigterm()
log = get_logger("app")

async def slow(record):
    if record["fields"]["n"] == 1:
        os.kill(os.getpid(), signal.SIGTERM)
        if sys.argv[1] == "kills":
            await anyio.sleep(1)
            os.kill(os.getpid(), signal.SIGTERM)
    await anyio.sleep(0.3)
    os.write(1, str(record["fields"]["n"]).encode())

class Closing(Pipeline):
    def close(self):
        for n in range(3):
            log.info("{n}", n=n)
        super().close()

if sys.argv[1] == "leaves":
    with Closing(slow):
        pass
    print("not reached")
else:
    pipeline = Closing(slow).__enter__()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="a signal's number is no exit code there")
@pytest.mark.parametrize(
    ("how", "status", "delivered"),
    [
        ("leaves", -signal.SIGTERM, "012"),
        ("exits", 0, "012"),
        ("kills", -signal.SIGTERM, "0"),
    ],
)
def test_what_a_closing_pipeline_holds_is_delivered(how: str, status: int, delivered: str) -> None:
    """Leaving its block, it is waited for. An exit goes on, unless a second signal comes."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", CLOSING, how],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (status, delivered, "")

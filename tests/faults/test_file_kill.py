"""`kill -9` at any moment: no acknowledged record is lost, and no line is torn.

A child writes, and says through a pipe how many records were acknowledged after each flush; it is
killed at a random moment. What it said must be in the files, in order, once, after the next start.
`LOGFLUME_KILLS` says how many children die that way.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
from pathlib import Path

import anyio
import pytest

from logflume.sinks import File
from tests.disk import batch_of
from tests.fakes import unmeasured

KILLS = int(os.environ.get("LOGFLUME_KILLS", "20"))

pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")

CHILD = """if True:
    import os, sys
    from logflume import Pipeline, get_logger, sinks
    path, first = sys.argv[1], int(sys.argv[2])
    log = get_logger("app")
    settings = eval(sys.argv[3])
    n = first
    with Pipeline(sinks.File(path, **settings)) as pipeline:
        os.write(1, b"open\\n")
        while True:
            for _ in range(200):
                log.info("n={n}", n=n, text="x" * (n % 300))
                n += 1
            assert pipeline.complete().complete
            os.write(1, b"%d\\n" % n)
"""
SETTINGS = {"rotation": "100 kB", "compression": "gzip"}


def killed_child(path: Path, first: int, moment: float) -> int:
    """Let a child write until it is killed; return the number below which all is acknowledged."""
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(path), str(first), repr(SETTINGS)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=unmeasured(),
    )
    assert child.stdout is not None
    assert child.stdout.readline() == b"open\n", child.communicate()[1]
    timer = threading.Timer(moment, child.send_signal, [signal.SIGKILL])
    timer.start()
    said, errors = child.communicate(timeout=60)
    timer.join()
    assert child.returncode == -signal.SIGKILL, errors
    *_, last = [b"%d" % first, *said.split(b"\n")[:-1]]  # what comes last may be torn
    return int(last)


def restart(path: Path) -> None:
    """Open the file once more, with all there is to mend and compress, and write one record."""

    async def main() -> None:
        sink = File(path, rotation="1 GB", compression="gzip")
        await sink.open()
        await sink.send(batch_of(b'{"fields":{"n":-1}}\n'))
        await sink.aclose()

    anyio.run(main)


def numbers_in(folder: Path) -> list[int]:
    """Return the records' numbers in all the files, in order: each of the lines is whole."""
    import gzip

    found: list[int] = []
    for path in sorted(folder.glob("app*.jsonl*")):
        if path.suffix != ".torn":
            data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
            assert data.endswith(b"\n") or not data
            found += [json.loads(line)["fields"]["n"] for line in data.splitlines()]
    return [n for n in found if n >= 0]


@pytest.mark.slow
@pytest.mark.parametrize("lives", [5])
@pytest.mark.parametrize("run", range(max(1, KILLS // 5)))
def test_no_acknowledged_record_is_lost(tmp_path: Path, run: int, lives: int) -> None:
    """Five processes after each other write to the same files; each is killed."""
    chance = random.Random(run)
    first = 0
    acknowledged: set[int] = set()
    for _ in range(lives):
        last = killed_child(tmp_path / "app.jsonl", first, chance.uniform(0.0, 0.4))
        acknowledged |= set(range(first, last))
        restart(tmp_path / "app.jsonl")
        found = numbers_in(tmp_path)
        assert acknowledged <= set(found)
        assert len(found) == len(set(found))
        assert found == sorted(found)
        first = max([first, *found]) + 1
    assert not list(tmp_path.glob("*.tmp"))

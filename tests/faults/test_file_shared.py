"""Many processes, one file: each record in it once, whole, and in order for its process."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import anyio
import pytest

from logflume.files.shared import SideLock
from logflume.sinks import File
from tests.disk import Clock, batch_of, in_folder, on_the_clock, read
from tests.fakes import may_block

pytestmark = pytest.mark.skipif(os.name == "nt", reason="locks of POSIX")

CHILD = """if True:
    import sys
    from logflume import Pipeline, get_logger, sinks
    path, who, count, settings = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), eval(sys.argv[4])
    log = get_logger("app")
    sys.stdout.write("ready\\n"); sys.stdout.flush(); sys.stdin.readline()
    with Pipeline(sinks.File(path, shared=True, **settings)) as pipeline:
        for n in range(count):
            log.info("n={n}", n=n, who=who)
        pipeline.complete()
    assert pipeline.stats().routes["app.jsonl"].delivered == count
"""


def all_at_once(path: Path, processes: int, count: int, settings: dict[str, Any]) -> None:
    """Let processes write so many records each, from the same moment on."""
    children = [
        subprocess.Popen(
            [sys.executable, "-c", CHILD, str(path), str(who), str(count), repr(settings)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for who in range(processes)
    ]
    for child in children:
        assert child.stdout is not None
        child.stdout.readline()
    for child in children:
        assert child.stdin is not None
        child.stdin.write(b"go\n")
        child.stdin.flush()
    for child in children:
        _, errors = child.communicate(timeout=300)
        assert child.returncode == 0, errors.decode()
        assert errors == b""


def found_in(folder: Path) -> dict[int, list[int]]:
    """Return the numbers that each process wrote, in the order of the files."""
    found: dict[int, list[int]] = defaultdict(list)
    for path in sorted(folder.glob("app*.jsonl*")):
        data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        for line in data.splitlines():
            fields = json.loads(line)["fields"]
            found[fields["who"]].append(fields["n"])
    return found


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"rotation": "50 kB"},
        {"rotation": "50 kB", "compression": "gzip:1", "retention": 100_000},
    ],
    ids=["plain", "rotating", "compressing"],
)
def test_processes_share_a_file(tmp_path: Path, settings: dict[str, Any]) -> None:
    """Nothing is lost, torn or doubled, whoever rotates."""
    all_at_once(tmp_path / "app.jsonl", 3, 1_500, settings)
    assert found_in(tmp_path) == {who: list(range(1_500)) for who in range(3)}


def test_processes_that_do_not_say_that_they_share_lose_nothing(tmp_path: Path) -> None:
    """The file is not rotated while several write to it, and that is told."""
    path = tmp_path / "app.jsonl"
    one, two = (File(path, rotation=10) for _ in range(2))
    told: list[str] = []
    for sink in (one, two):
        sink.tell = told.append

    async def main() -> None:
        for sink in (one, two):
            await sink.open()
        for n in range(4):
            await one.send(batch_of(b"one %d\n" % n))
            await two.send(batch_of(b"two %d\n" % n))
        with may_block():
            assert len(list(tmp_path.iterdir())) == 1
            assert path.read_bytes().count(b"\n") == 8
        assert len(told) == 2
        assert "shared=True" in told[0]
        await two.aclose()
        one._output._hold_until = 0.0  # type: ignore[union-attr]
        await one.send(batch_of(b"alone\n"))
        await one.aclose()

    anyio.run(main)
    assert read(path) == b"alone\n"
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.slow
def test_many_processes_share_a_rotating_file(tmp_path: Path) -> None:
    """Eight processes, 50,000 records each, a few hundred rotations."""
    all_at_once(tmp_path / "app.jsonl", 8, 50_000, {"rotation": "500 kB"})
    assert len(list(tmp_path.glob("app*.jsonl"))) > 150
    assert max(path.stat().st_size for path in tmp_path.iterdir()) <= 500_000
    assert found_in(tmp_path) == {who: list(range(50_000)) for who in range(8)}


async def test_a_file_that_another_process_rotated_is_left(tmp_path: Path) -> None:
    """Sinks that take turns see each other's rotations, and rotate but once at the time."""
    clock = Clock()
    sinks = [
        on_the_clock(File(tmp_path / "app.jsonl", rotation=["daily", 30], shared=True), clock)
        for _ in range(3)
    ]
    for sink in sinks:
        await sink.open()
    for day in range(3):
        for n, sink in enumerate(sinks):
            await sink.send(batch_of(b"day %d %d\n" % (day, n)))
        clock.now += 86_400
    for sink in sinks:
        await sink.aclose()
    files = in_folder(tmp_path)
    files.pop(".app.jsonl.lock")
    assert list(files.values()) == [
        b"".join(b"day %d %d\n" % (day, n) for n in range(3)) for day in range(3)
    ]


async def test_a_lock_that_is_deleted_is_made_again(tmp_path: Path) -> None:
    """Were it not, two processes could hold the locks of two files of one name."""
    one, two = (File(tmp_path / "app.jsonl", shared=True) for _ in range(2))
    await one.open()
    await one.send(batch_of(b"1\n"))
    with may_block():
        (tmp_path / ".app.jsonl.lock").unlink()
    await two.open()
    await one.send(batch_of(b"2\n"))
    with may_block():
        lock = (tmp_path / ".app.jsonl.lock").stat()
        held = [os.fstat(sink._output._lock._fd) for sink in (one, two)]  # type: ignore[union-attr]
    assert [status.st_ino for status in held] == [lock.st_ino] * 2
    for sink in (one, two):
        await sink.aclose()
    assert read(one.path) == b"1\n2\n"


async def test_who_holds_the_lock_keeps_others_waiting(tmp_path: Path) -> None:
    """A batch waits for its turn in the sink's thread: the loop is free meanwhile."""
    path = tmp_path / "app.jsonl"
    sink = File(path, shared=True)
    await sink.open()
    lock = SideLock(path, 0o600)
    async with anyio.create_task_group() as tasks:
        with may_block(), lock.held():
            tasks.start_soon(sink.send, batch_of(b"1\n"))
            for _ in range(20):
                await anyio.sleep(0.001)
            assert path.read_bytes() == b""
    await sink.aclose()
    lock.close()
    assert read(path) == b"1\n"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_child_does_not_keep_its_parent_s_lock(tmp_path: Path) -> None:
    """A lock that is held during a fork is free as soon as the parent lets go of it."""
    one, two = SideLock(tmp_path / "a", 0o600), SideLock(tmp_path / "a", 0o600)
    (wait, go), (hear, say) = os.pipe(), os.pipe()
    with one.held():
        child = os.fork()
        if child == 0:
            os.close(go)
            os.write(say, b"forked")
            os.read(wait, 1)
            os._exit(0)
        os.read(hear, 6)
        os.close(one._fd)  # as the system does when the parent is killed
        one._fd = -1
        with two.held_if_free() as free:
            assert free
    os.close(go)
    os.waitpid(child, 0)
    for fd in (wait, hear, say):
        os.close(fd)
    two.close()

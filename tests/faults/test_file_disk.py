"""Disks that are full, slow in taking, or broken: whole lines, each once, all losses counted."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest

import logflume.files.spread  # noqa: F401 - else the first test would import it from a full disk
from logflume import Pipeline, Retry, Retryable, Route, get_logger
from logflume.sinks import File
from tests.disk import Disk, batch_of, in_folder, read
from tests.fakes import may_block

log = get_logger("tests.file")
PATIENT = Retry(attempts=1_000, initial=0.001, maximum=0.005)


@contextlib.contextmanager
def small_disk(size: str) -> Iterator[Path]:
    """Mount a disk of this size, if this user may.

    Not below `tmp_path`: what pytest cannot delete there, because a test run was killed before
    this came to its end, fails the runs after it.
    """
    with may_block():
        folder = tempfile.mkdtemp(prefix="logflume-disk-")
        command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder]
        if shutil.which("mount") is None or subprocess.run(command, check=False).returncode:
            os.rmdir(folder)
            pytest.skip("this user may not mount")
    try:
        yield Path(folder)
    finally:
        with may_block():
            subprocess.run(["umount", "-l", folder], check=True)
            os.rmdir(folder)


@pytest.mark.parametrize("path", ["logs/app.jsonl", "logs/{level}/app.jsonl"])
async def test_a_disk_that_is_full_at_the_start_is_gone_on_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    """Records wait for room as they do later on: a start at a bad moment is not the end."""
    refusals = iter(range(3))
    make = os.makedirs

    def without_room(name: Any, **settings: Any) -> None:
        if next(refusals, None) is not None:
            raise OSError(errno.ENOSPC, "No space left on device", str(name))
        make(name, **settings)

    monkeypatch.setattr(os, "makedirs", without_room)
    route = Route(File(str(tmp_path / path)), name="disk", retry=PATIENT)
    async with Pipeline(route) as pipeline:
        await log.ainfo("said")
        await pipeline.flush()
    counts = pipeline.stats().routes["disk"]
    assert (counts.delivered, counts.lost) == (1, 0)
    with may_block():
        (found,) = (tmp_path / "logs").rglob("app.jsonl")
    assert b"said" in read(found)


@pytest.mark.skipif(sys.platform != "linux", reason="mounts of Linux")
@pytest.mark.parametrize("settings", [{}, {"rotation": "20 kB"}, {"shared": True}], ids=repr)
async def test_a_full_disk_is_gone_on_with_when_it_has_room(settings: dict[str, Any]) -> None:
    """A real disk fills up: nothing is torn, and what waited is written when somebody cleans up."""
    with small_disk("256k") as disk:
        ballast = disk / "ballast"
        with may_block():
            ballast.write_bytes(b"x" * 150_000)
        route = Route(File(disk / "app.jsonl", **settings), retry=PATIENT)
        async with Pipeline(route) as pipeline:
            for n in range(500):
                await log.ainfo("n={n}", n=n)
            with anyio.fail_after(20):
                while "No space left" not in (route.account.counts().last_error or ""):
                    await anyio.sleep(0.001)
            for name, text in in_folder(disk).items():
                assert name == "ballast" or text.endswith(b"\n") or not text
            with may_block():
                ballast.unlink()
            await pipeline.flush()
            counts = pipeline.stats().routes["app.jsonl"]
        files = in_folder(disk)
    files.pop(".app.jsonl.lock", None)
    found = [
        json.loads(line)["fields"]["n"] for text in files.values() for line in text.splitlines()
    ]
    assert found == list(range(500))
    assert counts.delivered == 500
    assert counts.retries > 0


@pytest.mark.skipif(sys.platform == "win32", reason="limits of POSIX")
def test_a_limit_of_the_system_leaves_whole_lines(tmp_path: Path) -> None:
    """A file that may not grow (`ulimit -f`) ends with a whole line; the rest counts as lost."""
    path = tmp_path / "app.jsonl"
    code = """if True:
        import resource, sys
        from logflume import Pipeline, Retry, Route, get_logger
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
        retry = Retry(attempts=2, initial=0.001, maximum=0.001)
        with Pipeline(Route(sys.argv[1], retry=retry)) as pipeline:
            for n in range(200):
                get_logger("app").info("n={n}", n=n)
            pipeline.complete()
        counts = pipeline.stats().routes["app.jsonl"]
        assert counts.balanced and not counts.pending
        print(counts.delivered)
    """
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    lines = path.read_bytes().splitlines(keepends=True)
    assert [json.loads(line)["fields"]["n"] for line in lines] == list(range(int(done.stdout)))
    assert 8_000 < path.stat().st_size <= 10_000


@pytest.mark.parametrize("rotation", [None, 8])
async def test_a_torn_record_that_cannot_be_cut_is_cut_before_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rotation: int | None
) -> None:
    """A disk that takes half a record and then does not even shorten the file: no torn line."""
    sink = File(tmp_path / "app.jsonl", rotation=rotation)
    await sink.open()
    await sink.send(batch_of(b"one\n"))

    def refuse(fd: int, size: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as broken:
        Disk(broken, at_a_time=10, room=2)
        broken.setattr(os, "ftruncate", refuse)
        for _ in range(2):
            with pytest.raises(Retryable):
                await sink.send(batch_of(b"two\n"))
        assert read(sink.path) == b"one\ntw"
    await sink.send(batch_of(b"two\n"))
    await sink.aclose()
    assert read(sink.path) == b"one\ntwo\n"


async def test_a_torn_record_of_one_process_is_mended_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same with a shared file: whoever writes next looks at its end."""
    one, two = (File(tmp_path / "app.jsonl", shared=True) for _ in range(2))
    await one.open()
    await two.open()
    await one.send(batch_of(b'{"one":1}\n'))

    def refuse(fd: int, size: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as broken:
        Disk(broken, at_a_time=10, room=2)
        broken.setattr(os, "ftruncate", refuse)
        with pytest.raises(Retryable):
            await one.send(batch_of(b'{"two":2}\n'))
    await two.send(batch_of(b'{"three":3}\n'))
    await one.send(batch_of(b'{"two":2}\n'))
    for sink in (one, two):
        await sink.aclose()
    assert read(one.path) == b'{"one":1}\n{"three":3}\n{"two":2}\n'


@pytest.mark.parametrize("room", range(14))
async def test_a_full_disk_between_files_leaves_whole_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, room: int
) -> None:
    """Wherever in a batch that fills several files the disk is full, the rest is sent again."""
    sink = File(tmp_path / "app.jsonl", rotation=4)
    await sink.open()
    batch = batch_of(b"one\n", b"two\n", b"3\n", b"4\n")
    with monkeypatch.context() as full:
        Disk(full, at_a_time=3, room=room)
        if room < 12:
            with pytest.raises(Retryable, match="No space left"):
                await sink.send(batch)
        else:
            await sink.send(batch)
            batch.advance(4)
    if batch.rest():
        await sink.send(batch.rest())
    await sink.aclose()
    assert [text for text in in_folder(tmp_path).values() if text] == [
        b"one\n",
        b"two\n",
        b"3\n4\n",
    ]


async def test_a_sync_that_fails_is_made_good(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With fsync="batch", what was not synced is taken back and written again, once."""
    syncs = 0

    def fsync(fd: int) -> None:
        nonlocal syncs
        syncs += 1
        if syncs == 2:
            raise OSError(errno.EIO, "Input/output error")

    sink = File(tmp_path / "app.jsonl", fsync="batch")
    await sink.open()
    monkeypatch.setattr(os, "fsync", fsync)
    await sink.send(batch_of(b"one\n"))
    batch = batch_of(b"two\n", b"three\n")
    with pytest.raises(Retryable, match="Input/output"):
        await sink.send(batch)
    assert batch.advanced == 0
    assert read(sink.path) == b"one\n"
    await sink.send(batch)
    await sink.aclose()
    assert syncs == 3
    assert read(sink.path) == b"one\ntwo\nthree\n"


@pytest.mark.parametrize("fsync", [0.01, "1e-2"])
async def test_files_are_synced_from_time_to_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fsync: float | str
) -> None:
    """With fsync=seconds, what was written is on the disk soon, though nothing more comes.

    The number may be a text, as configurations take it from the environment.
    """
    synced = threading.Event()
    real_fsync = os.fsync

    def noticed(fd: int) -> None:
        real_fsync(fd)
        synced.set()

    sink = File(tmp_path / "app.jsonl", fsync=fsync)
    await sink.open()
    monkeypatch.setattr(os, "fsync", noticed)
    await sink.send(batch_of(b"one\n"))
    assert await anyio.to_thread.run_sync(synced.wait, 10)
    synced.clear()
    await sink.aclose()
    assert not synced.is_set()


async def test_a_rotation_in_the_middle_of_a_sync_leaves_nothing_unsynced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The thread that syncs has not got hold of the file yet when it is rotated."""
    told: list[str] = []
    synced: list[int] = []
    real_dup, real_fsync = os.dup, os.fsync
    sink = File(tmp_path / "app.jsonl", rotation=4, fsync=1_000)
    sink.tell = told.append
    await sink.open()
    await sink.send(batch_of(b"one\n"))
    output = sink._output
    assert output is not None
    rotating = threading.Thread(target=output._rotate)

    def late(fd: int) -> int:
        rotating.start()
        rotating.join(0.2)
        return real_dup(fd if fd < 0 else output._fd)

    def noticed(fd: int) -> None:
        synced.append(os.fstat(fd).st_ino)
        real_fsync(fd)

    with may_block():
        inode = os.stat(sink.path).st_ino
        monkeypatch.setattr(os, "dup", late)
        monkeypatch.setattr(os, "fsync", noticed)
        output.sync()
        rotating.join()  # closing is for the thread that rotates
    await sink.aclose()
    assert inode in synced
    assert told == []


async def test_seconds_beyond_what_clocks_take_are_seconds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The thread that syncs does not end by an error of its own."""
    raised: list[object] = []
    waited = threading.Event()
    wait = threading.Event.wait

    def noticed(event: threading.Event, timeout: float | None = None) -> bool:
        try:
            return wait(event, timeout)
        except OverflowError as error:
            raised.append(error)
            return True
        finally:
            waited.set()

    monkeypatch.setattr(threading.Event, "wait", noticed)
    sink = File(tmp_path / "app.jsonl", fsync=1e300)
    await sink.open()
    await sink.aclose()
    assert await anyio.to_thread.run_sync(lambda: wait(waited, 10))
    assert raised == []


@pytest.mark.parametrize("fsync", ["batch", 1_000])
async def test_rotated_files_are_synced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fsync: str | float
) -> None:
    """What was rotated before it was synced is synced all the same, and so is the last one."""
    synced: set[int] = set()
    real = os.fsync

    def noticed(fd: int) -> None:
        synced.add(os.fstat(fd).st_ino)
        real(fd)

    monkeypatch.setattr(os, "fsync", noticed)
    sink = File(tmp_path / "app.jsonl", rotation=4, fsync=fsync)
    await sink.open()
    await sink.send(batch_of(b"one\n", b"two\n", b"3\n"))
    await sink.aclose()
    with may_block():
        inodes = {path.stat().st_ino for path in tmp_path.iterdir()}
    assert len(inodes) == 3
    assert inodes <= synced


async def test_nothing_is_synced_unless_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By default the system writes to the disk when it sees fit."""

    def fsync(fd: int) -> None:
        raise AssertionError

    monkeypatch.setattr(os, "fsync", fsync)
    async with Pipeline(File(tmp_path / "app.jsonl", rotation="1 kB")):
        for _ in range(20):
            await log.ainfo("said")
    assert len(in_folder(tmp_path)) > 1


async def test_fewer_files_are_open_where_the_system_allows_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A limit of the system below `max_open` costs time, but no record."""
    real = os.open
    count = 0

    def limited(path: Any, *args: Any, **settings: Any) -> int:
        if str(path).endswith(".log") and len(sink._outputs()) > 3:
            nonlocal count
            count += 1
            raise OSError(errno.EMFILE, "Too many open files", path)
        return real(path, *args, **settings)

    sink = File(str(tmp_path / "{user}.log"), max_open=100)
    async with Pipeline(Route(sink, name="disk")) as pipeline:
        monkeypatch.setattr(os, "open", limited)
        for user in range(20):
            await log.ainfo("said", user=user)
        await pipeline.flush()
        monkeypatch.undo()
    counts = pipeline.stats().routes["disk"]
    assert (counts.delivered, counts.retries) == (20, 0)
    assert count
    assert len(in_folder(tmp_path)) == 20

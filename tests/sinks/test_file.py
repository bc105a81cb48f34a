"""The file sink: whole lines in a real file, whatever the disk does."""

from __future__ import annotations

import json
import os
import stat
import sys
from pathlib import Path
from typing import Any

import pytest

import logflume.sinks.file as file_module
from logflume import ConfigurationError, Pipeline, Retry, Retryable, Route, get_logger
from logflume.encoders import Console
from logflume.sinks import File, as_sink
from tests.disk import Disk, batch_of, read
from tests.fakes import may_block

log = get_logger("tests.file")


async def test_records_are_lines_of_json(tmp_path: Path) -> None:
    """A path is a file of JSON lines: parent folders are made, every record is a line, in order."""
    path = tmp_path / "new" / "deep" / "app.jsonl"
    async with Pipeline(path) as pipeline:
        for n in range(1_000):
            await log.ainfo("n={n}", n=n, text="line\nbreak")
        report = await pipeline.flush()
        assert report.complete
        assert read(path).count(b"\n") == 1_000
    lines = [json.loads(line) for line in read(path).splitlines()]
    assert [line["fields"]["n"] for line in lines] == list(range(1_000))
    assert pipeline.stats().routes["app.jsonl"].bytes == len(read(path))


async def test_what_is_there_stays(tmp_path: Path) -> None:
    """A file is appended to, by one pipeline after the other."""
    path = tmp_path / "app.jsonl"
    with may_block():
        path.write_bytes(b"before\n")
    for n in range(2):
        async with Pipeline(File(path)):
            log.info("run {n}", n=n)
    first, *others = read(path).splitlines()
    assert first == b"before"
    assert [json.loads(line)["message"] for line in others] == ["run 0", "run 1"]


async def test_another_encoder_may_be_chosen(tmp_path: Path) -> None:
    """The route's encoder decides what a line is."""
    path = tmp_path / "app.log"
    async with Pipeline(Route(path, encoder=Console())):
        log.info("said", user="ann")
    assert read(path).endswith(b"user=ann\n")


@pytest.mark.skipif(sys.platform == "win32", reason="permissions of POSIX")
async def test_a_new_file_is_the_owners_alone(tmp_path: Path) -> None:
    """A new file has the permissions `mode`, 0600 unless said; one that is there keeps its own."""
    there = tmp_path / "there"
    with may_block():
        there.touch()
        there.chmod(0o644)
    async with Pipeline(tmp_path / "new", File(tmp_path / "group", mode=0o640), there):
        log.info("said")
    with may_block():
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert modes == {"new": 0o600, "group": 0o640, "there": 0o644}


@pytest.mark.parametrize("in_blocks", [1, 3, 10_000])
async def test_any_number_of_blocks_is_written_whole(tmp_path: Path, in_blocks: int) -> None:
    """Batches of more blocks than the system takes at once arrive complete and in order."""
    lines = [b"%d\n" % n for n in range(5_000)]
    sink = File(tmp_path / "app.jsonl")
    await sink.open()
    await sink.send(batch_of(*lines, in_blocks=in_blocks))
    await sink.aclose()
    assert read(sink.path) == b"".join(lines)


@pytest.mark.parametrize("at_a_time", [1, 4, 7, 10**6])
async def test_partial_writes_are_gone_on_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_a_time: int
) -> None:
    """A system that takes a part at a time gets the rest, each byte once."""
    Disk(monkeypatch, at_a_time=at_a_time, room=10**9)
    sink = File(tmp_path / "app.jsonl")
    await sink.open()
    await sink.send(batch_of(b"one\n", b"two\n", b"three\n", in_blocks=2))
    await sink.aclose()
    assert read(sink.path) == b"one\ntwo\nthree\n"


@pytest.mark.parametrize("room", range(13))
async def test_a_full_disk_leaves_whole_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, room: int
) -> None:
    """Whatever the disk took, the file ends with a whole line, and the batch knows how many."""
    sink = File(tmp_path / "app.jsonl")
    await sink.open()
    await sink.send(batch_of(b"before\n"))
    Disk(monkeypatch, at_a_time=3, room=room)
    batch = batch_of(b"one\n", b"two\n", b"three\n")
    with pytest.raises(Retryable, match="No space left"):
        await sink.send(batch)
    await sink.aclose()
    whole = [b"", b"one\n", b"one\ntwo\n"][min(room // 4, 2)]
    assert read(sink.path) == b"before\n" + whole
    assert batch.advanced == whole.count(b"\n")
    assert b"".join(batch.rest().blocks) == b"one\ntwo\nthree\n"[len(whole) :]


async def test_a_disk_with_room_again_gets_each_record_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A route tries again what the disk refused: nothing is lost, nothing comes twice."""
    Disk(monkeypatch, at_a_time=10**6, room=1_000, freed=1_000)
    path = tmp_path / "app.jsonl"
    retry = Retry(attempts=50, initial=0.001, maximum=0.001)
    async with Pipeline(Route(path, retry=retry)) as pipeline:
        for n in range(20):
            log.info("n={n}", n=n)
    lines = [json.loads(line)["fields"]["n"] for line in read(path).splitlines()]
    assert lines == list(range(20))
    counts = pipeline.stats().routes["app.jsonl"]
    assert counts.delivered == 20
    assert counts.retries > 0


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="a device of Linux")
async def test_a_device_that_is_always_full_is_counted(capsys: pytest.CaptureFixture[str]) -> None:
    """What cannot be written in the end is dropped with a reason, and the error is told."""
    route = Route("/dev/full", retry=Retry(attempts=2, initial=0.001, maximum=0.001))
    async with Pipeline(route) as pipeline:
        log.info("said")
        await pipeline.flush()
    counts = pipeline.stats().routes["full"]
    assert counts.dropped == {"retries exhausted": 1}
    assert "No space left" in (counts.last_error or "")
    assert counts.balanced


async def test_a_file_that_does_not_open_harms_nobody(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A path that cannot be a file is told of, by its route; the other routes deliver."""
    with may_block():
        (tmp_path / "folder").mkdir()
    async with Pipeline(tmp_path / "folder", tmp_path / "fine") as pipeline:
        log.info("said")
        await pipeline.flush()
    stats = pipeline.stats().routes
    assert stats["folder"].delivered == 0
    assert "folder" in (stats["folder"].last_error or "")
    assert stats["fine"].lost == 0
    assert b"said" in read(tmp_path / "fine")


async def test_closing_what_was_not_opened_is_no_error(tmp_path: Path) -> None:
    """`aclose` may be called in every state, and makes no file."""
    sink = File(tmp_path / "app.jsonl")
    await sink.aclose()
    with may_block():
        assert not sink.path.exists()


async def test_a_file_may_be_opened_again(tmp_path: Path) -> None:
    """After a fork, sinks are opened once more: nothing of the first time is in the way."""
    sink = File(tmp_path / "app.jsonl")
    for line in (b"one\n", b"two\n"):
        await sink.open()
        await sink.send(batch_of(line))
        await sink.aclose()
    assert read(sink.path) == b"one\ntwo\n"


async def test_a_file_in_use_is_not_opened_for_another(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One object serves one route at a time: a second one is told so, and harms not the first."""
    sink = File(tmp_path / "app.jsonl")
    async with Pipeline(sink) as first:
        async with Pipeline(sink) as second:
            await log.ainfo("lost")
        assert "open already" in (second.stats().routes["app.jsonl"].last_error or "")
        await log.ainfo("said")
        assert (await first.flush()).complete
    assert b"said" in read(sink.path)
    assert b"lost" not in read(sink.path)
    assert "open already" in capsys.readouterr().err
    async with Pipeline(sink):
        await log.ainfo("again")
    assert b"again" in read(sink.path)


@pytest.mark.parametrize("path", ["", 5, None, b"bytes", "a\0b"], ids=repr)
def test_a_path_that_is_none_is_refused(path: Any) -> None:
    """What cannot be a path is an error that names the setting."""
    with pytest.raises(ConfigurationError, match=r"File\.path"):
        File(path)


@pytest.mark.parametrize("mode", [-1, 0o1000, True, "600", None])
def test_permissions_that_mean_nothing_are_refused(mode: Any) -> None:
    """A mode outside of 0 to 0o777 is an error that names the setting."""
    with pytest.raises(ConfigurationError, match=r"File\.mode"):
        File("app.jsonl", mode=mode)


def test_nothing_is_touched_before_the_pipeline_opens(tmp_path: Path) -> None:
    """Making a sink, a route or a pipeline makes no file and no folder."""
    Pipeline(Route(File(tmp_path / "new" / "app.jsonl")))
    assert not list(tmp_path.iterdir())


def test_a_path_given_as_a_sink_is_a_file() -> None:
    """A Pipeline takes a path, as text or Path, for a file."""
    for path in ("a/app.jsonl", Path("a/app.jsonl")):
        sink = as_sink(path)
        assert isinstance(sink, file_module.File)
        assert (sink.name, sink.path) == ("app.jsonl", Path("a/app.jsonl"))

"""What becomes of rotated files: compressed, deleted by the rules, and nothing else touched."""

from __future__ import annotations

import errno
import gzip
import os
import shutil
import stat
import threading
from collections.abc import Callable
from pathlib import Path

import anyio
import pytest

from logflume import ConfigurationError, Pipeline, get_logger
from logflume.files.compression import Compression
from logflume.files.naming import Family
from logflume.sinks import File
from tests.disk import Clock, batch_of, in_folder, on_the_clock
from tests.fakes import may_block

log = get_logger("tests.file")
DAY = 86_400.0


async def rotated(sink: File, *lines: bytes) -> None:
    """Send lines one by one, and close the sink when its threads have done all they have to."""
    await sink.open()
    for line in lines:
        await sink.send(batch_of(line))
    await sink.aclose()


async def test_only_so_many_rotated_files_are_kept(tmp_path: Path) -> None:
    """After each rotation the oldest go; the file that is written does not count."""
    sink = on_the_clock(File(tmp_path / "app.jsonl", rotation=2, retention=2), Clock())
    await rotated(sink, *[b"%d\n" % n for n in range(6)])
    assert list(in_folder(tmp_path).values()) == [b"3\n", b"4\n", b"5\n"]


async def test_old_files_go_at_the_start(tmp_path: Path) -> None:
    """Files that came of age while nothing ran are deleted when the sink is opened."""
    clock = Clock()
    path = tmp_path / "app.jsonl"
    await rotated(on_the_clock(File(path, rotation=2), clock), b"1\n", b"2\n")
    clock.now += 20 * DAY
    await rotated(on_the_clock(File(path, rotation=2, retention="14 days"), clock))
    assert list(in_folder(tmp_path)) == ["app.jsonl"]


OTHERS = [
    "app.jsonl.2026-01-01_00-00-00",
    "app.2026-01-01.jsonl",
    "app.2026-01-01_00-00-00.jsonl.bak",
    "app.2026-01-01_00-00-00.json",
    "app.2026-13-01_00-00-00.jsonl",
    "app.2026-01-01_00-00-00_1.jsonl",
    "app.2026-01-01_00-00-00.jsonl\n",
    "apple.2026-01-01_00-00-00.jsonl",
    "my.app.2026-01-01_00-00-00.jsonl",
    "app.jsonl.torn",
    "app.٢٠٢٦-01-01_00-00-00.jsonl",
    "other.jsonl",
]
OWN = [
    "app.2026-01-01_00-00-00.jsonl",
    "app.2026-01-01_00-00-00_001.jsonl",
    "app.2026-01-02_00-00-00.jsonl.zst",
    "app.2026-01-02_00-00-00.jsonl.gz",
]


async def test_only_own_files_are_deleted(tmp_path: Path) -> None:
    """Whatever else is in the folder stays: similar names, links, folders, files in folders."""
    with may_block():
        for name in OTHERS + OWN:
            (tmp_path / name).write_bytes(b"x")
        (tmp_path / "app.2025-01-01_00-00-00.jsonl").mkdir()
        (tmp_path / "app.2025-01-01_00-00-00.jsonl" / OWN[0]).write_bytes(b"x")
        (tmp_path / "app.2025-01-02_00-00-00.jsonl").symlink_to(tmp_path / "other.jsonl")
    sink = File(tmp_path / "app.jsonl", rotation="1 MB", retention=["1 s", lambda files: ["/etc"]])
    await rotated(on_the_clock(sink, Clock()))
    with may_block():
        left = sorted(os.listdir(tmp_path))
    links = ["app.2025-01-01_00-00-00.jsonl", "app.2025-01-02_00-00-00.jsonl"]
    assert left == sorted([*OTHERS, *links, "app.jsonl"])


async def test_a_file_that_cannot_be_deleted_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither an error of the system nor one of a rule ends or loses anything."""
    told: list[str] = []

    def refuse(path: object) -> None:
        raise PermissionError(13, "Permission denied")

    def choose(files: object) -> None:
        raise RuntimeError("a bug")

    for retention in (1, choose):
        sink = File(tmp_path / "app.jsonl", rotation=2, retention=retention)
        sink.tell = told.append
        with monkeypatch.context() as patched:
            patched.setattr(os, "unlink", refuse)
            await rotated(sink, b"1\n", b"2\n", b"3\n")
    assert sorted(in_folder(tmp_path).values()) == sorted([b"1\n", b"2\n", b"3\n"] * 2)
    assert any("not deleted: Permission denied" in text for text in told)
    assert any("retention failed: RuntimeError: a bug" in text for text in told)


@pytest.mark.parametrize(("kind", "tool"), [("zstd", "zstd"), ("gzip", "gzip")])
async def test_rotated_files_are_compressed(tmp_path: Path, kind: str, tool: str) -> None:
    """Each becomes a whole archive, with the permissions of the file; the current one does not."""
    sink = on_the_clock(File(tmp_path / "app.jsonl", rotation=2, compression=kind), Clock())
    await rotated(sink, b"1\n", b"2\n", b"3\n")
    suffix = {"zstd": ".zst", "gzip": ".gz"}[kind]
    archives = [
        f"app.2026-05-01_12-00-00.jsonl{suffix}",
        f"app.2026-05-01_12-00-00_001.jsonl{suffix}",
    ]
    assert sorted(in_folder(tmp_path)) == [*archives, "app.jsonl"]
    with may_block():
        modes = {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    if os.name != "nt":
        assert modes == {0o600}
    with may_block():
        found = shutil.which(tool)
    if found is not None:
        command = [found, "-t", *[str(tmp_path / name) for name in archives]]
        await anyio.run_process(command)
    if kind == "gzip":
        plain = [gzip.decompress(in_folder(tmp_path)[name]) for name in archives]
        assert plain == [b"1\n", b"2\n"]


async def test_archives_are_counted_and_deleted_like_files(tmp_path: Path) -> None:
    """Retention is about rotated files, compressed or not."""
    sink = File(tmp_path / "app.jsonl", rotation=2, compression="gzip", retention=3)
    await rotated(on_the_clock(sink, Clock()), *[b"%d\n" % n for n in range(8)])
    *archives, current = in_folder(tmp_path).values()
    assert [*map(gzip.decompress, archives), current] == [b"4\n", b"5\n", b"6\n", b"7\n"]


async def test_compressing_never_holds_up_writing(tmp_path: Path) -> None:
    """While an archive is being made, batches are written and files rotated."""
    entered, go_on = threading.Event(), threading.Event()

    def slowly(source: Path, target: Path) -> None:
        entered.set()
        go_on.wait(10)
        target.write_bytes(source.read_bytes())

    sink = File(tmp_path / "app.jsonl", rotation=2, compression=(".slow", slowly))
    await sink.open()
    await sink.send(batch_of(b"1\n", b"2\n"))
    await anyio.to_thread.run_sync(entered.wait, 10)
    for n in range(3, 7):
        await sink.send(batch_of(b"%d\n" % n))
    assert len([name for name in in_folder(tmp_path) if name.endswith(".jsonl")]) == 6
    go_on.set()
    await sink.aclose()
    assert len([name for name in in_folder(tmp_path) if name.endswith(".slow")]) == 5


async def test_what_is_not_compressed_in_time_is_done_after_the_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The end does not wait for long: the rotated file stays, whole, and is compressed later."""
    entered, ended = threading.Event(), threading.Event()

    def endlessly(self: Compression, source: Path, mode: int, stop: Callable[[], bool]) -> None:
        entered.set()
        while not stop():
            pass
        ended.set()

    path = tmp_path / "app.jsonl"
    with monkeypatch.context() as patched:
        patched.setattr(Compression, "compress", endlessly)
        sink = on_the_clock(File(path, rotation=2, compression="gzip"), Clock())
        await sink.open()
        await sink.send(batch_of(b"1\n", b"2\n"))
        await anyio.to_thread.run_sync(entered.wait, 10)
        with anyio.move_on_after(0.05):
            await sink.aclose()
        await anyio.to_thread.run_sync(ended.wait, 10)
    assert list(in_folder(tmp_path).values()) == [b"1\n", b"2\n"]
    with may_block():  # as a process leaves it that is killed
        (tmp_path / ".app.2026-05-01_12-00-00.jsonl.tmp").write_bytes(b"partial")
        (tmp_path / ".other.jsonl.tmp").write_bytes(b"not ours")
    await rotated(File(path, rotation=2, compression="gzip"))
    files = in_folder(tmp_path)
    assert sorted(files) == [".other.jsonl.tmp", "app.2026-05-01_12-00-00.jsonl.gz", "app.jsonl"]
    assert gzip.decompress(files["app.2026-05-01_12-00-00.jsonl.gz"]) == b"1\n"


async def test_what_was_not_compressed_is_tried_again_after_the_next_rotation(
    tmp_path: Path,
) -> None:
    """A disk that was full for a while leaves nothing uncompressed behind."""
    refusals = iter(range(3))

    def pack(source: Path, target: Path) -> None:
        if next(refusals, None) is not None:
            raise OSError(errno.ENOSPC, "No space left on device")
        shutil.copyfile(source, target)

    path = tmp_path / "app.jsonl"
    sink = File(path, rotation=2, compression=(".copy", pack))
    sink.tell = lambda text: None
    await rotated(sink, *[b"%d\n" % n for n in range(5)])
    *archives, current = in_folder(tmp_path)
    assert current == "app.jsonl"
    assert [name[-5:] for name in archives] == [".copy"] * 4


async def test_what_can_never_be_compressed_holds_up_nothing(tmp_path: Path) -> None:
    """Files that were refused are tried again only when another one was compressed."""
    tried: list[str] = []

    def pack(source: Path, target: Path) -> None:
        tried.append(source.name)
        raise ValueError("never")

    sink = File(tmp_path / "app.jsonl", rotation=2, compression=pack)
    sink.tell = lambda text: None
    await rotated(sink, *[b"%d\n" % n for n in range(9)])
    assert len(in_folder(tmp_path)) == 9
    assert len(tried) == 8


async def test_a_name_that_is_claimed_is_not_yet_a_rotated_file(tmp_path: Path) -> None:
    """An empty file, as a crash in the middle of a rotation leaves it, does no harm."""
    family = Family(tmp_path / "app.jsonl")
    with may_block():
        family.claim(1e9)
    sink = File(family.path, rotation=2, compression="gzip")
    await rotated(sink, b"1\n")
    assert in_folder(tmp_path) == {"app.2001-09-09_01-46-40.jsonl": b"", "app.jsonl": b"1\n"}


async def test_trouble_is_told_once_in_a_while(tmp_path: Path) -> None:
    """The same trouble again and again is not told each time."""
    told: list[str] = []

    def broken(source: Path, target: Path) -> None:
        raise RuntimeError("a bug")

    def choose(files: object) -> None:
        raise RuntimeError("a bug")

    path = tmp_path / "app.jsonl"
    sink = File(path, rotation=2, compression=broken, retention=choose)
    sink.tell = told.append
    await rotated(sink, *[b"%d\n" % n for n in range(20)])
    assert told.count(f"{path}: retention failed: RuntimeError: a bug") == 1
    assert len(in_folder(tmp_path)) == 20


async def test_a_pipeline_rotates_compresses_and_deletes(tmp_path: Path) -> None:
    """All together, on every backend, with the loop's guard watching."""
    path = tmp_path / "app.jsonl"
    sink = File(path, rotation="4 kB", compression="gzip", retention=100)
    async with Pipeline(sink) as pipeline:
        for n in range(200):
            await log.ainfo("n={n}", n=n)
        await pipeline.flush()
    *archives, current = in_folder(tmp_path).values()
    whole = b"".join(map(gzip.decompress, archives)) + current
    assert whole.count(b"\n") == 200


def test_compression_without_rotation_is_refused() -> None:
    """What would never be done is an error that names the setting."""
    with pytest.raises(ConfigurationError, match=r"File\.compression"):
        File("app.jsonl", compression="gzip")

"""The file sink's rotation: when, into what, and that nothing is lost or overwritten by it."""

from __future__ import annotations

import os
import re
import stat
from datetime import datetime
from itertools import accumulate
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from logflume import ConfigurationError, Pipeline, Retryable, get_logger
from logflume.files.naming import Family
from logflume.files.output import Output, Terms
from logflume.files.rotation import rotation_of
from logflume.sinks import File
from tests.disk import Clock, batch_of, in_folder, on_the_clock
from tests.fakes import may_block

log = get_logger("tests.file")
POSIX = pytest.mark.skipif(os.name == "nt", reason="links and permissions of POSIX")

HOUR = 3_600.0
DAY = 24 * HOUR


async def sent(sink: File, *batches: tuple[bytes, ...]) -> None:
    """Open a sink, send batches of lines, and close it."""
    await sink.open()
    for lines in batches:
        await sink.send(batch_of(*lines))
    await sink.aclose()


async def test_a_full_file_is_moved_away(tmp_path: Path) -> None:
    """A file that has no room for a record is renamed after the moment, and a new one begun."""
    sink = on_the_clock(File(tmp_path / "app.jsonl", rotation=8), Clock())
    await sent(sink, (b"one\n", b"two\n"), (b"three\n",))
    assert in_folder(tmp_path) == {
        "app.2026-05-01_12-00-00.jsonl": b"one\ntwo\n",
        "app.jsonl": b"three\n",
    }


async def test_a_batch_is_split_between_files(tmp_path: Path) -> None:
    """One batch fills as many files as it takes; within a second they are numbered in order."""
    sink = on_the_clock(File(tmp_path / "app.jsonl", rotation=8), Clock())
    await sent(sink, tuple(b"%03d\n" % n for n in range(7)))
    assert list(in_folder(tmp_path).items()) == [
        ("app.2026-05-01_12-00-00.jsonl", b"000\n001\n"),
        ("app.2026-05-01_12-00-00_001.jsonl", b"002\n003\n"),
        ("app.2026-05-01_12-00-00_002.jsonl", b"004\n005\n"),
        ("app.jsonl", b"006\n"),
    ]


async def test_a_record_larger_than_a_file_gets_one_for_itself(tmp_path: Path) -> None:
    """What fits nowhere is written whole, alone."""
    sink = File(tmp_path / "app.jsonl", rotation=4)
    await sent(sink, (b"1\n", b"2 is too long\n", b"3\n"))
    parts = in_folder(tmp_path).values()
    assert list(parts) == [b"1\n", b"2 is too long\n", b"3\n"]


batches = st.lists(st.lists(st.binary(max_size=40), min_size=1, max_size=20), max_size=6)


@given(batches, st.integers(1, 100), st.integers(1, 30))
@settings(max_examples=60, deadline=None)
def test_no_file_exceeds_its_size(batches: list[list[bytes]], most: int, in_blocks: int) -> None:
    """Whatever comes, files are full records, in order, and over the size only if it is one."""
    with TemporaryDirectory() as folder:
        output = Output(
            Family(Path(folder) / "app.log"), Terms(rotation=rotation_of(most), follow=False)
        )
        lines = [[line.replace(b"\n", b"") + b"\n" for line in batch] for batch in batches]
        for batch in lines:
            sending = batch_of(*batch, in_blocks=in_blocks)
            written, error = output.write(sending.blocks, sending.sizes, sending.nbytes)
            assert (written, error) == (len(batch), None)
        output.close()
        parts = list(in_folder(Path(folder)).values())
    assert b"".join(parts) == b"".join(line for batch in lines for line in batch)
    for part in parts:
        assert len(part) <= most or part.count(b"\n") == 1
        assert part.endswith(b"\n")


@given(st.lists(st.integers(0, 50), max_size=30), st.data())
@settings(deadline=None)
def test_blocks_are_cut_where_records_end(sizes: list[int], data: st.DataObject) -> None:
    """Any cut of any blocks is what the same cut of the joined blocks is."""
    from logflume.files.append import cut_out, whole_records

    blocks = [memoryview(bytes([i % 256]) * size) for i, size in enumerate(sizes)]
    whole = b"".join(blocks)
    start = data.draw(st.integers(0, len(whole)))
    stop = data.draw(st.integers(start, len(whole)))
    assert b"".join(cut_out(blocks, start, stop)) == whole[start:stop]
    count, nbytes = whole_records(sizes, stop)
    assert nbytes == [0, *accumulate(sizes)][count] <= stop


async def test_a_new_day_begins_a_new_file(tmp_path: Path) -> None:
    """A rule about time is looked at before each batch, by the clock, and holds once each time."""
    clock = Clock()
    sink = on_the_clock(File(tmp_path / "app.jsonl", rotation="1 day"), clock)
    await sink.open()
    for n in range(5):
        await sink.send(batch_of(b"%d\n" % n))
        clock.now += DAY / 2
    await sink.aclose()
    assert list(in_folder(tmp_path).values()) == [b"0\n1\n", b"2\n3\n", b"4\n"]


async def test_a_file_without_records_is_not_rotated(tmp_path: Path) -> None:
    """A file begins with its first record: what is empty when the time comes stays."""
    clock = Clock()
    sink = on_the_clock(File(tmp_path / "app.jsonl", rotation="1 h"), clock)
    await sink.open()
    clock.now += 5 * HOUR
    await sink.send(batch_of(b"1\n"))
    clock.now += HOUR / 2
    await sink.send(batch_of(b"2\n"))
    await sink.aclose()
    assert in_folder(tmp_path) == {"app.jsonl": b"1\n2\n"}


@pytest.mark.parametrize("back", [1, 30, 2 * HOUR, 400 * DAY])
async def test_a_clock_set_back_rotates_no_more_often(tmp_path: Path, back: float) -> None:
    """The hour that comes again is no reason to rotate again, and time goes on from there."""
    clock = Clock()  # a full hour
    sink = on_the_clock(File(tmp_path / "app.jsonl", rotation="hourly"), clock)
    await sink.open()
    clock.now -= 10
    await sink.send(batch_of(b"before\n"))
    clock.now += 10
    await sink.send(batch_of(b"at the hour\n"))
    clock.now -= back
    for _ in range(20):
        await sink.send(batch_of(b"again\n"))
        clock.now += back / 100 if back < HOUR else 1
    parts = list(in_folder(tmp_path).values())
    assert len(parts) == 2
    clock.now += HOUR + 60
    await sink.send(batch_of(b"later\n"))
    await sink.aclose()
    assert len(in_folder(tmp_path)) == 3


async def test_a_clock_that_was_far_ahead_is_forgotten(tmp_path: Path) -> None:
    """A file begun in what turned out to be 2099 is rotated an hour later all the same."""
    clock = Clock()
    sink = on_the_clock(File(tmp_path / "app.jsonl", rotation="1 h"), clock)
    await sink.open()
    clock.now += 73 * 365 * DAY
    await sink.send(batch_of(b"1\n"))
    clock.now -= 73 * 365 * DAY
    await sink.send(batch_of(b"2\n"))
    clock.now += HOUR
    await sink.send(batch_of(b"3\n"))
    await sink.aclose()
    assert in_folder(tmp_path)["app.jsonl"] == b"3\n"


def local_time(later: float) -> bytes:
    """Return what a text encoder writes so long after the clock's noon."""
    return f"{datetime.fromtimestamp(Clock().now + later):%Y-%m-%d %H:%M:%S}".encode()


@pytest.mark.parametrize(
    ("line", "earlier", "rotated"),
    [
        (b'{"timestamp":"2026-05-01T09:00:00.5Z"}\n', None, True),
        (b'{"timestamp":"2026-05-01T11:30:00.5Z"}\n', None, False),
        (b"2026-05-01 09:00:00Z a line of text\n", None, True),
        (local_time(-3 * HOUR) + b".250 | INFO | a line of text\n", None, True),
        (local_time(-HOUR / 2) + b".250 | INFO | a line of text\n", None, False),
        (b"[" + local_time(-3 * HOUR) + b"] a line of text\n", None, True),
        (b"2026-05-01T11:00:00.5+02:00 a line of text\n", None, True),
        (b"2026-05-01T11:00:00-0030 a line of text\n", None, False),
        (b"Seen: " + local_time(-3 * HOUR) + b" a line of text\n", None, False),
        (b"a line of text\n", "app.2026-05-01_09-00-00.jsonl", True),
        (b"a line of text\n", "app.2026-05-01_11-30-00.jsonl.gz", False),
        (b"a line of text\n", None, False),
        (b'{"timestamp":"2026-99-01T09:00:00.5Z"}\n', None, False),
    ],
)
async def test_a_restart_knows_when_the_file_was_begun(
    tmp_path: Path, line: bytes, earlier: str | None, rotated: bool
) -> None:
    """By its first record's time, or the last rotation, or its last change."""
    clock = Clock()
    path = tmp_path / "app.jsonl"
    with may_block():
        path.write_bytes(line)
        os.utime(path, (clock.now - 60, clock.now - 60))
        if earlier is not None:
            (tmp_path / earlier).write_bytes(b"earlier\n")
    await sent(on_the_clock(File(path, rotation="1 h"), clock), (b"new\n",))
    assert in_folder(tmp_path)["app.jsonl"] == (b"new\n" if rotated else line + b"new\n")


async def test_a_function_may_say_when(tmp_path: Path) -> None:
    """A rule of the user's own gets path and size; one that fails is told, and rotates nothing."""
    seen = []
    told: list[str] = []

    def rule(path: Path, size: int) -> bool:
        seen.append((path, size))
        if len(seen) == 2:
            raise RuntimeError("a bug")
        return len(seen) == 3

    sink = File(tmp_path / "app.jsonl", rotation=rule)
    sink.tell = told.append
    await sent(sink, *[(b"%d\n" % n,) for n in range(4)])
    assert seen == [(sink.path, 2), (sink.path, 4), (sink.path, 6)]
    assert list(in_folder(tmp_path).values()) == [b"0\n1\n2\n", b"3\n"]
    assert told == [f"{sink.path}: rotation rule failed: RuntimeError"]


@POSIX
async def test_every_file_has_the_permissions(tmp_path: Path) -> None:
    """After each rotation, files are the owner's alone, or what `mode` says, whatever the umask."""
    before = os.umask(0o077)
    try:
        for name, mode in (("own", 0o600), ("group", 0o660)):
            await sent(
                File(tmp_path / name / "app.jsonl", mode=mode, rotation=2),
                (b"1\n", b"2\n", b"3\n"),
            )
    finally:
        os.umask(before)
    with may_block():
        modes = {
            name: {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / name).iterdir()}
            for name in ("own", "group")
        }
    assert modes == {"own": {0o600}, "group": {0o660}}


async def test_names_that_are_taken_are_left_alone(tmp_path: Path) -> None:
    """No rotation overwrites a file, an archive or a link that is there; it takes the next name."""
    clock = Clock()
    victim = tmp_path / "victim"
    taken = {
        "app.2026-05-01_12-00-00.jsonl": b"mine\n",
        "app.2026-05-01_12-00-00_001.jsonl.zst": b"an archive",
    }
    with may_block():
        for name, text in taken.items():
            (tmp_path / name).write_bytes(text)
        victim.write_bytes(b"precious\n")
        (tmp_path / "app.2026-05-01_12-00-00_002.jsonl").symlink_to(victim)
    sink = on_the_clock(File(tmp_path / "app.jsonl", rotation=2), clock)
    await sent(sink, (b"1\n", b"2\n"))
    files = in_folder(tmp_path)
    assert {name: files[name] for name in taken} == taken
    assert files["victim"] == b"precious\n"
    assert files["app.2026-05-01_12-00-00_003.jsonl"] == b"1\n"


@POSIX
async def test_a_link_in_the_place_of_a_rotated_file_is_not_followed(tmp_path: Path) -> None:
    """Neither at the start nor when a new file is begun is anything written through a link."""
    victim = tmp_path / "victim"
    with may_block():
        victim.write_bytes(b"precious\n")
        (tmp_path / "app.jsonl").symlink_to(victim)
    sink = File(tmp_path / "app.jsonl", rotation=2)
    with pytest.raises(OSError, match="symbolic links"):
        await sink.open()
    await sink.aclose()
    with may_block():
        sink.path.unlink()
    await sink.open()
    await sink.send(batch_of(b"1\n"))
    with may_block():
        sink.path.unlink()
        sink.path.symlink_to(victim)
    with pytest.raises(Retryable):
        await sink.send(batch_of(b"2\n"))
    with may_block():
        sink.path.unlink()
    await sink.send(batch_of(b"2\n"))
    await sink.aclose()
    assert in_folder(tmp_path) == {"app.jsonl": b"2\n", "victim": b"precious\n"}


async def test_a_rotation_that_fails_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What cannot be renamed grows on, and is told; it is tried again, not at every record."""
    told: list[str] = []
    tries = 0

    def refuse(*args: Any) -> None:
        nonlocal tries
        tries += 1
        raise PermissionError(13, "Permission denied")

    sink = File(tmp_path / "app.jsonl", rotation=4)
    sink.tell = told.append
    await sink.open()
    monkeypatch.setattr(os, "replace", refuse)
    for n in range(3):
        await sink.send(batch_of(*[b"%d\n" % n] * 3))
    assert tries == 1
    assert in_folder(tmp_path) == {"app.jsonl": b"0\n" * 3 + b"1\n" * 3 + b"2\n" * 3}
    assert told == [f"{sink.path}: not rotated: Permission denied"]
    monkeypatch.undo()
    monkeypatch.setattr("logflume.files.output.HOLD", 0)
    sink._output._hold_until = 0.0  # type: ignore[union-attr]
    await sink.send(batch_of(b"3\n"))
    await sink.aclose()
    assert in_folder(tmp_path)["app.jsonl"] == b"3\n"


async def test_names_sort_by_age(tmp_path: Path) -> None:
    """Thousands of rotations in a second still give names in order, none of them twice."""
    family = Family(tmp_path / "app.jsonl")
    with may_block():
        claimed = [family.claim(1e9).name for _ in range(1_200)]
        claimed += [family.claim(1e9 + 1).name, family.claim(1e9 + 5).name]
    assert claimed == sorted(set(claimed))
    assert all(map(family.is_rotated, claimed))


async def test_a_pipeline_rotates(tmp_path: Path) -> None:
    """All together: every record is in one of the files, once, in order."""
    path = tmp_path / "app.jsonl"
    async with Pipeline(File(path, rotation="2 kB")):
        for n in range(100):
            await log.ainfo("n={n}", n=n)
    files = in_folder(tmp_path)
    assert len(files) > 5
    assert max(map(len, files.values())) <= 2_000
    found = re.findall(rb'"n":(\d+)', b"".join(files.values()))
    assert [int(n) for n in found] == list(range(100))


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("rotation", "sometimes"),
        ("rotation", 0),
        ("fsync", "always"),
        ("fsync", 0),
        ("fsync", "-1"),
        ("fsync", "nan"),
        ("fsync", True),
        ("shared", "yes"),
        ("max_open", 0),
        ("retention", 5),
    ],
)
def test_a_setting_that_means_nothing_is_refused(setting: str, value: Any) -> None:
    """A setting out of its range, or without what it needs, is an error that names it."""
    with pytest.raises(ConfigurationError, match=rf"File\.{setting}"):
        File("app.jsonl", **{setting: value})

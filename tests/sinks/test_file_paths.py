"""Paths with placeholders: which file a record goes to, and that no value leads out of a folder."""

from __future__ import annotations

import errno
import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from logflume import ConfigurationError, Pipeline, Record, Rejected, Retryable, Route, get_logger
from logflume.files.paths import PathTemplate
from logflume.sinks import File
from tests.disk import Clock, batch_to, in_folder, on_the_clock
from tests.fakes import may_block
from tests.intake import WHEN_NS, record_of

log = get_logger("tests.file")


def at(record: Record, time_ns: int = WHEN_NS) -> Record:
    record.time_ns = time_ns
    return record


def path_of(template: str, record: Record) -> str:
    paths = PathTemplate(template)
    return paths.family_of(paths.values_of(record)).path.as_posix()


@pytest.mark.parametrize(
    ("template", "path"),
    [
        ("logs/{date}.jsonl", "logs/2026-01-02.jsonl"),
        ("{date}/{time:%H}.jsonl", "2026-01-02/03.jsonl"),
        ("{time}", "03-04-05"),
        ("{date:%Y/%m}", "2026%2F01"),
        ("logs/{logger}.jsonl", "logs/tests.record.jsonl"),
        ("{level}/{user}-{n}.log", "INFO/ann-5.log"),
        ("{nothing}.log", "_.log"),
        ("{empty}{empty}", "__"),
        ("/var/{user}", "/var/ann"),
        ("../logs/{user}", "../logs/ann"),
        ("logs//{user}", "logs/ann"),
        ("a{{b}}/{user}", "a{b}/ann"),
        pytest.param("{pid}.log", f"{os.getpid()}.log", id="{pid}"),
        (".{user}", ".ann"),
    ],
)
def test_placeholders_are_filled_from_the_record(template: str, path: str) -> None:
    """Time in UTC, logger, level, process, and fields; what is missing or empty is `_`."""
    assert path_of(template, at(record_of("said", user="ann", n=5, empty=""))) == path


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ("..", "%2E%2E"),
        (".", "%2E"),
        ("../../etc/passwd", "%2E%2E%2F..%2Fetc%2Fpasswd"),
        ("/etc", "%2Fetc"),
        (".ssh", "%2Essh"),
        ("a\\b", "a%5Cb"),
        ("a\0b\n\x1b", "a%00b%0A%1B"),
        ("100%", "100%25"),
        ("C:", "C%3A"),
        ("con", "%63on"),
        ("NUL.txt", "%4EUL.txt"),
        ("end.", "end%2E"),
        ("\u202egpj", "%E2%80%AEgpj"),
        ("\ud800", "%ED%A0%80"),
        ("", "_"),
        (None, "_"),
        (0, "0"),
        (["a", 1], "['a', 1]"),
        ("ünï", "ünï"),
    ],
)
def test_values_never_lead_anywhere_else(value: Any, name: str) -> None:
    """What could be a separator, a hidden file or a control character is percent-encoded."""
    assert path_of("logs/{value}/app.log", record_of("said", value=value)) == f"logs/{name}/app.log"


def test_literal_dots_do_not_make_a_way_up() -> None:
    """A dot of the template and one of a value are no `..` together."""
    assert path_of("logs/.{value}/x", record_of("said", value=".")) == "logs/.%2E/x"


values = st.one_of(st.text(), st.text(alphabet="./\\%\0~ ab", max_size=8), st.text(min_size=200))


@given(values, values)
@example("..", "..")
@example("", "..")
@example(".", "")
@example("x" * 300, "ü" * 300)
def test_any_value_is_one_name_in_its_folder(one: str, two: str) -> None:
    """Whatever is logged: a file just below the folder, with a name that systems take."""
    paths = PathTemplate("logs/{one}{two}/{two}.jsonl")
    path = paths.family_of((one, two, two)).path
    assert len(path.parts) == 3
    assert path.parts[0] == "logs"
    assert os.path.normpath(path) == str(path)
    for part in path.parts:
        assert len(part.encode()) <= 255
        assert not re.search(r"[\0-\x1f/\\]", part)
        assert part not in (".", "..")
        assert not part.startswith(".")
    assert path.name.endswith(".jsonl")


@given(values, values)
def test_different_values_are_different_files(one: str, two: str) -> None:
    """No value can pass for another one, also not one that is too long for a name."""
    paths = PathTemplate("{value}.jsonl")
    same = paths.family_of((one,)).path == paths.family_of((two,)).path
    assert same == ((one or "_") == (two or "_"))


@pytest.mark.parametrize(
    "template",
    [
        "logs/{", "logs/}", "logs/{}", "logs/{0}", "logs/{a.b}", "logs/{a[0]}", "{a!r}", "{a:>5}",
        "{date:%c}", "{date:%}", "{user}/../x", "{user}/./x", "{user}/", "a{{b}}",
    ],
)  # fmt: skip
def test_a_template_that_means_nothing_is_refused(template: str) -> None:
    """An error names the setting; so does one for a path whose braces are not doubled."""
    with pytest.raises(ConfigurationError, match=r"File\.path"):
        File(template)


async def test_each_record_goes_to_its_file(tmp_path: Path) -> None:
    """One pipeline, many files: in each, its records in order, as lines of the encoder."""
    async with Pipeline(File(tmp_path / "{user}" / "{level}.jsonl")) as pipeline:
        for n in range(60):
            await log.ainfo("n={n}", n=n, user=f"user {n % 3}")
            await log.awarning("n={n}", n=n, user="../..")
        await pipeline.flush()
    files = in_folder(tmp_path)
    assert sorted(files) == [
        "%2E%2E%2F.%2E/WARNING.jsonl",
        *[f"user {i}/INFO.jsonl" for i in range(3)],
    ]
    for i in range(3):
        found = [json.loads(line) for line in files[f"user {i}/INFO.jsonl"].splitlines()]
        assert [line["fields"]["n"] for line in found] == list(range(i, 60, 3))
    counts = pipeline.stats().routes["{level}.jsonl"]
    assert counts.delivered == 120


async def test_only_so_many_files_are_open(tmp_path: Path) -> None:
    """The file that was not used for longest is closed, and opened again when it is needed."""
    sink = File(tmp_path / "{n}.log", max_open=3)
    await sink.open()
    for _ in range(2):
        records = [record_of("said", n=n) for n in range(10)]
        await sink.send(batch_to(records, *[b"%d\n" % n for n in range(10)]))
        assert [output.path.name for output in sink._outputs()] == ["7.log", "8.log", "9.log"]
    await sink.aclose()
    assert in_folder(tmp_path) == {f"{n}.log": b"%d\n" % n * 2 for n in range(10)}


async def test_each_file_is_rotated_by_itself(tmp_path: Path) -> None:
    """Sizes are counted, and rotated files kept, for each file apart."""
    sink = on_the_clock(File(tmp_path / "{user}.log", rotation=4, retention=1), Clock())
    await sink.open()
    for n in range(5):
        records = [record_of("said", user=user) for user in ("ann", "bob")]
        await sink.send(batch_to(records, b"%d\n" % n, b"%d%d\n" % (n, n)))
    await sink.aclose()
    assert in_folder(tmp_path) == {
        "ann.2026-05-01_12-00-00_001.log": b"2\n3\n",
        "ann.log": b"4\n",
        "bob.2026-05-01_12-00-00_003.log": b"33\n",
        "bob.log": b"44\n",
    }


async def test_retention_knows_the_files_of_other_days(tmp_path: Path) -> None:
    """With the date in the path, files of earlier dates are old ones; those of others are not."""
    day_ns = 86_400 * 10**9
    path = tmp_path / "{date}" / "{user}.log"
    with may_block():
        (tmp_path / "notes").mkdir()
        for folder in ("notes", "2025-12-30", "2025-12-31"):
            (tmp_path / folder).mkdir(exist_ok=True)
            (tmp_path / folder / "bob.log").write_bytes(b"bob's\n")
        (tmp_path / "2025-12-31" / "ann.log").write_bytes(b"old\n")
        os.utime(tmp_path / "2025-12-31" / "ann.log", (1e9, 1e9))
    sink = File(path, retention=2, max_open=1)
    await sink.open()
    for n in range(4):
        await sink.send(batch_to([at(record_of("x", user="ann"), WHEN_NS + n * day_ns)], b"1\n"))
    await sink.aclose()
    sink = File(path, retention=2)
    await sink.open()
    await sink.send(batch_to([at(record_of("x", user="ann"), WHEN_NS + 4 * day_ns)], b"1\n"))
    await sink.aclose()
    assert sorted(in_folder(tmp_path)) == [
        "2025-12-30/bob.log",
        "2025-12-31/bob.log",
        *[f"2026-01-0{day}/ann.log" for day in (4, 5, 6)],
        "notes/bob.log",
    ]
    with may_block():
        assert not (tmp_path / "2026-01-02").exists()


async def test_a_path_that_cannot_be_harms_no_other(tmp_path: Path) -> None:
    """Records whose path is taken by something else are dropped with that reason; others pass."""
    with may_block():
        (tmp_path / "taken.log").mkdir()
    async with Pipeline(Route(File(tmp_path / "{user}.log"), name="files")) as pipeline:
        for user in ("ann", "taken", "bob", "taken"):
            log.info("said", user=user)
        await pipeline.flush()
    counts = pipeline.stats().routes["files"]
    assert counts.dropped == {"unwritable path": 2}
    assert counts.delivered == 2
    assert "taken.log" in (counts.last_error or "")
    assert sorted(in_folder(tmp_path)) == ["ann.log", "bob.log"]


async def test_what_is_written_is_not_written_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When one of the files fails for now, the records of the others come once all the same."""
    write = os.write
    full = tmp_path / "full.log"

    def refuse(fd: int, data: Any) -> int:
        if full.exists() and os.path.samestat(os.fstat(fd), full.stat()):
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(fd, data)

    sink = File(tmp_path / "{user}.log")
    await sink.open()
    records = [record_of("said", user=user) for user in ("ann", "full", "ann", "bob")]
    batch = batch_to(records, b"1\n", b"2\n", b"3\n", b"4\n")
    with monkeypatch.context() as patched:
        patched.setattr(os, "write", refuse)
        for _ in range(2):
            with pytest.raises(Retryable, match="No space left"):
                await sink.send(batch)
            assert batch.advanced in (1, 0)
            batch = batch.rest()
    await sink.send(batch)
    await sink.aclose()
    assert in_folder(tmp_path) == {"ann.log": b"1\n3\n", "bob.log": b"4\n", "full.log": b"2\n"}


async def test_what_is_hopeless_is_rejected_by_position(tmp_path: Path) -> None:
    """Such records are named, so that the rest of the batch counts as delivered."""
    with may_block():
        (tmp_path / "b.log").mkdir()
    sink = File(tmp_path / "{user}.log")
    await sink.open()
    records = [record_of("said", user=user) for user in "abcb"]
    with pytest.raises(Rejected) as caught:
        await sink.send(batch_to(records, *[b"%d\n" % n for n in range(4)]))
    await sink.aclose()
    assert caught.value.records == [1, 3]
    assert in_folder(tmp_path) == {"a.log": b"0\n", "c.log": b"2\n"}


@pytest.mark.skipif(os.name == "nt", reason="links of POSIX")
async def test_a_link_where_a_value_leads_is_not_followed(tmp_path: Path) -> None:
    """What records decide never writes through a symbolic link."""
    with may_block():
        (tmp_path / "ann.log").symlink_to(tmp_path / "victim")
    sink = File(tmp_path / "{user}.log")
    await sink.open()
    with pytest.raises(Rejected, match="symbolic links"):
        await sink.send(batch_to([record_of("said", user="ann")], b"1\n"))
    await sink.aclose()
    with may_block():
        assert not (tmp_path / "victim").exists()

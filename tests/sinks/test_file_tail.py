"""The torn tail that a killed process leaves: nothing is glued to it, nothing whole is lost."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logflume.files.tail import claim_alone, mark_in_use
from logflume.sinks import File
from tests.disk import batch_of, in_folder, read
from tests.fakes import may_block

WHOLE = b'{"message":"whole"}\n'
NEW = b'{"message":"new"}\n'


@pytest.mark.parametrize("settings", [{}, {"rotation": "1 GB"}, {"shared": True}], ids=repr)
@pytest.mark.parametrize(
    ("tail", "mended", "aside"),
    [
        (b'{"message":"wh', b"", b'{"message":"wh\n'),
        (b'{"message":"{}"', b"", b'{"message":"{}"\n'),
        (b'{"message":"whole"}', b'{"message":"whole"}\n', None),
        (b"12:00 INFO a line of te", b"12:00 INFO a line of te\n", None),
        (b"\0\0\0\0", b"", b"\0\0\0\0\n"),
        (b"", b"", None),
    ],
)
async def test_a_torn_tail_is_mended(
    tmp_path: Path, settings: dict[str, bool], tail: bytes, mended: bytes, aside: bytes | None
) -> None:
    """At the start: a part of a JSON line is moved aside, any other line gets its end."""
    path = tmp_path / "app.jsonl"
    with may_block():
        path.write_bytes(WHOLE + tail)
    sink = File(path, **settings)
    await sink.open()
    assert read(path) == WHOLE + mended
    await sink.send(batch_of(NEW))
    await sink.send(batch_of(NEW))
    await sink.aclose()
    assert read(path) == WHOLE + mended + NEW + NEW
    assert in_folder(tmp_path).get("app.jsonl.torn") == aside


@pytest.mark.parametrize(
    "content",
    [
        b'{"message":"the only li',
        b'{"a":1}{"a":2}{"a":',
        b'{"a":\n{"b":2}\n{"c"',
        b"12:00 INFO a line\n12:01 IN",
        b"\x82\xa1a\x01\n{",
        b"",
    ],
)
async def test_what_may_be_no_json_lines_is_left_until_lines_are_written(
    tmp_path: Path, content: bytes
) -> None:
    """Which encoder writes to the file is seen from what it writes only."""
    path = tmp_path / "app.jsonl"
    with may_block():
        path.write_bytes(content)
    sink = File(path)
    await sink.open()
    await sink.aclose()
    assert in_folder(tmp_path) == {"app.jsonl": content}


@pytest.mark.parametrize("before", [b"", WHOLE])
async def test_a_long_torn_line_is_moved_as_a_whole(tmp_path: Path, before: bytes) -> None:
    """Also one that is longer than what is read at a time, and the only one of its file."""
    path = tmp_path / "app.jsonl"
    torn = b'{"message":"' + b"x" * 200_000
    with may_block():
        path.write_bytes(before + torn)
    sink = File(path)
    await sink.open()
    await sink.send(batch_of(NEW))
    await sink.aclose()
    assert in_folder(tmp_path) == {"app.jsonl": before + NEW, "app.jsonl.torn": torn + b"\n"}


async def test_what_cannot_be_moved_aside_gets_an_end(tmp_path: Path) -> None:
    """Better a torn line that ends than one that is lost, or one through a link."""
    path = tmp_path / "app.jsonl"
    with may_block():
        path.write_bytes(b'{"torn')
        (tmp_path / "app.jsonl.torn").symlink_to(tmp_path / "victim")
    sink = File(path)
    await sink.open()
    await sink.send(batch_of(NEW))
    await sink.aclose()
    assert read(path) == b'{"torn\n' + NEW
    with may_block():
        assert not (tmp_path / "victim").exists()


async def test_a_file_of_something_else_than_lines_is_left_alone(tmp_path: Path) -> None:
    """An encoder whose records do not end with a line end makes files without torn lines."""
    path = tmp_path / "app.bin"
    with may_block():
        path.write_bytes(b"{\0\1")
    sink = File(path)
    await sink.open()
    await sink.send(batch_of(b"{\0\2"))
    await sink.aclose()
    assert read(path) == b"{\0\1{\0\2"


@pytest.mark.skipif(os.name == "nt", reason="locks of POSIX")
async def test_a_line_that_is_just_being_written_is_not_torn(tmp_path: Path) -> None:
    """What another process has in use is not cut: it may be in the middle of a line."""
    path = tmp_path / "app.jsonl"
    code = (
        "import os, sys; from logflume.files.tail import mark_in_use\n"
        "fd = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_APPEND); mark_in_use(fd)\n"
        "os.write(fd, b'{\"half'); print(flush=True); sys.stdin.read()\n"
        "os.write(fd, b'\":1}\\n')"
    )
    with may_block():
        other = subprocess.Popen(
            [sys.executable, "-c", code, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert other.stdout is not None
        other.stdout.readline()
    sink = File(path)
    await sink.open()
    await sink.send(batch_of(NEW))
    await sink.aclose()
    with may_block():
        other.communicate(timeout=30)
    assert in_folder(tmp_path) == {"app.jsonl": b'{"half\n' + NEW + b'":1}\n'}


async def test_a_line_that_gets_its_end_meanwhile_gets_no_second_one(tmp_path: Path) -> None:
    """Another process is in the middle of a write: it is waited for, a moment."""
    path = tmp_path / "app.jsonl"
    with may_block():
        path.write_bytes(WHOLE + b'{"message":"wri')
        other = os.open(path, os.O_WRONLY | os.O_APPEND)
        mark_in_use(other)
    rest = threading.Timer(0.03, os.write, [other, b'tten"}\n'])
    rest.start()
    sink = File(path)
    await sink.open()
    await sink.send(batch_of(NEW))
    await sink.aclose()
    rest.join()
    os.close(other)
    assert in_folder(tmp_path) == {"app.jsonl": WHOLE + b'{"message":"written"}\n' + NEW}


@pytest.mark.skipif(os.name == "nt", reason="locks of POSIX")
def test_a_mark_is_seen_by_others(tmp_path: Path) -> None:
    """Only who is alone with a file may claim it, and may go on after that."""
    with (tmp_path / "a").open("ab") as one, (tmp_path / "a").open("ab") as two:
        mark_in_use(one.fileno())
        assert claim_alone(one.fileno())
        mark_in_use(one.fileno())
        mark_in_use(two.fileno())
        assert not claim_alone(one.fileno())


@given(st.lists(st.binary(max_size=12), max_size=8), st.data())
def test_no_cut_loses_a_whole_line(texts: list[bytes], data: st.DataObject) -> None:
    """Wherever a file of JSON lines is cut off: what was whole stays, in order, and all is JSON."""
    from tempfile import TemporaryDirectory

    import orjson

    from logflume.files.naming import Family
    from logflume.files.output import Output, Terms

    lines = [orjson.dumps({"m": text.hex()}) + b"\n" for text in texts]
    whole = b"".join(lines)
    cut = whole[: data.draw(st.integers(0, len(whole)))]
    with TemporaryDirectory() as folder:
        path = Path(folder) / "app.jsonl"
        path.write_bytes(cut)
        output = Output(Family(path), Terms())
        batch = batch_of(NEW)
        assert output.write(batch.blocks, batch.sizes, batch.nbytes) == (1, None)
        output.close()
        *found, last = path.read_bytes().splitlines(keepends=True)
    assert last == NEW
    assert found == lines[: len(found)]
    assert len(found) >= cut.count(b"\n")

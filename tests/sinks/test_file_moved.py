"""Files that others move, delete or cut while they are written: logrotate, editors, people."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from logflume import ConfigurationError
from logflume.sinks import File
from tests.disk import batch_of, in_folder, read
from tests.fakes import may_block

pytestmark = pytest.mark.skipif(os.name == "nt", reason="open files cannot be moved there")

VARIANTS = pytest.mark.parametrize(
    "settings", [{}, {"rotation": "1 GB"}, {"shared": True}], ids=["plain", "rotating", "shared"]
)


@VARIANTS
@pytest.mark.parametrize("created", [False, True])
async def test_a_file_that_is_moved_away_is_begun_anew(
    tmp_path: Path, settings: dict[str, object], created: bool
) -> None:
    """After logrotate's `create` or `nocreate`, the next batch goes to the file at the path."""
    path = tmp_path / "app.jsonl"
    sink = File(path, **settings)  # type: ignore[arg-type]
    await sink.open()
    await sink.send(batch_of(b"1\n"))
    with may_block():
        path.rename(tmp_path / "app.jsonl.1")
        if created:
            path.touch()
    await sink.send(batch_of(b"2\n"))
    await sink.aclose()
    files = in_folder(tmp_path)
    files.pop(".app.jsonl.lock", None)
    assert files == {"app.jsonl": b"2\n", "app.jsonl.1": b"1\n"}


@VARIANTS
async def test_a_file_that_is_copied_and_cut_is_appended_to(
    tmp_path: Path, settings: dict[str, object]
) -> None:
    """After logrotate's `copytruncate` there are no holes: the next batch is at the beginning."""
    path = tmp_path / "app.jsonl"
    sink = File(path, **settings)  # type: ignore[arg-type]
    await sink.open()
    await sink.send(batch_of(b"1\n"))
    with may_block():
        shutil.copy(path, tmp_path / "app.jsonl.1")
        os.truncate(path, 0)
    await sink.send(batch_of(b"2\n"))
    await sink.aclose()
    assert read(path) == b"2\n"


async def test_the_size_counts_what_others_did(tmp_path: Path) -> None:
    """A file that was cut has room again, and one that others wrote to has less."""
    path = tmp_path / "app.jsonl"
    sink = File(path, rotation=6)
    await sink.open()
    await sink.send(batch_of(b"1\n", b"2\n", b"3\n"))
    with may_block():
        os.truncate(path, 0)
    await sink.send(batch_of(b"4\n", b"5\n"))
    assert list(in_folder(tmp_path)) == ["app.jsonl"]
    with may_block(), path.open("ab") as other:
        other.write(b"6\n")
    await sink.send(batch_of(b"7\n"))
    await sink.aclose()
    assert list(in_folder(tmp_path).values()) == [b"4\n5\n6\n", b"7\n"]


async def test_a_folder_that_is_removed_is_made_again(tmp_path: Path) -> None:
    """Even if all is deleted, what comes next is written."""
    path = tmp_path / "logs" / "app.jsonl"
    sink = File(path)
    await sink.open()
    await sink.send(batch_of(b"1\n"))
    with may_block():
        shutil.rmtree(path.parent)
    await sink.send(batch_of(b"2\n"))
    await sink.aclose()
    assert read(path) == b"2\n"


async def test_a_link_is_followed_where_nothing_is_rotated(tmp_path: Path) -> None:
    """A plain file may be a link that its owner has made, also to a file that is not there yet."""
    path = tmp_path / "app.jsonl"
    with may_block():
        path.symlink_to(tmp_path / "elsewhere")
    sink = File(path)
    await sink.open()
    await sink.send(batch_of(b"1\n"))
    await sink.aclose()
    assert read(tmp_path / "elsewhere") == b"1\n"


async def test_a_pipe_is_written_to_as_it_is(tmp_path: Path) -> None:
    """What is no plain file is neither mended nor rotated."""
    path = tmp_path / "pipe"
    with may_block():
        os.mkfifo(path)
        reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    sink = File(path, rotation=2)
    await sink.open()
    await sink.send(batch_of(b"1\n", b"2\n"))
    await sink.send(batch_of(b"3\n"))
    await sink.aclose()
    with may_block():
        assert os.read(reader, 100) == b"1\n2\n3\n"
        os.close(reader)
        assert os.listdir(tmp_path) == ["pipe"]


def test_sharing_without_locks_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is no `flock`, `shared` is an error that says so."""
    monkeypatch.setattr("logflume.files.shared.can_share", False)
    with pytest.raises(ConfigurationError, match=r"File\.shared.*flock"):
        File("app.jsonl", shared=True)

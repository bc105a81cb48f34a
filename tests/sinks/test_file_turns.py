"""Several sinks of one process at the same file: one at a time."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from logflume.files.naming import Family
from logflume.files.output import Output, Terms
from logflume.files.rotation import rotation_of
from logflume.sinks._turns import turn_at


def output_at(path: Path, **terms: object) -> Output:
    return Output(Family(path, archive_suffix=""), Terms(turn_at=turn_at, **terms))  # type: ignore[arg-type]


def write(output: Output, line: bytes) -> None:
    assert output.write([memoryview(line)], [len(line)], len(line)) == (1, None)


def test_nobody_writes_while_another_decides_about_a_rotation(tmp_path: Path) -> None:
    """A file is not moved away between another sink's look at it and its write."""
    path = tmp_path / "a.jsonl"
    asked, answer = threading.Event(), threading.Event()

    def due(path: Path, size: int) -> bool:
        asked.set()
        return answer.wait(10)

    one, other = output_at(path, rotation=rotation_of(due)), output_at(path)
    write(one, b"1\n")
    rotating = threading.Thread(target=write, args=(one, b"2\n"))
    rotating.start()
    assert asked.wait(10)
    writing = threading.Thread(target=write, args=(other, b"3\n"))
    writing.start()
    writing.join(0.1)
    assert writing.is_alive()
    answer.set()
    rotating.join(10)
    writing.join(10)
    assert path.read_bytes() == b"2\n3\n"
    one.close()
    other.close()


def test_a_turn_is_that_of_a_file_however_it_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A relative path and a linked folder lead to the same one; another file has another."""
    (tmp_path / "link").symlink_to(tmp_path)
    monkeypatch.chdir(tmp_path)
    turn = turn_at(Path("a"))
    assert turn_at(tmp_path / "a") is turn_at(tmp_path / "link" / "a") is turn
    assert turn_at(Path("b")) is not turn
    assert turn_at(Path("a"), "upkeep") is not turn


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_turn_held_at_a_fork_is_free_in_the_child(tmp_path: Path) -> None:
    """The thread that held it is not there to give it back."""
    with turn_at(tmp_path / "a"):
        child = os.fork()
        if not child:
            with turn_at(tmp_path / "a"):
                os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_whoever_waits_can_give_up(tmp_path: Path) -> None:
    """Looking after old files does not hold up a sink that is closed."""
    done: list[str] = []
    turn = turn_at(tmp_path / "a")
    with turn:
        answers = iter((False, True))
        turn.do(lambda: done.append("in vain"), lambda: next(answers))
    turn.do(lambda: done.append("done"), lambda: False)
    assert done == ["done"]

"""Appending to a file: in which pieces, whatever is written, and however slowly."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from itertools import accumulate
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from logflume.files import append
from logflume.files.append import PIECE, in_pieces, write_all


class Written:
    """A file descriptor that takes what it is given, some seconds for each call."""

    def __init__(self, patched: pytest.MonkeyPatch, takes: Callable[[int], int]) -> None:
        self.pieces: list[bytes] = []
        self.seconds = 0.0
        self._takes = takes
        self._now = 0.0
        patched.setattr(append.os, "write", lambda fd, data: self.take([data]))
        patched.setattr(append.os, "writev", lambda fd, data: self.take(data))
        patched.setattr(append.time, "perf_counter", lambda: self._now)

    def take(self, blocks: Sequence[memoryview]) -> int:
        data = b"".join(blocks)
        taken = data[: self._takes(len(data))]
        self.pieces.append(taken)
        self._now += self.seconds
        return len(taken)


def blocks_of(sizes: Sequence[int]) -> tuple[list[memoryview], bytes]:
    blocks = [bytes([n % 251]) * size for n, size in enumerate(sizes)]
    return list(map(memoryview, blocks)), b"".join(blocks)


SIZES = st.integers(1, 50_000) | st.just(PIECE) | st.integers(PIECE, 3 * PIECE)


@given(st.lists(SIZES, max_size=20))
@settings(deadline=None)
def test_it_is_written_in_pieces_of_whole_blocks(sizes: list[int]) -> None:
    """None is larger than it has to be, and no two would have gone into one."""
    blocks, data = blocks_of(sizes)
    with pytest.MonkeyPatch.context() as patched:
        file = Written(patched, lambda size: size)
        assert write_all(9, blocks) == (len(data), None)
    assert b"".join(file.pieces) == data
    assert_whole_and_few(list(map(len, file.pieces)), sizes)


@given(st.lists(SIZES, max_size=20))
@settings(deadline=None)
def test_records_are_joined_to_blocks_of_a_piece_each(sizes: list[int]) -> None:
    """Of whole records, as few as can be."""
    records = [bytes(size) for size in sizes]
    blocks = in_pieces(records)
    assert b"".join(blocks) == b"".join(records)
    assert_whole_and_few([len(block) for block in blocks if len(block)], sizes)


def assert_whole_and_few(lengths: Sequence[int], sizes: Sequence[int]) -> None:
    ends = [*accumulate(lengths)]
    assert set(ends) <= set(accumulate(sizes))
    assert all(length <= PIECE or length in sizes for length in lengths)
    of_first = dict(zip(accumulate([0, *sizes]), sizes, strict=False))
    for length, end in zip(lengths, ends[:-1], strict=False):
        assert length + of_first[end] > PIECE


@given(st.lists(st.integers(1, 50_000), max_size=20), st.integers(1, 100_000))
@settings(deadline=None)
def test_what_the_system_takes_in_part_is_gone_on_with(sizes: list[int], most: int) -> None:
    """Each write goes on where the one before has ended, up to the end of its piece."""
    blocks, data = blocks_of(sizes)
    with pytest.MonkeyPatch.context() as patched:
        file = Written(patched, lambda size: min(size, most))
        assert write_all(9, blocks) == (len(data), None)
    assert b"".join(file.pieces) == data


@pytest.mark.parametrize("most", [10**9, 50_000])
def test_where_a_piece_takes_long_the_rest_is_written_at_once(
    monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    """Each call costs a turn, and a busy program gives few of them."""
    sizes = [1_000] * 500
    blocks, data = blocks_of(sizes)
    file = Written(monkeypatch, lambda size: min(size, most))
    file.seconds = 1.0
    assert write_all(9, blocks) == (len(data), None)
    assert b"".join(file.pieces) == data
    if most > len(data):
        assert [*map(len, file.pieces)] == [98_000, 402_000]


def test_empty_blocks_are_passed_over(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Also where blocks are written one by one, as on Windows."""
    monkeypatch.delattr(append.os, "writev", raising=False)
    with (tmp_path / "file").open("wb") as file:
        blocks = [memoryview(b""), memoryview(b"one\n"), memoryview(b"")]
        assert write_all(file.fileno(), blocks) == (4, None)
    assert (tmp_path / "file").read_bytes() == b"one\n"


@pytest.mark.skipif(not hasattr(os, "writev"), reason="no such call here")
def test_more_blocks_than_the_system_takes_in_one_call(tmp_path: Path) -> None:
    """One record each, and many of them."""
    sizes = [3] * 5_000
    blocks, data = blocks_of(sizes)
    with (tmp_path / "file").open("wb") as file:
        assert write_all(file.fileno(), blocks) == (len(data), None)
    assert (tmp_path / "file").read_bytes() == data


def test_an_error_says_how_much_was_written(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also of the pieces before."""
    sizes = [80_000] * 4
    blocks, _ = blocks_of(sizes)

    def full(size: int) -> int:
        if len(file.pieces) == 2:
            raise OSError("full")
        return size

    file = Written(monkeypatch, full)
    done, error = write_all(9, blocks)
    assert done == 160_000
    assert str(error) == "full"

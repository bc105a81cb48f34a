"""A route's buffer: what encoders write comes out again, in whole records."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import accumulate, pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logflume import Batch, Record
from logflume.engine.buffer import SEGMENT, Buffer
from logflume.engine.chunk import PART, PART_BYTES, Scratch
from logflume.protocols import LineSizes, SinkBatch
from tests.intake import record_of

LIMITS = Batch(max_records=100_000, max_bytes=100_000_000)


class Lines:
    """Says None: each is a line."""

    def encode(self, record: Record, /) -> bytes:
        if record.message == "broken":
            raise ValueError(record.message)
        return record.message.encode() + b"\n"

    def encode_into(
        self, records: Sequence[Record], write: Callable[[bytes], Any], /
    ) -> list[Any] | None:
        for record in records:
            write(self.encode(record))
        return None


class Sized(Lines):
    """Says how long each is, and may write more than a line."""

    def encode(self, record: Record, /) -> bytes:
        return super().encode(record) + b"and more"

    def encode_into(
        self, records: Sequence[Record], write: Callable[[bytes], Any], /
    ) -> list[Any] | None:
        return [write(self.encode(record)) for record in records]


class Lying(Lines):
    """Promises lines, and writes two for each."""

    def encode(self, record: Record, /) -> bytes:
        return super().encode(record) * 2

    encode_into = Lines.encode_into


def buffered(
    chunks: Sequence[tuple[Any, Sequence[str]]], limits: Batch = LIMITS
) -> list[SinkBatch]:
    """Return all batches of a buffer of blocks that was filled by these encoders."""
    scratch, buffer = Scratch(), Buffer(10_000, 100_000_000, limits, blocks=True)
    for encoder, texts in chunks:
        records = [record_of(text) for text in texts]
        encoded = scratch.encode(encoder, records)
        whole = [at for at in range(len(records)) if at not in encoded.broken]
        kept = encoded.pick(whole) if encoded.broken else encoded
        assert buffer.put([records[at] for at in whole], kept) == len(whole)
        encoded.block.release()
    batches: list[SinkBatch] = []
    while buffer.count:
        batches.append(buffer.take())
    assert buffer.nbytes == 0
    return batches


def records_in(batch: SinkBatch) -> list[bytes]:
    whole = b"".join(batch.blocks)
    ends = [0, *accumulate(batch.sizes)]
    return [whole[start:end] for start, end in pairwise(ends)]


TEXTS = st.text("abc", max_size=20) | st.just("broken") | st.just("x" * 2_000)
CHUNKS = st.lists(
    st.tuples(st.sampled_from([Lines(), Sized()]), st.lists(TEXTS, min_size=1, max_size=300)),
    max_size=6,
)


@given(CHUNKS, st.integers(1, 400), st.integers(1, 100_000))
def test_all_comes_out_in_whole_records(
    chunks: list[tuple[Lines, list[str]]], most: int, most_bytes: int
) -> None:
    """In order and within the limits, whichever encoder was the route's when they came."""
    batches = buffered(chunks, Batch(max_records=most, max_bytes=most_bytes))
    expected = [
        encoder.encode(record_of(text)) for encoder, texts in chunks for text in texts
        if text != "broken"
    ]  # fmt: skip
    assert [record for batch in batches for record in records_in(batch)] == expected
    for batch in batches:
        assert len(batch) == len(batch.sizes) <= most
        assert batch.nbytes == sum(map(len, batch.blocks)) == sum(batch.sizes)
        assert batch.nbytes <= most_bytes or len(batch) == 1


@pytest.mark.parametrize("encoder", [Lines(), Sized()])
@pytest.mark.parametrize("length", [10, 400, 3_000, 150_000])
def test_a_block_is_no_larger_than_it_has_to_be(encoder: Lines, length: int) -> None:
    """However long the records are, once their length is known."""
    (batch,) = buffered([(encoder, ["x" * length] * 100)] * 2)
    first, *others = [len(block) for block in batch.blocks if len(block) > SEGMENT] or [0]
    assert first <= PART * (length + 10)
    assert all(size < 2 * length for size in others)


def test_a_part_has_as_many_records_as_go_into_it() -> None:
    """It is known from those before: one long record does not make all parts small for good."""
    scratch, records = Scratch(), [record_of("x" * 4_095)] * 200
    counts = [count for count, _ in scratch.encode(Lines(), records).parts]
    assert counts == [PART, *[PART_BYTES // 4_096] * 4, 8]
    short = [record_of("x")] * 400
    for _ in range(3):
        counts = [count for count, _ in scratch.encode(Lines(), short).parts]
    assert counts == [count for count, _ in Scratch().encode(Lines(), short).parts]


@given(st.lists(st.sampled_from(["", "a", "ab\rc"]), max_size=20), st.data())
def test_records_of_a_line_are_told_apart_by_its_end(texts: list[str], data: st.DataObject) -> None:
    """Where they are asked for: in the part of a batch that is sent again, say."""
    lines = [text.encode() + b"\n" for text in texts]
    block = memoryview(b"".join(lines))
    batch = SinkBatch(blocks=[block], sizes=LineSizes([block], len(lines)), nbytes=len(block))
    assert len(batch) == len(lines)
    assert list(batch.sizes) == [len(line) for line in lines]
    assert batch.sizes[1:] == [len(line) for line in lines[1:]]
    positions = data.draw(st.lists(st.integers(0, len(lines) - 1), unique=True) if lines else
                          st.just([]))  # fmt: skip
    picked = batch.pick(sorted(positions))
    assert len(picked) == len(positions)
    assert b"".join(picked.blocks) == b"".join([lines[at] for at in sorted(positions)])


def test_an_encoder_that_promised_lines_and_wrote_more_loses_nothing() -> None:
    """Nobody can tell which belong together: then all do."""
    (batch,) = buffered([(Lying(), ["one", "two"])])
    assert list(batch.sizes) == [16, 0]
    assert b"".join(batch.blocks) == b"one\none\ntwo\ntwo\n"
    assert len(batch.pick([0])) == 1


def test_a_broken_record_leaves_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are encoded one by one then, and told apart by what that gives."""
    (batch,) = buffered([(Lines(), ["one", "broken", "two"])])
    assert records_in(batch) == [b"one\n", b"two\n"]

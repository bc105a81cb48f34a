"""What a route holds between the pump and its sink: bounded in records and in bytes.

Filled and emptied on the loop's thread only. It keeps the pieces that it is given, so that a chunk
costs a few instructions; they are joined when a batch is taken.

For a sink that wants blocks it copies the bytes into segments of its own, which are used again and
again. Objects that live until a slow sink has them come from memory that is not in any cache, and
large ones from pages that the system first has to find: measured, that doubled the cost of a
record. Copied into a segment, records and their bytes are freed at once, and the next ones are
made in the same, warm memory.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any

from ..protocols import LineSizes, SinkBatch
from ..record import Record
from .batch import Batch
from .chunk import Encoded

__all__ = ["Buffer"]

SEGMENT = 98_304
"""Bytes after which a segment is full. Files write one at a time: for 128 KiB and more, Linux takes
larger units of memory into its page cache (ext4's large folios), which a virtual machine may first
have to get from its host. Measured on one, 42 MB took 8 to 12 ms in pieces of 64 or 96 KiB, 50 to
150 ms in pieces of 128 KiB up."""

MOST_SPARE = 48
"""How many unused segments are kept."""


class _Segment:
    """Encoded records, one behind the other, in memory that is kept.

    `sizes` are theirs; None if each is a line.
    """

    __slots__ = ("_memory", "count", "nbytes", "sizes")

    def __init__(self, size: int) -> None:
        self._memory = memoryview(bytearray(size))
        self.sizes: list[int] | None = None
        self.count = 0
        self.nbytes = 0

    def __len__(self) -> int:
        return self.count

    @property
    def room(self) -> int:
        """How many bytes still fit."""
        return len(self._memory) - self.nbytes

    def add(self, block: memoryview, count: int, sizes: Sequence[int] | None) -> None:
        """Take in records of the same kind as those that are here."""
        end = self.nbytes + len(block)
        self._memory[self.nbytes : end] = block
        if sizes is not None:
            self.sizes = [*(self.sizes or ()), *sizes]
        self.nbytes = end
        self.count += count

    def view(self) -> memoryview:
        return self._memory[: self.nbytes]

    def reset(self) -> None:
        self.sizes = None
        self.count = self.nbytes = 0


class Buffer:
    """Records in order, with their encoded bytes if there is an encoder; or, with `blocks`, only
    the bytes. Without an encoder, `nbytes` is an estimate of the memory that the records hold."""

    def __init__(self, most_records: int, most_bytes: int, limits: Batch, *, blocks: bool) -> None:
        self.count = 0
        self.nbytes = 0
        self._most_records = most_records
        self._most_bytes = most_bytes
        self._limits = limits
        self._blocks = blocks
        self._pieces: deque[SinkBatch | _Segment] = deque()
        self._spare: list[_Segment] = []
        self._lent: list[_Segment] = []

    def put(self, records: Sequence[Record], encoded: Encoded | None) -> int:
        """Take as many of the records as there is room for, and return how many.

        One record always fits into an empty buffer, or one larger than it could never pass.
        """
        if encoded is None:
            sizes: Sequence[int] = _estimates(records)
            nbytes = sum(sizes)
        else:
            sizes, nbytes = encoded.sizes, len(encoded.block)
        limits = self._limits
        room = min(len(records), self._most_records - self.count)
        if (
            room == len(records) <= limits.max_records
            and nbytes <= limits.max_bytes
            and self.nbytes + nbytes <= self._most_bytes
        ):
            self._append(records, encoded, nbytes)
            return room
        if room <= 0:
            return 0
        left = self._most_bytes - self.nbytes
        room = _prefix(sizes[:room], room, left, force=not self.count)
        done = 0
        while done < room:
            end = done + _prefix(sizes[done:room], limits.max_records, limits.max_bytes, force=True)
            part = None if encoded is None else encoded.pick(range(done, end))
            self._append(records[done:end], part, sum(sizes[done:end]))
            done = end
        return room

    def _append(self, records: Sequence[Record], encoded: Encoded | None, nbytes: int) -> None:
        if encoded is None:
            self._pieces.append(SinkBatch(records, nbytes=nbytes))
        elif self._blocks:
            self._copy(encoded)
        else:
            self._pieces.append(SinkBatch(records, encoded.lines(), nbytes=nbytes))
        self.count += len(records)
        self.nbytes += nbytes

    def _copy(self, encoded: Encoded) -> None:
        sizes = None if isinstance(encoded.sizes, LineSizes) else encoded.sizes
        start = at = 0
        for count, nbytes in encoded.parts:
            part = encoded.block[at : at + nbytes]
            segment = self._segment_for(count, nbytes, sized=sizes is not None)
            segment.add(part, count, None if sizes is None else sizes[start : start + count])
            start, at = start + count, at + nbytes

    def _segment_for(self, count: int, nbytes: int, *, sized: bool) -> _Segment:
        limits = self._limits
        last = self._pieces[-1] if self._pieces else None
        if (
            isinstance(last, _Segment)
            and nbytes <= last.room
            and last.nbytes + nbytes <= limits.max_bytes
            and len(last) + count <= limits.max_records
            and (last.sizes is not None) == sized
        ):
            return last
        if nbytes > SEGMENT:
            segment = _Segment(nbytes)
        else:
            segment = self._spare.pop() if self._spare else _Segment(SEGMENT)
        self._pieces.append(segment)
        return segment

    def take(self) -> SinkBatch:
        """Take the next batch out: as much as the limits allow, and at least one record."""
        limits, pieces = self._limits, self._pieces
        taken = [pieces.popleft()]
        count, nbytes = len(taken[0]), taken[0].nbytes
        while pieces:
            piece = pieces[0]
            if count + len(piece) > limits.max_records or nbytes + piece.nbytes > limits.max_bytes:
                break
            taken.append(pieces.popleft())
            count += len(piece)
            nbytes += piece.nbytes
        self.count -= count
        self.nbytes -= nbytes
        return self._join(taken, nbytes)

    def _join(self, pieces: Sequence[SinkBatch | _Segment], nbytes: int) -> SinkBatch:
        if len(pieces) == 1 and isinstance(pieces[0], SinkBatch):
            return pieces[0]
        records: list[Record] = []
        encoded: list[bytes] = []
        blocks: list[memoryview] = []
        sizes: list[Sequence[int]] = []
        for piece in pieces:
            if isinstance(piece, _Segment):
                self._lent.append(piece)
                blocks.append(piece.view())
                sizes.append(piece.sizes or LineSizes(blocks[-1:], piece.count))
            else:
                records += piece.records
                encoded += piece.encoded if piece.is_encoded else ()
        if all([isinstance(its_sizes, LineSizes) for its_sizes in sizes]):
            of_all: Sequence[int] = LineSizes(blocks, sum(map(len, sizes)))
        else:
            of_all = [size for its_sizes in sizes for size in its_sizes]
        return SinkBatch(records, encoded, blocks, of_all, nbytes)

    def give_back(self, batch: SinkBatch) -> None:
        """Use the memory of a batch again: its sink is done with it, and no thread has it."""
        for block in batch.blocks:
            block.release()
        for segment in self._lent:
            if len(self._spare) < MOST_SPARE and segment.room + segment.nbytes == SEGMENT:
                segment.reset()
                self._spare.append(segment)
        self._lent.clear()

    def forfeit(self) -> None:
        """Do not use the memory of the batch taken last again: a thread may still have it."""
        self._lent.clear()

    def clear(self) -> int:
        """Forget everything, and return how many records it was."""
        count = self.count
        self._pieces.clear()
        self.count = self.nbytes = 0
        return count


def _prefix(sizes: Iterable[int], most: int, left: int, *, force: bool) -> int:
    """Return how many of the first records fit; with `force`, at least one."""
    count = total = 0
    for size in sizes:
        if count == most or (total + size > left and not (force and not count)):
            break
        count += 1
        total += size
    return count


def _estimates(records: Sequence[Record]) -> list[int]:
    """Return about how many bytes of memory each record holds, those included that it shares."""
    shared: dict[int, int] = {}
    sizes: list[int] = []
    for r in records:
        size = 320 + len(r.template)
        if r.args:
            size += _weight(r.args)
        if r.merged is not None:
            sizes.append(size + _weight(r.merged))
            continue
        size += _weight(r.call_fields)
        for fields in (r.bound, r.context):
            if fields:
                weight = shared.get(id(fields))
                if weight is None:
                    weight = shared[id(fields)] = _weight(fields)
                size += weight
        sizes.append(size)
    return sizes


def _weight(value: Any) -> int:
    if isinstance(value, str | bytes):
        return 64 + len(value)
    if isinstance(value, dict):
        size = 64
        for key, item in value.items():
            size += 64 + len(key) if type(key) is str else _weight(key)
            size += 32 if type(item) in _SMALL else _weight(item)
        return size
    if isinstance(value, list | tuple):
        return 64 + sum(map(_weight, value))
    return 32


_SMALL = frozenset({int, float, bool, type(None)})

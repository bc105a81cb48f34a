"""What the pump hands to the routes: records by the hundred, and their bytes by encoder.

The bytes go straight into memory that is used again for every chunk. Kept one by one until the
chunk is done, the lines would be freed all at once, and the allocator would give the memory back
to the system and ask for it again each time: measured, that cost more than encoding them.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from ..errors import ConfigurationError
from ..protocols import Encoder, LineSizes
from ..record import Record
from .ledger import describe

__all__ = ["Chunk", "Encoded", "Scratch", "encoder_of"]

PART = 128
PART_BYTES = 65_536
"""About the most records and bytes that are encoded in one go, and stay together: on their way to
a file, too."""


@dataclass(frozen=True, slots=True)
class _Function:
    """A function as an encoder; of the same function, an equal one."""

    function: Callable[[Record], bytes]

    def encode(self, record: Record, /) -> bytes:
        return self.function(record)


def encoder_of(given: object) -> Encoder | None:
    """Return an encoder, also of a function that is one; None for None.

    Raises:
        ConfigurationError: it is none of these.
    """
    # A string has an `encode` as well, and is what one gives who expects names; and so does the
    # class of an encoder, which can be called besides.
    if not isinstance(given, str | type):
        if isinstance(given, Encoder | None):
            return given
        if callable(given):
            return _Function(given)
    accepted = "an encoder (encoders.Json(), ...) or a function Record -> bytes"
    raise ConfigurationError.of("Route.encoder", given, accepted)


class Encoded:
    """The bytes of records, one behind the other: `sizes[i]` bytes for the i-th.

    `parts` says of how many records and bytes each part of them is, in order. `broken` holds the
    positions of those records at which the encoder failed, the last time with `failure`: they have
    no bytes.
    """

    __slots__ = ("block", "broken", "failure", "parts", "sizes")

    def __init__(
        self,
        block: memoryview,
        parts: Sequence[tuple[int, int]],
        sizes: Sequence[int] | None = None,
        broken: frozenset[int] = frozenset(),
        failure: str | None = None,
    ) -> None:
        self.block = block
        self.parts = parts
        self.sizes = LineSizes((block,), sum([n for n, _ in parts])) if sizes is None else sizes
        self.broken = broken
        self.failure = failure

    def pick(self, positions: Sequence[int]) -> Encoded:
        """Return the bytes of the records at these positions, which are in order."""
        lines = self.lines()
        block = memoryview(b"".join([lines[i] for i in positions]))
        broken = frozenset(at for at, i in enumerate(positions) if i in self.broken)
        sizes = [len(lines[i]) for i in positions]
        return Encoded(block, _parts(sizes), sizes, broken, self.failure)

    def lines(self) -> list[bytes]:
        """Return the bytes of each record for itself."""
        whole = bytes(self.block)
        return [
            whole[end - size : end]
            for end, size in zip(accumulate(self.sizes), self.sizes, strict=True)
        ]


class Scratch:
    """The memory that chunks are encoded into: one part for each encoder in use."""

    def __init__(self) -> None:
        self._memories: dict[Encoder, _Memory] = {}

    def encode(self, encoder: Encoder, records: Sequence[Record]) -> Encoded:
        """Encode records; what comes back is valid until the same encoder is used again."""
        memory = self._memories.get(encoder)
        if memory is None:
            memory = self._memories[encoder] = _Memory()
        encode_into = _fast_way_of(encoder)
        if encode_into is not None:
            try:
                encoded = memory.fill(encode_into, records)
                if encoded is not None:
                    return encoded
            except Exception:
                pass  # find out below which record it was, and go on with the others
        return memory.fill_one_by_one(encoder, records)


class _Memory:
    """Memory that is used again and again, by one encoder."""

    def __init__(self) -> None:
        self._bytes = io.BytesIO()
        self._part = PART

    def fill(
        self,
        encode_into: Callable[[Sequence[Record], Callable[[bytes], int]], list[int] | None],
        records: Sequence[Record],
    ) -> Encoded | None:
        """Encode records a part at a time; None if the encoder miscounts, and would mix them up."""
        memory = self._bytes
        memory.seek(0)
        parts: list[tuple[int, int]] = []
        sizes: list[int] = []
        start = began = 0
        while start < len(records):
            part = records[start : start + self._part]
            its_sizes = encode_into(part, memory.write)
            end = memory.tell()
            nbytes = end - began
            if its_sizes is not None:
                if len(its_sizes) != len(part) or sum(its_sizes) != nbytes:
                    return None
                sizes += its_sizes
            parts.append((len(part), nbytes))
            start, began = start + len(part), end
            self._part = min(PART, max(1, len(part) * PART_BYTES // max(1, nbytes)))
        if sizes and len(sizes) != len(records):
            return None
        return Encoded(_view(memory), parts, sizes or None)

    def fill_one_by_one(self, encoder: Encoder, records: Sequence[Record]) -> Encoded:
        """Encode records of which some may be broken."""
        memory = self._bytes
        memory.seek(0)
        sizes: list[int] = []
        broken: set[int] = set()
        failure = None
        for position, record in enumerate(records):
            try:
                sizes.append(memory.write(encoder.encode(record)))
            except Exception as error:
                sizes.append(0)
                broken.add(position)
                failure = describe(error)
        return Encoded(_view(memory), _parts(sizes), sizes, frozenset(broken), failure)


def _parts(sizes: Sequence[int]) -> list[tuple[int, int]]:
    """Return how many records and bytes go together, given the sizes of all."""
    parts: list[tuple[int, int]] = []
    count = nbytes = 0
    for size in sizes:
        if count and (count == PART or nbytes + size > PART_BYTES):
            parts.append((count, nbytes))
            count = nbytes = 0
        count += 1
        nbytes += size
    return [*parts, (count, nbytes)] if count else parts


def _fast_way_of(encoder: Encoder) -> Any:
    """Return `encode_into`, unless a subclass changed `encode` alone."""
    for kind in type(encoder).__mro__:
        if "encode_into" in vars(kind):
            return getattr(encoder, "encode_into", None)
        if "encode" in vars(kind):
            return None
    return None


def _view(memory: io.BytesIO) -> memoryview:
    with memory.getbuffer() as whole:
        return whole[: memory.tell()]


class Chunk:
    """Records on their way from the pump to the routes.

    `lowest` is a level that no record is below, `special` whether any may have an `extra`;
    `shared` holds the encoders that several routes use: those encode the whole chunk once.
    """

    __slots__ = ("_encoded", "_scratch", "lowest", "records", "shared", "special")

    def __init__(
        self,
        records: list[Record],
        scratch: Scratch,
        lowest: int = 0,
        special: bool = True,
        shared: frozenset[Encoder] = frozenset(),
    ) -> None:
        self.records = records
        self.lowest = lowest
        self.special = special
        self.shared = shared
        self._scratch = scratch
        self._encoded: dict[Encoder, Encoded] = {}

    def encode(self, encoder: Encoder, picked: Sequence[int] | None) -> Encoded:
        """Return the bytes of the picked records (None: of all), valid until `release`."""
        records = self.records
        whole = self._encoded.get(encoder)
        if whole is None:
            if picked is not None and encoder not in self.shared:
                records = [records[i] for i in picked]
                picked = None
            whole = self._encoded[encoder] = self._scratch.encode(encoder, records)
        return whole if picked is None else whole.pick(picked)

    def release(self) -> None:
        """Let the memory be used again: no route needs the bytes any more."""
        for encoded in self._encoded.values():
            encoded.block.release()

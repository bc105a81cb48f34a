"""What the pump hands to the routes: records by the hundred, and their bytes by encoder."""

from __future__ import annotations

from collections.abc import Sequence

from ..protocols import Encoder
from ..record import Record

__all__ = ["Chunk", "encode"]


class Chunk:
    """Records on their way from the pump to the routes.

    `lowest` is a level that no record is below, `special` whether any may have an `extra`;
    `shared` holds the encoders that several routes use: those encode the whole chunk once.
    """

    __slots__ = ("_encoded", "lowest", "records", "shared", "special")

    def __init__(
        self,
        records: list[Record],
        lowest: int = 0,
        special: bool = True,
        shared: frozenset[Encoder] = frozenset(),
    ) -> None:
        self.records = records
        self.lowest = lowest
        self.special = special
        self.shared = shared
        self._encoded: dict[Encoder, tuple[list[bytes], set[int]]] = {}

    def encoded_by(self, encoder: Encoder) -> tuple[list[bytes], set[int]]:
        """Return what `encode` makes of all records, once per equal encoder."""
        encoded = self._encoded.get(encoder)
        if encoded is None:
            encoded = self._encoded[encoder] = encode(encoder, self.records)
        return encoded


def encode(encoder: Encoder, records: Sequence[Record]) -> tuple[list[bytes], set[int]]:
    """Return the bytes of records, and the positions of those at which the encoder fails."""
    try:
        encoded = encoder.encode_many(records)
        if len(encoded) == len(records):
            return encoded, set()
    except Exception:
        pass  # find out below which record it was, and go on with the others
    encoded = []
    broken: set[int] = set()
    for position, record in enumerate(records):
        try:
            encoded.append(encoder.encode(record))
        except Exception:
            encoded.append(b"")
            broken.add(position)
    return encoded, broken

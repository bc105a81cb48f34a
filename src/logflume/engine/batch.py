"""When a route sends what it holds: `Batch`."""

from __future__ import annotations

from dataclasses import dataclass

from ..setting import positive

__all__ = ["Batch"]


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch goes out when it has `max_records` or `max_bytes` (encoded), or its first record
    has waited `max_age` seconds. With `max_age=0` a batch is whatever came while the last one was
    being sent. A flush or close sends at once."""

    max_records: int = 1_000
    max_bytes: int = 1_048_576
    max_age: float = 0.0

    def __post_init__(self) -> None:
        positive("Batch.max_records", self.max_records, whole=True)
        positive("Batch.max_bytes", self.max_bytes, whole=True)
        positive("Batch.max_age", self.max_age, zero=True)

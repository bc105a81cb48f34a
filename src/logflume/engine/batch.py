"""When a route sends what it holds: `Batch`."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..errors import ConfigurationError

__all__ = ["Batch", "positive"]


def positive(setting: str, value: object, *, zero: bool = False, whole: bool = False) -> None:
    """Refuse a setting that is no number, not finite, or not above (or at) zero.

    Raises:
        ConfigurationError: naming the setting.
    """
    kinds = int if whole else int | float
    if (
        isinstance(value, kinds)
        and not isinstance(value, bool)
        and math.isfinite(value)
        and (value > 0 or (zero and value == 0))
    ):
        return
    number = "a whole number" if whole else "a number"
    least = "of 0 and above" if zero else "above 0"
    raise ConfigurationError.of(setting, value, f"{number} {least}")


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

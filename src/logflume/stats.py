"""What became of the records: received = delivered + filtered + dropped + pending, at any time.

The plain values that `Pipeline.stats()` and `flush()` return; `engine/ledger.py` does the counting.
"""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["Counts", "FlushReport", "RouteCounts", "Stats"]


@dataclass(frozen=True, slots=True)
class Counts:
    """The records offered to the door or a route, and what became of them.

    `received` counts everything that was offered, also what was turned away; `dropped` counts by
    reason. `pending` is still on its way.
    """

    received: int = 0
    delivered: int = 0
    filtered: int = 0
    dropped: dict[str, int] = field(default_factory=dict)
    pending: int = 0

    @property
    def lost(self) -> int:
        """How many were dropped, for any reason."""
        return sum(self.dropped.values())

    @property
    def balanced(self) -> bool:
        """Whether the sum holds, as it should at any time."""
        return self.received == self.delivered + self.filtered + self.lost + self.pending


@dataclass(frozen=True, slots=True)
class RouteCounts(Counts):
    """The counts of one route. `bytes` are encoded bytes delivered, `retries` repeated sends;
    `last_error` says what went wrong last, or is None."""

    retries: int = 0
    bytes: int = 0
    last_error: str | None = None


@dataclass(frozen=True, slots=True)
class Stats:
    """A consistent look at a pipeline. What the door delivered went on to every route."""

    door: Counts
    routes: dict[str, RouteCounts]


@dataclass(frozen=True, slots=True)
class FlushReport:
    """What a flush reached. `pending` counts by route what was accepted before it and is still
    not settled ("door": not even handed to the routes); empty if `complete`."""

    complete: bool
    pending: dict[str, int] = field(default_factory=dict)

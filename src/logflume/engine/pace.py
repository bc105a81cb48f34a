"""How many records gather at the door before more is done for a caller on its loop than an append.

Many while they come fast: what is done by the hundred costs less. Few while they come slowly: the
other tasks of the loop shall not have to wait while dozens of records are encoded in one go, which
costs twice as much for each record when nothing of it is in the processor's caches.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..record import Record

__all__ = ["Pace"]

BURST = 256
FEW = 8

SLOWLY_NS = 20_000
"""Nanoseconds between two records from which on they come slowly."""


class Pace:
    """Watches what comes through a door that lets at most `most` in without a look."""

    __slots__ = ("_came_ns", "burst", "enough", "few", "now")

    def __init__(self, most: int) -> None:
        self.burst = max(1, min(BURST, most))
        self.few = min(FEW, self.burst)
        # They end a rest of the pump: before a small door is full.
        self.enough = max(1, min(4 * self.few, most))
        self.now = self.burst
        self._came_ns = 0

    def see(self, records: Sequence[Record]) -> bool:
        """Look at records that were taken; return whether the number changed.

        It falls at once and grows step by step: a task that catches up is no sign of a burst.
        """
        if len(records) < self.few:
            return False
        before, since = self.now, self._came_ns
        self._came_ns = records[-1].time_ns
        slowly = self._came_ns - since >= SLOWLY_NS * len(records)
        self.now = self.few if slowly else min(2 * before, self.burst)
        return self.now != before

"""How many records gather at the door before more is done for a caller on its loop than an append.

While they come fast, a caller moves on hundreds by itself: together they cost less, and a turn of
the loop costs as much as dozens of them. While they come slowly, dozens cost as much as hundreds
otherwise, since nothing of what they need is in the processor's caches any more. Then the pump is
woken for a few, between the turns of the loop's other tasks, and none of these waits for longer.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..record import Record

__all__ = ["Pace"]

BURST = 256
FEW = 16

SLOWLY_NS = 20_000
"""Nanoseconds between two records from which on they come slowly."""


class Pace:
    """Watches what comes through a door that lets at most `most` in without a look.

    From `now` records on, the door is looked at with each that comes; from `few` on, they end a
    rest of the pump; from `burst` on, callers that wait for room move them on.
    """

    __slots__ = ("_came_ns", "burst", "few", "now")

    def __init__(self, most: int) -> None:
        self.burst = max(1, min(BURST, most))
        self.few = min(FEW, self.burst)
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

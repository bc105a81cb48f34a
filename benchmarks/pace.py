"""How fast the machine is at the moment, told by a loop of plain Python.

On a machine that shares its cores with others, that changes by up to two times, for seconds or for
hours; and interpreted code slows down more than the C code and system calls of which a floor
consists. Figures of the same work can be compared only at the same pace, and be repeated only at
the best.
"""

from __future__ import annotations

import time
from typing import Final

TOLERANCE: Final = 1.3
"""By how much a pace may be above the best one, and still count as that: a shared core makes it 1.6
to 1.9 times as much, and what a contender leaves in the caches up to 1.3."""

_STEPS: Final = 100_000


def now() -> float:
    """Return how many milliseconds the loop takes, at the best of three: some 2 in 2026."""
    return min(_loop() for _ in range(3))


def _loop() -> float:
    started = time.perf_counter()
    total = 0
    for step in range(_STEPS):
        total += step
    return (time.perf_counter() - started) * 1e3


def best(seconds: float) -> float:
    """Return the best pace of the next seconds."""
    return min(_until(seconds, 0.0))


def settle(pace: float, patience_s: float) -> float:
    """Wait until the machine is as fast as that for some loops on end; return how long it took."""
    started = time.perf_counter()
    _until(patience_s, pace * TOLERANCE)
    return time.perf_counter() - started


def _until(seconds: float, limit: float) -> list[float]:
    end = time.perf_counter() + seconds
    paces: list[float] = []
    while time.perf_counter() < end and not (len(paces) > 2 and max(paces[-3:]) <= limit):
        paces.append(_loop())
    return paces

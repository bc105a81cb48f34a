"""A clock that stands still until a test moves it."""

from __future__ import annotations

import datetime
import threading
from collections.abc import Callable

import anyio

from ..engine.backend import running_loop
from ..errors import ConfigurationError
from ..setting import positive
from ._forks import renew_in_children

__all__ = ["ManualClock"]

_NS = 1_000_000_000
_START = "2026-01-02T03:04:05Z"


class ManualClock:
    """A clock that stands still until `advance` moves it: no test has to wait for the real one.

    Called, it says seconds, as `time.monotonic` does: for the `clock` of processors (`Sample`,
    `Dedupe`, `RateLimit`, `FingersCrossed`). `time_ns` and `now` say the time of day, from `start`
    on: for the `clock` of `capture`. `await clock.sleep(seconds)` wakes up when it is moved so
    far: for the `clock` of `Slow`. The engine's own time limits keep to real time. May be used
    from any thread and any loop.

        clock = ManualClock()
        dedupe = processors.Dedupe(window=10.0, clock=clock)
        clock.advance(10.0)

    Raises:
        ConfigurationError: `start` is no time with a zone, or text in ISO 8601 with one.
    """

    def __init__(self, start: datetime.datetime | str = _START) -> None:
        try:
            began = datetime.datetime.fromisoformat(start) if isinstance(start, str) else start
            zone = began.tzinfo
        except (ValueError, AttributeError):
            zone = None
        if zone is None:
            raise ConfigurationError.of(
                "ManualClock.start", start, f"a datetime with a zone, or a text like {_START}"
            )
        since = began - datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
        self._start_ns = (since // datetime.timedelta(microseconds=1)) * 1_000
        self._passed_ns = 0
        renew_in_children(self)

    def _renew(self) -> None:
        self._lock = threading.Lock()
        self._sleepers: list[tuple[int, Callable[[], object]]] = []

    def __call__(self) -> float:
        """Return seconds since some time in the past, as `time.monotonic` does."""
        return self._passed_ns / _NS + 1_000.0  # as if the machine had been up for a while

    def time_ns(self) -> int:
        """Return the time of day in nanoseconds since 1970, as `time.time_ns` does."""
        return self._start_ns + self._passed_ns

    def now(self) -> datetime.datetime:
        """Return the time of day in UTC."""
        seconds, ns = divmod(self.time_ns(), _NS)
        at = datetime.datetime.fromtimestamp(seconds, datetime.UTC)
        return at.replace(microsecond=ns // 1_000)

    def advance(self, seconds: float) -> None:
        """Move the clock, and wake up all who slept until then; from any thread.

        Raises:
            ConfigurationError: it would go backwards.
        """
        positive("ManualClock.advance", seconds, zero=True)
        with self._lock:
            self._passed_ns += round(seconds * _NS)
            due = [wake for until, wake in self._sleepers if until <= self._passed_ns]
            self._sleepers = [s for s in self._sleepers if s[0] > self._passed_ns]
        for wake in due:
            wake()

    @property
    def sleeping(self) -> int:
        """How many sleep by this clock now."""
        return len(self._sleepers)

    async def sleep(self, seconds: float) -> None:
        """Wait until the clock was moved by so much; real time does not count.

        Raises:
            ConfigurationError: these are no seconds.
        """
        if not (isinstance(seconds, int | float) and seconds <= 0):  # as any sleep: not at all
            positive("ManualClock.sleep", seconds)
        event, here = anyio.Event(), running_loop()
        with self._lock:
            sleeper = (self._passed_ns + round(seconds * _NS), lambda: here.post(event.set))
            waits = sleeper[0] > self._passed_ns
            if waits:
                self._sleepers.append(sleeper)
        if not waits:
            await anyio.lowlevel.checkpoint()
            return
        try:
            await event.wait()
        finally:
            with self._lock:
                self._sleepers = [s for s in self._sleepers if s is not sleeper]

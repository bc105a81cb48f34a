"""What led to an error, and nothing of what went well."""

from __future__ import annotations

import math
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable

from ..errors import ConfigurationError
from ..key import Key, key_of
from ..level import Level, parse_level
from ..record import Record
from ..setting import function, positive

__all__ = ["FingersCrossed"]


class FingersCrossed:
    """Keep a request's records back until one of them is an error, then give them out before it.

    `key` says what belongs together: the name of a field, such as `"request_id"`, or a callable.
    The record's task is `operator.attrgetter("task")`, where tasks have names of their own: under
    trio, all that run the same function have the same. Records without the key belong together.

    The last `keep` records of each key are kept, for `max_age` seconds, and for the `max_keys` keys
    that spoke last: at most `keep * max_keys` records are in memory. A record at or above `trigger`
    brings them out, in their order, before itself, and for `stay_open` seconds after the last such
    record (None: for good, or until `max_keys` others had one) all of that key passes. What no
    error brings out was filtered: neither a flush nor the end of the pipeline gives it out.

    Records at or above `pass_level` pass at once, and so may overtake those that are kept; with
    None, only those at or above `trigger` do.

        processors.FingersCrossed("request_id")
    """

    inline = True

    def __init__(
        self,
        key: Key,
        *,
        trigger: str | int | Level = "ERROR",
        pass_level: str | int | Level | None = "WARNING",
        keep: int = 100,
        max_age: float = 300.0,
        stay_open: float | None = 60.0,
        max_keys: int = 1_000,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._key = key_of("FingersCrossed.key", key)
        self._trigger = parse_level(trigger, "FingersCrossed.trigger").no
        self._pass = self._trigger
        if pass_level is not None:
            self._pass = parse_level(pass_level, "FingersCrossed.pass_level").no
        if self._pass > self._trigger:
            raise ConfigurationError.of(
                "FingersCrossed.pass_level", pass_level, "None, or a level not above `trigger`"
            )
        positive("FingersCrossed.keep", keep, whole=True)
        positive("FingersCrossed.max_age", max_age)
        positive("FingersCrossed.max_keys", max_keys, whole=True)
        function("FingersCrossed.clock", clock)
        if stay_open is not None:
            positive("FingersCrossed.stay_open", stay_open, zero=True)
        self._keep = keep
        self._max_age = max_age
        self._stay_open = math.inf if stay_open is None else stay_open
        self._max_keys = max_keys
        self._clock = clock
        # Both have the key that comes to its end first in front: the one that was silent longest,
        # and the one whose last error is longest ago.
        self._kept: OrderedDict[Hashable, deque[tuple[float, Record]]] = OrderedDict()
        self._open: OrderedDict[Hashable, float] = OrderedDict()

    def __call__(self, record: Record) -> Record | list[Record] | None:
        """Return the record if it passes, after what it brings out; None if it is kept."""
        no = record.level.no
        if self._pass <= no < self._trigger:
            return record
        key = self._key(record)
        now = self._clock()
        if no >= self._trigger:
            kept = self._kept.pop(key, ())
            self._stay(key, now)
            return [*[r for at, r in kept if now - at < self._max_age], record]
        if self._open and now < self._open.get(key, -math.inf):
            return record
        self._hold(key, now, record)
        return None

    def due(self) -> None:
        """Return None: only an error brings out what is kept, neither time nor a flush."""

    def release(self) -> list[Record]:
        """Return nothing, for the same reason."""
        return []

    def forget(self) -> None:
        """Let go of all that is kept, as a child process does: it belongs to its parent."""
        self._kept.clear()
        self._open.clear()

    def _hold(self, key: Hashable, now: float, record: Record) -> None:
        ring = self._kept.get(key)
        if ring is None:
            self._make_room(now)
            ring = self._kept[key] = deque(maxlen=self._keep)
        else:
            self._kept.move_to_end(key)
        ring.append((now, record))

    def _make_room(self, now: float) -> None:
        """Forget the keys that were silent for too long, and if need be the one silent longest."""
        while self._kept:
            key, ring = next(iter(self._kept.items()))
            if now - ring[-1][0] < self._max_age and len(self._kept) < self._max_keys:
                return
            del self._kept[key]

    def _stay(self, key: Hashable, now: float) -> None:
        """Let a key's records pass from now on."""
        self._open[key] = now + self._stay_open
        self._open.move_to_end(key)
        if len(self._open) > self._max_keys:
            self._open.popitem(last=False)

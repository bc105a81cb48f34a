"""At most so many records of one kind per second."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Hashable

from ..key import Key, Latest, brief, key_of
from ..record import Record
from ..setting import function, name_of_field, positive

__all__ = ["RateLimit"]

_ONE = 1.0 - 1e-6
"""A token; what the rounding of a clock takes off must not cost a record."""


class RateLimit:
    """Let through `per_second` records of a kind, and `burst` at a time: a token bucket per key.

    A kind is, unless told otherwise, what one call says at one level: call site, level and
    template. `key` may be the name of a field (records without it share one limit) or a callable
    (`lambda record: record.logger`); a key for calls with texts made up on the spot (f-strings),
    which all have templates of their own, is `lambda record: (record.site.file, record.site.line)`.
    `per_second` may be a fraction (`1 / 60`: one a minute), and `burst` is as many as come in a
    second, at least one.

    What is above the limit is filtered for good. The next record of its kind says how many there
    were, in the field `suppressed`. Levels do not matter: a storm of errors is one as well. The
    `max_keys` kinds that came last are known; one that had to make room begins anew.

        Pipeline(sinks.Console(), processors=[processors.RateLimit(5)])
    """

    inline = True

    def __init__(
        self,
        per_second: float,
        *,
        burst: int | None = None,
        key: Key | None = None,
        field: str = "suppressed",
        max_keys: int = 4_096,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        positive("RateLimit.per_second", per_second)
        name_of_field("RateLimit.field", field)
        burst = max(1, round(per_second)) if burst is None else burst
        positive("RateLimit.burst", burst, whole=True)
        positive("RateLimit.max_keys", max_keys, whole=True)
        function("RateLimit.clock", clock)
        self._key = _kind if key is None else key_of("RateLimit.key", key)
        self._per_second = per_second
        self._burst = float(burst)
        self._field = field
        self._clock = clock
        self._buckets: Latest[_Bucket] = Latest(max_keys, _Bucket)

    def __call__(self, record: Record) -> Record | None:
        """Return the record, if there is a token for it."""
        bucket = self._buckets.of(self._key(record))
        now = self._clock()
        tokens = bucket.tokens + (now - bucket.at) * self._per_second
        bucket.at = now
        if tokens < _ONE:
            bucket.tokens = tokens
            bucket.suppressed += 1
            return None
        bucket.tokens = min(tokens, self._burst) - 1.0
        if not bucket.suppressed:
            return record
        suppressed, bucket.suppressed = bucket.suppressed, 0
        return record.replace(fields={**record.fields, self._field: suppressed})


class _Bucket:
    """How many tokens there were at which time; a new one has had for ever to be filled."""

    __slots__ = ("at", "suppressed", "tokens")

    def __init__(self) -> None:
        self.tokens = 0.0
        self.at = -math.inf
        self.suppressed = 0


def _kind(record: Record) -> Hashable:
    # The code's address: its hash costs more than all the rest here. Should another code object
    # be at the same place later, its calls would need the same template to be taken for these.
    return id(record.code), record.lasti, record.level.no, brief(record.template)

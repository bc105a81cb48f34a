"""A part of the records that stands for all of them."""

from __future__ import annotations

import math
import random as chance
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from functools import lru_cache

from ..digest import blake2b
from ..errors import ConfigurationError
from ..key import Key, Latest, key_of
from ..level import Level, parse_level
from ..record import Record
from ..setting import function, name_of_field, positive

__all__ = ["Sample"]


class Sample:
    """Keep a part of the records, and write on each which part: the field `sample_rate`.

    A record kept at a rate of 0.01 stands for a hundred: the sum of `1 / sample_rate` is about the
    number of those that came. Records without the field stand for themselves. Where several
    Samples follow each other, their rates are multiplied; `field=None` leaves the field out.

        Sample(0.1)                                   # one in ten, at random
        Sample(0.1, key="request_id")                 # one request in ten, with all its records
        Sample(rates={"DEBUG": 0.01, "INFO": 0.1})    # by level
        Sample(per_second=100)                        # all while it is quiet, few when it is not

    Levels that `rates` does not name go by `rate` (1.0 if not given), except those at or above
    `always`, which are all kept; None makes no exception.

    With a `key`, the name of a field or a callable, the decision hangs on a hash of the value's
    text (and of `salt`, for decisions that nobody outside can foresee), so it is the same in every
    process, and what is kept at a low rate is kept at a higher one as well. Records without the key
    are drawn one by one.

    `per_second` keeps about so many per second of each level, or of each value of `key` (those
    without one together, and of the `max_keys` seen last): the rate follows the number that came
    within the last second or so. It takes effect while a surge begins: of n records out of the blue
    `per_second * (1 + ln(n / per_second))` are kept. `RateLimit` is the one with a hard limit.

    `random` gives a number from 0 to 1 for each draw.
    """

    inline = True

    def __init__(
        self,
        rate: float | None = None,
        *,
        rates: Mapping[str, float] | Mapping[int, float] | None = None,
        per_second: float | None = None,
        key: Key | None = None,
        always: str | int | Level | None = "ERROR",
        field: str | None = "sample_rate",
        salt: str = "",
        max_keys: int = 4_096,
        random: Callable[[], float] = chance.random,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if (per_second is None) == (rate is None and rates is None):
            given = f"rate={rate}, rates={rates}, per_second={per_second}"
            raise ConfigurationError.of("Sample", given, "a rate, rates or both, or per_second")
        positive("Sample.max_keys", max_keys, whole=True)
        function("Sample.clock", clock)
        function("Sample.random", random)
        if field is not None:
            name_of_field("Sample.field", field)
        if not isinstance(salt, str):
            raise ConfigurationError.of("Sample.salt", salt, "a string")
        of_key = None if key is None else key_of("Sample.key", key)
        always_no = math.inf if always is None else parse_level(always, "Sample.always").no
        self._field = field
        self._rate_of: Callable[[Record], float]
        self._draw: Callable[[Record], float] = lambda record: random()
        # The number from which on every level is kept whole.
        self._sure = always_no
        if per_second is not None:
            positive("Sample.per_second", per_second)
            self._rate_of = _Pace(per_second, of_key, max_keys, clock)
            return
        named = _by_level({} if rates is None else rates)
        others = 1.0 if rate is None else _checked("Sample.rate", rate)
        self._rate_of = _ByLevel(named, others, always_no)
        self._sure = max([always_no if others < 1.0 else 0, *_above(named)])
        if of_key is not None:
            self._draw = _Share(of_key, salt, max_keys, random)

    def __call__(self, record: Record) -> Record | None:
        """Return the record, with its rate, if it is one of those that are kept."""
        if record.level.no >= self._sure:
            return record
        rate = self._rate_of(record)
        if rate >= 1.0:
            return record
        if self._draw(record) >= rate:
            return None
        if self._field is None:
            return record
        before = record.fields.get(self._field)
        if type(before) is float and 0.0 < before <= 1.0:
            rate *= before
        return record.replace(fields={**record.fields, self._field: rate})

    def passes(self, records: Sequence[Record]) -> bool:
        """Whether all of these are of levels that are kept whole."""
        return min([record.level.no for record in records]) >= self._sure


class _ByLevel:
    """A rate for each level."""

    __slots__ = ("_always", "_named", "_others")

    def __init__(self, named: dict[int, float], others: float, always: float) -> None:
        self._named = named
        self._others = others
        self._always = always

    def __call__(self, record: Record) -> float:
        no = record.level.no
        rate = self._named.get(no)
        if rate is None:
            return 1.0 if no >= self._always else self._others
        return rate


class _Pace:
    """The rate at which about so many a second are left of what comes, for each group.

    What came is counted with a weight that falls by e in a second. If n come each second, the
    count goes towards n. A draw's rate is known before it is made, so that `1 / rate` is an
    unbiased count of what came, however fast the rate changes.
    """

    def __init__(
        self,
        per_second: float,
        of_key: Callable[[Record], Hashable] | None,
        max_keys: int,
        clock: Callable[[], float],
    ) -> None:
        self._per_second = per_second
        self._of_key = of_key
        self._clock = clock
        self._counts: Latest[_Count] = Latest(max_keys, _Count)

    def __call__(self, record: Record) -> float:
        of_key = self._of_key
        count = self._counts.of(record.level.no if of_key is None else of_key(record))
        now = self._clock()
        count.came = 1.0 + count.came * math.exp(count.at - now)
        count.at = now
        return min(1.0, self._per_second / count.came)


class _Count:
    __slots__ = ("at", "came")

    def __init__(self) -> None:
        self.at = -math.inf
        self.came = 0.0


class _Share:
    """Where between 0 and 1 a record's key lies; chance, if it has none."""

    def __init__(
        self,
        of_key: Callable[[Record], Hashable],
        salt: str,
        max_keys: int,
        random: Callable[[], float],
    ) -> None:
        secret = blake2b(salt.encode("utf-8", "surrogatepass")).digest() if salt else b""

        def share(text: str) -> float:
            data = text.encode("utf-8", "surrogatepass")
            digest = blake2b(data, digest_size=8, key=secret).digest()
            return (int.from_bytes(digest) >> 11) / (1 << 53)

        self._of_key = of_key
        self._share = lru_cache(max_keys)(share)  # a request has many records
        self._random = random

    def __call__(self, record: Record) -> float:
        key = self._of_key(record)
        return self._random() if key is None else self._share(str(key))


def _checked(setting: str, rate: object) -> float:
    if isinstance(rate, int | float) and not isinstance(rate, bool) and 0 <= rate <= 1:
        return rate
    raise ConfigurationError.of(setting, rate, "a number from 0 to 1")


def _by_level(rates: Mapping[str, float] | Mapping[int, float]) -> dict[int, float]:
    if not isinstance(rates, Mapping):
        raise ConfigurationError.of("Sample.rates", rates, "a mapping of levels to rates")
    return {
        parse_level(level, "Sample.rates").no: _checked(f"Sample.rates[{level!r}]", rate)
        for level, rate in rates.items()
    }


def _above(named: dict[int, float]) -> list[int]:
    return [no + 1 for no, rate in named.items() if rate < 1.0]

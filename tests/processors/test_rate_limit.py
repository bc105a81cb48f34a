"""At most so many records of one kind per second."""

from __future__ import annotations

from typing import Any

import pytest

from logflume import ConfigurationError, Record, get_logger
from logflume.processors import RateLimit
from tests.intake import captured
from tests.processors.given import Clock, said


def passed(limit: RateLimit, count: int, **said_with: Any) -> int:
    return len([n for n in range(count) if limit(said(**said_with)) is not None])


def test_what_is_above_the_limit_is_filtered() -> None:
    """As many as the burst at once, then as many per second as the limit."""
    clock = Clock()
    limit = RateLimit(5, burst=10, clock=clock)
    assert passed(limit, 100) == 10
    for _ in range(20):
        clock.now += 1
        assert passed(limit, 100) == 5


@pytest.mark.parametrize("per_second", [0.1, 0.3, 1, 3, 7, 10, 1_000])
def test_what_keeps_to_the_limit_passes(per_second: float) -> None:
    """Rounding of clocks costs nobody a record, and tokens do not gather beyond the burst."""
    clock = Clock(123_456.789)
    limit = RateLimit(per_second, burst=1, clock=clock)
    for _ in range(200):
        record = said()
        assert limit(record) is record
        clock.now += 1 / per_second
    clock.now += 1_000 / per_second
    assert passed(limit, 5) == 1


@pytest.mark.parametrize(("per_second", "burst"), [(1 / 60, 1), (1, 1), (2.5, 2), (10, 10)])
def test_a_burst_is_what_comes_in_a_second(per_second: float, burst: int) -> None:
    """At least one, even if the limit is one a minute."""
    assert passed(RateLimit(per_second, clock=Clock()), 50) == burst


def test_the_next_record_says_how_many_were_suppressed() -> None:
    """Once; the record that came is not changed."""
    clock = Clock()
    limit = RateLimit(1, clock=clock)
    assert passed(limit, 13) == 1
    clock.now += 1
    record = said("said", user="ann")
    told = limit(record)
    assert told is not None
    assert told.fields == {"user": "ann", "suppressed": 12}
    assert record.fields == {"user": "ann"}
    clock.now += 1
    record = said()
    assert limit(record) is record
    limit = RateLimit(1, field="skipped", clock=clock)
    passed(limit, 3)
    clock.now += 1
    told = limit(said())
    assert told is not None
    assert told.fields == {"skipped": 2}


def test_each_call_site_level_and_template_has_a_limit() -> None:
    """What one call floods takes nothing from another, whatever the values are."""
    log = get_logger("tests")
    limit = RateLimit(1, clock=Clock())

    def through(records: list[Record]) -> list[str]:
        return [r.message for r in records if limit(r) is not None]

    with captured() as taken:
        for n in range(3):
            log.info("User {n}", n=n)
            log.info("User {n}", n=n)
        for level, template in [("INFO", "a"), ("INFO", "b"), ("ERROR", "b"), ("INFO", "a")]:
            log.log(level, template)
    assert through(list(taken.records)) == ["User 0", "User 0", "a", "b", "b"]


def test_a_key_may_be_a_field() -> None:
    """Each value has a limit, also one that cannot be hashed; records without it share one."""
    limit = RateLimit(1, key="user", clock=Clock())
    for user in ("ann", ["bob"], {"of": "cid"}, "d" * 10_000):
        assert passed(limit, 5, user=user) == 1
    assert passed(limit, 5, other="a") == 1
    assert passed(limit, 5) == 0


def test_a_key_may_be_a_callable() -> None:
    """Texts made up on the spot have one limit per line, if the line is the key."""
    limit = RateLimit(1, key=lambda r: (r.site.file, r.site.line), clock=Clock())
    assert [n for n in range(5) if limit(said(f"user {n}")) is not None] == [0]


def test_no_more_keys_are_known_than_it_was_told() -> None:
    """The one used longest ago makes room, and begins anew."""
    limit = RateLimit(1, key="user", max_keys=2, clock=Clock())
    assert [passed(limit, 1, user=user) for user in "abab"] == [1, 1, 0, 0]
    assert [passed(limit, 1, user=user) for user in "acab"] == [0, 1, 0, 1]
    for n in range(100):
        limit(said(user=n))
    assert len(limit._buckets) == 2


def test_long_texts_are_not_kept() -> None:
    """Keys are small, however long what they are made of."""
    limit = RateLimit(1, clock=Clock())
    long = "x" * 1_000_000
    assert limit(said(long)) is not None
    assert limit(said(long)) is None
    assert limit(said(long + "y")) is not None
    assert all("x" * 1_000 not in repr(key) for key in limit._buckets._states)


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"per_second": 0}, "RateLimit.per_second"),
        ({"per_second": -1}, "RateLimit.per_second"),
        ({"per_second": float("inf")}, "RateLimit.per_second"),
        ({"per_second": float("nan")}, "RateLimit.per_second"),
        ({"per_second": "5"}, "RateLimit.per_second"),
        ({"per_second": 1, "burst": 0}, "RateLimit.burst"),
        ({"per_second": 1, "burst": 1.5}, "RateLimit.burst"),
        ({"per_second": 1, "key": 7}, "RateLimit.key"),
        ({"per_second": 1, "field": None}, "RateLimit.field"),
        ({"per_second": 1, "max_keys": 0}, "RateLimit.max_keys"),
        ({"per_second": 1, "clock": 0}, "RateLimit.clock"),
    ],
)
def test_settings_that_mean_nothing_are_refused(settings: dict[str, Any], named: str) -> None:
    """The error names the setting."""
    with pytest.raises(ConfigurationError) as error:
        RateLimit(**settings)
    assert str(error.value).startswith(f"{named}: ")

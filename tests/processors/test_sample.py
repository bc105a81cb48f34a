"""A part of the records that stands for all of them."""

from __future__ import annotations

import math
import random
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from logflume import ConfigurationError
from logflume.processors import Sample
from tests.processors.given import Clock, out_of, said


def chance(seed: int = 1) -> Callable[[], float]:
    return random.Random(seed).random


def kept(sample: Sample, count: int, **said_with: Any) -> int:
    return len([n for n in range(count) if sample(said(**said_with)) is not None])


def test_about_as_many_are_kept_as_the_rate_says() -> None:
    """One in four, by the random source that is given."""
    assert 220 < kept(Sample(0.25, random=chance()), 1_000) < 280
    draws = iter([0.1, 0.3, 0.24, 0.25])
    one_in_four = Sample(0.25, random=lambda: next(draws))
    assert [bool(one_in_four(said())) for _ in range(4)] == [True, False, True, False]


def test_a_kept_record_says_its_rate() -> None:
    """The rate is a field of the record that goes on; the one that came has it not."""
    record = said(user="ann")
    sampled = out_of(Sample(0.5, random=lambda: 0.0)(record))
    assert [r.fields for r in sampled] == [{"user": "ann", "sample_rate": 0.5}]
    assert record.fields == {"user": "ann"}
    assert out_of(Sample(0.5, random=lambda: 0.0, field="of")(record))[0].fields["of"] == 0.5
    assert Sample(0.5, random=lambda: 0.0, field=None)(record) is record


def test_rates_of_samples_behind_each_other_are_multiplied() -> None:
    """One in two of one in ten is one in twenty; what is no rate is no factor."""
    first, second = (Sample(rate, random=lambda: 0.0) for rate in (0.5, 0.1))
    assert out_of(second(out_of(first(said()))[0]))[0].fields["sample_rate"] == 0.05
    assert out_of(second(said(sample_rate=44_100)))[0].fields["sample_rate"] == 0.1


@pytest.mark.parametrize(("rate", "passes"), [(0, False), (0.0, False), (1, True), (1.0, True)])
def test_nothing_and_all_are_rates_too(rate: float, passes: bool) -> None:
    """At 0 nothing is kept whatever is drawn, at 1 everything, as it came."""
    for draw in (0.0, 0.5, 0.999):
        record = said()
        assert Sample(rate, random=lambda draw=draw: draw)(record) is (record if passes else None)


def test_each_level_has_its_rate() -> None:
    """Levels that are not named have the rate of all others, 1.0 if none is given."""
    sample = Sample(rates={"debug": 0.0, 20: 0.5}, random=lambda: 0.4)
    assert sample(said(level="DEBUG")) is None
    assert sample(said(level="INFO")) is not None
    for level in ("TRACE", "SUCCESS", "WARNING", "ERROR"):
        record = said(level=level)
        assert sample(record) is record
    sample = Sample(0.0, rates={"INFO": 1.0})
    assert [kept(sample, 1, level=level) for level in ("DEBUG", "INFO", "WARNING")] == [0, 1, 0]


def test_errors_are_kept_unless_told_otherwise() -> None:
    """By `always`, or by naming their level."""
    assert kept(Sample(0.0), 1, level="ERROR") == kept(Sample(0.0), 1, level="CRITICAL") == 1
    assert kept(Sample(0.0), 1, level="WARNING") == 0
    assert kept(Sample(0.0, always=None), 1, level="CRITICAL") == 0
    assert kept(Sample(0.0, always="WARNING"), 1, level="WARNING") == 1
    assert kept(Sample(rates={"ERROR": 0.0}), 1, level="ERROR") == 0
    assert kept(Sample(0.0, rates={"ERROR": 0.0}), 1, level="CRITICAL") == 1
    assert kept(Sample(0.0, rates={"CRITICAL": 0.0}), 1, level="ERROR") == 1
    assert kept(Sample(per_second=0.001, clock=Clock()), 50, level="ERROR") == 50
    assert kept(Sample(per_second=0.001, clock=Clock(), always=None), 50, level="ERROR") < 5


@pytest.mark.parametrize(
    "sample",
    [
        Sample(0.5),
        Sample(1.0),
        Sample(0.5, always=None),
        Sample(rates={"DEBUG": 0.1}),
        Sample(rates={"CRITICAL": 0.1}),
        Sample(0.5, rates={"INFO": 1.0}),
        Sample(per_second=10),
        Sample(per_second=10, always=None),
    ],
)
def test_a_batch_passes_only_if_each_record_would_come_out_as_it_is(sample: Sample) -> None:
    """Asked about hundreds, it answers as if it were called for each, whatever is drawn."""
    levels = ("TRACE", "DEBUG", "INFO", "SUCCESS", "WARNING", "ERROR", "CRITICAL")
    for lowest in range(len(levels)):
        records = [said(level=level) for level in levels[lowest:]]
        if sample.passes(records):
            assert [sample(record) for record in records * 30] == records * 30
    assert not Sample(0.5).passes([said(level="ERROR"), said(level="INFO")])
    assert Sample(rates={"DEBUG": 0.1}).passes([said(), said(level="ERROR")])


def test_a_request_is_kept_or_dropped_whole() -> None:
    """All records of a key have one fate, and about the right part of the keys is kept."""
    sample = Sample(0.25, key="request_id", random=lambda: 1 / 0)
    fates = {n: {kept(sample, 1, request_id=f"r-{n}") for _ in range(5)} for n in range(400)}
    assert all(len(fate) == 1 for fate in fates.values())
    assert 75 < sum(fate == {1} for fate in fates.values()) < 125


def test_what_is_kept_at_a_low_rate_is_kept_at_a_higher_one() -> None:
    """Services with different rates keep whole requests together; so do levels."""
    low, high = (Sample(rate, key="request_id") for rate in (0.1, 0.3))
    kept_low, kept_high = (
        {n for n in range(300) if sample(said(request_id=n)) is not None} for sample in (low, high)
    )
    assert kept_low < kept_high


def test_the_fate_of_a_key_is_the_same_in_every_process() -> None:
    """It hangs on the text of the value alone: not on Python's seed for hashes, nor its type."""
    code = (
        "from logflume.processors import Sample\n"
        "from tests.processors.given import said\n"
        "s = Sample(0.5, key='id')\n"
        "print([n for n in range(64) if s(said(id=n)) is not None])"
    )
    elsewhere = {
        subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=True,
            env={"PYTHONPATH": ":".join(sys.path), "PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("1", "2")
    }
    sample = Sample(0.5, key="id")
    here = [n for n in range(64) if sample(said(id=str(n))) is not None]
    assert elsewhere == {f"{here}\n"}


def test_a_salt_makes_another_choice() -> None:
    """Who does not know the salt cannot choose a key that is kept."""
    chosen = [
        [n for n in range(64) if sample(said(id=n)) is not None]
        for sample in (Sample(0.5, key="id", salt=salt) for salt in ("", "a", "b" * 100, "a"))
    ]
    assert len({str(numbers) for numbers in chosen}) == 3
    assert chosen[1] == chosen[3]


def test_records_without_the_key_are_drawn_one_by_one() -> None:
    """They belong to no request, so chance decides."""
    sample = Sample(0.25, key="request_id", random=chance())
    assert 220 < kept(sample, 1_000) < 280


def test_a_key_may_be_a_callable_that_gives_anything() -> None:
    """Lists, long texts, odd numbers: the same value has the same fate."""
    values = [[1, {"a": 2}], "x" * 100_000, (1, ("a", b"b")), float("nan"), 10**6_000, "\udc80"]
    for value in values:
        sample = Sample(0.5, key=lambda record, value=value: value)
        assert kept(sample, 20) in (0, 20)


def test_all_is_kept_while_little_comes() -> None:
    """Below the target, records pass as they are."""
    clock = Clock()
    sample = Sample(per_second=100, clock=clock, random=lambda: 0.999999)
    for _ in range(500):
        clock.now += 1 / 90
        record = said()
        assert sample(record) is record


def test_about_the_target_is_kept_of_much() -> None:
    """Ten thousand a second come, about a hundred a second are kept, and stand for all."""
    clock = Clock()
    sample = Sample(per_second=100, clock=clock, random=chance())
    info = said()
    rates: list[list[float]] = []
    for _ in range(6):
        rates.append([])
        for _ in range(10_000):
            clock.now += 1 / 10_000
            rates[-1] += [r.fields.get("sample_rate", 1.0) for r in out_of(sample(info))]
    assert len(rates[0]) < 1.3 * 100 * (1 + math.log(10_000 / 100))
    assert all(70 < len(second) < 145 for second in rates[2:]), [len(second) for second in rates]
    stood_for = sum(1 / rate for second in rates for rate in second)
    assert 0.85 < stood_for / 60_000 < 1.15


def test_each_level_has_a_target_of_its_own() -> None:
    """A flood of DEBUG takes nothing from INFO, and one key's flood nothing from another's."""
    clock = Clock()
    by_level = Sample(per_second=10, clock=clock, random=chance())
    assert kept(by_level, 500, level="DEBUG") < 100
    assert kept(by_level, 10, level="INFO") == 10
    by_user = Sample(per_second=10, key="user", clock=clock, random=chance())
    assert kept(by_user, 500, user="ann") < 100
    assert kept(by_user, 10, user="bob") == 10


def test_after_a_surge_all_is_kept_again() -> None:
    """What came long ago does not count."""
    clock = Clock()
    sample = Sample(per_second=10, clock=clock, random=chance())
    kept(sample, 1_000)
    clock.now += 10
    record = said()
    assert sample(record) is record


def test_no_more_groups_are_known_than_it_was_told() -> None:
    """A key that is new each time does not fill the memory."""
    sample = Sample(per_second=10, key="user", max_keys=5)
    for n in range(100):
        sample(said(user=n))
    pace: Any = sample._rate_of
    assert len(pace._counts) == 5


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({}, "Sample"),
        ({"key": "request_id"}, "Sample"),
        ({"rate": 0.5, "per_second": 10}, "Sample"),
        ({"rates": {"INFO": 0.5}, "per_second": 10}, "Sample"),
        ({"rate": 1.1}, "Sample.rate"),
        ({"rate": -0.1}, "Sample.rate"),
        ({"rate": float("nan")}, "Sample.rate"),
        ({"rate": True}, "Sample.rate"),
        ({"rate": "0.5"}, "Sample.rate"),
        ({"rates": [("INFO", 0.5)]}, "Sample.rates"),
        ({"rates": {"LOUD": 0.5}}, "Sample.rates"),
        ({"rates": {"INFO": 2}}, "Sample.rates['INFO']"),
        ({"per_second": 0}, "Sample.per_second"),
        ({"rate": 0.5, "key": 7}, "Sample.key"),
        ({"rate": 0.5, "always": "LOUD"}, "Sample.always"),
        ({"rate": 0.5, "field": ""}, "Sample.field"),
        ({"rate": 0.5, "salt": b"x"}, "Sample.salt"),
        ({"rate": 0.5, "max_keys": 0}, "Sample.max_keys"),
        ({"rate": 0.5, "random": 0}, "Sample.random"),
        ({"rate": 0.5, "clock": 0}, "Sample.clock"),
    ],
)
def test_settings_that_mean_nothing_are_refused(settings: dict[str, Any], named: str) -> None:
    """The error names the setting."""
    with pytest.raises(ConfigurationError) as error:
        Sample(**settings)
    assert str(error.value).startswith(f"{named}: ")

"""When files are rotated, by the clocks of places that change theirs."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from datetime import time as clock
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import hypothesis.strategies as st
import pytest
from hypothesis import example, given, settings

from logflume import ConfigurationError
from logflume.files.rotation import Rotation, rotation_of
from tests.fakes import name_of_case

pytestmark = pytest.mark.skipif(not hasattr(time, "tzset"), reason="time zones of POSIX")

ZONES = [
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",  # summer time is half an hour
    "Asia/Beirut",  # midnight is skipped
    "America/Havana",  # midnight comes twice
    "Pacific/Apia",  # in 2011 a whole day was left out
    "Asia/Pyongyang",  # in 2018 from 23:30 to midnight at once
]
YEARS = {"Pacific/Apia": 2011, "Asia/Pyongyang": 2018}
SECOND, MINUTE, HOUR, DAY = 1, 60, 3_600, 86_400


@contextmanager
def living_in(zone: str) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", zone)
        time.tzset()
        yield
    time.tzset()


@pytest.fixture(params=ZONES)
def zone(request: pytest.FixtureRequest) -> Iterator[str]:
    with living_in(request.param):
        yield request.param


def hours_of_year(zone: str) -> range:
    """Return POSIX times a little off full hours, from before to after a local year."""
    year = YEARS.get(zone, 2024)
    begin = int(datetime(year, 1, 1, tzinfo=UTC).timestamp())
    return range(begin - 2 * DAY + 17, begin + 368 * DAY, HOUR)


def after(given: object, began: float) -> float:
    moment = rotation_of(given).next_after(began)
    assert moment is not None
    assert moment > began
    return moment


def chain(given: object, begin: float, end: float) -> list[float]:
    """Return the moments at which files are rotated that follow one another."""
    moments: list[float] = []
    moment = begin
    while (moment := after(given, moment)) < end:
        moments.append(moment)
    return moments


AT = [clock(0), clock(0, 30), clock(2), clock(2, 15), clock(2, 30), clock(3), clock(23, 59, 59)]


@pytest.mark.parametrize("at", AT, ids=str)
def test_a_time_of_day_is_once_a_day(zone: str, at: clock) -> None:
    """Each day of a year has one rotation, at its time, or later by what the clock skips."""
    hours = hours_of_year(zone)
    moments = chain(at, hours.start, hours.stop)
    days: list[date] = []
    skipped = 0
    for moment in moments:
        local = datetime.fromtimestamp(moment)
        if local.time() != at:  # a time that is skipped is meant by the offset from before
            skipped += 1
            offset, before = (time.localtime(m).tm_gmtoff for m in (moment, moment - DAY))
            local -= timedelta(seconds=offset - before)
            assert local.time() == at
        days.append(local.date())
    gone = timedelta(zone == "Pacific/Apia")
    assert len(days) == len(set(days)) == (days[-1] - days[0] - gone).days + 1
    assert skipped <= 1


@pytest.mark.parametrize(
    ("zone", "rule", "began", "wanted"),
    [
        ("Europe/Berlin", "02:30", "2024-03-30T20:00+01:00", "2024-03-31T03:30+02:00"),
        ("Europe/Berlin", "02:30", "2024-10-26T20:00+02:00", "2024-10-27T02:30+02:00"),
        ("Europe/Berlin", "02:30", "2024-10-27T02:30+02:00", "2024-10-28T02:30+01:00"),
        ("Europe/Berlin", "hourly", "2024-10-27T02:30+02:00", "2024-10-27T02:00+01:00"),
        ("America/New_York", "sunday 02:00", "2024-03-05T00:00-05:00", "2024-03-10T03:00-04:00"),
        ("America/New_York", "monthly", "2024-03-01T00:00-05:00", "2024-04-01T00:00-04:00"),
        ("Australia/Lord_Howe", "02:15", "2024-10-05T12:00+10:30", "2024-10-06T02:45+11:00"),
        ("Australia/Lord_Howe", "hourly", "2024-04-07T01:10+11:00", "2024-04-07T02:00+10:30"),
        ("Asia/Beirut", "daily", "2024-03-30T12:00+02:00", "2024-03-31T01:00+03:00"),
        ("America/Havana", "daily", "2024-11-02T12:00-04:00", "2024-11-03T00:00-04:00"),
        ("America/Havana", "daily", "2024-11-03T00:00-04:00", "2024-11-04T00:00-05:00"),
        ("Pacific/Apia", "daily", "2011-12-29T12:00-10:00", "2011-12-31T00:00+14:00"),
    ],
)
def test_days_on_which_clocks_are_changed(zone: str, rule: str, began: str, wanted: str) -> None:
    """What a person with a calendar would say."""
    with living_in(zone):
        moment = after(rule, datetime.fromisoformat(began).timestamp())
    assert moment == datetime.fromisoformat(wanted).timestamp()


@pytest.mark.parametrize("at", [clock(0), clock(2, 30), clock(23, 59, 59)], ids=str)
def test_what_comes_next_depends_on_no_history(zone: str, at: clock) -> None:
    """Wherever in the year a file begins, it ends at the next moment of the one chain."""
    hours = hours_of_year(zone)
    moments = chain(at, hours.start - DAY, hours.stop + 2 * DAY)
    upcoming = iter(moments)
    moment = next(upcoming)
    for began in hours:
        while moment <= began:
            moment = next(upcoming)
        assert after(at, began) == moment
    assert all(after(at, moment - 1e-3) == moment for moment in moments)


def shown_minutes(zone: str) -> Iterator[tuple[int, time.struct_time]]:
    """Go through the minutes around each change of the clock in a year."""
    hours = hours_of_year(zone)
    for hour in hours:
        if time.localtime(hour).tm_gmtoff != time.localtime(hour + HOUR).tm_gmtoff:
            around = (hour - 2 * HOUR) // MINUTE * MINUTE
            yield from ((m, time.localtime(m)) for m in range(around, around + 6 * HOUR, MINUTE))


def test_hourly_is_when_the_clock_shows_a_full_hour(zone: str) -> None:
    """Also while clocks are changed by half an hour; an hour that comes twice counts twice."""
    minutes = list(shown_minutes(zone))
    full = [moment for moment, shown in minutes if shown.tm_min == 0]
    for moment, _ in minutes:
        wanted = next((m for m in full if m > moment), None)
        if wanted is not None and wanted - moment < 2 * HOUR:
            assert after("hourly", moment) == after("hourly", moment + 0.5) == wanted
        assert after("minutely", moment) == after("minutely", moment + 59.9) == moment + MINUTE


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ("daily", lambda day: True),
        ("weekly", lambda day: day.weekday() == 0),
        ("sunday", lambda day: day.weekday() == 6),
        ("monthly", lambda day: day.day == 1),
        ("yearly", lambda day: (day.day, day.month) == (1, 1)),
    ],
)
def test_calendars(zone: str, given: str, wanted: Callable[[date], bool]) -> None:
    """Rotations are at the start of the days that are meant, and on no other day."""
    hours = hours_of_year(zone)
    days = sorted({datetime.fromtimestamp(hour).date() for hour in hours})[1:]
    starts = [datetime.combine(day, clock()).timestamp() for day in days if wanted(day)]
    assert chain(given, hours.start, hours.stop)[: len(starts)] == starts


@given(
    began=st.floats(0, 4e9),
    zone=st.sampled_from(ZONES),
    rule=st.sampled_from(
        ["minutely", "hourly", "daily", "weekly", "monthly", "yearly", "monday 02:30", "1 ms"]
    )
    | st.times(),
)
@example(began=1e9, zone="UTC", rule=clock(0))
@settings(max_examples=300, deadline=None)
def test_the_next_time_is_later_and_soon(began: float, zone: str, rule: str | clock) -> None:
    """Whatever the moment: later than it, and no later than the rule's longest period."""
    longest = {"minutely": MINUTE, "hourly": 1.5 * HOUR, "weekly": 8 * DAY, "monday 02:30": 8 * DAY}
    longest |= {"monthly": 32 * DAY, "yearly": 367 * DAY}
    with living_in(zone):
        most = longest.get(rule, 2 * DAY) if isinstance(rule, str) else 2 * DAY
        assert after(rule, began) - began <= most


@given(began=st.floats(0, 4e9), seconds=st.floats(0.001, 1e8))
def test_intervals_count_from_the_beginning(began: float, seconds: float) -> None:
    """An interval is real time from when the file was begun, not aligned to the clock."""
    given = timedelta(seconds=seconds)
    assert after(given, began) == began + given.total_seconds()


@pytest.mark.parametrize(
    ("given", "same"),
    [
        ("1 h", timedelta(hours=1)),
        ("90 s", timedelta(seconds=90)),
        ("1 week", timedelta(days=7)),
        ("00:00", "daily"),
        ("0:00", clock(0)),
        ("18:30:15", clock(18, 30, 15)),
        (" Daily ", "daily"),
        ("monday", "weekly"),
        ("w0", "monday 00:00"),
        ("W6", "Sunday"),
        ("monday at 03:00", "monday  03:00"),
    ],
)
def test_the_same_in_other_words(given: object, same: object) -> None:
    """Forms that mean the same give the same moments."""
    with living_in("Europe/Berlin"):
        for began in range(1_700_000_000, 1_703_000_000, 12_345):
            assert after(given, began) == after(same, began)


def test_a_time_with_a_zone_is_of_that_zone() -> None:
    """A `datetime.time` with a time zone follows that, not this machine's."""
    there = clock(2, 30, tzinfo=ZoneInfo("America/New_York"))
    with living_in("Europe/Berlin"):
        theirs = [after(there, hour) for hour in hours_of_year("UTC")]
    with living_in("America/New_York"):
        assert theirs == [after("02:30", hour) for hour in hours_of_year("UTC")]


def test_the_first_rule_that_is_met_counts() -> None:
    """Of a list, the smallest size and the earliest time; functions are for the sink to ask."""

    def full(path: Path, size: int) -> bool:
        return False

    rotation = rotation_of(["1 MB", 500_000, "1 h", timedelta(minutes=1), full])
    assert rotation.max_bytes == 500_000
    assert rotation.next_after(1e9) == 1e9 + 60
    assert rotation.callables == (full,)


def test_rules_that_say_nothing_about_time() -> None:
    """A size has no next time; no rule at all is false."""
    assert rotation_of("100 MB") == rotation_of(("100 MB",))
    assert rotation_of("100 MB").next_after(1e9) is None
    assert rotation_of(1).max_bytes == 1
    assert not rotation_of(None)
    assert rotation_of(None).next_after(0) is None
    assert all(map(rotation_of, ["100 MB", "1 h", "daily", lambda path, size: True]))


def test_a_rotation_shows_what_was_given() -> None:
    """The repr is what the user knows."""
    assert repr(rotation_of(["100 MB", "00:00"])) == "Rotation('100 MB', '00:00')"
    assert repr(rotation_of(None)) == repr(Rotation()) == "Rotation()"


@pytest.mark.parametrize("began", [math.inf, math.nan, 1e18, -1e18, 253_402_300_799.0])
@pytest.mark.parametrize("given", ["minutely", "hourly", "daily", "monthly", "12:00", "1 h"])
def test_no_clock_is_too_wrong(given: str, began: float) -> None:
    """A time that calendars do not know raises nothing."""
    moment = rotation_of(given).next_after(began)
    assert moment is None or moment >= began or not math.isfinite(began)


async def asynchronous(path: Path, size: int) -> bool:
    return False


@pytest.mark.parametrize(
    "given",
    [
        "", "100", "100 M", "0 MB", "-1 h", "0 s", "5 m", "24:00", "12:60", "12", "noon", "w7",
        "monday 25:00", "monday at", "monday monday", "every day", "daily 03:00",
        0, -1, True, 1.5, b"1 MB", timedelta(0), timedelta(-1), date(2024, 1, 1),
        int, asynchronous, object(), [], (), [None], ["1 MB", ["1 h"]], {"1 MB"}, {},
    ],
    ids=name_of_case,
)  # fmt: skip
def test_what_means_nothing_is_refused(given: Any) -> None:
    """Anything else is an error that names the setting, what was given, and what is accepted."""
    with pytest.raises(ConfigurationError, match=r'File\.rotation: got .*accepted: .*"100 MB"'):
        rotation_of(given)

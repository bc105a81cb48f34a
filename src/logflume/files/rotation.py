"""When a file is full: `Rotation`, made by `rotation_of` from what the user gave.

Rules about time are pure functions of the time at which the file was begun, on the clock of this
machine's time zone: nothing is kept that a step of the clock or a restart could make wrong.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from datetime import time as clock_time
from functools import partial
from pathlib import Path

from ..errors import ConfigurationError
from .settings import bytes_of, is_function, rules_in, seconds_of

__all__ = ["Rotation", "rotation_of"]

TimeRule = Callable[[float], float]
FullEnough = Callable[[Path, int], bool]

_ACCEPTED = (
    'a size ("100 MB", "1.5 GiB", a number of bytes), an interval ("1 h", "30 min", a timedelta), '
    '"minutely", "hourly", "daily", "weekly", "monthly" or "yearly", a time of day ("00:00", '
    '"18:30:15", a datetime.time), a weekday ("monday", "monday 03:00", "w0"), '
    "a function (path, size) -> bool, or a list of these"
)


@dataclass(frozen=True, slots=True, repr=False)
class Rotation:
    """When a file is rotated: whichever of its rules comes first. False without any rule."""

    max_bytes: int | None = None
    times: tuple[TimeRule, ...] = ()
    callables: tuple[FullEnough, ...] = ()
    given: tuple[object, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.max_bytes or self.times or self.callables)

    def __repr__(self) -> str:
        return f"Rotation({', '.join(map(repr, self.given))})"

    def next_after(self, began: float) -> float | None:
        """Return the POSIX time at which a file that was begun at `began` must be rotated.

        None: no rule is about time. It is always later than `began`, so a clock that was set on by
        a year rotates once. One that was set back to before `began` has to wait for this time,
        unless the caller asks again with what the clock says then.

        - An interval counts from `began`, in real time.
        - "hourly" and "minutely" are when the local clock shows a full hour or minute: where
          summer time ends, the hour that comes twice counts twice.
        - A time of day is once on each of its days: where summer time skips it, as much later as
          the clock was set on; where it comes twice, the first time.
        """
        try:
            return min((rule(began) for rule in self.times), default=None)
        except (OverflowError, ValueError, OSError):  # no time that calendars know
            return None


def rotation_of(given: object) -> Rotation:
    """Read what was given as `rotation`: one rule, a list or tuple of rules, or None.

        rotation_of(["100 MB", "00:00"])   # at midnight, and before that at 100 MB

    Raises:
        ConfigurationError: naming `File.rotation` and what is accepted.
    """
    rules = rules_in(given)
    if given is not None and not rules:
        raise ConfigurationError.of("File.rotation", given, _ACCEPTED)
    sizes: list[int] = []
    times: list[TimeRule] = []
    callables: list[FullEnough] = []
    for rule in rules:
        if (size := bytes_of(rule)) is not None:
            sizes.append(size)
        elif (when := _time_rule(rule)) is not None:
            times.append(when)
        elif is_function(rule):
            callables.append(rule)  # type: ignore[arg-type]
        else:
            raise ConfigurationError.of("File.rotation", rule, _ACCEPTED)
    return Rotation(min(sizes, default=None), tuple(times), tuple(callables), rules)


def _time_rule(rule: object) -> TimeRule | None:
    """Return the rule that a timedelta, a time or a text stands for; None if for none."""
    if isinstance(rule, clock_time):
        return partial(_at, rule.replace(fold=0), _each_day)
    if (seconds := seconds_of(rule)) is not None:
        return partial(_in, seconds)
    if not isinstance(rule, str):
        return None
    text = " ".join(rule.lower().split())
    return _NAMED.get(text) or _clock_rule(text)


def _clock_rule(text: str) -> TimeRule | None:
    """Read "18:30:15", "monday", "monday 03:00", "monday at 03:00" or "w0"."""
    name, _, clock = text.partition(" ")
    weekday = _WEEKDAYS.get(name)
    match = _CLOCK.fullmatch(text if weekday is None else clock.removeprefix("at ") or "00:00")
    if match is None:
        return None
    hour, minute, second = (int(part or 0) for part in match.groups())
    at = clock_time(hour, minute, second)
    return partial(_at, at, _each_day if weekday is None else partial(_on_weekday, weekday))


def _in(seconds: float, began: float) -> float:
    # Where floats are too coarse for so short a time, the next one there is.
    return max(began + seconds, math.nextafter(began, math.inf))


def _at(at: clock_time, wanted: Callable[[date], bool], began: float) -> float:
    """Return when the clock shows this time on the next day that is wanted.

    Local times become POSIX times as PEP 495 says for fold=0: those that do not exist by the offset
    from before the gap, those that exist twice by the earlier one. So the times of one day after
    the other never decrease, and the first one that is later than `began` is the next one.
    """
    day = datetime.fromtimestamp(began, at.tzinfo).date() - timedelta(days=1)
    while True:  # a year and a day at most
        if wanted(day):
            moment = datetime.combine(day, at).timestamp()
            if moment > began:
                return moment
        day += timedelta(days=1)


def _next_minute(began: float) -> float:
    """Return when the local clock next shows a full minute, whatever its offset is."""
    second = math.floor(began)
    return float(second + max(1, 60 - time.localtime(second).tm_sec))


def _next_hour(began: float) -> float:
    """Return when the local clock next shows a full hour.

    Asked minute by minute: at most 90 times, and right where clocks are set by half an hour.
    """
    moment = _next_minute(began)
    while time.localtime(moment).tm_min:
        moment += 60.0
    return moment


def _each_day(day: date) -> bool:
    return True


def _on_weekday(weekday: int, day: date) -> bool:
    return day.weekday() == weekday


def _on_first_of_month(day: date) -> bool:
    return day.day == 1


def _on_first_of_year(day: date) -> bool:
    return day.day == 1 and day.month == 1


_CLOCK = re.compile(r"([01]?[0-9]|2[0-3]):([0-5][0-9])(?::([0-5][0-9]))?")
_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_WEEKDAYS = {name: day for day, full in enumerate(_DAYS) for name in (full, f"w{day}")}

_MIDNIGHT = clock_time()
_NAMED: dict[str, TimeRule] = {
    "minutely": _next_minute,
    "hourly": _next_hour,
    "daily": partial(_at, _MIDNIGHT, _each_day),
    "weekly": partial(_at, _MIDNIGHT, partial(_on_weekday, 0)),
    "monthly": partial(_at, _MIDNIGHT, _on_first_of_month),
    "yearly": partial(_at, _MIDNIGHT, _on_first_of_year),
}

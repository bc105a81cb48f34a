"""The time of a record as people read it, worked out once per second."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from time import localtime, strftime, time_ns

from ..errors import ConfigurationError
from ..escape import escape

__all__ = ["clock_of"]

_STARTED_NS = time_ns()
_SECOND = 1_000_000_000
_MILLISECONDS = tuple([f"{n:03}" for n in range(1000)])

Show = Callable[[int], str]
Parts = Callable[[int], tuple[str, ...]]


def clock_of(form: str, setting: str) -> tuple[Show, int]:
    """Return what shows a time given in nanoseconds, and the width of what it shows.

    Safe to call from several threads: what is kept is replaced as a whole.

    Raises:
        ConfigurationError: the form is neither a name nor a format for `strftime`.
    """
    show = _FORMS.get(form) if isinstance(form, str) else None
    if show is not None:
        return show, len(show(_STARTED_NS))
    if not isinstance(form, str) or "%" not in form:
        accepted = f"one of {', '.join(_FORMS)} or a format of strftime, with %f for microseconds"
        raise ConfigurationError.of(setting, form, accepted)
    show = _formatted(form)
    try:
        return show, len(show(_STARTED_NS))
    except ValueError as error:  # Windows refuses what it does not know
        raise ConfigurationError.of(setting, form, f"a format of strftime ({error})") from None


def _to_the_millisecond(parts_of: Parts) -> Show:
    """Return a clock that keeps what stands around the fraction of the last second."""
    kept: tuple[int, tuple[str, ...]] = (-1, ())

    def show(time_ns: int) -> str:
        nonlocal kept
        second = time_ns // _SECOND
        last, parts = kept
        if last != second:
            parts = parts_of(second)
            kept = (second, parts)
        return _MILLISECONDS[time_ns % _SECOND // 1_000_000].join(parts)

    return show


def _time_of_day(second: int) -> tuple[str, ...]:
    return strftime("%H:%M:%S.", localtime(second)), ""


def _local(second: int) -> tuple[str, ...]:
    text = datetime.fromtimestamp(second, UTC).astimezone().isoformat()
    return f"{text[:19]}.", text[19:]


def _utc(second: int) -> tuple[str, ...]:
    return f"{datetime.fromtimestamp(second, UTC).isoformat()[:19]}.", "Z"


def _relative(time_ns: int) -> str:
    return f"{(time_ns - _STARTED_NS) / _SECOND:+9.3f}s"


def _formatted(form: str) -> Show:
    """Return a clock for a format of `strftime`, which itself knows no `%f`."""
    formats = [part.replace("\0", "%%") for part in form.replace("%%", "\0").split("%f")]

    def show(time_ns: int) -> str:
        local = localtime(time_ns // _SECOND)
        fraction = f"{time_ns % _SECOND // 1_000:06}"
        return fraction.join([escape(strftime(part, local)) if part else "" for part in formats])

    return show


_FORMS: dict[str, Show] = {
    "clock": _to_the_millisecond(_time_of_day),
    "local": _to_the_millisecond(_local),
    "utc": _to_the_millisecond(_utc),
    "relative": _relative,
}

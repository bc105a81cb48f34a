"""Times in a form given by tokens, `YYYY-MM-DD HH:mm:ss.SSS`, those of loguru and Pendulum.

Names of days and months are English, whatever the locale.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TypeAlias

from ..errors import ConfigurationError
from ..pattern import lazy_pattern
from ._times import second_of

__all__ = ["time_format"]

# What a token is made from: the second that a record falls in, or its nanoseconds.
OfSecond: TypeAlias = Callable[[datetime], str]
OfMoment: TypeAlias = Callable[[int], str]

_SECOND = 1_000_000_000
_MILLISECONDS = tuple([f"{n:03}" for n in range(1000)])
_ISO = "YYYY-MM-DD[T]HH:mm:ss.SSSSSSZ"
_UTC = "!UTC"

_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September",
    "October", "November", "December",
)  # fmt: skip

_OF_SECOND: dict[str, OfSecond] = {
    "YYYY": lambda d: f"{d.year:04}",
    "YY": lambda d: f"{d.year % 100:02}",
    "Q": lambda d: f"{(d.month + 2) // 3}",
    "MMMM": lambda d: _MONTHS[d.month - 1],
    "MMM": lambda d: _MONTHS[d.month - 1][:3],
    "MM": lambda d: f"{d.month:02}",
    "M": lambda d: f"{d.month}",
    "DDDD": lambda d: f"{d.timetuple().tm_yday:03}",
    "DDD": lambda d: f"{d.timetuple().tm_yday}",
    "DD": lambda d: f"{d.day:02}",
    "D": lambda d: f"{d.day}",
    "dddd": lambda d: _DAYS[d.weekday()],
    "ddd": lambda d: _DAYS[d.weekday()][:3],
    "d": lambda d: f"{d.weekday()}",
    "E": lambda d: f"{d.isoweekday()}",
    "HH": lambda d: f"{d.hour:02}",
    "H": lambda d: f"{d.hour}",
    "hh": lambda d: f"{(d.hour - 1) % 12 + 1:02}",
    "h": lambda d: f"{(d.hour - 1) % 12 + 1}",
    "mm": lambda d: f"{d.minute:02}",
    "m": lambda d: f"{d.minute}",
    "ss": lambda d: f"{d.second:02}",
    "s": lambda d: f"{d.second}",
    "A": lambda d: "AM" if d.hour < 12 else "PM",
    "ZZ": lambda d: d.isoformat()[19:].replace(":", ""),
    "Z": lambda d: d.isoformat()[19:],
    "zz": lambda d: d.tzname() or "",
    "X": lambda d: f"{d.timestamp():.0f}",
}
_TOKEN = lazy_pattern(r"\[([^\[\]]*)\]|(S+|x)|(" + "|".join(_OF_SECOND) + ")")


def time_format(setting: str, spec: str) -> OfMoment:
    """Return what turns nanoseconds since the epoch into text of this form, in local time.

    Tokens: YYYY YY Q MMMM MMM MM M DDDD DDD DD D dddd ddd d E HH H hh h mm m ss s S (one to nine)
    A Z ZZ zz X (seconds since the epoch) x (microseconds). `[text]` stands for itself, `!UTC` at
    the end is for UTC. A form with a `%` is one of `strftime`, an empty one ISO 8601.

    Raises:
        ConfigurationError: more than nine S, or no form of `strftime`.
    """
    utc = spec.endswith(_UTC)
    spec = spec.removesuffix(_UTC) or _ISO
    if "%" in spec:
        return _by_strftime(setting, spec, local=not utc)
    groups: list[list[str | OfSecond]] = [[]]
    fractions: list[str] = []
    end = 0
    for match in _TOKEN.finditer(spec):
        groups[-1].append(spec[end : match.start()])
        end = match.end()
        literal, fraction, token = match.groups()
        if token is not None:
            groups[-1].append(_OF_SECOND[token])
        elif fraction is None:
            groups[-1].append(literal)
        elif len(fraction) > 9:
            raise ConfigurationError.of(
                setting, spec, "one to nine S, since times have nanoseconds"
            )
        else:
            fractions.append(fraction)
            groups.append([])
    groups[-1].append(spec[end:])
    return _joined(groups, fractions, local=not utc)


def _joined(groups: list[list[str | OfSecond]], fractions: list[str], *, local: bool) -> OfMoment:
    """Return what joins the texts of a second, worked out once, with what is within it.

    Any number of threads may call it: what is kept is replaced as a whole.
    """

    def texts_of(second: int) -> list[str]:
        when = second_of(second, local)
        return [
            "".join([part if isinstance(part, str) else part(when) for part in group])
            for group in groups
        ]

    kept: tuple[int | None, list[str]] = (None, [])

    def to_the_millisecond(time_ns: int) -> str:
        nonlocal kept
        second = time_ns // _SECOND
        last, texts = kept
        if last != second:
            texts = texts_of(second)
            kept = (second, texts)
        return _MILLISECONDS[time_ns % _SECOND // 1_000_000].join(texts)

    def show(time_ns: int) -> str:
        nonlocal kept
        second = time_ns // _SECOND
        last, texts = kept
        if last != second:
            texts = texts_of(second)
            kept = (second, texts)
        shown = texts[0]
        for token, text in zip(fractions, texts[1:], strict=True):
            shown += _fraction(token, time_ns) + text
        return shown

    return to_the_millisecond if fractions == ["SSS"] else show


def _fraction(token: str, time_ns: int) -> str:
    return str(time_ns // 1_000) if token == "x" else f"{time_ns % _SECOND:09}"[: len(token)]


def _by_strftime(setting: str, spec: str, *, local: bool) -> OfMoment:
    def show(time_ns: int) -> str:
        seconds, ns = divmod(time_ns, _SECOND)
        when = second_of(seconds, local) + timedelta(microseconds=ns // 1_000)
        return when.strftime(spec)

    try:
        show(0)
    except ValueError as error:
        raise ConfigurationError.of(setting, spec, f"a form of strftime ({error})") from None
    return show

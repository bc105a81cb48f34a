"""What users may give in words or as lists: sizes, durations, functions. Pure.

A text that is no size or duration gives None, so that the next form can be tried; whoever asked
raises the error, which names all forms.
"""

from __future__ import annotations

import inspect
import re
from datetime import timedelta
from fractions import Fraction

__all__ = ["is_function", "parse_duration", "parse_size", "rules_in"]

_NUMBER = r"([0-9]{1,18}(?:\.[0-9]{1,9})?)"  # exact below, and never long to compute
_SIZE = re.compile(rf"{_NUMBER} *(?:([kmgtp])(i?))?b", re.IGNORECASE)
_PART = re.compile(rf"{_NUMBER} *([a-z]+)", re.IGNORECASE)
_PARTS = re.compile(rf"{_PART.pattern}(?:(?: *, *| *){_PART.pattern})*", re.IGNORECASE)

_DAY = 86_400
_SECONDS = {
    name: seconds
    for names, seconds in {
        "ms millisecond milliseconds": Fraction(1, 1_000),
        "s sec secs second seconds": Fraction(1),
        "min mins minute minutes": Fraction(60),
        "h hour hours": Fraction(3_600),
        "d day days": Fraction(_DAY),
        "w week weeks": Fraction(7 * _DAY),
        "month months": Fraction(365 * _DAY, 12),
        "y year years": Fraction(365 * _DAY),
    }.items()
    for name in names.split()
}


def parse_size(text: str) -> int | None:
    """Return how many bytes `"100 MB"` or `"1.5 GiB"` are; None if it is no size above 0.

    `kB`, `MB`, `GB`, `TB`, `PB` are powers of 1000, `KiB`, `MiB`... powers of 1024, in any case of
    letters: bits are not meant. A part of a byte is dropped.
    """
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        return None
    number, prefix, binary = match.groups()
    power = " kmgtp".index(prefix.lower()) if prefix else 0
    return int(Fraction(number) * (1_024 if binary else 1_000) ** power) or None


def parse_duration(text: str) -> float | None:
    """Return how many seconds `"90 s"`, `"1 week"` or `"1 h 30 min"` are; None if none above 0.

    A month is a twelfth of a year of 365 days. A lone `m` means nothing, since it could be either.
    """
    text = text.strip()
    if _PARTS.fullmatch(text) is None:
        return None
    total = Fraction(0)
    for number, unit in _PART.findall(text):
        seconds = _SECONDS.get(unit.lower())
        if seconds is None:
            return None
        total += Fraction(number) * seconds
    return float(total) or None


def seconds_of(given: object) -> float | None:
    """Return the seconds of a timedelta or a text; None if it is neither, or not above 0."""
    if isinstance(given, timedelta):
        return given.total_seconds() if given > timedelta(0) else None
    return parse_duration(given) if isinstance(given, str) else None


def bytes_of(given: object) -> int | None:
    """Return the bytes of a number or a text; None if it is neither, or not above 0."""
    if isinstance(given, str):
        return parse_size(given)
    return whole(given)


def whole(given: object) -> int | None:
    """Return a whole number above 0; None if it is anything else."""
    return given if isinstance(given, int) and not isinstance(given, bool) and given > 0 else None


def is_function(given: object) -> bool:
    """Whether this can be called here and now: no class, and nothing that would be awaited."""
    return (
        callable(given)
        and not isinstance(given, type)
        and not inspect.iscoroutinefunction(given)
        and not inspect.iscoroutinefunction(getattr(given, "__call__", None))  # noqa: B004
    )


def rules_in(given: object) -> tuple[object, ...]:
    """Return the rules that were given: none for None, one, or those of a list or tuple."""
    if given is None:
        return ()
    return tuple(given) if isinstance(given, list | tuple) else (given,)

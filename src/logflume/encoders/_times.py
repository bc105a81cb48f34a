"""The forms in which encoders write a record's time."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache, partial
from typing import Any, Literal, TypeAlias, get_args

from ..errors import ConfigurationError

__all__ = ["TimeForm", "iso_us", "second_of", "time_form"]

TimeForm: TypeAlias = Literal[
    "iso-s", "iso-ms", "iso-us", "iso-ns", "local", "epoch", "epoch-ms", "epoch-us", "epoch-ns"
]

_SECOND = 1_000_000_000


@lru_cache(maxsize=8)
def second_of(seconds: int, local: bool) -> datetime:
    """Return the beginning of a second since the epoch in UTC or in local time.

    Kept, since records that come together share their second.
    """
    when = datetime.fromtimestamp(seconds, UTC)
    return when.astimezone() if local else when


@lru_cache(maxsize=8)
def _text_of(seconds: int, local: bool) -> tuple[str, str]:
    """Return a second without its fraction, and what follows that: the offset."""
    text = second_of(seconds, local).isoformat()
    return (text[:19], text[19:]) if local else (text[:19], "Z")


def _iso(time_ns: int, *, digits: int, local: bool = False) -> str:
    seconds, ns = divmod(time_ns, _SECOND)
    text, offset = _text_of(seconds, local)
    return f"{text}.{ns:09}"[: 20 + digits if digits else 19] + offset


def iso_us(time_ns: int) -> str:
    """Return nanoseconds since the epoch as `record.timestamp` shows them."""
    seconds, ns = divmod(time_ns, _SECOND)
    return f"{_text_of(seconds, False)[0]}.{ns // 1_000:06}Z"


def _whole(time_ns: int, *, unit: int) -> int:
    return time_ns // unit


_FORMS: dict[str, Callable[[int], Any]] = {
    "iso-s": partial(_iso, digits=0),
    "iso-ms": partial(_iso, digits=3),
    "iso-us": iso_us,
    "iso-ns": partial(_iso, digits=9),
    "local": partial(_iso, digits=6, local=True),
    "epoch": lambda time_ns: time_ns / _SECOND,
    "epoch-ms": partial(_whole, unit=1_000_000),
    "epoch-us": partial(_whole, unit=1_000),
    "epoch-ns": partial(_whole, unit=1),
}


def time_form(setting: str, given: object) -> Callable[[int], Any]:
    """Return what turns nanoseconds since the epoch into this form.

    Raises:
        ConfigurationError: there is no such form.
    """
    form = _FORMS.get(given) if isinstance(given, str) else None
    if form is None:
        raise ConfigurationError.of(setting, given, f"one of {', '.join(get_args(TimeForm))}")
    return form

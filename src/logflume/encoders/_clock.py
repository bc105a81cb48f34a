"""The time of a record as the console's column shows it: by name, or in a form of its own."""

from __future__ import annotations

from collections.abc import Callable
from time import time_ns

from ..errors import ConfigurationError
from ..escape import escape
from ..pattern import lazy_pattern
from ._cells import cells
from ._time_tokens import time_format

__all__ = ["clock_of"]

_STARTED_NS = time_ns()
_FORMS = {
    "clock": "HH:mm:ss.SSS",
    "local": "YYYY-MM-DD[T]HH:mm:ss.SSSZ",
    "utc": "YYYY-MM-DD[T]HH:mm:ss.SSS[Z]!UTC",
}
_OWN_FORM = lazy_pattern(r"%|YY|MM|DD|HH|hh|mm|ss|SS|\bX\b|\bx\b")
_ACCEPTED = (
    f"one of {', '.join(_FORMS)}, relative, a format of tokens as in Template (HH:mm:ss), or one "
    "of strftime, with %f for microseconds"
)


def clock_of(form: str, setting: str) -> tuple[Callable[[int], str], int]:
    """Return what shows a time given in nanoseconds, and the width of what it shows.

    Safe to call from several threads.

    Raises:
        ConfigurationError: the form is no name and no format.
    """
    if not isinstance(form, str):
        raise ConfigurationError.of(setting, form, _ACCEPTED)
    show: Callable[[int], str]
    if form == "relative":
        show = _relative
    elif form in _FORMS:
        show = time_format(setting, _FORMS[form])
    elif _OWN_FORM.search(form):
        own = time_format(setting, form)
        show = lambda time_ns: escape(own(time_ns))  # noqa: E731
    else:
        raise ConfigurationError.of(setting, form, _ACCEPTED)
    return show, cells(show(_STARTED_NS))


def _relative(time_ns: int) -> str:
    return f"{(time_ns - _STARTED_NS) / 1_000_000_000:+9.3f}s"

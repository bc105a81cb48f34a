"""What is around a log call: the fields of its task, the span that it is in, and special rules.

Most calls have fields and nothing else, in a plain dict: capture looks whether it is one, and that
is all it costs them. What else `get_context` may return is told apart here: an `Inside`, which
knows more; or a pair of either and a span, while one has to be asked for, or while others have
levels of their own, so that each call has to be looked at.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from .context import Inside
from .level import MAX_NO
from .record import Extra

__all__ = ["Around", "is_unwanted", "looked_at", "taken_apart", "with_span"]

Around: TypeAlias = Callable[[], Any]
"""`get_context`, or what stands in for it."""

_NOWHERE: frozenset[str] = frozenset()


def with_span(get_context: Around, current_span: Callable[[], tuple[int, int] | None]) -> Around:
    """Return a `get_context` that looks for a span as well."""

    def around() -> Any:
        context = get_context()
        try:
            span = current_span()
        except Exception:  # better a record without its span than none
            span = None
        return context if span is None else (context, span)

    return around


def looked_at(get_context: Around) -> Around:
    """Return a `get_context` that never returns a plain dict, so that each call is looked at."""

    def around() -> Any:
        context = get_context()
        return (context, None) if type(context) is dict else context

    return around


def is_unwanted(found: Any, ordinary: int, no: int) -> bool:
    """Whether a call at level `no` is not to be captured, with this around it.

    `ordinary` is the number below which its logger is silent where no rules say otherwise.
    """
    if type(found) is tuple:
        found = found[0]
    if type(found) is dict:
        return no < ordinary
    rules = found.rules
    return rules.skips or no < least_of(found, ordinary)


def least_of(found: Any, ordinary: int) -> int:
    """Return the number below which a logger is silent, with this around it."""
    if type(found) is tuple:
        found = found[0]
    if type(found) is Inside and ordinary <= MAX_NO:  # above it, the logger is switched off
        for level in found.rules.levels:
            if level.is_held:
                return level.no
    return ordinary


def taken_apart(found: Any) -> tuple[dict[str, Any], Extra | None]:
    """Return the fields of what `get_context` returned, and what a record begins with."""
    span = None
    if type(found) is tuple:
        found, span = found
    if type(found) is dict:
        return found, None if span is None else Extra(None, _NOWHERE, False, span)
    extra = Extra(None, found.origins, False, span or found.span, found.rules.without)
    return found.plain, extra

"""The sinks of `logflume.testing`, and what else the tests need to misbehave."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator

import blockbuster.blockbuster as guard

from logflume.testing.sinks import (
    Collect,
    Flaky,
    Gate,
    Hang,
    Raising,
    Rejecting,
    Slow,
    Unopenable,
)

__all__ = [
    "Collect",
    "Flaky",
    "Gate",
    "Hang",
    "Raising",
    "Rejecting",
    "Slow",
    "Unopenable",
    "may_block",
    "name_of_case",
    "unmeasured",
]


@contextlib.contextmanager
def may_block() -> Iterator[None]:
    """Let this block of a test block the loop's thread: see `no_blocking_calls`."""
    guard._skip.value = True
    try:
        yield
    finally:
        guard._skip.value = False


def unmeasured() -> dict[str, str]:
    """Return the environment without coverage, which loads modules and opens files of its own."""
    return {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}


def name_of_case(value: object) -> str:
    """Return what a value is called in a test's name: in each run the same, without addresses."""
    return re.sub(r" at 0x[0-9a-f]+", "", value if isinstance(value, str) else repr(value))

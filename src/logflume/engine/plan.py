"""What a pipeline is made of according to a configuration: the engine's side of it.

Whoever reads configurations hands over parts that are still to be made, each with a key: parts with
equal keys are configured alike, so a reload leaves what is there as it is.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any, Generic, NamedTuple, TypeAlias, TypeVar

from ..level import INFO, Level
from ..protocols import Processor
from .route import Route

__all__ = ["Part", "Plan", "Source", "adopt_planning", "read_plan"]

Source: TypeAlias = "str | os.PathLike[str] | Mapping[str, Any] | None"
"""Where a configuration is read from; None: where it is found, or was read the last time."""

T = TypeVar("T")


class Part(NamedTuple, Generic[T]):
    """One route or processor that is still to be made."""

    key: object
    make: Callable[[], T]


class Plan(NamedTuple):
    """All that a configuration says.

    `source` is where it is read again from, `text` what was there; `settings` are arguments of
    `Pipeline`.
    """

    source: Source = None
    text: bytes = b""
    settings: Mapping[str, Any] = {}
    level: Level = INFO
    levels: Mapping[str, Level] = {}
    redact: Part[Processor] | bool = True
    processors: tuple[Part[Processor], ...] = ()
    routes: tuple[Part[Route], ...] = ()


_read_plan: Callable[[Any], Plan]


def adopt_planning(read: Callable[[Any], Plan]) -> None:
    """Say what makes plans of files and dicts: called by the package that reads configurations,
    which the engine does not know."""
    global _read_plan
    _read_plan = read


def read_plan(source: Source) -> Plan:
    """Read a configuration; may block.

    Raises:
        ConfigurationError: a setting means nothing.
    """
    return _read_plan(source)

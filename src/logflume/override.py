"""Logging that differs for one task: another level, nothing at all, or not to some routes."""

from __future__ import annotations

import os
from collections.abc import Iterable
from types import TracebackType

from .context import Inside, LevelHere, Rules, context, get_context
from .errors import ConfigurationError
from .level import Level, parse_level
from .source import lower, lower_only, restore

__all__ = ["override"]


class override(context):  # noqa: N801 - reads as a statement: `with override(level="DEBUG")`
    """Log differently in a block, while all others log as ever: `with override(level="DEBUG"): ...`

    As with `context`, the block is all that is called in it, with the child tasks and worker
    threads that are started with a copy of the context. It may be entered any number of times, by
    several tasks at once.

    - `level`: that of all loggers here, whatever levels they have otherwise; higher or lower.
      Loggers that are silenced by `disable` stay so, and routes keep to levels and filters of
      their own. Of nested blocks, the inner one's counts. It holds until the block is left, also
      for tasks that were started in it and go on.
    - `skip`: nothing is logged here, whatever the level; nor in blocks within this one.
    - `without`: names of routes that what is logged here does not go to; they count it as
      filtered. Those of outer blocks stay. Names that no route has are no harm.

    Records that are not wanted cost what they do below a level, and are in no ledger. Only while
    a block with a lower level than a logger's own is entered somewhere, all calls from that level
    on are looked at, which costs about half as much as a record. So it is with the loggers of
    `logging` that `integrations.stdlib.capture` routes here.

        with context(job=job.id), override(level="DEBUG" if job.is_watched else None):
            await work(job)

    Raises:
        ConfigurationError: a setting means nothing.
    """

    __slots__ = ("_level",)

    def __init__(
        self,
        *,
        level: str | int | Level | None = None,
        skip: bool = False,
        without: Iterable[str] = (),
    ) -> None:
        super().__init__()
        if not isinstance(skip, bool):
            raise ConfigurationError.of("override.skip", skip, "True or False")
        self._level: LevelHere | None = None
        if level is not None:
            self._level = LevelHere(parse_level(level, "override.level").no)
        levels = () if self._level is None else (self._level,)
        self._rules = Rules(levels, skip, _names(without))

    def __enter__(self) -> None:
        super().__enter__()
        if self._level is not None:
            self._level.hold()
            lower(self._level.no)

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        super().__exit__(exc_type, exc, traceback)
        # Wherever it is left: the level must not stay low for a block that is over.
        if self._level is not None and self._level.let_go():
            restore(self._level.no)


def _names(given: Iterable[str]) -> frozenset[str]:
    accepted = "a list of names of routes"
    if isinstance(given, str | bytes) or not isinstance(given, Iterable):
        raise ConfigurationError.of("override.without", given, accepted)
    names = list(given)
    if not all(isinstance(name, str) and name for name in names):
        raise ConfigurationError.of("override.without", given, accepted)
    return frozenset(names)


def _after_fork() -> None:
    here = get_context()
    levels = here.rules.levels if isinstance(here, Inside) else ()
    lower_only([level.no for level in levels if level.is_held])


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)

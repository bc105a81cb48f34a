"""The handler for `logging` that hands everything to logflume."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable
from typing import Any, NamedTuple

from ...capture import is_wanted, submit, surroundings
from ...engine.backend import load_asyncio
from ...errors import ConfigurationError
from ...level import INFO, parse_level
from ...snapshot import safe_str, type_name
from ...source import Source, source_of
from .incoming import record_from, rest_of

__all__ = ["Handler"]

# Here, where the lock of `logging` is hardly ever held: with the first record, it may be, and
# another thread that is importing asyncio waits for it, to make its logger.
load_asyncio()

_MOST_KEPT = 4_096
_MOST_NESTED = 4

_CLIENTS = frozenset(
    {"aiohttp", "botocore", "h11", "h2", "hpack", "httpcore", "httpx", "requests", "urllib3"}
)
"""Who logs while sinks send: their records would make others to send, and so on for ever."""


class _Known(NamedTuple):
    """What is known of a logger's name: its threshold, and whether it is a client's of a sink."""

    source: Source
    excluded: bool
    is_client: bool


class Handler(logging.Handler):
    """Make records of logflume of all that reaches this handler of `logging`.

    Fields are what `extra` and LoggerAdapters give; `%` arguments stay apart from the template;
    time, level, logger, call site, thread, task and exception are those of the call, and the
    context (`with context(...)`) that of its task. `stack_info` becomes a field, and the number of
    another process that a record came from `process.pid`.

        logging.basicConfig(handlers=[Handler()], level="DEBUG")

    Logger names follow logflume's levels (`Pipeline.set_level`), besides those of `logging`. It
    may be called in any thread: on one that runs an event loop it never waits, on others at most
    the pipeline's `block_timeout`; it holds no lock meanwhile, and never raises. A filter that
    raises lets the record pass, with a field that says so. A formatter is of no use: encoders are.

    What the HTTP client of a sink (httpx, or one that an injected client or another handler uses)
    logs while it sends is left out, and so is what is logged by taking a record, beyond a few
    times.

    Args:
        level: the least level, by name or number.
        exclude_loggers: names of loggers that are left out, with all below them.
        exclude_fields: names that make no fields; uvicorn's second, coloured message by default.

    Raises:
        ConfigurationError: a setting means nothing.
    """

    def __init__(
        self,
        level: int | str = logging.NOTSET,
        *,
        exclude_loggers: Iterable[str] = (),
        exclude_fields: Iterable[str] = ("color_message",),
    ) -> None:
        self._excluded = names_in("Handler.exclude_loggers", exclude_loggers)
        self._hidden = names_in("Handler.exclude_fields", exclude_fields)
        self._known: dict[str, _Known] = {}
        self._nested = threading.local()
        super().__init__(number_of(level, "Handler.level"))

    def setLevel(self, level: int | str) -> None:  # noqa: N802 - as `logging` names it
        """Set the least level, by a name of `logging` or logflume, or by number."""
        super().setLevel(number_of(level, "Handler.level"))

    def handle(self, record: logging.LogRecord) -> bool:
        """Take a record unless a filter refuses it.

        Without the lock of `logging`'s own: a thread that waits for room in the pipeline would
        hold up loops in others.
        """
        try:
            passed: Any = self.filter(record)
        except Exception as error:
            passed = True
            vars(record)["logflume.filter_error"] = type_name(error)
        if isinstance(passed, logging.LogRecord):  # from Python 3.12 on, filters may replace it
            record = passed
        if passed:
            self.emit(record)
        return bool(passed)

    def emit(self, record: logging.LogRecord) -> None:
        """Give a record to the current pipeline, if its logger's level allows that."""
        depth = getattr(self._nested, "depth", 0)
        if depth >= _MOST_NESTED:
            return
        self._nested.depth = depth + 1
        try:
            self._take(record)
        except Exception:  # nothing may reach the caller, who has no part in it
            pass
        finally:
            self._nested.depth = depth

    def _take(self, given: logging.LogRecord) -> None:
        found = vars(given).get  # some may be missing of one that nobody initialized
        name = found("name")
        if type(name) is not str:
            name = "root" if name is None else safe_str(name)
        known = self._known.get(name) or self._know(name)
        number = found("levelno")
        if not isinstance(number, int):
            number = INFO.no
        if known.excluded or not is_wanted(known.source, number):
            return
        if known.is_client and _inside_sink():
            return
        try:
            record = record_from(given, known.source.name, self._hidden)
        except Exception as error:
            record = rest_of(given, known.source.name, error)
        submit(record)

    def _know(self, given: str) -> _Known:
        name = given or "root"
        known = _Known(
            source_of(name),
            any(is_within(name, excluded) for excluded in self._excluded),
            name.partition(".")[0] in _CLIENTS,
        )
        if len(self._known) >= _MOST_KEPT:  # names made at run time must not fill the memory
            self._known.clear()
        self._known[given] = known
        return known


def _inside_sink() -> bool:
    extra = surroundings()[1]
    return extra is not None and bool(extra.origins)


def is_within(name: str, above: str) -> bool:
    """Whether a logger's name is this one, or below it."""
    return name == above or name.startswith(f"{above}.")


def number_of(level: int | str, setting: str) -> int:
    """Return the number of a level of `logging` or logflume.

    Raises:
        ConfigurationError: it is neither.
    """
    named = logging.getLevelNamesMapping()
    if isinstance(level, str) and level in named:
        return named[level]
    return parse_level(level, setting).no


def names_in(setting: str, given: Iterable[str]) -> frozenset[str]:
    """Return names that were given as a list or the like.

    Raises:
        ConfigurationError: they are no such thing.
    """
    accepted = "a list of names"
    if isinstance(given, str | bytes) or not isinstance(given, Iterable):
        raise ConfigurationError.of(setting, given, accepted)
    names = list(given)
    if not all(isinstance(name, str) and name for name in names):
        raise ConfigurationError.of(setting, given, accepted)
    return frozenset(names)

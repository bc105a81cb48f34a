"""Loguru as a destination: whatever its own sinks do with a record."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC
from typing import Any

from ..engine.batch import Batch
from ..errors import ConfigurationError
from ..escape import escape as escaped
from ..protocols import SinkBatch
from ..record import Record
from ..snapshot import safe_repr
from ._one_by_one import OneByOne, as_exception
from ._spans import in_span_of
from ._stand_ins import stand_in
from ._threads import Threads

__all__ = ["FROM_LOGFLUME", "FROM_LOGURU", "Loguru"]

FROM_LOGURU = "logflume.integrations.loguru"
"""The origin of records that loguru has had: they are not given to it again."""

FROM_LOGFLUME = "logflume"
"""The key in a record of loguru by which the bridge sees that it came from here."""

_MOST_BITS = 8_192


class Loguru:
    """Give each record to a logger of loguru, which passes it to all that was `add`ed there.

    In a worker thread of its own, one record after the other. Message, level, time, thread,
    logger (`name`), file, line, function and module are the record's, and its fields are in
    `extra`, besides those bound to the logger. Braces in the message mean nothing. A level is one
    of loguru's if name and number are the same, else the number with its name. An exception is a
    stand-in of the same name and message; its traceback leads through the same places and has no
    variables, so `diagnose` shows none.

        Pipeline(sinks.Loguru())

    Records that came from loguru by `integrations.loguru.ToLogflume` are left out, and that takes
    none which came from here: both may be there at once. What a sink of loguru raises that was
    added with `catch=False` counts as a failure of that record alone, and so does a call that takes
    longer than the route's `timeout`: it goes on, and the next records wait in the route's buffer
    until it ends, since it has the lock of one of loguru's sinks. Coroutine functions that were
    added get nothing, since the thread runs no loop: add those to the pipeline. `logger.remove()`
    and `complete()` are the program's affair.

    Args:
        logger: loguru's `logger`, or what `bind` or `patch` made of it; None for the first.
        escape: show control characters as escapes, so that no value can forge lines. Turn it off
            if loguru's sinks see to that, for `serialize=True`, say.

    Raises:
        ConfigurationError: it is no logger of loguru's, or loguru is not installed.
    """

    one_by_one = True

    def __init__(self, logger: Any = None, *, escape: bool = True) -> None:
        try:
            import loguru
        except ImportError as error:
            raise ConfigurationError(
                "sinks.Loguru needs loguru: pip install 'logflume[loguru]'"
            ) from error
        if logger is None:
            logger = loguru.logger
        if not isinstance(logger, type(loguru.logger)):
            accepted = "a logger of loguru, or None for its own"
            raise ConfigurationError.of("Loguru.logger", logger, accepted)
        self.name = "loguru"
        self.route_defaults: dict[str, Any] = {"batch": Batch(max_records=256)}
        self._logger: Any = logger
        self._shown: Callable[[str], str] = escaped if escape else str
        self._threads = Threads()
        self._thread = OneByOne("logflume loguru", self._give, most_calls=1)

    async def open(self) -> None:
        """Start the worker thread."""
        self._thread.start()

    async def send(self, batch: SinkBatch, /) -> None:
        """Give each record; raises what the logger raises."""
        await self._thread.send(batch)

    async def aclose(self) -> None:
        """Let the worker thread end after the call it is at."""
        await self._thread.end()

    def _give(self, record: Record) -> Exception | None:
        if FROM_LOGURU in record.origins:
            return None
        try:
            error = None
            if record.exception is not None:
                error = stand_in(record.exception, self._shown)
            logger = self._logger.opt(exception=error).patch(lambda made: self._fill(made, record))
            # Without arguments, the message is no template.
            with in_span_of(record):
                logger.log(self._level_of(record), self._shown(record.message))
        except BaseException as failure:
            return as_exception(failure, "loguru")
        return None

    def _level_of(self, record: Record) -> str | int:
        name, no = record.level.name, record.level.no
        try:
            return name if self._logger.level(name).no == no else no
        except ValueError:  # it knows none of this name
            return no

    def _fill(self, made: dict[str, Any], record: Record) -> None:
        """Let a record of loguru say what this one says, before any of its sinks see it."""
        shown, site = self._shown, record.site
        made[FROM_LOGFLUME] = True
        made["level"].name = shown(record.level.name)
        now = made["time"]  # of a class of loguru's, which knows its formats
        when = type(now).fromtimestamp(record.time_ns // 1_000_000_000, UTC)
        when = when.replace(microsecond=record.time_ns // 1_000 % 1_000_000).astimezone()
        made["time"], made["elapsed"] = when, made["elapsed"] + (when - now)
        made["name"] = shown(record.logger)
        made["file"].path, made["file"].name = site.file, os.path.basename(site.file)
        made["line"], made["function"] = site.line, site.function
        made["module"] = site.module
        made["thread"].name = shown(record.thread)
        made["thread"].id = self._threads.ident_of(record.thread)
        extra = made["extra"]
        if record.trace_id is not None:
            extra["trace_id"], extra["span_id"] = record.trace_id, record.span_id
        extra.update(self._harmless(record.fields))

    def _harmless(self, value: Any) -> Any:
        """Return a value that loguru's formats can show, on one line."""
        kind = type(value)
        if kind is str:
            return self._shown(value)
        if kind is int:  # Python makes no text of one that is too long
            return value if value.bit_length() <= _MOST_BITS else safe_repr(value)
        if kind is dict:
            return {self._shown(str(key)): self._harmless(item) for key, item in value.items()}
        if kind is list or kind is tuple:
            return kind([self._harmless(item) for item in value])
        return value

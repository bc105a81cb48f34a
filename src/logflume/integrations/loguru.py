"""The bridge from loguru: its records go the way of logflume's own.

The way back, loguru as a destination, is `logflume.sinks.Loguru`. Importing this installs nothing.
"""

from __future__ import annotations

from _thread import get_ident
from datetime import UTC, datetime, timedelta
from typing import Any

from ..capture import is_wanted, submit, submit_at_once, surroundings
from ..engine.backend import in_loop, whereabouts
from ..errors import ConfigurationError
from ..exception import ExceptionInfo, take_exception
from ..level import LEVELS, MAX_NO, Level, parse_level
from ..record import Extra, Record, process_id
from ..sinks.loguru import FROM_LOGFLUME, FROM_LOGURU
from ..snapshot import safe_str
from ._incoming import Entrance, code_at, fields_from, literal

__all__ = ["ToLogflume"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_FROM_LOGURU = frozenset((FROM_LOGURU,))


class ToLogflume:
    """Send what loguru logs to logflume: a sink for `logger.add`.

    Level, message, time, logger (`name`), file, line, function, thread and exception are those of
    the call, and `extra` gives the fields. Levels are logflume's where name and number are the
    same, else loguru's own. The message is what loguru made of it; `format` is of no use, but an
    empty one saves loguru the work of making a text of the exception:

        logger.remove()
        logger.add(ToLogflume(), format=lambda record: "", level=0)

    Logger names follow logflume's levels (`Pipeline.set_level`), besides loguru's. It may be called
    in any thread and never raises. On a thread that runs an event loop it never waits, on others at
    most the pipeline's `block_timeout`; but loguru holds a lock meanwhile, which all threads need
    that log. So once a thread with a loop has logged, none waits: without room, records are dropped
    and counted. Records of other processes say which in the field `process.pid`.

    With `enqueue=True` it is called in a thread of loguru's own, which may wait. Then the context,
    span and task of the call are not known; nor is the sink or callback that it may have been made
    in, so what those log with loguru comes back to them: better not.

    What comes from logflume by `sinks.Loguru` is left out.

    Raises:
        ConfigurationError: loguru is not installed.
    """

    def __init__(self) -> None:
        try:
            import loguru  # noqa: F401 - to say so here, and not where it is used
        except ImportError as error:
            raise ConfigurationError(
                "integrations.loguru needs loguru: pip install 'logflume[loguru]'"
            ) from error
        self._entrance = Entrance(
            "loguru", _text_of, lambda given: _level_of(given.record["level"])
        )
        self._holds_up_loops = False

    def __reduce__(self) -> Any:
        return type(self), ()  # loguru's `enqueue` takes its sinks to other processes

    def __call__(self, message: Any) -> None:
        """Log a message of loguru's."""
        self._entrance.take(self._take, message)

    def _take(self, message: Any) -> None:
        given: dict[str, Any] = message.record
        if FROM_LOGFLUME in given:
            return
        source = self._entrance.source_of(safe_str(given["name"] or "root"))
        level = _level_of(given["level"])
        if not is_wanted(source, level.no):
            return
        text = safe_str(given["message"])
        fields = fields_from(given["extra"].items())
        if given["process"].id != process_id():
            fields["process.pid"] = given["process"].id
        is_here = given["thread"].id == get_ident()
        context, extra = surroundings()
        extra = extra or Extra()
        extra.origins |= _FROM_LOGURU
        extra.exception = _info_of(given["exception"])
        record = Record(
            (given["time"] - _EPOCH) // _MICROSECOND * 1_000,
            level,
            text,
            (),
            fields,
            {},
            context,
            source.name,
            code_at(given["file"].path, given["line"], given["function"]),
            0,
            safe_str(given["thread"].name),
            whereabouts()[1] if is_here else None,
            extra,
            None,
            literal(text, fields),
        )
        if is_here and (self._holds_up_loops or in_loop()):
            self._holds_up_loops = True
            submit_at_once(record)
        else:
            submit(record)


def _text_of(message: Any) -> Any:
    record = getattr(message, "record", None)
    return message if record is None else record["message"]


def _info_of(exception: Any) -> ExceptionInfo | None:
    if exception is None:
        return None
    if exception.value is not None:
        return take_exception(exception.value)
    kind = exception.type  # it could not be pickled, for `enqueue=True`
    return None if kind is None else ExceptionInfo(safe_str(getattr(kind, "__name__", kind)), "")


_levels: dict[tuple[int, str], Level] = {}


def _level_of(given: Any) -> Level:
    """Return the level of this name and number: logflume's if it has it."""
    no, name = given.no, given.name
    level = _levels.get((no, name))
    if level is None or LEVELS.get(name, level) is not level:  # it was registered since
        level = LEVELS.get(name)
        if level is None or level.no != no:
            number = min(max(no, 0), MAX_NO)
            level = parse_level(number)
            if name != f"Level {no}":  # what loguru calls a mere number
                level = Level(number, safe_str(name)[:64])
        if len(_levels) > len(LEVELS) + 1_000:
            _levels.clear()
        _levels[no, name] = level
    return level

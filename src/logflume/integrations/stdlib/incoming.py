"""What becomes of a `logging.LogRecord`: a Record, complete and of its own."""

from __future__ import annotations

import logging
import re
import time
from _thread import get_ident
from collections.abc import Mapping
from typing import Any

from ...capture import surroundings
from ...engine.backend import whereabouts
from ...exception import take_exception
from ...level import INFO, MAX_NO, Level, parse_level
from ...record import Extra, Record, process_id
from ...snapshot import SCALARS, safe_str, snapshot, snapshot_args, type_name
from .._incoming import code_at, fields_from, literal, time_ns_of

__all__ = ["record_from", "rest_of"]

_MOST_KEPT = 4_096

# What every LogRecord has, and what formatters and other parts of `logging` leave in it.
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"asctime", "message", "taskName"}

_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
_NAMES = re.compile(r"%\(([^()]*)\)")

_levels: dict[tuple[int, str], Level] = {}


def record_from(given: logging.LogRecord, logger: str, hidden: frozenset[str]) -> Record:
    """Make a Record of a LogRecord, with the context of the current task.

    Raises whatever the code of somebody's own in it raises: see `rest_of`.
    """
    event: dict[Any, Any] = {}
    if type(given.msg) is dict and "_logger" in vars(given):
        given, event = _unwrapped(given, given.msg)
    fields = _fields_of(given, hidden)
    if event:
        fields |= fields_from(event.items())
    message = given.msg
    template = message if type(message) is str else safe_str(message)
    # `logging` takes the mapping out of `log.info("%(key)s", {...})`.
    raw = given.args if type(given.args) is tuple else (given.args,) if given.args else ()
    if raw and raw[0] is given.args:
        args: tuple[Any, ...] = (_named_in(template, raw[0]),)
    else:
        args = snapshot_args(raw)
    context, extra = surroundings()
    origins = getattr(given, "logflume_origins", None)  # of a sink's, by way of a queue, say
    if type(origins) is frozenset and origins:
        extra = extra or Extra()
        extra.origins |= origins
    exception = take_exception(given.exc_info) if given.exc_info else None
    if exception is not None:
        extra = extra or Extra()
        extra.exception = exception
    return Record(
        time_ns_of(given.created),
        level_of(given.levelno, given.levelname),
        template,
        args,
        fields,
        {},
        context,
        logger,
        code_at(given.pathname, given.lineno, given.funcName),
        0,
        *_whereabouts_of(given),
        extra,
        None,
        _rendered(given, template, raw, args, fields),
    )


def rest_of(given: logging.LogRecord, logger: str, error: Exception) -> Record:
    """Make a Record of what can be had of a LogRecord that `record_from` failed at."""
    found = vars(given).get  # some may be missing of one that nobody initialized
    context, extra = surroundings()
    text = safe_str(found("msg"))
    fields = {"logflume.capture_error": type_name(error)}
    return Record(
        time.time_ns(),
        level_of(found("levelno"), found("levelname")),
        text,
        (),
        fields,
        {},
        context,
        logger,
        code_at(found("pathname"), found("lineno"), found("funcName")),
        0,
        *whereabouts(),
        extra,
        None,
        literal(text, fields),
    )


def _fields_of(given: logging.LogRecord, hidden: frozenset[str]) -> dict[str, Any]:
    """Return what `extra` and LoggerAdapters gave: all that a LogRecord does not have itself."""
    fields: dict[str, Any] = {}
    for key, value in list(vars(given).items()):
        if key not in _STANDARD and key not in hidden:
            name = key if type(key) is str else safe_str(key)
            fields[name] = value if type(value) in SCALARS else snapshot(value)
    if given.stack_info:
        fields["stack_info"] = safe_str(given.stack_info)
    if given.exc_text and not given.exc_info:  # it came from another process, as text
        fields["exc_text"] = safe_str(given.exc_text)
    if type(given.process) is int and given.process != process_id():
        fields["process.pid"] = given.process
    return fields


def _unwrapped(
    given: logging.LogRecord, wrapped: dict[Any, Any]
) -> tuple[logging.LogRecord, dict[Any, Any]]:
    """Return what structlog wrapped for its ProcessorFormatter: a LogRecord, and its fields."""
    event = dict(wrapped)
    made = logging.makeLogRecord(vars(given))
    own = vars(made)
    del own["_logger"]
    method = own.pop("_name", None)
    made.msg = event.pop("event", "")
    args = event.pop("positional_args", ())
    made.args = args if type(args) is tuple else (args,)
    made.exc_info = event.pop("exc_info", None) or given.exc_info
    if "level" in event and event["level"] in (method, given.levelname.lower()):
        del event["level"]
    if event.get("logger") == given.name:
        del event["logger"]
    if type(event.get("exception")) is str:  # the name that it has when it comes from elsewhere
        event.setdefault("exc_text", event.pop("exception"))
    return made, event


def _named_in(template: str, args: Any) -> Any:
    """Return those of a mapping's items that the template names; all if it names none (`%s`).

    What servers give for their access logs holds all headers and environment variables.
    """
    names = _NAMES.findall(template)
    if not names or not isinstance(args, Mapping):
        return snapshot(args)
    return {name: snapshot(args[name]) for name in names if name in args}


def _rendered(
    given: logging.LogRecord,
    template: str,
    raw: tuple[Any, ...],
    args: tuple[Any, ...],
    fields: dict[str, Any],
) -> str | None:
    """Return the message as `logging` makes it, if logflume would make another one later.

    That is so for a class of records with a `getMessage` of its own, for braces (they mean nothing
    to `logging`), and for arguments that are no scalars (`%r` and `%s` of the object itself are
    wanted, not of its snapshot). All else is left for later, off the caller's way.
    """
    if type(given).getMessage is not logging.LogRecord.getMessage:
        return safe_str(given.getMessage())
    if not args:
        return literal(template, fields)
    plain = "{" not in template and "*" not in template  # `%*d`: a width among the arguments
    if plain and all([type(value) in SCALARS for value in raw]):
        return None
    try:
        return template % (given.args if type(given.args) is not tuple else raw)
    except Exception:  # as for logflume's own: the template with the arguments behind it
        return f"{template} {' '.join([safe_str(value) for value in args])}"


def _whereabouts_of(given: logging.LogRecord) -> tuple[str, str | None]:
    thread = given.threadName or ""
    if type(thread) is not str:
        thread = safe_str(thread)
    task = getattr(given, "taskName", None)
    if task is None and given.thread in (None, get_ident()):  # Python 3.11, or trio
        here, task = whereabouts()
        return thread or here, task
    return thread, task if task is None or type(task) is str else safe_str(task)


def level_of(number: Any, name: Any) -> Level:
    """Return a level of `logging`: by number one of logflume's, else as it is called there."""
    if type(name) is not str:
        name = safe_str(name)
    if type(number) is not int:
        try:
            number = int(number)
        except Exception:
            return INFO
    level = _levels.get((number, name))
    if level is not None:
        return level
    no = min(max(number, 0), MAX_NO)
    level = parse_level(no)
    # Not by `name`: a filter may have put colours there. `addLevelName` may have done so, too.
    named = _COLOURS.sub("", logging.getLevelName(no)).strip()
    if named not in (level.name, f"Level {no}") or level.name == f"LEVEL{no}":
        level = Level(no, _COLOURS.sub("", safe_str(name)).strip()[:64] or level.name)
    if len(_levels) >= _MOST_KEPT:
        _levels.clear()
    _levels[number, name] = level
    return level

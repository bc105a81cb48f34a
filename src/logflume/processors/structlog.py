"""Processors of structlog as a step of a pipeline."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from ..errors import ConfigurationError
from ..level import parse_level
from ..record import Record
from ..snapshot import snapshot_fields, type_name

__all__ = ["Structlog"]

_OWN = ("event", "level", "logger")

_MISSING: Any = object()


class Structlog:
    """Run processors of structlog on each record, one after the other.

    The event dict that they are given has the record's fields, its message as `event`, its level
    in lower case as `level`, and the name of its logger as `logger`; the method's name is the
    level's, and the logger is an object with that `name`. What they return is the record again: a
    key of these three that is missing or unchanged changes nothing. Values that they put in become
    plain data, as in a log call. `structlog.DropEvent` filters the record.

        def without_health_checks(logger, method_name, event_dict):
            if event_dict.get("path") == "/health":
                raise structlog.DropEvent
            return event_dict

        Pipeline(sinks.Console(), processors=[Structlog(without_health_checks)])

    They run on the pipeline's loop, so they must not block; and after the call: what they look up
    of the current task, thread, stack or exception is not the caller's. Time, call site and
    exception stay those of the record. A field that is named like one of the three keys is not
    shown to them. What else they raise is told of in the record's fields, as of any processor.

    Renderers have no place here, since encoders make text of records: one that is known is
    refused, and a processor that returns anything but a mapping counts as one that failed.

    Raises:
        ConfigurationError: there is none, or one is async, a renderer, or not to be called; or
            structlog is not installed.
    """

    inline = True

    def __init__(self, *processors: Callable[[Any, str, Any], Any]) -> None:
        try:
            from structlog import DropEvent
        except ImportError as error:
            raise ConfigurationError(
                "processors.Structlog needs structlog: pip install 'logflume[structlog]'"
            ) from error
        if not processors:
            raise ConfigurationError.of("Structlog", "no processor", "at least one processor")
        for processor in processors:
            _check(processor)
        self._processors = processors
        self._drop = DropEvent

    def __call__(self, record: Record) -> Record | None:
        """Return what the processors make of the record; None if one of them drops it."""
        fields = record.fields
        level, name = record.level.name.lower(), record.logger
        aside = {key: fields[key] for key in _OWN if key in fields}
        # A copy, also of what is nested: processors change what they are given.
        event_dict: Any = snapshot_fields(fields)
        event_dict.update(event=record.message, level=level, logger=name)
        logger = _Logger(name)
        try:
            for processor in self._processors:
                event_dict = processor(logger, level, event_dict)
        except self._drop:
            return None
        if not isinstance(event_dict, Mapping):
            raise TypeError(f"a processor returned {type_name(event_dict)}, not a mapping")
        made = dict(event_dict)
        event = made.pop("event", _MISSING)
        found = made.pop("level", level)
        said = made.pop("logger", name)
        return record.replace(
            message=record.message if event is _MISSING else event,
            level=None if found == level else parse_level(found),
            logger=None if said == name else said,
            fields={**aside, **snapshot_fields(made)},
        )


class _Logger:
    """What processors are given for a logger: `add_logger_name` asks for its name."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name


def _check(processor: Any) -> None:
    accepted = "processors of structlog: functions of logger, method name and event dict"
    if not callable(processor) or isinstance(processor, type):
        raise ConfigurationError.of("Structlog", processor, accepted)
    kind = type(processor)
    call = getattr(kind, "__call__", None)  # noqa: B004 - an object's, whose method is async
    if inspect.iscoroutinefunction(processor) or inspect.iscoroutinefunction(call):
        raise ConfigurationError.of("Structlog", processor, f"{accepted}, not async")
    module = kind.__module__
    if module.partition(".")[0] == "structlog" and kind.__name__ in _RENDERERS:
        raise ConfigurationError.of("Structlog", processor, f"{accepted}; encoders make text")
    if module.startswith("logflume."):
        raise ConfigurationError.of("Structlog", processor, f"{accepted}; not logflume's own")


_RENDERERS = {"ConsoleRenderer", "JSONRenderer", "KeyValueRenderer", "LogfmtRenderer"}

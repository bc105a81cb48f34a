"""JSON in the names of the Elastic Common Schema."""

from __future__ import annotations

import os
from typing import Any

from ..errors import ConfigurationError
from ..exception import ExceptionInfo
from ..pattern import lazy_pattern
from ..record import Record, process_id
from ..snapshot import safe_str
from ._backtrace import stack_trace
from ._json_values import LINE, dumps, valid
from ._layout import free_name
from ._leaves import Path, leaves
from ._settings import Configured
from ._times import TimeForm, time_form

__all__ = ["Ecs"]

_VERSION = "8.11.0"
_LABELS = "labels"
# Those at the top: https://www.elastic.co/guide/en/ecs/8.11/ecs-field-reference.html
_FIELD_SETS = frozenset(
    {
        "agent", "client", "cloud", "container", "data_stream", "destination", "device", "dll",
        "dns", "ecs", "email", "error", "event", "faas", "file", "group", "host", "http",
        "log", "network", "observer", "orchestrator", "organization", "package", "process",
        "registry", "related", "rule", "server", "service", "source", "span", "threat", "tls",
        "trace", "transaction", "url", "user", "user_agent", "vulnerability",
    }
)  # fmt: skip
_TRACING = {name: tuple(name.split("_")) for name in ("trace_id", "transaction_id", "span_id")}
# Written with the dot, as the logging specification has it, and so no place for others.
_DOTTED = {("log", "level"), ("ecs", "version")}
_NOT_IN_LABELS = lazy_pattern(r"[.*\\]")


class Ecs(Configured):
    """Write a record as one line of JSON in the names of the Elastic Common Schema (ECS 8).

    In the shape that Elastic's own loggers give it (github.com/elastic/ecs-logging, spec.json):
    `@timestamp`, `log.level` (in lower case), `message`, `ecs.version`, then as nested objects
    `log.logger`, `log.origin.file.name` and `.line`, `log.origin.function`, `process.pid`,
    `process.thread.name`, and of an exception `error.type`, `.message` and `.stack_trace`, with
    all that caused it. Control characters are escaped as in `Json`.

    A field whose name begins with a field set of ECS goes where that says: `http.request.method`,
    or `http={"request": {"method": "GET"}}`. So do `trace_id`, `transaction_id` and `span_id`. No
    field replaces what the record says itself. All others go under `labels`: flat, with `_` for
    dots, since labels may not be nested; the record's template and task are with them.

        Route("app.jsonl", encoder=encoders.Ecs()),   # for Filebeat: `json.keys_under_root: true`

    Args:
        namespace: another top-level name than `labels` for fields that ECS does not know; they
            keep their form there, nested or not.
        time: the form of `@timestamp`, as for `Json`; Elasticsearch keeps milliseconds, or all
            of it under a mapping as `date_nanos`.
    """

    def __init__(self, *, namespace: str = _LABELS, time: TimeForm = "iso-us") -> None:
        taken = _FIELD_SETS | {"", "@timestamp", "message", "tags"}
        if not isinstance(namespace, str) or namespace in taken or "." in namespace:
            accepted = "a name without dots that is no field set of ECS"
            raise ConfigurationError.of("Ecs.namespace", namespace, accepted)
        self._time = time_form("Ecs.time", time)
        self._namespace = namespace
        self._configure(namespace=namespace, time=time)

    def encode(self, record: Record, /) -> bytes:
        """Return the record's line, with its newline."""
        site = record.site
        members: dict[str, Any] = {
            "@timestamp": self._time(record.time_ns),
            "log.level": record.level.name.lower(),
            "message": record.message,
            "ecs.version": _VERSION,
            "log": {
                "logger": record.logger,
                "origin": {
                    "file": {"name": os.path.basename(site.file), "line": site.line},
                    "function": site.function,
                },
            },
            "process": {"pid": process_id(), "thread": {"name": record.thread}},
        }
        if record.exception is not None:
            members["error"] = _error(record.exception)
        if record.trace_id is not None:
            members["trace"] = {"id": record.trace_id}
            members["span"] = {"id": record.span_id}
        for key, value in record.fields.items():
            self._add(members, key, value)
        if record.message is not record.template:
            self._add(members, "template", record.template)
        if record.task is not None:
            self._add(members, "task", record.task)
        return dumps(members, LINE)

    def _add(self, members: dict[str, Any], key: Any, value: Any) -> None:
        """Put a field where it belongs."""
        name = key if isinstance(key, str) else safe_str(key)
        place = _TRACING.get(name) or tuple(name.split("."))
        nested = isinstance(value, dict)
        if place[0] == _LABELS and (nested or len(place) > 1):
            place = place[1:]
        elif place[0] in _FIELD_SETS and (nested or len(place) > 1):
            for path, leaf in leaves(name, value):
                whole = place + path[1:]
                if not _graft(members, whole, leaf):
                    self._keep(members, whole, leaf)
            return
        if nested and self._namespace == _LABELS:
            for path, leaf in leaves(name, value):
                self._keep(members, place + path[1:], leaf)
        else:
            self._keep(members, place, value)

    def _keep(self, members: dict[str, Any], path: Path, value: Any) -> None:
        """Put a field among those that ECS does not know."""
        kept = members.setdefault(self._namespace, {})
        if self._namespace == _LABELS:
            name = _label_name("_".join([safe_str(part) for part in path]))
            value = _label(value)
        else:
            name = ".".join([safe_str(part) for part in path])
        kept[free_name(name, kept)] = value


def _label_name(name: str) -> str:
    return name if name.isidentifier() else _NOT_IN_LABELS.sub("_", valid(name))


def _graft(members: dict[str, Any], path: Path, value: Any) -> bool:
    """Put a value where its path leads, unless something is there, or in the way."""
    if path[:2] in _DOTTED or "" in path:
        return False
    node: Any = members
    for name in path[:-1]:
        node = node.setdefault(name, {})
        if type(node) is not dict:
            return False
    if path[-1] in node:
        return False
    node[path[-1]] = {} if isinstance(value, dict) else value  # it may be filled later
    return True


def _label(value: Any) -> Any:
    """Return a value as labels may have one: no object, nor a list with one."""
    if isinstance(value, dict):
        return "{}"
    if isinstance(value, list | tuple | set | frozenset):
        nested = any(isinstance(item, dict | list | tuple | set | frozenset) for item in value)
        return dumps(value).decode() if nested else value
    return value


def _error(info: ExceptionInfo) -> dict[str, str]:
    return {"type": info.type, "message": info.message, "stack_trace": stack_trace(info)}

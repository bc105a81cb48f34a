"""The record: what happened, complete when captured.

A record holds what the caller knew, raw, in one flat object out of the garbage collector's sight
(an eighth of the cost of a dataclass). What can be worked out later is: the merged fields, the
rendered message, the line number.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime
from types import CodeType
from typing import Any, TypeVar

import msgspec

from .exception import ExceptionInfo
from .level import Level, parse_level
from .snapshot import MAX_DEPTH, snapshot, type_name
from .template import render

__all__ = ["Extra", "Record", "Site"]

T = TypeVar("T")

_MAX_SITES = 65_536
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Site(msgspec.Struct, gc=False):
    """A call site: where in the program a record was logged."""

    code: CodeType
    lasti: int
    file: str
    line: int
    function: str
    module: str


_sites: dict[int, Site] = {}


def site_of(code: CodeType, lasti: int) -> Site:
    """Return the call site of an instruction, worked out once.

    Kept under the code object's address plus the offset, since hashing a code object costs more
    than all the rest of a log call; what is found is checked to be the one asked for.
    """
    site = _sites.get(id(code) + lasti)
    if site is not None and site.code is code and site.lasti == lasti:
        return site
    line = code.co_firstlineno
    for start, end, number in code.co_lines():
        if start <= lasti < end:
            line = number or line
            break
    file = code.co_filename
    module = os.path.basename(file)
    site = Site(code, lasti, file, line, code.co_name, module.removesuffix(".py"))
    if len(_sites) >= _MAX_SITES:  # code made at run time must not fill the memory
        _sites.clear()
    _sites[id(code) + lasti] = site
    return site


class Extra(msgspec.Struct, gc=False):
    """What only few records have, apart, so that the others do not pay for it.

    `origins` are routes that the record came from, `without` those that somebody kept it from: it
    goes to none of them.
    """

    exception: ExceptionInfo | None = None
    origins: frozenset[str] = frozenset()
    lazy: bool = False
    span: tuple[int, int] | None = None
    without: frozenset[str] = frozenset()


class Record(msgspec.Struct, gc=False, eq=False):
    """One logged event. Never change one: processors return `record.replace(...)`.

    Safe to read from any thread. `code` and `lasti` name the instruction that logged; `site`
    turns them into file, line, function and module.
    """

    time_ns: int
    level: Level
    template: str
    args: tuple[Any, ...]
    call_fields: dict[str, Any]
    bound: dict[str, Any]
    context: dict[str, Any]
    logger: str
    code: CodeType
    lasti: int
    thread: str
    task: str | None
    extra: Extra | None = None
    merged: dict[str, Any] | None = None
    rendered: str | None = None

    @property
    def fields(self) -> dict[str, Any]:
        """Context, bound and call fields in one mapping; the nearer to the call wins."""
        fields = self.merged
        if fields is None:
            fields = self.merged = {**self.context, **self.bound, **self.call_fields}
        return fields

    @property
    def message(self) -> str:
        """The template filled with its values."""
        message = self.rendered
        if message is None:
            message = self.template
            if self.args or self.call_fields:
                message = render(message, self.args, self.fields)
            self.rendered = message
        return message

    @property
    def site(self) -> Site:
        """Where the record was logged."""
        return site_of(self.code, self.lasti)

    @property
    def time(self) -> datetime:
        """The time of the call in UTC, to the microsecond."""
        seconds, ns = divmod(self.time_ns, 1_000_000_000)
        return datetime.fromtimestamp(seconds, UTC).replace(microsecond=ns // 1_000)

    @property
    def timestamp(self) -> str:
        """The time of the call as ISO 8601 in UTC: `2026-01-02T03:04:05.678901Z`."""
        return self.time.isoformat(timespec="microseconds").replace("+00:00", "Z")

    @property
    def exception(self) -> ExceptionInfo | None:
        """The exception logged with the record, if there is one."""
        return self.extra.exception if self.extra is not None else None

    @property
    def origins(self) -> frozenset[str]:
        """The routes inside whose sinks this record was logged: it is not sent to them."""
        return self.extra.origins if self.extra is not None else frozenset()

    @property
    def without(self) -> frozenset[str]:
        """The routes that an `override` kept this record from."""
        return self.extra.without if self.extra is not None else frozenset()

    @property
    def trace_id(self) -> str | None:
        """The trace that the call was part of, as 32 hex digits (W3C Trace Context, 3.2.2.3).

        Known if the pipeline has a processor that says which span is current: `processors.Otel`.
        """
        span = self.extra.span if self.extra is not None else None
        return f"{span[0]:032x}" if span is not None else None

    @property
    def span_id(self) -> str | None:
        """The span that the call was made in, as 16 hex digits (W3C Trace Context, 3.2.2.4)."""
        span = self.extra.span if self.extra is not None else None
        return f"{span[1]:016x}" if span is not None else None

    def replace(
        self,
        *,
        level: Level | str | int | None = None,
        message: str | None = None,
        fields: dict[str, Any] | None = None,
        logger: str | None = None,
        exception: ExceptionInfo | None = None,
        **captured: Any,
    ) -> Record:
        """Return a copy with these parts changed.

        New fields show in the message too, unless it is given or was already rendered. What was
        captured (`template`, `args`, `call_fields`, `bound`, `context`) stays in the record unless
        it is changed itself; then fields and message are made from it anew, if not given.

        Raises:
            TypeError: a part is not of its type. ConfigurationError: there is no such level.
        """
        for part, given in captured.items():
            kind = _KINDS.get(part)
            if kind is not None and not (given is None and part == "task"):
                _checked(part, given, kind)
        changed = msgspec.structs.replace(self, **captured) if captured else copy_of(self)
        if captured:
            changed.merged = changed.rendered = None
        if level is not None:
            changed.level = level if type(level) is Level else parse_level(level)
        if logger is not None:
            changed.logger = _checked("logger", logger, str)
        if fields is not None:
            fields = _checked("fields", fields, dict)
            changed.merged = fields if type(fields) is dict else dict.copy(fields)
        if message is not None:
            changed.rendered = _checked("message", message, str)
        if exception is not None:
            extra = self.extra or Extra()
            exception = _checked("exception", exception, ExceptionInfo)
            changed.extra = msgspec.structs.replace(extra, exception=exception)
        return changed

    def bare(self) -> Record:
        """Return a copy without anything that the caller gave: template, values, exception.

        The routes that it came from stay, or what a sink logs would go round in circles; and so
        do those it is kept from, and its span.
        """
        extra = None
        if self.extra is not None:
            extra = msgspec.structs.replace(self.extra, exception=None, lazy=False)
        return msgspec.structs.replace(
            self, template="", args=(), call_fields={}, bound={}, context={}, extra=extra
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the record as callbacks and `encoders.Json` show it.

        The caller's own to change: nothing in it is shared with the record.
        """
        site = self.site
        shown: dict[str, Any] = {
            "timestamp": self.timestamp,
            "level": self.level.name,
            "message": self.message,
            "fields": {
                key: _copy(value) if type(value) in _CONTAINERS else value
                for key, value in self.fields.items()
            },
            "logger": self.logger,
            "file": site.file,
            "line": site.line,
            "function": site.function,
            "module": site.module,
            "process": process_id(),
            "thread": self.thread,
        }
        if self.message is not self.template:
            shown["template"] = self.template
        if self.task is not None:
            shown["task"] = self.task
        if self.trace_id is not None:
            shown["trace_id"] = self.trace_id
            shown["span_id"] = self.span_id
        if self.exception is not None:
            shown["exception"] = self.exception.to_dict()
        return shown


_KINDS: dict[str, type] = {
    "template": str,
    "args": tuple,
    "call_fields": dict,
    "bound": dict,
    "context": dict,
    "thread": str,
    "task": str,
}


def _checked(part: str, given: T, kind: type) -> T:
    """Refuse what is not of a kind: here, where a traceback leads to whoever gave it."""
    if not isinstance(given, kind):
        raise TypeError(f"{part} must be {kind.__name__}, not {type_name(given)}")
    return given


copy_of: Callable[[Record], Record] = Record.__copy__  # type: ignore[attr-defined]
"""Copy a record, for whoever changes the copy: what structs have, without the way there."""

_CONTAINERS = frozenset({dict, list, tuple})


def _copy(value: Any, depth: int = 0) -> Any:
    """Copy what a snapshot is made of: containers are new, all else cannot change."""
    kind = type(value)
    if kind not in _CONTAINERS:
        return value
    if depth > 2 * MAX_DEPTH:  # no snapshot, but what a processor made: it may have no end
        return snapshot(value)
    depth += 1
    if kind is dict:
        return {key: _copy(item, depth) for key, item in value.items()}
    copied = [_copy(item, depth) for item in value]
    return copied if kind is list else tuple(copied)


_process_id = os.getpid()


def process_id() -> int:
    """Return the id of this process without asking the system for it each time."""
    return _process_id


def _after_fork() -> None:
    global _process_id
    _process_id = os.getpid()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)

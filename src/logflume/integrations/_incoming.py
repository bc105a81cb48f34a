"""What records that come from other loggers have in common: their place, time and fields, and an
end to what is logged by taking one."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from types import CodeType
from typing import Any

from ..capture import is_wanted, submit, surroundings
from ..engine.backend import whereabouts
from ..level import INFO, Level
from ..record import Record
from ..snapshot import SCALARS, safe_str, snapshot, type_name
from ..source import Source, source_of

__all__ = ["Entrance", "code_at", "fields_from", "literal", "time_ns_of"]

_MOST_KEPT = 4_096
_MOST_NESTED = 4

_YEAR_10000 = 253_402_300_800

_codes: dict[tuple[str, int, str], CodeType] = {}


class Entrance:
    """Where the records of another library come in: from any thread, and never raising.

    What could not be made into a record is one of the logger `name`, with what `text_of` finds to
    say of it and the level that `level_of` finds, and a field that tells of the failure.
    """

    def __init__(
        self, name: str, text_of: Callable[..., Any], level_of: Callable[..., Level]
    ) -> None:
        self._name = name
        self._text_of = text_of
        self._level_of = level_of
        self._sources: dict[str, Source] = {}
        self._nested = threading.local()

    def take(self, make: Callable[..., None], *given: Any) -> None:
        """Call what makes and submits a record; values that log when they are shown do not do so
        for ever."""
        depth = getattr(self._nested, "depth", 0)
        if depth >= _MOST_NESTED:
            return
        self._nested.depth = depth + 1
        try:
            make(*given)
        except Exception as error:
            self._take_rest(given, error)
        finally:
            self._nested.depth = depth

    def _take_rest(self, given: tuple[Any, ...], error: Exception) -> None:
        try:
            try:
                level = self._level_of(*given)
            except Exception:
                level = INFO
            if not is_wanted(self.source_of(self._name), level.no):
                return
            fields = {"logflume.capture_error": type_name(error)}
            context, extra = surroundings()
            text = safe_str(self._text_of(*given))
            record = Record(
                time.time_ns(), level, text, (), fields, {}, context, self._name,
                _anywhere.__code__, 0, *whereabouts(), extra, None, text,
            )  # fmt: skip
            submit(record)
        except Exception:  # nothing may reach the caller, who has no part in it
            pass

    def source_of(self, name: str) -> Source:
        """Return what is known of a logger's name, and keep it."""
        source = self._sources.get(name)
        if source is None:
            if len(self._sources) >= _MOST_KEPT:  # names made at run time must not fill the memory
                self._sources.clear()
            source = self._sources[name] = source_of(name)
        return source


def fields_from(items: Iterable[tuple[Any, Any]]) -> dict[str, Any]:
    """Return names and values as a record keeps them."""
    return {
        name if type(name) is str else safe_str(name): (
            value if type(value) in SCALARS else snapshot(value)
        )
        for name, value in items
    }


def literal(message: str, fields: dict[str, Any]) -> str | None:
    """Return the rendered message of one that is no template: None if it is the same as one."""
    return message if fields and ("{" in message or "}" in message) else None


def _anywhere() -> None:
    """The code that those of records from other loggers are made of."""


def code_at(path: Any, line: Any, function: Any) -> CodeType:
    """Return a code object whose first instruction is at this place: one for each call site.

    Other loggers say where a record was made, but not by which code. With this, it is like any
    other Record, and encoders keep what belongs to its call site as they do for others.
    """
    if type(path) is not str:
        path = "" if path is None else safe_str(path)
    if type(function) is not str:
        function = "" if function is None else safe_str(function)
    if type(line) is not int:
        line = 0
    key = (path, line, function)
    code = _codes.get(key)
    if code is None:
        try:
            code = _anywhere.__code__.replace(
                co_filename=path, co_name=function, co_qualname=function, co_firstlineno=line
            )
        except Exception:  # not a line that code could be in
            code = _anywhere.__code__.replace(co_filename=path, co_name=function, co_firstlineno=0)
        if len(_codes) >= _MOST_KEPT:
            _codes.clear()
        _codes[key] = code
    return code


def time_ns_of(created: float) -> int:
    """Return a time that a calendar has: of another one, when the record came is all there is."""
    return round(created * 1e6) * 1_000 if 0 <= created < _YEAR_10000 else time.time_ns()

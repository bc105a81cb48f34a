"""The columns of a console's line besides message and fields: each is a function of the record."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from ..errors import ConfigurationError
from ..escape import escape
from ..level import Level
from ..record import Record, process_id
from ..theme import RESET, Theme
from ._cells import pad, painted
from ._clock import clock_of
from ._fields import remember

__all__ = ["DEFAULT_COLUMNS", "Cell", "Columns", "checked_columns"]

Cell = Callable[[Record], str]

DEFAULT_COLUMNS = ("time", "level", "logger", "message", "fields")

_GAP = "  "
_WIDTHS = {"icon": 2, "level": 8, "location": 20, "thread": 12, "task": 12, "pid": 7}
_NAMES = (
    "time",
    "icon",
    "level",
    "logger",
    "location",
    "thread",
    "task",
    "pid",
    "message",
    "fields",
)


def checked_columns(given: Sequence[str], setting: str) -> tuple[str, ...]:
    """Return the names of columns as a tuple.

    Raises:
        ConfigurationError: a name is unknown or there twice, or the order cannot be shown.
    """
    names = tuple(given) if isinstance(given, Iterable) and not isinstance(given, str) else ()
    known = all(isinstance(name, str) and name in _NAMES for name in names)
    if not known or len(set(names)) != len(names) or "message" not in names:
        raise ConfigurationError.of(setting, given, f"message and others of {', '.join(_NAMES)}")
    if "fields" in names and names.index("fields") < names.index("message"):
        raise ConfigurationError.of(setting, given, "fields behind the message")
    return names


class Columns:
    """`before` shows what stands in front of the message, each cell padded and followed by a gap;
    `behind` what comes after it. `indent` is where the message begins, if no cell is too long."""

    def __init__(
        self,
        names: tuple[str, ...],
        *,
        theme: Theme,
        styles: dict[str, str],
        color: bool,
        time: str,
        logger_width: int,
        show_fields: Cell,
    ) -> None:
        self._theme = theme
        self._color = color
        self._styles = styles
        self._logger_width = logger_width
        self._levels: dict[str, tuple[Level, str, str]] = {}
        self._loggers: dict[str, str] = {}
        self._show_time, time_width = clock_of(time, "Console.time")
        at = names.index("message")
        cells: dict[str, Cell] = {
            "time": self._time(),
            "level": self._level,
            "icon": self._icon,
            "logger": self._logger,
            "fields": show_fields,
        }
        before = [
            cells[name] if name in cells else self._origin(name, _WIDTHS[name])
            for name in names[:at]
        ]
        self.before: Cell = lambda record: "".join([cell(record) for cell in before])
        if names[:at] == DEFAULT_COLUMNS[:3]:
            self.before = self._usual()
        behind = [
            cells[name] if name in cells else self._origin(name, 0) for name in names[at + 1 :]
        ]
        self.behind: Cell = lambda record: _GAP.join(
            [text for cell in behind if (text := cell(record))]
        )
        widths = {**_WIDTHS, "time": time_width, "logger": logger_width}
        self.indent = sum(widths[name] + len(_GAP) for name in names[:at])

    def _time(self) -> Cell:
        show = self._show_time
        style = self._styles["time"]
        end = f"{RESET}{_GAP}" if style else _GAP
        return lambda record: f"{style}{show(record.time_ns)}{end}"

    def _usual(self) -> Cell:
        """Return what shows time, level and logger: the usual columns, in one step."""
        show, levels, loggers = self._show_time, self._levels, self._loggers
        style = self._styles["time"]
        end = f"{RESET}{_GAP}" if style else _GAP

        def usual(record: Record) -> str:
            level = record.level
            kept = levels.get(level.name)
            if kept is None or kept[0] is not level:
                kept = self._keep_level(level)
            name = loggers.get(record.logger)
            if name is None:
                name = self._logger(record)
            return f"{style}{show(record.time_ns)}{end}{kept[1]}{name}"

        return usual

    def _level(self, record: Record) -> str:
        kept = self._levels.get(record.level.name)
        if kept is None or kept[0] is not record.level:
            kept = self._keep_level(record.level)
        return kept[1]

    def _icon(self, record: Record) -> str:
        kept = self._levels.get(record.level.name)
        if kept is None or kept[0] is not record.level:
            kept = self._keep_level(record.level)
        return kept[2]

    def _keep_level(self, level: Level) -> tuple[Level, str, str]:
        style = self._theme.sgr_of(level) if self._color else ""
        name = painted(style, pad(escape(level.name), _WIDTHS["level"]))
        icon = painted(style, pad(self._theme.icon_of(level), _WIDTHS["icon"]))
        kept = level, f"{name}{_GAP}", f"{icon}{_GAP}"
        remember(self._levels, level.name, kept)
        return kept

    def _logger(self, record: Record) -> str:
        text = self._loggers.get(record.logger)
        if text is None:
            name = pad(escape(record.logger), self._logger_width)
            text = f"{painted(self._styles['logger'], name)}{_GAP}"
            remember(self._loggers, record.logger, text)
        return text

    def _origin(self, name: str, width: int) -> Cell:
        """Return what shows one of location, thread, task and pid."""
        origin_of = _ORIGINS[name]
        style = self._styles["origin"]
        if not width:
            return lambda record: painted(style, escape(origin_of(record)))
        return lambda record: painted(style, pad(escape(origin_of(record)), width)) + _GAP


def _location(record: Record) -> str:
    site = record.site
    return f"{site.file.replace(chr(92), '/').rpartition('/')[2]}:{site.line}"


_ORIGINS: dict[str, Any] = {
    "location": _location,
    "thread": lambda record: record.thread,
    "task": lambda record: record.task or "",
    "pid": lambda record: str(process_id()),
}

"""Lines for people: aligned time, level, logger and message, then the fields."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from ..errors import ConfigurationError
from ..escape import escape
from ..exception import ExceptionInfo
from ..record import Record
from ..setting import flag
from ..theme import Theme, sgr, theme_of
from ._backtrace import backtrace
from ._cells import SGR, Piece, cells, fold, is_wider, pad, painted, pieces_of, visible_cells
from ._columns import DEFAULT_COLUMNS, Columns, checked_columns
from ._fields import Fields
from ._message import message_lines
from ._panels import Panels

__all__ = ["DEFAULT_COLUMNS", "Console", "Width", "escape"]

Width: TypeAlias = "int | Callable[[], int | None] | None"

_MESSAGE_WIDTH = 40
_LEAST_WIDTH = 20
_MOST_WIDTH = 256
_LEAST_ROOM = 24
_LEAST_FIRST = 12
_PARTS = ("time", "logger", "message", "key", "value", "origin", "trace", "source", "caret",
          "error", "mark")  # fmt: skip


class Console:
    """Write a record as one line for people, an exception indented below it.

        12:34:56.789  INFO      shop.cart         User alice logged in      user=alice

    Control characters anywhere in the record are escaped, so no value can forge a line or a colour.
    `sinks.Console` makes one that fits its stream.

        Route(sys.stdout, encoder=encoders.Console(columns=("level", "message", "location")))

    Args:
        color: add ANSI colours (ECMA-48 SGR).
        logger_width: cells for the logger's name, which may be longer.
        theme: a `Theme` or the name of one: calm, vivid, light, mono.
        columns: what is shown, in this order: time, icon, level, logger, location, thread, task,
            pid, message, fields. Those before the message are aligned; it must be among them, and
            the fields behind it.
        time: "clock" (local time of day), "local" or "utc" (ISO 8601), "relative" (seconds since
            the program loaded logflume), or a format: tokens as in `Template` (`HH:mm:ss`), or
            those of `strftime`, with `%f` for microseconds.
        width: cells that a row has; longer lines are folded, each further row marked. None for no
            end. A function is asked for each record, on the loop: it must not block.
            If it fails, there is no end.
        multiline: show line breaks as such where they are in a message's template or in what an
            exception says, each further line indented and marked; those in values stay escapes.
        exceptions: "plain", or "rich" for panels drawn by the package rich.

    Raises:
        ConfigurationError: an option means nothing.
    """

    def __init__(
        self,
        *,
        color: bool = False,
        logger_width: int = 16,
        theme: str | Theme = "calm",
        columns: Sequence[str] = DEFAULT_COLUMNS,
        time: str = "clock",
        width: Width = None,
        multiline: bool = False,
        exceptions: str = "plain",
    ) -> None:
        if type(logger_width) is not int or not 0 <= logger_width <= _MOST_WIDTH:
            accepted = f"0 to {_MOST_WIDTH} cells"
            raise ConfigurationError.of("Console.logger_width", logger_width, accepted)
        if not (width is None or callable(width)) and not (
            type(width) is int and width >= _LEAST_WIDTH
        ):
            accepted = f"None, {_LEAST_WIDTH} cells or more, or a function that returns that"
            raise ConfigurationError.of("Console.width", width, accepted)
        if exceptions not in ("plain", "rich"):
            raise ConfigurationError.of("Console.exceptions", exceptions, "'plain' or 'rich'")
        self.color = flag("Console.color", color)
        self.logger_width = logger_width
        self.theme = theme_of(theme, "Console.theme")
        self.columns = checked_columns(columns, "Console.columns")
        self.time = time
        self.width = width
        self.multiline = flag("Console.multiline", multiline)
        self.exceptions = exceptions
        self._settings = (
            self.color, logger_width, self.theme, self.columns, time, width, self.multiline,
            exceptions,
        )  # fmt: skip
        self._styles = {p: sgr(getattr(self.theme, p)) if self.color else "" for p in _PARTS}
        self._styles[""] = ""
        self._message = self._styles["message"], "\x1b[0m" if self._styles["message"] else ""
        self._show_fields = Fields(self._styles["key"], self._styles["value"]).show
        self._columns = Columns(
            self.columns,
            theme=self.theme,
            styles=self._styles,
            color=self.color,
            time=time,
            logger_width=logger_width,
            show_fields=lambda record: self._show_fields(record.fields),
        )
        self._before = self._columns.before
        self._behind = self._columns.behind
        self._hash = hash((Console, self._settings))
        self._only_fields = self.columns[self.columns.index("message") + 1 :] == ("fields",)
        self._panels: Panels | None = None
        if exceptions == "rich":
            self._panels = Panels(color=self.color, setting="Console.exceptions")

    def __eq__(self, other: object) -> bool:
        return type(other) is Console and other._settings == self._settings

    def __hash__(self) -> int:
        return self._hash

    def __repr__(self) -> str:
        return f"Console(color={self.color})"

    def encode(self, record: Record, /) -> bytes:
        """Return the record's line, with its newline, and its exception's."""
        prefix = self._before(record)
        more: list[str] = []
        if self.multiline and "\n" in record.template:
            message, *more = message_lines(record)
        else:
            message = escape(record.message)
        columns = self.width
        if columns is not None and callable(columns):
            columns = _asked(columns)
        if self._only_fields:
            fields = record.fields
            behind = self._show_fields(fields) if fields else ""
        else:
            behind = self._behind(record)
        begin, end = self._message
        if behind:
            room = _MESSAGE_WIDTH if columns is None else self._message_width(columns)
            padded = message.ljust(room) if message.isascii() else pad(message, room)
            line = f"{prefix}{begin}{padded}{end}  {behind}"
        else:
            line = f"{prefix}{begin}{message}{end}"
        if columns is not None and is_wider(line, columns):
            line = self._folded(prefix, message, behind, columns)
        if more:
            line = f"{line.rstrip()}\n{self._further(more, columns)}"
        if record.extra is not None and record.extra.exception is not None:
            line = f"{line.rstrip()}\n{self._exception(record.extra.exception, columns)}"
        return f"{line.rstrip()}\n".encode("utf-8", "backslashreplace")

    def _message_width(self, columns: int) -> int:
        """Return where fields begin: nearer on a narrow terminal."""
        room = (columns - self._columns.indent) * 6 // 10
        return min(_MESSAGE_WIDTH, max(_LEAST_ROOM, room))

    def _folded(self, prefix: str, message: str, behind: str, columns: int) -> str:
        """Fit a line that is too wide: without the blanks that align it, if that is enough; else
        the message in rows of its own, and what is behind it in others."""
        message = f"{self._message[0]}{message}{self._message[1]}"
        line = f"{prefix}{message}  {behind}"
        if not is_wider(line.rstrip(), columns):
            return line
        hang = self._hang(columns)
        room = columns - hang
        first = columns - visible_cells(prefix)
        if first < min(_LEAST_FIRST, room):  # a long logger name, say: begin below it
            prefix, first = f"{prefix.rstrip()}\n{' ' * hang}", room
        rows = fold(pieces_of(message), first, room)
        if behind:
            rows += fold(pieces_of(behind), room, room)
        margin = self._margin(hang, self.theme.wrap_mark)
        return prefix + f"\n{margin}".join([_paint(row) for row in rows])

    def _hang(self, columns: int | None) -> int:
        """Return where further rows begin: below the message, if there is room."""
        indent = self._columns.indent
        return indent if columns is None or columns - indent >= _LEAST_ROOM else 4

    def _margin(self, hang: int, mark: str) -> str:
        """Return what stands before a further row, which no text of a record can come before."""
        return " " * max(0, hang - cells(mark) - 1) + painted(self._styles["mark"], mark) + " "

    def _further(self, lines: list[str], columns: int | None) -> str:
        """Return the further lines of a message, marked."""
        margin = self._margin(self._hang(columns), self.theme.break_mark)
        begin, end = self._message
        return "\n".join([self._fit(f"{margin}{begin}{line}{end}", columns) for line in lines])

    def _exception(self, info: ExceptionInfo, columns: int | None) -> str:
        if self._panels is not None:
            return self._panels.draw(info, columns)
        mark = self.theme.break_mark if self.multiline else ""
        lines = backtrace(info, "  ", self._styles, mark=mark)
        if columns is not None:
            lines = [self._fit(line, columns) for line in lines]
        return "\n".join(lines)

    def _fit(self, line: str, columns: int | None) -> str:
        """Fold a line that is indented, its further rows a little more; then it has no carets."""
        if columns is None or not is_wider(line.partition("\n")[0], columns):
            return line
        line = line.partition("\n")[0]
        plain = SGR.sub("", line)
        indent = len(plain) - len(plain.lstrip(f" {self.theme.break_mark}"))
        hang = min(indent + 4, columns // 2)
        margin = self._margin(hang, self.theme.wrap_mark)
        rows = fold(pieces_of(line), columns, columns - hang)
        return f"\n{margin}".join([_paint(row) for row in rows])


def _asked(width: Callable[[], int | None]) -> int | None:
    """Return what a user's function says, unless it fails or says what no row has."""
    try:
        columns = width()
    except Exception:
        return None
    return columns if type(columns) is int and columns >= _LEAST_WIDTH else None


def _paint(row: list[Piece]) -> str:
    return "".join([painted(style, text) for style, text in row])

"""Lines for people: aligned time, level, logger and message, then the fields."""

from __future__ import annotations

import re
import time
from typing import Any

from ..escape import escape
from ..exception import ExceptionInfo
from ..record import Record
from ..snapshot import safe_repr, safe_str

__all__ = ["Console", "escape"]

_NEEDS_QUOTES = re.compile(r"[\s\"'=]|^$")

_RESET = "\x1b[0m"
_DIM = "\x1b[2m"
_BOLD = "\x1b[1m"
_CYAN = "\x1b[36m"
_RED = "\x1b[31m"
_LEVEL_COLORS = (
    (50, "\x1b[1;97;41m"),
    (40, "\x1b[1;31m"),
    (30, "\x1b[33m"),
    (25, "\x1b[32m"),
    (20, "\x1b[34m"),
    (10, "\x1b[36m"),
    (0, "\x1b[2m"),
)
_MESSAGE_WIDTH = 40


class Console:
    """Write a record as one line for people, an exception indented below it.

        12:34:56.789  INFO      shop.cart         User alice logged in      user=alice

    Times are local. Control characters anywhere in the record are escaped, so no value can forge
    a line or a colour. `color=True` adds ANSI colours (ECMA-48 SGR).
    """

    def __init__(self, *, color: bool = False, logger_width: int = 16) -> None:
        self.color = bool(color)
        self.logger_width = logger_width
        self._second = -1
        self._clock = ""

    def __eq__(self, other: object) -> bool:
        return type(other) is Console and (other.color, other.logger_width) == (
            self.color,
            self.logger_width,
        )

    def __hash__(self) -> int:
        return hash((Console, self.color, self.logger_width))

    def __repr__(self) -> str:
        return f"Console(color={self.color})"

    def encode(self, record: Record, /) -> bytes:
        """Return the record's line, with its newline, and its exception's."""
        second, ns = divmod(record.time_ns, 1_000_000_000)
        if second != self._second:
            self._clock = time.strftime("%H:%M:%S", time.localtime(second))
            self._second = second
        clock = f"{self._clock}.{ns // 1_000_000:03}"
        level = f"{escape(record.level.name):<8}"
        logger = f"{escape(record.logger):<{self.logger_width}}"
        message = escape(record.message)
        fields = record.fields
        if fields:
            message = f"{message:<{_MESSAGE_WIDTH}}"
        if self.color:
            clock = f"{_DIM}{clock}{_RESET}"
            level = f"{_level_color(record.level.no)}{level}{_RESET}"
            logger = f"{_CYAN}{logger}{_RESET}"
            message = f"{_BOLD}{message}{_RESET}"
        line = f"{clock}  {level}  {logger}  {message}"
        if fields:
            line = f"{line}  {self._fields(fields)}"
        if record.exception is not None:
            line = f"{line.rstrip()}\n{self._exception(record.exception)}"
        return f"{line.rstrip()}\n".encode("utf-8", "backslashreplace")

    def _fields(self, fields: dict[str, Any]) -> str:
        if not self.color:
            return " ".join([f"{_key(k)}={_value(v)}" for k, v in fields.items()])
        return " ".join([f"{_DIM}{_key(k)}={_RESET}{_value(v)}" for k, v in fields.items()])

    def _exception(self, info: ExceptionInfo) -> str:
        lines = _exception_lines(info, "  ")
        if not self.color:
            return "\n".join([text for _, text in lines])
        return "\n".join([f"{_RED}{text}{_RESET}" if says else text for says, text in lines])


def _level_color(no: int) -> str:
    return next(color for least, color in _LEVEL_COLORS if no >= least)


def _key(key: Any) -> str:
    text = safe_str(key)
    return escape(safe_repr(text) if _NEEDS_QUOTES.search(text) else text)


def _value(value: Any) -> str:
    if isinstance(value, str):
        return escape(safe_repr(value) if _NEEDS_QUOTES.search(value) else value)
    return escape(safe_str(value))


def _exception_lines(info: ExceptionInfo, indent: str) -> list[tuple[bool, str]]:
    """Return an exception as Python shows it, indented: (is it what the exception says, line)."""
    lines: list[tuple[bool, str]] = []
    for linked, words in (
        (info.cause, "The above exception was the direct cause of the following exception:"),
        (info.context, "During handling of the above exception, another exception occurred:"),
    ):
        if linked is not None:
            lines += _exception_lines(linked, indent)
            lines.append((False, f"{indent}{words}"))
    if info.frames:
        lines.append((False, f"{indent}Traceback (most recent call last):"))
    for frame in info.frames:
        where = f'File "{escape(frame.file)}", line {frame.line}, in {escape(frame.function)}'
        lines.append((False, f"{indent}  {where}"))
        if frame.source:
            lines.append((False, f"{indent}    {escape(frame.source)}"))
    said = f"{escape(info.type)}: {escape(info.message)}" if info.message else escape(info.type)
    lines.append((True, f"{indent}{said}"))
    lines += [(True, f"{indent}{escape(note)}") for note in info.notes]
    for number, member in enumerate(info.group, 1):
        lines.append((False, f"{indent}  member {number} of {len(info.group)}:"))
        lines += _exception_lines(member, indent + "    ")
    return lines

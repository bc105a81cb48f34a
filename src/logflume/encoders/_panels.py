"""Exceptions in panels with highlighted source lines, drawn by rich.

Not rich's own tracebacks: those read files while they are drawn, and show what was redacted.
"""

from __future__ import annotations

from typing import Any

from ..errors import ConfigurationError
from ..escape import escape
from ..exception import ExceptionInfo, Frame
from ._backtrace import CAUSE, CONTEXT, said_lines, span_of

__all__ = ["Panels"]

DEFAULT_WIDTH = 100
_INDENT = "  "


class Panels:
    """Draws exceptions. Made where the encoder is made: what rich needs is loaded then, not later.

    Raises:
        ConfigurationError: rich is not installed.
    """

    def __init__(self, *, color: bool, setting: str) -> None:
        try:
            from rich.console import Console, Group
            from rich.panel import Panel
            from rich.syntax import Syntax
            from rich.text import Text
        except ImportError:
            raise ConfigurationError.of(
                setting, "rich", "'plain', or 'rich' with the extra: pip install 'logflume[rich]'"
            ) from None
        self._group = Group
        self._panel = Panel
        self._text = Text
        self._syntax = Syntax("", "python", theme="ansi_dark", background_color="default")
        self._console = Console(
            color_system="truecolor" if color else None,
            force_terminal=color,
            force_jupyter=False,
            legacy_windows=False,
            highlight=False,
            emoji=False,
            markup=False,
            width=DEFAULT_WIDTH,
            _environ={},
        )
        self.draw(ExceptionInfo("E", "", [Frame("", 1, "", "x = 1")]), None)  # loads its parts

    def draw(self, info: ExceptionInfo, columns: int | None) -> str:
        """Return the panels of an exception, indented, each line with its line break."""
        width = max(20, (columns or DEFAULT_WIDTH) - len(_INDENT))
        with self._console.capture() as captured:
            self._console.print(*self._chain(info), sep="\n", width=width)
        rows = captured.get().splitlines()
        return "\n".join([f"{_INDENT}{row}".rstrip() for row in rows])

    def _chain(self, info: ExceptionInfo) -> list[Any]:
        drawn: list[Any] = []
        for linked, words in ((info.cause, CAUSE), (info.context, CONTEXT)):
            if linked is not None:
                drawn += [*self._chain(linked), self._text(words)]
        inside: list[Any] = []
        for frame in info.frames:
            inside += self._frame(frame)
        for said in said_lines(info, several=True):
            inside.append(self._text("\n".join(said), style="bold red", overflow="fold"))
        for member in info.group:
            inside += self._chain(member)
        title = self._text(escape(info.type), style="bold red")
        drawn.append(
            self._panel(self._group(*inside), title=title, title_align="left", border_style="red")
        )
        return drawn

    def _frame(self, frame: Frame) -> list[Any]:
        if not frame.line and frame.file == "...":
            return [self._text(f"... {escape(frame.function)}", style="dim")]
        where = self._text(overflow="fold")
        where.append(escape(frame.file), style="cyan")
        where.append(f":{frame.line}", style="dim")
        where.append(f" in {escape(frame.function)}")
        if not frame.source:
            return [where]
        before, run, after = span_of(frame)
        line = self._syntax.highlight(before + run + after)
        line.rstrip()
        line.overflow, line.no_wrap = "fold", False
        if run:
            line.stylize("bold underline", len(before), len(before) + len(run))
        line.pad_left(2)
        return [where, line]

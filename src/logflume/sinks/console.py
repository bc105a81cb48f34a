"""Lines for people, on a terminal or any other text stream."""

from __future__ import annotations

import os
from collections.abc import Sequence
from itertools import groupby
from typing import Any, BinaryIO, Literal, TextIO

from ..encoders.console import DEFAULT_COLUMNS, Width
from ..encoders.console import Console as ConsoleEncoder
from ..encoders.json import Json
from ..engine.backend import Worker
from ..engine.batch import Batch
from ..errors import ConfigurationError, Rejected
from ..level import Level, parse_level
from ..protocols import Encoder, SinkBatch
from ..setting import flag
from ..theme import Theme, theme_of
from ._outlet import Outlet, RichOutlet
from ._terminal import enable_sequences, wants_color

__all__ = ["Console", "wants_color"]


class Console:
    """Write records to a stream, by default to whatever `sys.stderr` is at the time.

    Writing happens in a worker thread, so a terminal that is stopped or a full pipe blocks no
    loop. The stream stays open. Callers that can wait do so while the stream is slow. Progress bars
    of tqdm and rich on the same terminal stay below the lines.

        Pipeline(sinks.Console(sys.stdout, color=False))
        Pipeline(sinks.Console("stdout", errors_to="stderr", theme="vivid"))

    Args:
        stream: a text or binary stream; "stdout" or "stderr" for what these are at the time.
        color: None for `wants_color`.
        errors_to: another stream, for records of `from_level` and above. Each stream keeps its
            order, and so does a terminal that both are.
        console: a `rich.console.Console` to write through, instead of a stream: for its progress
            bars and other live displays, whatever stream they are on.
        width: cells of a row, in which longer lines are folded. "auto" for the terminal's at the
            time, and no end where any of the streams is none; None for no end.
        theme, columns, time, exceptions, logger_width: see `encoders.Console`.
        multiline: see there; None for a terminal and a notebook, but nowhere else, where programs
            may read, too.

    Raises:
        ConfigurationError: an option means nothing.
    """

    name = "console"

    wants_blocks = True

    def __init__(
        self,
        stream: TextIO | BinaryIO | str | None = None,
        *,
        color: bool | None = None,
        errors_to: TextIO | BinaryIO | str | None = None,
        from_level: str | int | Level = "ERROR",
        console: Any = None,
        width: Width | Literal["auto"] = "auto",
        theme: str | Theme = "calm",
        columns: Sequence[str] = DEFAULT_COLUMNS,
        time: str = "clock",
        multiline: bool | None = None,
        exceptions: str = "plain",
        logger_width: int = 16,
    ) -> None:
        if console is not None and (stream is not None or errors_to is not None):
            raise ConfigurationError.of("Console.console", console, "a console or a stream")
        self._from_no = parse_level(from_level, "Console.from_level").no
        first = Outlet(stream, "stream") if console is None else RichOutlet(console)
        self._outlets = [first]
        if errors_to is not None:
            self._outlets.append(Outlet(errors_to, "errors_to"))
            self.wants_blocks = False  # but the records, for their levels
        self._color = self._choose_color() if color is None else flag("Console.color", color)
        theme = theme_of(theme, "Console.theme")
        for outlet in self._outlets:
            theme = theme.within(outlet.encoding)
        if width == "auto":
            has_width = all([outlet.columns is not None for outlet in self._outlets])
            width = self._columns if has_width else None
        if multiline is None:
            multiline = all([outlet.is_read_by_people for outlet in self._outlets])
        self._look: dict[str, Any] = {
            "theme": theme,
            "columns": columns,
            "time": time,
            "width": width,
            "multiline": multiline,
            "exceptions": exceptions,
            "logger_width": logger_width,
        }
        self.route_defaults: dict[str, Any] = {
            "encoder": ConsoleEncoder(color=self._color, **self._look),
            "batch": Batch(max_records=4_096, max_age=0.01),
            "buffer_records": 16_384,
            "overflow": "wait",
        }
        self._worker: Worker | None = None

    def _choose_color(self) -> bool:
        """Have colours where any stream shows them, and take them out for one that does not."""
        colors = [outlet.wants_color() for outlet in self._outlets]
        for outlet, wanted in zip(self._outlets, colors, strict=True):
            outlet.plain = any(colors) and not wanted
        return any(colors)

    def _columns(self) -> int | None:
        """Return the width of the terminal, as it was when it was last written to."""
        return min([outlet.columns or 0 for outlet in self._outlets]) or None

    def encoder_for(self, *, json: bool | None, color: bool | None) -> Encoder:
        """Return the encoder that `configure(json=, color=)` asks for."""
        if json is not None and flag("json", json):
            return Json()
        if color is None:
            color = self._color
        elif flag("color", color):
            for outlet in self._outlets:
                outlet.plain = False
        return ConsoleEncoder(color=color, **self._look)

    async def open(self) -> None:
        """Start the worker thread, and prepare a console of Windows."""
        self._worker = Worker("logflume console")
        if os.name == "nt" and self._color:
            await self._worker.run(self._enable_sequences)

    def _enable_sequences(self) -> None:
        for outlet in self._outlets:
            outlet.plain = outlet.plain or not enable_sequences(outlet.stream)

    async def send(self, batch: SinkBatch, /) -> None:
        """Write the batch and flush the stream.

        Raises:
            Rejected: one of two streams refused what it was to get.
        """
        assert self._worker is not None
        if len(self._outlets) == 1:
            await self._worker.run(self._outlets[0].write, b"".join(batch.blocks))
        else:
            await self._worker.run(self._write_by_level, batch)

    async def aclose(self) -> None:
        """Let the worker thread end; the stream is not closed."""
        if self._worker is not None:
            self._worker.shutdown()

    def _write_by_level(self, batch: SinkBatch) -> None:
        """Write what follows each other on the same stream at once: on a terminal that both are,
        the order stays."""
        refused: list[int] = []
        problem: Exception | None = None
        is_error = [record.level.no >= self._from_no for record in batch.records]
        for error, run in groupby(range(len(is_error)), key=is_error.__getitem__):
            positions = list(run)
            try:
                self._outlets[error].write(b"".join([batch.encoded[at] for at in positions]))
            except Exception as raised:
                refused += positions
                problem = raised
        if problem is not None:
            raise Rejected(records=refused, reason="error") from problem

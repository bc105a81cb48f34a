"""Lines for people, on a terminal or any other text stream."""

from __future__ import annotations

import io
import os
import sys
from typing import Any, BinaryIO, TextIO

from ..encoders.console import Console as ConsoleEncoder
from ..encoders.json import Json
from ..engine.backend import Worker
from ..engine.batch import Batch
from ..protocols import Encoder, SinkBatch

__all__ = ["Console", "wants_color"]


def wants_color(stream: Any) -> bool:
    """Whether to colour what goes to a stream.

    `NO_COLOR` (no-color.org) and `FORCE_COLOR`, set to anything but the empty string, decide;
    otherwise only a terminal that is not "dumb" gets colours.
    """
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR"):
        return True
    try:
        return bool(stream.isatty()) and os.environ.get("TERM") != "dumb"
    except Exception:
        return False


class Console:
    """Write records to a stream, by default to whatever `sys.stderr` is at the time.

    Writing happens in a worker thread, so a terminal that is stopped or a full pipe blocks no
    loop. The stream stays open. Callers that can wait do so while the stream is slow.

        Pipeline(sinks.Console(sys.stdout, color=False))
    """

    name = "console"

    wants_blocks = True

    def __init__(
        self, stream: TextIO | BinaryIO | None = None, *, color: bool | None = None
    ) -> None:
        self._stream = stream
        if color is None:
            color = wants_color(stream if stream is not None else sys.stderr)
        self._color = color
        self.route_defaults: dict[str, Any] = {
            "encoder": ConsoleEncoder(color=color),
            "batch": Batch(max_records=4_096, max_age=0.01),
            "buffer_records": 16_384,
            "overflow": "wait",
        }
        self._worker: Worker | None = None

    def encoder_for(self, *, json: bool | None, color: bool | None) -> Encoder:
        """Return the encoder that `configure(json=, color=)` asks for."""
        if json:
            return Json()
        if color is None:
            color = self._color
        return ConsoleEncoder(color=color)

    async def open(self) -> None:
        """Start the worker thread."""
        self._worker = Worker("logflume console")

    async def send(self, batch: SinkBatch, /) -> None:
        """Write the batch and flush the stream."""
        assert self._worker is not None
        await self._worker.run(self._write, b"".join(batch.blocks))

    async def aclose(self) -> None:
        """Let the worker thread end; the stream is not closed."""
        if self._worker is not None:
            self._worker.shutdown()

    def _write(self, data: bytes) -> None:
        stream: Any = self._stream if self._stream is not None else sys.stderr
        if stream is None:  # pythonw: there is no console
            return
        if isinstance(stream, io.RawIOBase | io.BufferedIOBase):
            _write_bytes(stream, data)
        else:
            _write_text(stream, data.decode("utf-8", "backslashreplace"))
        flush = getattr(stream, "flush", None)
        if flush is not None:
            flush()


def _write_bytes(stream: io.RawIOBase | io.BufferedIOBase, data: bytes) -> None:
    left = memoryview(data)
    while left:  # a raw stream may take a part
        left = left[stream.write(left) or 0 :]


def _write_text(stream: TextIO, text: str) -> None:
    try:
        stream.write(text)
    except UnicodeEncodeError:
        encoding = getattr(stream, "encoding", None) or "ascii"
        stream.write(text.encode(encoding, "backslashreplace").decode(encoding))

"""One place that a console sink writes to: a stream, or a console of rich."""

from __future__ import annotations

import io
import os
import select
import sys
from typing import Any, TextIO

from ..errors import ConfigurationError
from ..pattern import lazy_pattern
from ._bars import above_tqdm, through_rich
from ._terminal import columns_of, encoding_of, is_notebook, is_terminal, wants_color

__all__ = ["Outlet", "RichOutlet"]

_SGR = lazy_pattern(rb"\x1b\[[0-9;]*m")


class Outlet:
    """One stream: what it can show, and how to write to it. `write` is for the worker thread."""

    def __init__(self, stream: Any, setting: str) -> None:
        if isinstance(stream, str) and stream not in ("stdout", "stderr"):
            accepted = "a stream, 'stdout', 'stderr', or None for 'stderr'"
            raise ConfigurationError.of(f"Console.{setting}", stream, accepted)
        if not isinstance(stream, str | None) and not callable(getattr(stream, "write", None)):
            accepted = "an object with write, 'stdout', 'stderr', or None for 'stderr'"
            raise ConfigurationError.of(f"Console.{setting}", stream, accepted)
        self._given = stream
        self.plain = False
        """Whether the colours are taken out of what is written, since another stream has them."""
        self.columns = columns_of(self.stream)

    @property
    def stream(self) -> Any:
        """The stream as it is now."""
        if self._given is None or isinstance(self._given, str):
            return getattr(sys, self._given or "stderr")
        return self._given

    @property
    def encoding(self) -> str:
        """The encoding of what is shown."""
        return encoding_of(self.stream)

    @property
    def is_read_by_people(self) -> bool:
        """Whether this is a terminal or a notebook."""
        return is_terminal(self.stream) or is_notebook(self.stream)

    def wants_color(self) -> bool:
        """Whether to colour what goes here."""
        return wants_color(self.stream)

    def write(self, data: bytes) -> None:
        """Write lines and flush the stream, above progress bars."""
        stream = self.stream
        if stream is None:  # pythonw: there is no console
            return
        if self.columns is not None:  # it may have been resized
            self.columns = columns_of(stream) or self.columns
        if self.plain:
            data = _SGR.sub(b"", data)
        stream = through_rich(stream)
        with above_tqdm(stream):
            if isinstance(stream, io.RawIOBase | io.BufferedIOBase):
                _write_bytes(stream, data)
            elif isinstance(stream, io.TextIOWrapper) and _never_waits(stream):
                _flush(stream)
                text = data.decode("utf-8", "backslashreplace")
                _write_bytes(stream.buffer, text.encode(stream.encoding, "backslashreplace"))
            else:
                _write_text(stream, data.decode("utf-8", "backslashreplace"))
            _flush(stream)


class RichOutlet(Outlet):
    """A console of rich, which knows itself what it can show and where its live displays are."""

    def __init__(self, console: Any) -> None:
        if not callable(getattr(console, "print", None)) or not hasattr(console, "is_terminal"):
            raise ConfigurationError.of("Console.console", console, "a rich.console.Console")
        self._console = console
        self.plain = False
        self.columns = console.width if console.is_terminal else None

    @property
    def stream(self) -> Any:
        """The console's file."""
        return self._console.file

    @property
    def encoding(self) -> str:
        """The encoding of the console's file."""
        return str(self._console.encoding)

    @property
    def is_read_by_people(self) -> bool:
        """Whether this is a terminal or a notebook."""
        return bool(self._console.is_terminal or self._console.is_jupyter)

    def wants_color(self) -> bool:
        """Whether the console has colours."""
        return self._console.color_system is not None

    def write(self, data: bytes) -> None:
        """Write lines as the console prints them, above its live displays."""
        from rich.text import Text

        if self.columns is not None:
            self.columns = self._console.width
        text = data.decode("utf-8", "backslashreplace").removesuffix("\n")
        with above_tqdm(self.stream):
            self._console.print(Text.from_ansi(text), soft_wrap=True)


# A terminal or pipe is set to O_NONBLOCK by any program that shares it (Node does that), and then
# takes a part, or nothing: text streams would lose what was not taken. So wait for room.


def _never_waits(stream: Any) -> bool:
    try:
        return not os.get_blocking(stream.fileno())
    except (OSError, ValueError, AttributeError):
        return False


def _wait_for_room(stream: Any) -> None:
    poll = select.poll()
    poll.register(stream.fileno(), select.POLLOUT)
    poll.poll()


def _write_bytes(stream: Any, data: bytes) -> None:
    left = memoryview(data)
    while left:  # a raw stream may take a part
        try:
            taken = stream.write(left)
        except BlockingIOError as error:
            taken = error.characters_written
            _wait_for_room(stream)
        if taken is None:
            _wait_for_room(stream)
        left = left[taken or 0 :]


def _flush(stream: Any) -> None:
    flush = getattr(stream, "flush", None)
    while flush is not None:
        try:
            flush()
        except BlockingIOError:
            _wait_for_room(stream)
        else:
            return


def _write_text(stream: TextIO, text: str) -> None:
    try:
        stream.write(text)
    except UnicodeEncodeError:
        encoding = getattr(stream, "encoding", None) or "ascii"
        stream.write(text.encode(encoding, "backslashreplace").decode(encoding))

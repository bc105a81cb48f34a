"""The console sink: any stream, colours where they are wanted, and no loop that waits for it."""

from __future__ import annotations

import io
import os
import sys
import threading
from pathlib import Path
from typing import Any

import anyio
import pytest

from logflume import Pipeline, get_logger
from logflume.encoders import Console as ConsoleEncoder
from logflume.encoders import Json
from logflume.sinks import Console, as_sink
from logflume.sinks._terminal import is_terminal
from logflume.sinks.console import wants_color
from tests.fakes import may_block, name_of_case

log = get_logger("tests.console")


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


class Unsure(io.StringIO):
    """A stream that cannot say what it is."""

    def isatty(self) -> bool:
        raise ValueError("closed")


@pytest.mark.parametrize(
    ("stream", "environment", "colored"),
    [
        (Terminal(), {}, True),
        (io.StringIO(), {}, False),
        (Unsure(), {}, False),
        (None, {}, False),
        (object(), {}, False),
        (Terminal(), {"TERM": "dumb"}, False),
        (Terminal(), {"NO_COLOR": "1"}, False),
        (Terminal(), {"NO_COLOR": ""}, True),
        (io.StringIO(), {"FORCE_COLOR": "1"}, True),
        (io.StringIO(), {"FORCE_COLOR": ""}, False),
        (Terminal(), {"NO_COLOR": "1", "FORCE_COLOR": "1"}, False),
        (Terminal(), {"TERM": "dumb", "FORCE_COLOR": "1"}, True),
    ],
    ids=name_of_case,
)
def test_only_terminals_are_coloured(
    stream: Any, environment: dict[str, str], colored: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A terminal gets colours; NO_COLOR and FORCE_COLOR, if not empty, decide, in this order."""
    monkeypatch.setenv("TERM", "xterm")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert wants_color(stream) is colored
    if hasattr(stream, "write"):
        encoder = Console(stream).route_defaults["encoder"]
        assert encoder == ConsoleEncoder(color=colored, multiline=is_terminal(stream))
        assert Console(stream, color=not colored).route_defaults["encoder"].color is not colored


async def test_lines_are_written_and_flushed() -> None:
    """Every record is a line of the stream, in order, and the stream stays open."""
    stream = io.StringIO()
    async with Pipeline(stream) as pipeline:
        for n in range(3):
            log.info("line {n}", n=n)
        await pipeline.flush()
        assert len(stream.getvalue().splitlines()) == 3
    lines = stream.getvalue().splitlines()
    assert [line.split("  ")[-1].strip() for line in lines] == ["n=0", "n=1", "n=2"]
    assert not stream.closed


async def test_binary_streams_get_bytes(tmp_path: Path) -> None:
    """A stream of bytes, buffered or raw, gets the lines in UTF-8."""
    with may_block():
        raw = (tmp_path / "raw").open("wb", buffering=0)
        buffered = (tmp_path / "buffered").open("wb")
    async with Pipeline(raw, buffered) as pipeline:
        log.info("zażółć")
        await pipeline.flush()
    assert {route.lost for route in pipeline.stats().routes.values()} == {0}
    with may_block():
        raw.close()
        assert (tmp_path / "buffered").read_text("utf-8").endswith("zażółć\n")
        assert (tmp_path / "raw").read_bytes() == (tmp_path / "buffered").read_bytes()
        buffered.close()


@pytest.mark.parametrize("mode", ["text", "buffered", "raw"])
def test_a_stream_that_never_waits_loses_nothing(mode: str) -> None:
    """A terminal or pipe that some other program has set to O_NONBLOCK gets every line, once."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    stream: Any = io.FileIO(writing, "w")
    if mode != "raw":
        stream = io.BufferedWriter(stream)
    if mode == "text":
        stream = io.TextIOWrapper(stream, encoding="utf-8")
    read: list[bytes] = []

    def read_all() -> None:
        while part := os.read(reading, 3_000):
            read.append(part)

    reader = threading.Thread(target=read_all)
    with Pipeline(Console(stream, columns=("message",))) as pipeline:
        for number in range(4_000):
            log.info("%d of many lines, more than a pipe has room for", number)
        reader.start()
    stream.close()
    reader.join(10)
    os.close(reading)
    numbers = [int(line.split()[0]) for line in b"".join(read).splitlines()]
    assert numbers == list(range(4_000))
    assert pipeline.stats().routes["console"].delivered == 4_000


async def test_a_stream_that_only_writes_is_enough() -> None:
    """An object with `write` and nothing else is a stream."""

    class Writes:
        def __init__(self) -> None:
            self.text = ""

        def write(self, text: str) -> None:
            self.text += text

    stream = Writes()
    async with Pipeline(stream) as pipeline:
        log.info("said")
    assert stream.text.endswith("said\n")
    assert pipeline.stats().routes["console"].delivered == 1


async def test_what_a_stream_cannot_encode_is_escaped() -> None:
    """On a terminal of another encoding, characters it has not are shown as escapes."""
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    async with Pipeline(Console(stream)) as pipeline:
        log.info("zażółć")
        log.info("日本")
    assert raw.getvalue().count(b"\n") == 2
    assert b"za\\u017c\\xf3\\u0142\\u0107" in raw.getvalue()
    assert pipeline.stats().routes["console"].lost == 0
    stream.detach()


async def test_without_a_stream_it_follows_stderr(monkeypatch: pytest.MonkeyPatch) -> None:
    """`sys.stderr` is looked up for each batch; if there is none, nothing is written or lost."""
    first, second = io.StringIO(), io.StringIO()
    monkeypatch.setattr(sys, "stderr", first)
    async with Pipeline(Console()) as pipeline:
        log.info("one")
        await pipeline.flush()
        monkeypatch.setattr(sys, "stderr", second)
        log.info("two")
        await pipeline.flush()
        monkeypatch.setattr(sys, "stderr", None)
        log.info("three")
        await pipeline.flush()
        monkeypatch.setattr(sys, "stderr", second)
    assert "one" in first.getvalue()
    assert "two" in second.getvalue()
    assert "three" not in second.getvalue()
    assert pipeline.stats().routes["console"].delivered == 3


async def test_a_closed_stream_is_counted(capsys: pytest.CaptureFixture[str]) -> None:
    """Writing to a stream that was closed loses records, counted, and harms no other route."""
    closed, fine = io.StringIO(), io.StringIO()
    closed.close()
    async with Pipeline(Console(closed), Console(fine)) as pipeline:
        log.info("said")
        await pipeline.flush()
    counts = pipeline.stats().routes["console"]
    assert counts.dropped == {"error": 1}
    assert "closed file" in (counts.last_error or "")
    assert "said" in fine.getvalue()


async def test_configure_changes_how_records_are_shown() -> None:
    """`json=True` writes JSON lines, `color=` sets colours, from the next batch on."""
    stream = io.StringIO()
    async with Pipeline(stream) as pipeline:
        pipeline.configure(json=True)
        log.info("as json")
        await pipeline.flush()
        pipeline.configure(color=True)
        log.info("in colour")
        await pipeline.flush()
        pipeline.configure(color=False)
        log.info("plain")
    first, second, third = stream.getvalue().splitlines()
    assert '"message":"as json"' in first
    assert "\x1b[" in second
    assert "\x1b[" not in third
    assert third.endswith("plain")


def test_encoders_that_configure_asks_for() -> None:
    """Colours, where nothing is said of them, are what the sink was made with."""
    sink = Console(io.StringIO(), color=True)
    assert sink.encoder_for(json=True, color=None) == Json()
    assert sink.encoder_for(json=False, color=None) == ConsoleEncoder(color=True)
    assert sink.encoder_for(json=None, color=False) == ConsoleEncoder(color=False)


async def test_a_stream_that_hangs_blocks_nobody() -> None:
    """While a write hangs, the loop turns and other routes deliver."""
    import threading

    released = threading.Event()

    class Hangs(io.StringIO):
        def write(self, text: str) -> int:
            released.wait(10)
            return super().write(text)

    hanging, fine = Hangs(), io.StringIO()
    async with Pipeline(Console(hanging), Console(fine)) as pipeline:
        log.info("said")
        with anyio.fail_after(5):
            while not fine.getvalue():
                await anyio.lowlevel.checkpoint()
        assert not hanging.getvalue()
        released.set()
    assert "said" in hanging.getvalue()
    assert pipeline.stats().routes["console"].delivered == 1


def test_a_stream_given_as_a_sink_is_a_console() -> None:
    """A Pipeline takes a stream for a console on it."""
    assert isinstance(as_sink(io.StringIO()), Console)

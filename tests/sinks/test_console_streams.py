"""What streams the console takes, and what it finds out about them."""

from __future__ import annotations

import io
import os
import sys
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import anyio
import pytest

from logflume import ConfigurationError, Pipeline, Theme, get_logger
from logflume.encoders import Console as ConsoleEncoder
from logflume.sinks import Console
from logflume.sinks import console as console_module
from logflume.sinks._terminal import columns_of, enable_sequences, is_notebook, wants_color
from tests.fakes import may_block

log = get_logger("tests.streams")


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


class OutStream(io.StringIO):
    """What ipykernel puts in the place of stdout and stderr: no terminal, though there is one
    behind its `fileno`."""

    __module__ = "ipykernel.iostream"

    def isatty(self) -> bool:
        return False

    def fileno(self) -> int:
        return 2


class Refusing(io.StringIO):
    """A stream that takes nothing."""

    def write(self, text: str) -> int:
        raise OSError("full")


@pytest.fixture
def rich() -> Any:
    """The package's console, imported where that may block."""
    pytest.importorskip("rich.text")
    return pytest.importorskip("rich.console")


@pytest.fixture
def tqdm() -> Any:
    """The package's bar, imported where that may block."""
    return pytest.importorskip("tqdm").tqdm


def lines(stream: io.StringIO) -> list[str]:
    return [line[42:].split("  ")[0] for line in stream.getvalue().splitlines()]


async def test_errors_go_to_a_stream_of_their_own() -> None:
    """Records of the level and above go there, the others to the first, each in order."""
    out, err = io.StringIO(), io.StringIO()
    async with Pipeline(Console(out, errors_to=err), level="DEBUG") as pipeline:
        for n in range(4):
            log.debug("debug {n}", n=n)
            log.error("error {n}", n=n)
            log.critical("critical {n}", n=n)
        await pipeline.flush()
    assert lines(out) == [f"debug {n}" for n in range(4)]
    assert lines(err) == [f"{name} {n}" for n in range(4) for name in ("error", "critical")]
    assert pipeline.stats().routes["console"].delivered == 12


async def test_the_level_that_counts_as_an_error_is_a_choice() -> None:
    """By name or number."""
    for level in ("warning", 30):
        out, err = io.StringIO(), io.StringIO()
        async with Pipeline(Console(out, errors_to=err, from_level=level)):
            log.info("a")
            log.warning("b")
        assert (lines(out), lines(err)) == (["a"], ["b"])


async def test_one_stream_that_refuses_costs_the_other_nothing(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """What the one refused is dropped, counted and told; what the other took is delivered."""
    out = io.StringIO()
    async with Pipeline(Console(out, errors_to=Refusing())) as pipeline:
        log.info("a")
        log.error("b")
        log.info("c")
        await pipeline.flush()
    counts = pipeline.stats().routes["console"]
    assert (counts.delivered, counts.dropped) == (2, {"error": 1})
    assert "full" in (counts.last_error or "")
    assert lines(out) == ["a", "c"]


async def test_each_stream_has_the_colours_it_shows() -> None:
    """A terminal gets colours, the file beside it does not, unless that was asked for."""
    out, err = Terminal(), io.StringIO()
    async with Pipeline(Console(out, errors_to=err)) as pipeline:
        log.info("said")
        log.error("wrong")
        await pipeline.flush()
        assert "\x1b[" in out.getvalue()
        assert "\x1b[" not in err.getvalue()
        pipeline.configure(color=True)
        log.error("in colour")
    assert "\x1b[" in err.getvalue()
    both = Terminal(), io.StringIO()
    async with Pipeline(Console(both[0], errors_to=both[1], color=True)):
        log.error("wrong")
    assert "\x1b[" in both[1].getvalue()


async def test_streams_by_name_are_looked_up_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """By their names, stdout and stderr are what they are when something is written."""
    first, second, errors = io.StringIO(), io.StringIO(), io.StringIO()
    monkeypatch.setattr(sys, "stdout", first)
    monkeypatch.setattr(sys, "stderr", errors)
    async with Pipeline(Console("stdout", errors_to="stderr")) as pipeline:
        log.info("one")
        log.error("two")
        await pipeline.flush()
        monkeypatch.setattr(sys, "stdout", second)
        log.info("three")
    assert (lines(first), lines(errors), lines(second)) == (["one"], ["two"], ["three"])


@pytest.mark.parametrize(
    ("option", "given"),
    [
        ("stream", "stdin"),
        ("stream", object()),
        ("errors_to", "file.log"),
        ("errors_to", 2),
        ("from_level", "LOUD"),
        ("console", io.StringIO()),
        ("theme", "loud"),
        ("columns", ("level",)),
        ("time", "noon"),
        ("width", 3),
        ("exceptions", "fancy"),
        ("color", "false"),
        ("multiline", 0),
    ],
)
def test_options_that_mean_nothing_are_refused(option: str, given: Any) -> None:
    """Told when the sink is made, with the option and what is accepted."""
    with pytest.raises(ConfigurationError, match=rf"Console\.{option}: got "):
        Console(**{option: given})


def test_a_console_of_rich_is_no_stream_besides(rich: Any) -> None:
    """Records go to one of them."""
    console = rich.Console(file=io.StringIO())
    with pytest.raises(ConfigurationError, match="a console or a stream"):
        Console(io.StringIO(), console=console)


async def test_a_console_of_rich_says_what_it_shows(rich: Any) -> None:
    """Colours and width are its own; text is not taken for its markup."""
    file = io.StringIO()
    with may_block():
        console = rich.Console(file=file, force_terminal=True, width=60, color_system="standard")
    sink = Console(console=console)
    assert sink.route_defaults["encoder"].color is True
    async with Pipeline(sink):
        log.info("[b]as-it-is[/b] " * 4)
    text = file.getvalue()
    assert text.count("[b]as-it-is[/b]") == 4
    assert "\x1b[" in text
    assert "┆" in text
    plain = rich.Console(file=io.StringIO())
    assert Console(console=plain).route_defaults["encoder"] == ConsoleEncoder()


async def test_panels_are_drawn_without_touching_a_file(rich: Any) -> None:
    """What rich needs is loaded when the sink is made: on the loop, nothing is read."""
    stream = io.StringIO()
    with may_block():
        sink = Console(stream, exceptions="rich", color=True)
    async with Pipeline(sink) as pipeline:
        try:
            raise ValueError("wrong") from KeyError("k")
        except ValueError:
            log.exception("failed")
        await pipeline.flush()
    assert pipeline.stats().routes["console"].delivered == 1
    assert "╭─" in stream.getvalue()
    assert "KeyError" in stream.getvalue()


def test_how_lines_look_is_given_to_the_encoder() -> None:
    """The sink's options are the encoder's, also when colours or JSON are asked for later."""
    look: dict[str, Any] = {
        "theme": Theme(key="red"), "columns": ("level", "message"), "time": "utc", "width": 90,
        "multiline": True, "exceptions": "plain", "logger_width": 8,
    }  # fmt: skip
    sink = Console(io.StringIO(), **look)
    assert sink.route_defaults["encoder"] == ConsoleEncoder(**look)
    assert sink.encoder_for(json=None, color=True) == ConsoleEncoder(color=True, **look)


def test_marks_suit_the_encoding_of_the_stream() -> None:
    """A stream that has no lines and signs gets bars and letters."""
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    encoder = Console(stream, columns=("icon", "message")).route_defaults["encoder"]
    assert encoder.theme == Theme().within("ascii")
    stream.detach()


def test_only_a_terminal_has_a_width(tmp_path: Path) -> None:
    """Files, pipes and what only says it is a terminal have rows without an end."""
    with (tmp_path / "file").open("w") as file:
        for stream in (file, io.StringIO(), Terminal(), None, object(), OutStream()):
            assert columns_of(stream) is None
            encoder = Console(stream if hasattr(stream, "write") else None)
            assert encoder.route_defaults["encoder"].width is None


@pytest.mark.parametrize(("columns", "known"), [(100, 100), (0, None), (19, None)])
def test_a_width_that_cannot_be_is_not_believed(
    columns: int, known: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Terminals say 0 when they do not know; people read them for all that."""

    class Real(Terminal):
        def fileno(self) -> int:
            return 7

    size = os.terminal_size((columns, 40))
    monkeypatch.setattr(os, "get_terminal_size", lambda fd: size if fd == 7 else None)
    assert columns_of(Real()) == known
    encoder = Console(Real()).route_defaults["encoder"]
    assert (encoder.width() if known else encoder.width) == known
    assert encoder.multiline


async def test_notebooks_have_colours_but_no_width() -> None:
    """What is written goes to the stream as text, not to the server's terminal."""
    stream = OutStream()
    assert is_notebook(stream)
    async with Pipeline(Console(stream)):  # type: ignore[arg-type]
        log.info("SELECT *\nFROM t")
    assert "\x1b[" in stream.getvalue()
    assert "│\x1b[0m \x1b[1mFROM t" in stream.getvalue()


def test_pycharm_s_console_has_colours(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It is a pipe; a file that stdout was sent to is not taken for it."""
    reading, writing = os.pipe()
    with os.fdopen(writing, "w") as pipe, (tmp_path / "file").open("w") as file:
        monkeypatch.setattr(sys, "stdout", pipe)
        assert not wants_color(pipe)
        monkeypatch.setenv("PYCHARM_HOSTED", "1")
        assert wants_color(pipe)
        assert not wants_color(file)
        monkeypatch.setattr(sys, "stdout", file)
        assert not wants_color(file)
    os.close(reading)


class Kernel:
    """A console of Windows: its mode, and whether it lets that be changed."""

    def __init__(self, mode: int | None, *, lets: bool = True) -> None:
        self.mode = mode
        self.lets = lets

    def handle_of(self, fd: int) -> int:
        return 100 + fd

    def mode_of(self, handle: int) -> int | None:
        assert handle == 101
        return self.mode

    def set_mode(self, handle: int, mode: int) -> bool:
        if self.lets:
            self.mode = mode
        return self.lets


@pytest.mark.parametrize(
    ("kernel", "environment", "shows", "mode"),
    [
        (Kernel(3), {}, True, 7),
        (Kernel(7), {}, True, 7),
        (Kernel(None), {}, True, None),
        (Kernel(3, lets=False), {}, False, 3),
        (Kernel(3, lets=False), {"WT_SESSION": "1"}, True, 3),
    ],
)
def test_consoles_of_windows_are_told_to_show_colours(
    kernel: Kernel,
    environment: dict[str, str],
    shows: bool,
    mode: int | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Their mode gets one flag more; an old one that refuses shows none."""
    monkeypatch.delenv("WT_SESSION", raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    stream: Any = SimpleNamespace(fileno=lambda: 1)
    assert enable_sequences(stream, kernel) is shows
    assert kernel.mode == mode
    assert enable_sequences(io.StringIO(), kernel)  # no console at all
    assert enable_sequences(stream) is True  # nor is there anything to be told elsewhere


async def test_a_console_that_shows_no_colours_gets_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """An old console of Windows would show the sequences as they are."""
    stream = Terminal()
    sink = Console(stream)
    monkeypatch.setattr(console_module, "enable_sequences", lambda stream: False)
    sink._enable_sequences()
    async with Pipeline(sink):
        log.info("said")
    assert "\x1b" not in stream.getvalue()
    assert "said" in stream.getvalue()


async def test_a_lock_of_tqdm_that_is_held_blocks_no_loop(tqdm: Any) -> None:
    """Lines wait for the bar in the worker thread; other routes go on."""
    slow, fine = io.StringIO(), io.StringIO()
    held, release = threading.Event(), threading.Event()

    def hold() -> None:
        with tqdm.get_lock():
            held.set()
            release.wait(10)

    with may_block():
        bar = tqdm(total=3, file=slow, mininterval=0)
        thread = threading.Thread(target=hold)
        thread.start()
        held.wait(10)
    async with Pipeline(Console(slow), Console(fine)):
        log.info("said")
        with anyio.fail_after(5):
            while not fine.getvalue():
                await anyio.lowlevel.checkpoint()
        assert "said" not in slow.getvalue()
        release.set()
    assert "said" in slow.getvalue()
    with may_block():
        thread.join()
        bar.close()

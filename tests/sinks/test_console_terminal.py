"""The console on a real terminal, with the real rich and tqdm: what is on the screen in the end."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

pyte = pytest.importorskip("pyte")
pty = pytest.importorskip("pty")
termios = pytest.importorskip("termios")

SRC = str(Path(__file__).parents[2] / "src")


def screen_of(program: str, *, columns: int = 80, rows: int = 40) -> list[str]:
    """Run a program with a terminal for stdin, stdout and stderr; return the rows that it left."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (rows, columns))
    environment = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "COLUMNS", "LINES")}
    environment |= {"TERM": "xterm-256color", "PYTHONPATH": SRC, "PYTHONUTF8": "1"}
    child = subprocess.Popen(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(program)],
        stdin=theirs, stdout=theirs, stderr=theirs, env=environment,
    )  # fmt: skip
    os.close(theirs)
    screen = pyte.Screen(columns, rows)
    stream = pyte.ByteStream(screen)
    until = time.monotonic() + 30
    try:
        while time.monotonic() < until and select.select([ours], [], [], 30)[0]:
            try:
                data = os.read(ours, 65_536)
            except OSError:  # Linux: the other end is closed
                break
            if not data:
                break
            stream.feed(data)
        assert child.wait(10) == 0, "\n".join(screen.display)
    finally:
        child.kill()
        os.close(ours)
    return "\n".join(row.rstrip() for row in screen.display).rstrip().split("\n")


def test_lines_are_folded_at_the_width_of_the_terminal() -> None:
    """What does not fit is folded below the message, marked, and nothing of it is missing."""
    rows = screen_of(
        """
        from logflume import Pipeline, log, sinks
        with Pipeline(sinks.Console()):
            log.info("word " * 20 + "end", number=1, text="x" * 50)
        """,
        columns=80,
    )
    assert len(rows) == 5
    assert all(len(row) <= 80 for row in rows)
    assert all(row.startswith(" " * 40 + "┆ ") for row in rows[1:])
    said = " ".join(row[42:].strip() for row in rows)
    assert said.startswith("word " * 20 + "end number=1 text=")
    assert said.count("x") == 1 + 50  # one is in the key


def test_a_resized_terminal_is_noticed() -> None:
    """The width is that of the terminal when it was last written to."""
    rows = screen_of(
        """
        import sys, termios
        from logflume import Pipeline, log, sinks
        with Pipeline(sinks.Console()) as pipeline:
            log.info("one " * 15)
            pipeline.complete()
            termios.tcsetwinsize(2, (40, 120))
            log.info("unseen")
            pipeline.complete()
            log.info("two " * 15)
        """,
        columns=80,
    )
    assert sum("┆ one" in row for row in rows) == 1
    assert not any("┆ two" in row for row in rows)


def test_no_value_can_reach_the_beginning_of_a_row() -> None:
    """Blanks up to the edge of the terminal do not make room for a forged line."""
    rows = screen_of(
        """
        from logflume import Pipeline, log, sinks
        with Pipeline(sinks.Console()):
            log.info("x" + " " * 150 + "00:00:00.000  INFO  forged")
            log.info("said", value="x" + " " * 150 + "00:00:00.000  INFO  forged")
        """
    )
    assert sum("forged" in row for row in rows) == 2
    assert not any(row.startswith("00:00:00") for row in rows)
    assert all(row.startswith("  ") for row in rows if "forged" in row)


def test_a_message_of_several_lines_is_marked() -> None:
    """On a terminal, lines of the template show as such, marked; those of a value do not."""
    rows = screen_of(
        """
        from logflume import Pipeline, log, sinks
        with Pipeline(sinks.Console()):
            log.info("SELECT *\\n  FROM {table}", table="a\\nb")
        """
    )
    assert rows[0].endswith("SELECT *                  table='a\\nb'")
    assert rows[1] == " " * 40 + "│   FROM a\\nb"


BARS = {
    "tqdm": """
        from tqdm import tqdm
        def bar(steps):
            return tqdm(range(steps), ncols=40, mininterval=0)
        """,
    "rich": """
        from rich.progress import track
        def bar(steps):
            return track(range(steps), description="Working", refresh_per_second=100)
        """,
}


@pytest.mark.parametrize("kind", BARS)
@pytest.mark.parametrize("sink", ["Console()", "Console(sys.stdout)", "Console(sys.stderr)"])
def test_lines_come_above_a_progress_bar(kind: str, sink: str) -> None:
    """Each line is whole and on a row of its own; the bar is there once, below them all."""
    pytest.importorskip(kind)
    program = textwrap.dedent(BARS[kind]) + textwrap.dedent(
        f"""
        import sys
        from logflume import Pipeline, log, sinks
        with Pipeline(sinks.{sink}) as pipeline:
            for step in bar(12):
                log.info("step {{step}}", step=step)
                pipeline.complete()
        """
    )
    rows = screen_of(program)
    lines = [row for row in rows if "INFO" in row]
    assert [row.split("step ")[1].split()[0] for row in lines] == [str(n) for n in range(12)]
    assert all(row.endswith(f"step={n}") for n, row in enumerate(lines))
    assert len(rows) == 13, "\n".join(rows)
    assert "100%" in rows[-1]


def test_lines_go_through_a_console_of_rich() -> None:
    """With `console=`, lines come above what is live on it, also where it redirects nothing."""
    pytest.importorskip("rich")
    rows = screen_of(
        """
        from rich.console import Console
        from rich.live import Live
        from logflume import Pipeline, log, sinks
        console = Console(stderr=True)
        with Pipeline(sinks.Console(console=console)) as pipeline:
            with Live("LIVE", console=console, redirect_stdout=False, redirect_stderr=False):
                for n in range(5):
                    log.info("[bold]line {n}[/bold] :smile:", n=n)
                    pipeline.complete()
        """
    )
    assert rows[-1] == "LIVE"
    assert len(rows) == 6
    assert all(f"[bold]line {n}[/bold] :smile:" in row for n, row in enumerate(rows[:-1]))


def test_two_streams_of_one_terminal_keep_the_order() -> None:
    """Errors go to the other stream, and yet to their place."""
    rows = screen_of(
        """
        import sys
        from logflume import Pipeline, log, sinks
        with Pipeline(sinks.Console(sys.stdout, errors_to=sys.stderr)):
            for n in range(9):
                (log.error if n % 3 else log.info)("line {n}", n=n)
        """
    )
    assert [row.split("line ")[1][0] for row in rows] == [str(n) for n in range(9)]

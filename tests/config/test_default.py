"""The default pipeline, configured by the environment, which is read at import: in programs of
their own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest


def run(folder: Path, code: str, **environment: str) -> tuple[str, str]:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        env={k: v for k, v in os.environ.items() if k != "LOGFLUME_LEVEL"} | environment,
    )
    return done.stdout, done.stderr


CODE = """
from logflume import log
log.debug("one")
log.debug("two")
"""


def test_the_environment_names_the_file(tmp_path: Path) -> None:
    """With nothing else configured, records go where the file says, from the first one on."""
    (tmp_path / "logs.toml").write_text(
        'level = "debug"\n[[routes]]\nsink = { type = "file", path = "a.jsonl" }\n'
        '[[processors]]\ntype = "add"\nservice = "shop"\n'
    )
    assert run(tmp_path, CODE, LOGFLUME_CONFIG="logs.toml") == ("", "")
    lines = (tmp_path / "a.jsonl").read_text().splitlines()
    assert len(lines) == 2
    assert all('"service":"shop"' in line for line in lines)


def test_only_the_named_file_counts(tmp_path: Path) -> None:
    """A logflume.toml that happens to be there does not configure the default pipeline."""
    (tmp_path / "logflume.toml").write_text("routes = []\n")
    assert "hello" in run(tmp_path, "from logflume import log; log.info('hello')")[1]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("level = 'loud'", "logflume: LOGFLUME_CONFIG: logs.toml: level: got 'loud'; accepted: "),
        ("[[routes]]\nsink = 'nowhere:x'", "logflume: LOGFLUME_CONFIG: logs.toml: routes[0].sink:"),
        (None, "logflume: LOGFLUME_CONFIG: logs.toml: cannot be read: "),
    ],
)
def test_a_wrong_file_is_told_once_and_never_raises(
    tmp_path: Path, text: str | None, said: str
) -> None:
    """Neither the import nor a log call raises: the console takes the records."""
    if text is not None:
        (tmp_path / "logs.toml").write_text(text)
    code = "from logflume import log; log.info('hello'); log.info('again')"
    _, told = run(tmp_path, code, LOGFLUME_CONFIG="logs.toml")
    lines = told.splitlines()
    assert len(lines) == 3
    assert [line.startswith(said) for line in lines].count(True) == 1
    assert lines[0].endswith("; logging to the console")


def test_what_the_file_names_is_made_in_another_thread(tmp_path: Path) -> None:
    """The first record may come from a loop, which must not be blocked by imports."""
    (tmp_path / "logs.toml").write_text('[[routes]]\nsink = "slow:Sink"\n')
    (tmp_path / "slow.py").write_text(
        "import threading\n"
        "thread = threading.current_thread().name\n"
        "def Sink(record): print(thread, record['message'])\n"
    )
    code = """
import asyncio
from logflume import log
async def main():
    log.info("one")
    await log.acomplete()
asyncio.run(main())
"""
    assert run(tmp_path, code, LOGFLUME_CONFIG="logs.toml")[0] == "logflume one\n"


@pytest.mark.parametrize("config", [None, "level = 'debug'"])
def test_a_wrong_level_is_told_once_and_never_raises(tmp_path: Path, config: str | None) -> None:
    """What is in the environment of a program cannot keep it from importing logflume."""
    environment = {"LOGFLUME_LEVEL": "info,app=loud"}
    if config is not None:
        (tmp_path / "logs.toml").write_text(config)
        environment["LOGFLUME_CONFIG"] = "logs.toml"
    said = run(tmp_path, "from logflume import log; log.info('one')", **environment)[1]
    assert said.count("logflume: LOGFLUME_LEVEL: got 'loud'; accepted: ") == 1
    assert "one" in said

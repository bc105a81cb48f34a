"""The example runs on every backend, and what it says is true."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

QUICKSTART = Path(__file__).parents[1] / "examples" / "quickstart.py"

ODD_LINES = [
    b"plain",
    b"braces {user} {} {{}} {0!r:>9999}",
    b"100 % of %s and %(name)s and %d",
    b"ends in CR\r",
    b"has a \r inside and a \t tab",
    b'"quoted" \\ backslash \\n not a newline',
    b"",
    b"not UTF-8: \xff\xfe \xc3(",
    "umlauts äöü, \u2028 line separator, \x85 next line, \x0c form feed, \U0001f600".encode(),
    b"NUL \x00 and escape \x1b[31m",
    b"no newline at the end",
    b"connected, token=abc123 sessionid: 0x14ede63a5a70002",  # nothing is redacted
]


def run(folder: Path, *arguments: str) -> str:
    """Run the example in a folder of its own; return what it printed."""
    done = subprocess.run(
        [sys.executable, "-W", "error", QUICKSTART, *arguments],
        cwd=folder,
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    return done.stdout


def records(path: Path) -> list[dict[str, object]]:
    with path.open(encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def ledger(printed: str) -> dict[str, dict[str, int]]:
    """Read the table that the example prints."""
    table = re.search(r"^ +received.*\n(?:\w+ .*\n)+", printed, re.MULTILINE)
    assert table is not None
    header, *rows = table[0].splitlines()
    names = header.split()
    return {
        row.split()[0]: dict(
            zip(names, (int(n.replace(",", "")) for n in row.split()[1:]), strict=True)
        )
        for row in rows
    }


@pytest.mark.parametrize("backend", ["asyncio", "uvloop", "trio"])
def test_the_shop_logs_everything_on_every_backend(tmp_path: Path, backend: str) -> None:
    if backend != "asyncio":
        pytest.importorskip(backend)
    printed = run(tmp_path, "--backend", backend, "--output", "out.jsonl")
    written = records(tmp_path / "out.jsonl")

    counts = ledger(printed)
    assert set(counts) == {"door", "console", "file", "callback"}
    for row in counts.values():
        assert row["received"] == row["delivered"] + row["filtered"]
        assert row["dropped"] == row["pending"] == 0
    assert counts["door"]["received"] == counts["file"]["delivered"] == len(written)
    assert counts["callback"]["delivered"] == len(written)

    by_message = {str(record["message"]): record for record in written}
    failed = by_message["Order failed"]
    assert failed["exception"]["type"] == "CardDeclinedError"  # type: ignore[index]
    assert failed["fields"] == {
        "service": "quickstart",
        "request": "r-mallory",
        "customer": "mallory",
    }
    parcels = [r for r in written if r["message"] == "Parcel is ready"]
    assert {r["fields"]["request"] for r in parcels} == {"r-alice", "r-bob", "r-zoë"}  # type: ignore[index]
    assert all(r["thread"] != "MainThread" for r in parcels)
    assert by_message["Closing: 100% of {customers} served"]["fields"] == {"service": "quickstart"}
    assert "CardDeclinedError: no cover for 29.97 EUR" in printed


@pytest.mark.parametrize("backend", ["asyncio", "uvloop", "trio"])
def test_a_replayed_line_is_its_message(tmp_path: Path, backend: str) -> None:
    if backend != "asyncio":
        pytest.importorskip(backend)
    (tmp_path / "some.log").write_bytes(b"\n".join(ODD_LINES * 100))
    printed = run(
        tmp_path, "--backend", backend, "--output", "new/out.jsonl", "--replay", "some.log"
    )
    messages = [record["message"] for record in records(tmp_path / "new/out.jsonl")]
    # A CR at the end belongs to a CRLF, one inside to the line.
    expected = [line.decode("utf-8", "backslashreplace").removesuffix("\r") for line in ODD_LINES]
    assert messages == expected * 100
    assert "1,200 messages, 1,200 equal" in printed
    assert ledger(printed)["file"]["delivered"] == 1_200


def test_a_second_run_replaces_the_output(tmp_path: Path) -> None:
    (tmp_path / "some.log").write_bytes(b"one\ntwo\n")
    for _ in range(2):
        run(tmp_path, "--output", "out.jsonl", "--replay", "some.log")
    assert [r["message"] for r in records(tmp_path / "out.jsonl")] == ["one", "two"]


def test_the_file_to_replay_is_never_replaced(tmp_path: Path) -> None:
    log = tmp_path / "some.log"
    log.write_bytes(b"one\n")
    with pytest.raises(AssertionError, match="would replace"):
        run(tmp_path, "--output", str(log), "--replay", str(log))
    assert log.read_bytes() == b"one\n"

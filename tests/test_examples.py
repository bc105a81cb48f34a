"""The examples run, the quick start on every backend, and what they say is true."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"

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
    """Run the quick start in a folder of its own; return what it printed."""
    printed, told = run_example("quickstart", folder, *arguments)
    assert told == ""
    return printed


def run_example(name: str, folder: Path, *arguments: str) -> tuple[str, str]:
    """Run an example in a folder of its own; return what it wrote to stdout and stderr."""
    done = subprocess.run(
        [sys.executable, "-W", "error", EXAMPLES / f"{name}.py", *arguments],
        cwd=folder,
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout, done.stderr


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


def levels_shown(printed: str) -> Counter[str]:
    """Count the records that a console showed, by level."""
    return Counter(re.findall(r"^[\d:.]{12}  (\w+) ", printed, re.MULTILINE))


def test_the_trio_service_serves_its_clients(tmp_path: Path) -> None:
    """Each connection has its context on all of its records, and one wide record."""
    pytest.importorskip("trio")
    printed, told = run_example("trio_service", tmp_path)
    written = records(tmp_path / "logs/trio_service.jsonl")
    assert printed == ""
    assert levels_shown(told) == {"INFO": 11, "WARNING": 1}
    assert levels_shown(told).total() == sum(r["level"] != "DEBUG" for r in written)
    ends = [fields_of(record) for record in written if record["message"] == "Connection"]
    assert len({fields["client"] for fields in ends}) == 3
    assert sum(int(str(fields["answer_count"])) for fields in ends) == 7
    assert [fields["refused"] for fields in ends if "refused" in fields] == ["ten twenty"]
    assert {fields["outcome"] for fields in ends} == {"ok"}
    inside = [r for r in written if r["logger"] == "adder" and "client" in fields_of(r)]
    assert Counter(fields_of(r)["client"] for r in inside).total() == 7 + 3


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGTERM to catch")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_trio_service_ends_cleanly_on_a_signal(tmp_path: Path, number: signal.Signals) -> None:
    """A connection that is open then is cut off in time, and its record is delivered."""
    pytest.importorskip("trio")
    service = subprocess.Popen(
        [sys.executable, "-W", "error", EXAMPLES / "trio_service.py", "--serve", "--port", "0"],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    )
    watchdog = threading.Timer(30, service.kill)
    watchdog.start()
    assert service.stderr is not None
    with service.stderr as stderr:
        listening = re.search(r"port=(\d+)", stderr.readline())
        assert listening is not None
        with socket.create_connection(("127.0.0.1", int(listening[1])), 10) as client:
            client.sendall(b"1 2 3.5\n")
            assert client.recv(100) == b"6.5\n"
            service.send_signal(number)
            assert client.recv(100) == b""
        told = stderr.read()
    assert service.wait() == 0, told
    watchdog.cancel()
    assert "Traceback" not in told
    *_, stopping, end = records(tmp_path / "logs/trio_service.jsonl")
    assert stopping["message"] == f"Stopping on {number.name}"
    assert fields_of(end)["outcome"] == "cancelled"


def fields_of(record: dict[str, object]) -> dict[str, object]:
    fields = record["fields"]
    assert isinstance(fields, dict)
    return fields


@pytest.mark.parametrize(
    ("option", "levels"),
    [
        ((), {"INFO", "WARNING", "ERROR"}),
        (("--verbose",), {"DEBUG", "INFO", "WARNING", "ERROR"}),
        (("--quiet",), {"WARNING", "ERROR"}),
    ],
)
def test_the_script_shows_what_is_asked_for(
    tmp_path: Path, option: tuple[str, ...], levels: set[str]
) -> None:
    """The console by the flag, the file all; the result is alone on stdout."""
    printed, told = run_example("script", tmp_path, *option)
    assert printed.split() == ["380", "the", "190", "flume", "190", "carries"]
    assert set(levels_shown(told)) == levels
    written = records(tmp_path / "logs/script.jsonl")
    assert Counter(r["level"] for r in written)["DEBUG"] == 21 + 20
    [skipped] = [r for r in written if "exception" in r]
    assert (skipped["message"], fields_of(skipped)["file"]) == ("Skipped", "latin.txt")
    assert skipped["thread"] != "MainThread"
    [end] = [r for r in written if r["message"] == "Words counted"]
    assert (fields_of(end)["files"], fields_of(end)["words"]) == (21, 1140)


def test_the_script_counts_files_of_others(tmp_path: Path) -> None:
    (tmp_path / "one.txt").write_text("a b a")
    printed, _ = run_example("script", tmp_path, str(tmp_path))
    assert printed.split() == ["2", "a", "1", "b"]


def test_each_step_of_the_migration_says_the_same(tmp_path: Path) -> None:
    """Whatever the style of the calls: the same records, from step 2 on with the same context."""
    printed, told = run_example("migrate_from_logging", tmp_path)
    assert told == ""
    before, *after = re.split(r"^\d\. .*$", printed, flags=re.MULTILINE)[1:]
    lines = re.findall(r"^([A-Z]+) ([\w.]+): (.*)$", before, re.MULTILINE)
    assert len(lines) == 5
    written = records(tmp_path / "logs/migrated.jsonl")
    steps = [written[start : start + 5] for start in (0, 5, 10)]
    assert [record for step in steps for record in step] == written
    for shown, step in zip(after, steps, strict=True):
        assert levels_shown(shown).total() == 5
        assert [(r["level"], r["logger"], r["message"]) for r in step] == lines
        failed = step[-1]["exception"]
        assert isinstance(failed, dict)
        assert failed["type"] == "SoldOutError"
    requests = [[fields_of(r).get("request") for r in step] for step in steps]
    assert requests == [["r1", None, "r2", None, "r2"], *[["r1", "r1", "r2", "r2", "r2"]] * 2]

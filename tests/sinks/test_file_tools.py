"""What the file sink leaves behind, looked at with tools that others wrote."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from logflume import Pipeline, log, sinks

RECORDS = 500


@pytest.mark.real
@pytest.mark.parametrize(
    ("compression", "tool", "suffix"),
    [
        ("zstd", "zstd", ".zst"),
        ("gzip", "gzip", ".gz"),
        ("xz", "xz", ".xz"),
        ("bz2", "bzip2", ".bz2"),
    ],
)
def test_rotated_archives_are_whole_and_hold_every_record(
    tmp_path: Path, compression: str, tool: str, suffix: str
) -> None:
    """The tool's own test passes each, and jq finds all records once, in order."""
    if not shutil.which(tool) or not shutil.which("jq"):
        pytest.skip(f"{tool} or jq is not installed")
    path = tmp_path / "app.jsonl"
    with Pipeline(sinks.File(path, rotation="20 KB", compression=compression)):
        for n in range(RECORDS):
            log.info("Record {n}", n=n)
    archives = sorted(file for file in tmp_path.iterdir() if file.suffix == suffix)
    assert len(archives) > 3
    for archive in archives:
        subprocess.run([tool, "-tq", str(archive)], check=True, timeout=30)
    lines = b"".join(
        subprocess.run([tool, "-dcq", str(a)], check=True, timeout=30, capture_output=True).stdout
        for a in archives
    )
    rest = [f for f in sorted(tmp_path.iterdir()) if f.suffix == ".jsonl" and f != path]
    lines += b"".join(file.read_bytes() for file in [*rest, path])
    numbers = subprocess.run(
        ["jq", "-r", ".fields.n"], input=lines, check=True, timeout=30, capture_output=True
    ).stdout.split()
    assert list(map(int, numbers)) == list(range(RECORDS))

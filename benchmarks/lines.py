"""The lines that a contender left in its file, counted and looked at."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final

import orjson

CHUNK: Final = 1 << 20
TAIL: Final = 1 << 16


class WrongLinesError(Exception):
    """The file does not hold what was logged; the measurement counts for nothing."""


def count(path: str) -> int:
    """Count the newlines of a file."""
    total = 0
    with open(path, "rb") as file:
        while chunk := file.read(CHUNK):
            total += chunk.count(b"\n")
    return total


def ends(path: str) -> tuple[bytes, bytes]:
    """Return the first and the last line of a file."""
    with open(path, "rb") as file:
        first = file.readline()
        file.seek(max(0, os.fstat(file.fileno()).st_size - TAIL))
        return first, file.read().splitlines()[-1]


def verify(path: str, expected: int, last: str, *, text: bool = False) -> float:
    """Check number and both ends of the lines, and return the bytes per line.

    `last` is a piece of the last record's message. With `text`, lines need not be JSON.
    """
    found = count(path)
    if found != expected:
        raise WrongLinesError(f"{found:,} lines in the file, {expected:,} were logged")
    first_line, last_line = ends(path)
    if not text:
        orjson.loads(first_line)
        orjson.loads(last_line)
    if last.encode() not in last_line:
        raise WrongLinesError(f"the last line does not hold {last!r}")
    return Path(path).stat().st_size / found


def verify_all(path: Path, expected: int) -> float:
    """Count the records of a file and of those it was rotated to; return the bytes per record.

    They are lines, or maps of MessagePack.
    """
    files = [file for file in path.parent.iterdir() if file.name.startswith(path.stem)]
    found = size = 0
    for file in files:
        data = file.read_bytes()
        if file.suffix == ".zst":
            import zstandard

            data = zstandard.ZstdDecompressor().decompressobj().decompress(data)
        size += len(data)
        lines = data.endswith(b"\n")
        found += data.count(b"\n") if lines else data.count(b"\xa7message")
    if found != expected:
        raise WrongLinesError(f"{found:,} records in {len(files)} files, {expected:,} were logged")
    return size / found


def keys(path: str) -> list[str]:
    """Return the sorted keys of the first line, those of `fields` among them."""
    line: dict[str, Any] = orjson.loads(ends(path)[0])
    fields = line.get("fields")
    nested = [f"fields.{key}" for key in fields] if isinstance(fields, dict) else []
    return sorted([*line, *nested])

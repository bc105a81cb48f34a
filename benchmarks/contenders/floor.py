"""The floor: the least that any JSON logger written in Python must do per record.

One dict with the keys of a logflume line, and values of the same kinds and lengths, is built
once (the table shows the bytes per line, `--check` compares the keys). A record is then exactly

    write(dumps(record, None, OPT_APPEND_NEWLINE))

where `dumps` is `orjson.dumps` and `write` the bound method of `open(path, "wb")` with the
default buffer, both held in local variables; one `flush` ends it. No timestamp, no call
site, no message, no dict is made per record. `OPT_APPEND_NEWLINE` is the fastest of the ways
to get the newline (a second `write` or `+ b"\\n"` costs more).

`wide` is the same with a buffer of 64 KiB, for comparison; ratios refer to `plain`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import orjson

from benchmarks.job import TEMPLATE, Job, Session


def record(job: Job) -> dict[str, object]:
    """Build the record that the floor writes over and over."""
    last = job.records - 1
    return {
        "timestamp": "2026-01-31T12:34:56.123456Z",
        "level": "INFO",
        "message": TEMPLATE.format(user="alice", n=last),
        "fields": {**job.fields, "user": "alice", "n": last},
        "logger": "bench",
        "file": str(Path(__file__).with_name("logflume_.py")),
        "line": 42,
        "function": "burst",
        "module": "logflume_",
        "process": os.getpid(),
        "thread": "MainThread",
        "template": TEMPLATE,
        "task": "benchmarks.measures.throughput.ameasure",
    }


@contextmanager
def plain(job: Job) -> Iterator[Session]:
    """Write through the default buffer of `open`."""
    with open(job.path, "wb") as file:
        yield _session(job, file)


@contextmanager
def wide(job: Job) -> Iterator[Session]:
    """Write through a buffer of 64 KiB."""
    with open(job.path, "wb", buffering=65_536) as file:
        yield _session(job, file)


def _session(job: Job, file: BinaryIO) -> Session:
    same = record(job)

    def burst(first: int, count: int) -> None:
        write, dumps, options, record = file.write, orjson.dumps, orjson.OPT_APPEND_NEWLINE, same
        for _ in range(first, first + count):
            write(dumps(record, None, options))

    return Session(burst, file.flush)

"""The floor: the least that any JSON logger written in Python must do per record.

A record is a dict with the keys of a logflume line and values of the same kinds and lengths (the
table shows the bytes per line, `--check` compares the keys), made once. A record is then exactly

    write(dumps(record, None, OPT_APPEND_NEWLINE))

where `dumps` is `orjson.dumps` and `write` the bound method of `open(path, "wb")` with the
default buffer, both held in local variables; one `flush` ends it. No timestamp, no call
site and no message is made. Ratios refer to this one, `same`.

For comparison, `made` makes the dict anew for each record, as a logger must, from values that are
there already; `wide` is `same` with a buffer of 64 KiB.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import orjson

from benchmarks.job import TEMPLATE, Job, Session

_KEYS = (
    "timestamp", "level", "message", "fields", "logger", "file", "line", "function", "module",
    "process", "thread", "template", "task",
)  # fmt: skip


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
def made(job: Job) -> Iterator[Session]:
    """Make each record, and write it through the default buffer of `open`."""
    values = record(job)
    bound, keys = job.fields, tuple(values)
    constant = tuple(values.values())
    assert keys == _KEYS, "the display below makes the same record"

    def burst(first: int, count: int) -> None:
        write, dumps, options = file.write, orjson.dumps, orjson.OPT_APPEND_NEWLINE
        (
            time,
            level,
            text,
            _,
            logger,
            path,
            line,
            function,
            module,
            process,
            thread,
            template,
            task,
        ) = constant
        for n in range(first, first + count):
            made = {
                "timestamp": time,
                "level": level,
                "message": text,
                "fields": {**bound, "user": "alice", "n": n},
                "logger": logger,
                "file": path,
                "line": line,
                "function": function,
                "module": module,
                "process": process,
                "thread": thread,
                "template": template,
                "task": task,
            }
            write(dumps(made, None, options))

    with open(job.path, "wb") as file:
        yield Session(burst, file.flush)


@contextmanager
def same(job: Job) -> Iterator[Session]:
    """Write one record over and over through the default buffer of `open`."""
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

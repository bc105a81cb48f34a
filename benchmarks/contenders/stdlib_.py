"""The standard library's logging with python-json-logger, in its orjson edition.

`FileHandler` flushes after each line. Bound fields are merged into `extra` by the caller,
which is what a `LoggerAdapter` would do, at more cost.
"""

from __future__ import annotations

import logging
import queue
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import repeat
from logging.handlers import QueueHandler, QueueListener
from typing import Any

from pythonjsonlogger.orjson import OrjsonFormatter

from benchmarks.job import Job, Session, nothing

FIELDS = (
    "levelname",
    "message",
    "name",
    "pathname",
    "lineno",
    "funcName",
    "module",
    "process",
    "threadName",
)


def json_formatter() -> logging.Formatter:
    """The fields that a logflume line has, as far as a `LogRecord` knows them."""
    formatter: logging.Formatter = OrjsonFormatter(FIELDS, timestamp=True)
    return formatter


def _to_file(job: Job) -> logging.FileHandler:
    output = logging.FileHandler(job.path, mode="w", encoding="utf-8")
    output.setFormatter(json_formatter())
    return output


def _logger(output: logging.Handler) -> logging.Logger:
    logger = logging.getLogger("bench")
    logger.propagate = False
    logger.setLevel(logging.INFO)
    logger.addHandler(output)
    return logger


def _session(job: Job, logger: logging.Logger, flush: Callable[[], None]) -> Session:
    bound = job.fields

    def burst(first: int, count: int) -> None:
        for n in range(first, first + count):
            logger.info(
                "User %s did action %d", "alice", n, extra={**bound, "user": "alice", "n": n}
            )

    return Session(burst, flush)


@contextmanager
def direct(job: Job) -> Iterator[Session]:
    """Written by the caller."""
    output = _to_file(job)
    yield _session(job, _logger(output), nothing)
    output.close()


@contextmanager
def queued(job: Job) -> Iterator[Session]:
    """Written by the thread of a `QueueListener`."""
    output = _to_file(job)
    records: queue.SimpleQueue[Any] = queue.SimpleQueue()
    listener = QueueListener(records, output)
    listener.start()

    def flush() -> None:
        listener.stop()
        listener.start()

    yield _session(job, _logger(QueueHandler(records)), flush)
    listener.stop()
    output.close()


@contextmanager
def below(job: Job) -> Iterator[Session]:
    """`logger.debug("...")` while the level is INFO."""
    output = _to_file(job)
    logger = _logger(output)

    def burst(first: int, count: int) -> None:
        for _ in repeat(None, count):
            logger.debug("nothing to see")

    yield Session(burst, nothing)
    output.close()

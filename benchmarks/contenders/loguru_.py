"""loguru with `serialize=True`; it flushes the file after each line."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import repeat

from loguru import logger

from benchmarks.job import Job, Session, nothing


def _session(job: Job, flush: Callable[[], object]) -> Session:
    log = logger.bind(**job.fields)

    def burst(first: int, count: int) -> None:
        for n in range(first, first + count):
            log.info("User {user} did action {n}", user="alice", n=n)

    def flushed() -> None:
        flush()

    return Session(burst, flushed)


@contextmanager
def plain(job: Job) -> Iterator[Session]:
    """Written by the caller."""
    logger.remove()
    logger.add(job.path, serialize=True, level="INFO")
    yield _session(job, nothing)
    logger.remove()


@contextmanager
def enqueue(job: Job) -> Iterator[Session]:
    """Written by loguru's thread."""
    logger.remove()
    logger.add(job.path, serialize=True, level="INFO", enqueue=True)
    yield _session(job, logger.complete)
    logger.remove()


@contextmanager
def below(job: Job) -> Iterator[Session]:
    """`logger.debug("...")` while the only sink wants INFO."""
    logger.remove()
    logger.add(job.path, serialize=True, level="INFO")

    def burst(first: int, count: int) -> None:
        for _ in repeat(None, count):
            logger.debug("nothing to see")

    yield Session(burst, nothing)
    logger.remove()

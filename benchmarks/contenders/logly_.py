"""logly with `serialize=True`.

Fields of the call only fill its message, they are not written as fields; bound fields are
written as strings, whatever they were.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import repeat

from logly import Logger

from benchmarks.job import Job, Session, nothing


@contextmanager
def plain(job: Job) -> Iterator[Session]:
    """Written by the caller."""
    logger = Logger()
    logger.add(job.path, level="INFO", serialize=True)
    log = logger.bind(**job.fields)

    def burst(first: int, count: int) -> None:
        for n in range(first, first + count):
            log.info("User {user} did action {n}", user="alice", n=n)

    yield Session(burst, logger.complete)
    logger.remove()


@contextmanager
def below(job: Job) -> Iterator[Session]:
    """`logger.debug("...")` while the only sink wants INFO."""
    logger = Logger()
    logger.add(job.path, level="INFO", serialize=True)

    def burst(first: int, count: int) -> None:
        for _ in repeat(None, count):
            logger.debug("nothing to see")

    yield Session(burst, nothing)
    logger.remove()

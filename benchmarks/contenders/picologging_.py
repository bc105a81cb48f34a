"""picologging: a copy of stdlib logging in C++, which writes text and has no fields.

A `datefmt` is given because its default `asctime` prints uninitialised memory in the version
on PyPI (microsoft/picologging issue 203).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import repeat
from typing import Final

import picologging

from benchmarks.job import Job, Session, nothing

FORMAT: Final = (
    "%(asctime)s %(levelname)s %(name)s %(pathname)s:%(lineno)d %(funcName)s "
    "%(process)d %(threadName)s %(message)s"
)


@contextmanager
def text(job: Job) -> Iterator[Session]:
    """A line of text per record, with call site, flushed after each."""
    output, logger = _open(job)

    def burst(first: int, count: int) -> None:
        for n in range(first, first + count):
            logger.info("User %s did action %d", "alice", n)

    yield Session(burst, output.flush)
    output.close()


@contextmanager
def below(job: Job) -> Iterator[Session]:
    """`logger.debug("...")` while the level is INFO."""
    output, logger = _open(job)

    def burst(first: int, count: int) -> None:
        for _ in repeat(None, count):
            logger.debug("nothing to see")

    yield Session(burst, nothing)
    output.close()


def _open(job: Job) -> tuple[picologging.FileHandler, picologging.Logger]:
    output = picologging.FileHandler(job.path, mode="w", encoding="utf-8")
    output.setFormatter(picologging.Formatter(FORMAT, "%Y-%m-%dT%H:%M:%S"))
    logger = picologging.getLogger("bench")
    logger.propagate = False
    logger.setLevel(picologging.INFO)
    logger.addHandler(output)
    return output, logger

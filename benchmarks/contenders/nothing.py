"""No logging at all: what the loop's own timers cost."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.job import Job, Session, nothing


@contextmanager
def plain(job: Job) -> Iterator[Session]:
    """A burst that does nothing."""

    def burst(first: int, count: int) -> None:
        """Log nothing."""

    yield Session(burst, nothing)

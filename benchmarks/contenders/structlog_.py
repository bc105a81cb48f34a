"""structlog, by the recipe of its documentation's page on performance.

Its event is a constant string, so it renders no message; the four fields are beside it.
`BytesLogger` flushes the file after each line; `unflushed` leaves that out.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from itertools import repeat
from typing import Any, BinaryIO

import orjson
import structlog
from structlog.processors import CallsiteParameter, CallsiteParameterAdder

from benchmarks.job import AsyncSession, Job, Session, anothing, nothing

CALL_SITE = CallsiteParameterAdder(
    {
        CallsiteParameter.PATHNAME,
        CallsiteParameter.LINENO,
        CallsiteParameter.FUNC_NAME,
        CallsiteParameter.MODULE,
        CallsiteParameter.PROCESS,
        CallsiteParameter.THREAD_NAME,
    }
)


@contextmanager
def opened_file(job: Job) -> Iterator[BinaryIO]:
    with open(job.path, "wb") as file:
        yield file


class Unflushed:
    """A structlog output that leaves flushing to the file's buffer."""

    def __init__(self, file: BinaryIO) -> None:
        self._write = file.write

    def info(self, line: bytes) -> None:
        self._write(line + b"\n")


def configure(output: Callable[..., Any], *processors: structlog.typing.Processor) -> Any:
    structlog.configure(
        cache_logger_on_first_use=True,
        wrapper_class=structlog.make_filtering_bound_logger("info"),
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            *processors,
            structlog.processors.format_exc_info,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(serializer=orjson.dumps),
        ],
        logger_factory=output,
    )
    return structlog.get_logger()


def _session(job: Job, logger: Any, flush: Callable[[], None]) -> Session:
    log = logger.bind(logger="bench", **job.fields)

    def burst(first: int, count: int) -> None:
        for n in range(first, first + count):
            log.info("User did action", user="alice", n=n)

    return Session(burst, flush)


@contextmanager
def plain(job: Job) -> Iterator[Session]:
    """Without call site."""
    with opened_file(job) as file:
        yield _session(job, configure(structlog.BytesLoggerFactory(file)), nothing)


@contextmanager
def unflushed(job: Job) -> Iterator[Session]:
    """Without call site, and without the flush after each line."""
    with opened_file(job) as file:
        output = Unflushed(file)
        yield _session(job, configure(lambda *args: output), file.flush)


@contextmanager
def call_site(job: Job) -> Iterator[Session]:
    """With call site."""
    with opened_file(job) as file:
        logger = configure(structlog.BytesLoggerFactory(file), CALL_SITE)
        yield _session(job, logger, nothing)


@asynccontextmanager
async def ainfo(job: Job) -> AsyncIterator[AsyncSession]:
    """`await log.ainfo(...)`, without call site; asyncio only, a thread per call."""
    with opened_file(job) as file:
        log = configure(structlog.BytesLoggerFactory(file)).bind(logger="bench", **job.fields)

        async def burst(first: int, count: int) -> None:
            for n in range(first, first + count):
                await log.ainfo("User did action", user="alice", n=n)

        yield AsyncSession(burst, anothing)


@contextmanager
def below(job: Job) -> Iterator[Session]:
    """`log.debug("...")` of a filtering bound logger."""
    with opened_file(job) as file:
        log = configure(structlog.BytesLoggerFactory(file)).bind()

        def burst(first: int, count: int) -> None:
            for _ in repeat(None, count):
                log.debug("nothing to see")

        yield Session(burst, nothing)


@contextmanager
def below_fields(job: Job) -> Iterator[Session]:
    """`log.debug("...", user=..., n=...)` of a filtering bound logger."""
    with opened_file(job) as file:
        log = configure(structlog.BytesLoggerFactory(file)).bind()

        def burst(first: int, count: int) -> None:
            for _ in repeat(None, count):
                log.debug("User did action", user="alice", n=1)

        yield Session(burst, nothing)

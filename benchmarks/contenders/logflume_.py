"""logflume, as its README shows it: call site on, defaults everywhere else."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from itertools import repeat
from typing import Any, Final

import anyio
from anyio.lowlevel import checkpoint

from benchmarks.job import AsyncSession, Job, Session, anothing, nothing
from logflume import Encoder, Pipeline, Route, encoders, get_logger, sinks

BURST: Final = 500
"""Records that the synchronous call logs on the loop's thread before it lets the loop run."""

FLUSH_EVERY: Final = 10_000
"""Records after which the synchronous call waits, so that the door never has to drop one."""

SLOW_S: Final = 4e-6
"""What the slow sink takes per record: longer than a call takes."""


class Slow:
    """A sink that takes its time and keeps nothing."""

    async def open(self) -> None:
        """There is nothing to open."""

    async def send(self, batch: Any) -> None:
        await anyio.sleep(len(batch.records) * SLOW_S)

    async def aclose(self) -> None:
        """There is nothing to close."""


async def stalled(record: object) -> None:
    """Take a record and never return."""
    await anyio.sleep_forever()


def to_file(path: str) -> Route:
    return Route(sinks.File(path), encoder=encoders.Json())


def _awaited(job: Job, pipeline: Pipeline | None = None) -> AsyncSession:
    log = get_logger("bench").bind(**job.fields)

    async def burst(first: int, count: int) -> None:
        for n in range(first, first + count):
            await log.ainfo("User {user} did action {n}", user="alice", n=n)

    async def flush() -> None:
        if pipeline is not None:
            await pipeline.flush()

    return AsyncSession(burst, flush)


@asynccontextmanager
async def ainfo(job: Job) -> AsyncIterator[AsyncSession]:
    """`await log.ainfo(...)` to one JSON file."""
    async with Pipeline(to_file(job.path)) as pipeline:
        yield _awaited(job, pipeline)


@asynccontextmanager
async def ainfo_two_routes(job: Job) -> AsyncIterator[AsyncSession]:
    """`await log.ainfo(...)` to two JSON files with equal encoders."""
    async with Pipeline(to_file(job.path), to_file(f"{job.path}.second")) as pipeline:
        yield _awaited(job, pipeline)


def _to(
    sink: Callable[[str], sinks.File], encoder: Callable[[], Encoder], **options: Any
) -> Callable[[Job], AbstractAsyncContextManager[AsyncSession]]:
    """Return an opener: `await log.ainfo(...)` to this file, in this encoding."""

    @asynccontextmanager
    async def opener(job: Job) -> AsyncIterator[AsyncSession]:
        route = Route(sink(job.path), encoder=encoder())
        async with Pipeline(route, **options) as pipeline:
            yield _awaited(job, pipeline)

    return opener


def _plain(path: str) -> sinks.File:
    return sinks.File(path)


def _rotating(path: str) -> sinks.File:
    return sinks.File(path, rotation="10 MB")


def _compressed(path: str) -> sinks.File:
    return sinks.File(path, rotation="10 MB", compression="zstd")


plain = _to(_plain, encoders.Json)
unredacted = _to(_plain, encoders.Json, redact=None)
rotating = _to(_rotating, encoders.Json)
compressed = _to(_compressed, encoders.Json)
flat = _to(_plain, lambda: encoders.Json(flat=True))
logfmt = _to(_plain, encoders.Logfmt)
template = _to(
    _plain,
    lambda: encoders.Template(
        "{time:YYYY-MM-DD HH:mm:ss.SSS} {level:<8} {name}: {message} {fields}"
    ),
)
ecs = _to(_plain, encoders.Ecs)
console = _to(_plain, encoders.Console)
msgpack = _to(_plain, encoders.Msgpack)


@asynccontextmanager
async def ainfo_stalled(job: Job) -> AsyncIterator[AsyncSession]:
    """`await log.ainfo(...)` to one JSON file, and to a callback that never returns."""
    async with Pipeline(to_file(job.path), stalled, shutdown_timeout=0.5):
        yield _awaited(job)  # never flushed: that would wait for the stalled one


@asynccontextmanager
async def ainfo_slow(job: Job) -> AsyncIterator[AsyncSession]:
    """`await log.ainfo(...)` to a sink that is slower than the caller."""
    async with Pipeline(Route(Slow(), encoder=encoders.Json())) as pipeline:
        yield _awaited(job, pipeline)


@asynccontextmanager
async def info(job: Job) -> AsyncIterator[AsyncSession]:
    """`log.info(...)` on the loop's own thread, which runs its loop every `BURST` records."""
    async with Pipeline(to_file(job.path)) as pipeline:
        log = get_logger("bench").bind(**job.fields)

        async def burst(first: int, count: int) -> None:
            end = first + count
            for start in range(first, end, BURST):
                for n in range(start, min(start + BURST, end)):
                    log.info("User {user} did action {n}", user="alice", n=n)
                await checkpoint()
                if start % FLUSH_EVERY == 0:
                    await pipeline.flush()

        async def flush() -> None:
            await pipeline.flush()

        yield AsyncSession(burst, flush)


@contextmanager
def script(job: Job) -> Iterator[Session]:
    """`log.info(...)` in a script: the main thread logs, a background thread runs the loop."""
    with Pipeline(to_file(job.path)):
        log = get_logger("bench").bind(**job.fields)

        def burst(first: int, count: int) -> None:
            for n in range(first, first + count):
                log.info("User {user} did action {n}", user="alice", n=n)

        def flush() -> None:
            log.complete()

        yield Session(burst, flush)


@asynccontextmanager
async def below(job: Job) -> AsyncIterator[AsyncSession]:
    """`log.debug("...")` while the level is INFO."""
    async with Pipeline(to_file(job.path), level="INFO"):
        log = get_logger("bench")

        async def burst(first: int, count: int) -> None:
            for _ in repeat(None, count):
                log.debug("nothing to see")

        yield AsyncSession(burst, anothing)


@asynccontextmanager
async def below_fields(job: Job) -> AsyncIterator[AsyncSession]:
    """`log.debug("...", user=..., n=...)` while the level is INFO."""
    async with Pipeline(to_file(job.path), level="INFO"):
        log = get_logger("bench")

        async def burst(first: int, count: int) -> None:
            for _ in repeat(None, count):
                log.debug("User {user} did action {n}", user="alice", n=1)

        yield AsyncSession(burst, anothing)


@asynccontextmanager
async def below_awaited(job: Job) -> AsyncIterator[AsyncSession]:
    """`await log.adebug("...")` while the level is INFO."""
    async with Pipeline(to_file(job.path), level="INFO"):
        log = get_logger("bench")

        async def burst(first: int, count: int) -> None:
            for _ in repeat(None, count):
                await log.adebug("nothing to see")

        yield AsyncSession(burst, anothing)


@contextmanager
def below_default(job: Job) -> Iterator[Session]:
    """`log.debug("...")` with nothing configured."""
    log = get_logger("bench")

    def burst(first: int, count: int) -> None:
        for _ in repeat(None, count):
            log.debug("nothing to see")

    yield Session(burst, nothing)

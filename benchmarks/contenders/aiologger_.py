"""aiologger's JSON logger with its file output; asyncio only, it flushes after each line."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import orjson
from aiologger.formatters.json import ExtendedJsonFormatter
from aiologger.handlers.files import AsyncFileHandler
from aiologger.loggers.json import JsonLogger

from benchmarks.job import AsyncSession, Job, anothing


@asynccontextmanager
async def awaited(job: Job) -> AsyncIterator[AsyncSession]:
    """`await logger.info(...)`: a task per call, done when its line is in the file."""
    output = AsyncFileHandler(job.path, mode="w", encoding="utf-8")
    output.formatter = ExtendedJsonFormatter(serializer=orjson.dumps)
    logger = JsonLogger(name="bench", extra=job.fields)
    logger.add_handler(output)

    async def burst(first: int, count: int) -> None:
        for n in range(first, first + count):
            await logger.info(f"User alice did action {n}", extra={"user": "alice", "n": n})

    yield AsyncSession(burst, anothing)
    await logger.shutdown()

"""aiologging with its file output and python-json-logger; asyncio only."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiologging

from benchmarks.contenders.stdlib_ import json_formatter
from benchmarks.job import AsyncSession, Job


@asynccontextmanager
async def awaited(job: Job) -> AsyncIterator[AsyncSession]:
    """`await logger.info(...)`: done when the record is queued."""
    logger = aiologging.getLogger("bench")
    logger.propagate = False
    logger.setLevel(aiologging.INFO)
    logger.addHandler(
        aiologging.AsyncFileHandler(job.path, mode="w", delay=True, formatter=json_formatter())
    )
    bound = job.fields

    async def burst(first: int, count: int) -> None:
        for n in range(first, first + count):
            await logger.info(
                "User %s did action %d", "alice", n, extra={**bound, "user": "alice", "n": n}
            )

    yield AsyncSession(burst, aiologging.flush)
    await aiologging.shutdown()

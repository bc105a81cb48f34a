"""What the shops of all frameworks do: logging in all the places that lose a request's context.

The environment says where they log to (`SHOP_FOLDER`), how many orders wait for one another
(`SHOP_CROWD`), how many seconds they and their mails take then (`SHOP_WORK`), and whether there is
a sink which takes nothing (`SHOP_STUCK`).
"""

from __future__ import annotations

import dataclasses
import json
import os
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread

from logflume import Pipeline, Route, context, get_logger, scope, sinks
from logflume.integrations.asgi import lifespan
from logflume.testing import sinks as odd

log = get_logger("shop")


class Crowd:
    """Lets nobody go on before so many have come: all of them are there at once."""

    def __init__(self, size: int) -> None:
        self._missing = size
        self._complete = anyio.Event()

    async def join(self) -> None:
        """Come, and wait for the others; a file tells of the last."""
        self._missing -= 1
        if self._missing == 0:
            (folder / "crowded").touch()
            self._complete.set()
        await self._complete.wait()


folder = Path(os.environ["SHOP_FOLDER"])
crowd = Crowd(int(os.environ.get("SHOP_CROWD", "1")))
work_s = float(os.environ.get("SHOP_WORK", "0"))


def routes() -> list[Any]:
    """Return the file that all processes write to, and if asked for, what hangs beside it."""
    file = sinks.File(folder / "shop.jsonl", shared=True)
    stuck = Route(odd.Hang(), name="stuck", filter=lambda record: record.logger == "access")
    return [file, stuck] if os.environ.get("SHOP_STUCK") else [file]


@asynccontextmanager
async def own(app: Any) -> AsyncIterator[None]:
    """What the app does at its own start and end is logged, too."""
    log.info("opened")
    yield
    log.info("closing")


@asynccontextmanager
async def life(app: Any) -> AsyncIterator[None]:
    """The pipeline's life; what became of the records stands in a file afterwards."""
    pipeline = Pipeline(*routes(), shutdown_timeout=1.0)
    async with lifespan(pipeline, own)(app):
        yield
    ledger = json.dumps(dataclasses.asdict(pipeline.stats()))
    (folder / f"ledger-{os.getpid()}.json").write_text(ledger)


def tenant_of(number: int) -> str:
    """Find out who asks, as a sync dependency: in a thread."""
    assert threading.current_thread() is not threading.main_thread()
    tenant = f"t{number % 7}"
    scope().add(tenant=tenant)
    log.info("dependency", number=number, tenant=tenant)
    return tenant


async def fill(number: int, tenant: str) -> None:
    """Do what an order takes: waiting with all others, a task and a thread of its own."""
    with context(tenant=tenant):
        log.info("came", number=number)
        await crowd.join()
        await anyio.sleep(work_s)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(pack, number)
            tasks.start_soon(anyio.to_thread.run_sync, weigh, number)
        await log.ainfo("filled", number=number)


async def pack(number: int) -> None:
    """Work in a task."""
    with scope().timer("pack"):
        await anyio.sleep(0)
    log.info("packed", number=number)


def weigh(number: int) -> None:
    """Work in a thread."""
    log.info("weighed", number=number)


async def send_mail(number: int, tenant: str) -> None:
    """Work after the response: a background task."""
    await anyio.sleep(work_s)
    scope().add(mail=number)
    log.info("mailed", number=number, tenant=tenant)

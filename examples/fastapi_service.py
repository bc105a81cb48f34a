"""A FastAPI service, logged: one context and one wide record for each request.

    uvicorn --no-access-log --app-dir examples fastapi_service:app

Then ask for http://127.0.0.1:8000/orders/7, /orders/0 (not found) and /orders/13 (a failure). The
console shows records of all kinds, and logs/requests.jsonl only the access records, as JSON.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

import anyio
from fastapi import BackgroundTasks, Depends, FastAPI, Header, HTTPException

from logflume import Pipeline, Route, encoders, get_logger, scope, sinks
from logflume.integrations.asgi import LoggingMiddleware, lifespan

log = get_logger("shop")


def pipeline() -> Pipeline:
    """Return a new pipeline, for each start of the app."""
    return Pipeline(
        sinks.Console(),
        Route(
            sinks.File("logs/requests.jsonl", rotation="100 MB", retention="14 days"),
            encoder=encoders.Json(),
            filter=lambda record: record.logger == "access",
        ),
    )


@asynccontextmanager
async def stock(api: FastAPI) -> AsyncIterator[dict[str, Any]]:
    """The app's own lifespan: what it logs at its end is delivered, too."""
    log.info("Opening the stock")
    yield {"stock": {7: "apple"}}
    log.info("Closing the stock")


def customer(x_customer: Annotated[str, Header()] = "guest") -> str:
    """A sync dependency: FastAPI runs it in a thread, which has the request's context."""
    scope().add(customer=x_customer)
    log.debug("Customer known")
    return x_customer


def send_mail(name: str) -> None:
    """Work for the time after the response."""
    with scope().timer("mail"):
        time.sleep(0.01)
    log.info("Mail about {name} sent", name=name)


api = FastAPI(lifespan=lifespan(pipeline, stock))


@api.get("/orders/{order}")
async def show(
    order: int, who: Annotated[str, Depends(customer)], tasks: BackgroundTasks
) -> dict[str, str]:
    """Look an order up, and send a mail about it."""
    with scope().timer("db"):
        await anyio.sleep(0.005)
    if order not in (7, 13):
        raise HTTPException(404)
    if order == 13:
        raise LookupError("the stock is in disorder")
    log.info("Order {order} found for {who}", order=order, who=who)
    tasks.add_task(send_mail, "apple")
    return {"order": "apple"}


@api.get("/health")
async def health() -> str:
    """Asked every second, and not logged."""
    return "ok"


app = LoggingMiddleware(api, exclude=["/health"], query=["page"])

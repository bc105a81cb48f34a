"""The shop as a FastAPI app."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, BackgroundTasks, Depends, FastAPI

from logflume.integrations.asgi import LoggingMiddleware

from .common import fill, life, send_mail, tenant_of

orders = APIRouter(prefix="/orders")


@orders.get("/{number}")
async def order(
    number: int, tenant: Annotated[str, Depends(tenant_of)], tasks: BackgroundTasks
) -> int:
    """Take an order."""
    await fill(number, tenant)
    tasks.add_task(send_mail, number, tenant)
    return number


api = FastAPI(lifespan=life)
api.include_router(orders)
app = LoggingMiddleware(api)

"""The shop as a Starlette app."""

from __future__ import annotations

import anyio.to_thread
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route

from logflume.integrations.asgi import LoggingMiddleware

from .common import fill, life, send_mail, tenant_of


async def order(request: Request) -> Response:
    """Take an order."""
    number = request.path_params["number"]
    tenant = await anyio.to_thread.run_sync(tenant_of, number)
    await fill(number, tenant)
    return JSONResponse(number, background=BackgroundTask(send_mail, number, tenant))


orders = Mount("/orders", routes=[Route("/{number:int}", order)])
app = LoggingMiddleware(Starlette(routes=[orders], lifespan=life))

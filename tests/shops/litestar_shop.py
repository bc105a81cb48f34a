"""The shop as a Litestar app."""

from __future__ import annotations

from litestar import Litestar, Response, Router, get
from litestar.background_tasks import BackgroundTask
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath

from logflume.integrations.asgi import LoggingMiddleware

from .common import fill, life, send_mail, tenant_of


def tenant_by(number: FromPath[int]) -> str:
    """Say where Litestar finds the number."""
    return tenant_of(number)


@get("/{number:int}", dependencies={"tenant": Provide(tenant_by, sync_to_thread=True)})
async def order(number: FromPath[int], tenant: NamedDependency[str]) -> Response[int]:
    """Take an order."""
    await fill(number, tenant)
    return Response(number, background=BackgroundTask(send_mail, number, tenant))


orders = Router("/orders", route_handlers=[order])
app = LoggingMiddleware(Litestar([orders], lifespan=[life], openapi_config=None))

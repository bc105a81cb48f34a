"""An app whose requests end in other ways than by a response.

The environment says how many seconds its shutdown waits for them (`SHOP_PATIENCE`).
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator

import anyio
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from logflume.integrations.asgi import LoggingMiddleware

from .common import life


async def boom(request: Request) -> Response:
    """Fail."""
    raise ValueError("wrong")


async def endless(request: Request) -> Response:
    """Send until the client has gone."""

    async def parts() -> AsyncIterator[bytes]:
        while True:
            yield b"x" * 1_000
            await anyio.sleep(0.001)

    return StreamingResponse(parts())


async def echo(socket: WebSocket) -> None:
    """Say all that comes."""
    await socket.accept()
    async for text in socket.iter_text():
        await socket.send_text(text)


async def deaf(socket: WebSocket) -> None:
    """Listen to nothing."""
    await socket.accept()
    await socket.send_text("a")
    await anyio.sleep_forever()


routes = [
    Route("/boom", boom),
    Route("/endless", endless),
    WebSocketRoute("/echo", echo),
    WebSocketRoute("/deaf", deaf),
]
app = LoggingMiddleware(
    Starlette(routes=routes, lifespan=life),
    shutdown_timeout=float(os.environ.get("SHOP_PATIENCE", "5")),
)

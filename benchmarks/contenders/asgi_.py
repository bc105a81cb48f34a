"""Requests to an ASGI app under a middleware that gives each an id, a context and one access line.

asgi-correlation-id and structlog go together as in the recipe that is handed around for FastAPI:
the id comes from the first, and a middleware binds it to structlog's context and logs the request.
Its original is a `BaseHTTPMiddleware` of Starlette; written as pure ASGI it is a good deal faster.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Final, TypeAlias

from anyio.lowlevel import checkpoint

from benchmarks.contenders.logflume_ import to_file
from benchmarks.job import AsyncSession, Job, anothing
from logflume import Pipeline

Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
App: TypeAlias = Callable[[Any, Any, Any], Awaitable[None]]

HEADERS: Final = [
    (b"host", b"shop.example"),
    (b"user-agent", b"curl/8.5.0"),
    (b"accept", b"*/*"),
    (b"accept-encoding", b"gzip, br"),
    (b"connection", b"keep-alive"),
]
EMPTY: Final[Message] = {"type": "http.request", "body": b"", "more_body": False}


async def app(asgi: Any, receive: Receive, send: Send) -> None:
    """The app itself: reads the request and says hello."""
    await receive()
    headers = [(b"content-type", b"text/plain")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"hello"})


def serving(target: App, flush: Callable[[], Awaitable[object]] = anothing) -> AsyncSession:
    """Return a session whose calls are requests, as a server would make them."""

    async def receive() -> Message:
        await checkpoint()  # a server's loop runs between requests
        return EMPTY

    async def send(message: Message) -> None:
        pass

    async def burst(first: int, count: int) -> None:
        for n in range(first, first + count):
            path = f"/users/{n}"
            asgi = {
                "type": "http",
                "asgi": {"version": "3.0"},
                "http_version": "1.1",
                "scheme": "http",
                "method": "GET",
                "path": path,
                "raw_path": path.encode(),
                "query_string": b"",
                "root_path": "",
                "headers": list(HEADERS),
                "client": ("192.0.2.1", 4711),
                "server": ("192.0.2.2", 80),
            }
            await target(asgi, receive, send)

    async def flushed() -> None:
        await flush()

    return AsyncSession(burst, flushed)


@asynccontextmanager
async def bare(job: Job) -> AsyncIterator[AsyncSession]:
    """The app under no middleware."""
    yield serving(app)


@asynccontextmanager
async def logflume(job: Job) -> AsyncIterator[AsyncSession]:
    """`LoggingMiddleware(app)`, to one JSON file."""
    from logflume.integrations.asgi import LoggingMiddleware

    async with Pipeline(to_file(job.path)) as pipeline:
        yield serving(LoggingMiddleware(app), pipeline.flush)


def _recipe(
    wrap: Callable[[App], App],
) -> Callable[[Job], AbstractAsyncContextManager[AsyncSession]]:
    @asynccontextmanager
    async def opener(job: Job) -> AsyncIterator[AsyncSession]:
        from asgi_correlation_id import CorrelationIdMiddleware
        from structlog import BytesLoggerFactory

        from benchmarks.contenders.structlog_ import configure, opened_file

        with opened_file(job) as file:
            configure(BytesLoggerFactory(file))
            yield serving(CorrelationIdMiddleware(wrap(app)))

    return opener


def _pure(inner: App) -> App:
    import structlog
    from asgi_correlation_id import correlation_id
    from structlog.contextvars import bind_contextvars, clear_contextvars

    log = structlog.get_logger("access")

    async def middleware(asgi: Any, receive: Receive, send: Send) -> None:
        clear_contextvars()
        bind_contextvars(request_id=correlation_id.get())
        started = time.perf_counter_ns()
        status = 500

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await inner(asgi, receive, watched)
        finally:
            client, port = asgi["client"]
            log.info(
                f"{asgi['method']} {asgi['path']} {status}",
                method=asgi["method"],
                path=asgi["path"],
                status=status,
                client=client,
                port=port,
                duration_ms=(time.perf_counter_ns() - started) / 1e6,
            )

    return middleware


def _starlette(inner: App) -> App:
    import structlog
    from asgi_correlation_id import correlation_id
    from starlette.middleware.base import BaseHTTPMiddleware
    from structlog.contextvars import bind_contextvars, clear_contextvars

    log = structlog.get_logger("access")

    async def dispatch(request: Any, call_next: Any) -> Any:
        clear_contextvars()
        bind_contextvars(request_id=correlation_id.get())
        started = time.perf_counter_ns()
        response = await call_next(request)
        log.info(
            f"{request.method} {request.url.path} {response.status_code}",
            method=request.method,
            path=request.url.path,
            status=response.status_code,
            client=request.client.host,
            port=request.client.port,
            duration_ms=(time.perf_counter_ns() - started) / 1e6,
        )
        return response

    return BaseHTTPMiddleware(inner, dispatch)


structlog_pure = _recipe(_pure)
structlog_starlette = _recipe(_starlette)

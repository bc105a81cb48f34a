"""The middleware: each call of the app, from its beginning to its end."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from ...errors import ConfigurationError
from ...level import Level
from ...logger import Logger
from .access import Access, Choice, level_of_status
from .call import MARK, App
from .control import RequestControl
from .inside import Inside
from .request import Request
from .trace import new_request_id as _new_request_id
from .websocket import Connection

__all__ = ["LoggingMiddleware"]


class LoggingMiddleware:
    """Give each request a context, and log one record of it at its end.

    All that is logged in a request has `request_id`, `method`, `path`, `client` and, once the
    app's router has chosen it, `route` among its fields, and the `trace_id` and `span_id` of a
    valid `traceparent` header beside them (W3C Trace Context, section 3.2): in handlers,
    dependencies, threads, background tasks and streamed bodies.

    The access record is the request's scope: `logflume.scope().add(...)` adds to it from anywhere.
    It has `status`, `duration_ms` (to the last byte sent) and `total_ms` (to the end of background
    tasks), `bytes_in` (what the app read) and `bytes_out` (of bodies), `user_agent`, and `outcome`:
    `ok`, `failed`, `cancelled`, `disconnected` or `incomplete`. It is logged once, whatever
    happened. Unhandled exceptions are logged once as well, and go on.

    Websockets have a record when they are accepted, and one at their end, with `close_code` (or
    the `status` they were refused with), `messages_in` and `messages_out`.

    - `logger`: the one of these records, or its name. Unhandled exceptions are logged by the
      logger below it: `access.error`.
    - `request_id_header`: where a client may give its own id of 1 to 128 characters
      `A-Za-z0-9._:=/+@-`, and where the response gives it back. Any other is replaced by what
      `new_request_id` returns. None: always a new one, and no header.
    - `level`: a function from the status to the level; by default, 5xx is ERROR, 4xx WARNING.
      Failures are never below ERROR.
    - `exclude`: paths without access records: `/health`, or `/static/*` for all below.
    - `query`, `headers`, `response_headers`: the names of those that are logged; no others are.
      Secrets in them are redacted here, even if the pipeline does not redact.
    - `fields`: a function of the record's fields and the ASGI scope, which returns the fields to
      log; None for no record. What the message tells stays. If it fails, all are logged.
    - `shutdown_timeout`: the most seconds that the app's shutdown waits for calls that are not
      over, such as background tasks, so that their records are delivered. Most servers wait by
      themselves; granian does not. Those that are left are logged as `cancelled` then.
    - `control`: a `RequestControl`, by which requests that are trusted choose how they are logged.

    Around the whole app, it sees the response that the framework makes of an exception, too:

        app = LoggingMiddleware(FastAPI(lifespan=lifespan(Pipeline(sinks.Console()))))

    A second one below does nothing. Safe for any number of requests at once; adds no waiting.

    Raises:
        ConfigurationError: a setting means nothing.
    """

    def __init__(
        self,
        app: App,
        *,
        logger: Logger | str = "access",
        request_id_header: str | None = "x-request-id",
        new_request_id: Callable[[], str] = _new_request_id,
        level: Callable[[int], Level | str | int] = level_of_status,
        exclude: Iterable[str] = (),
        query: Iterable[str] = (),
        headers: Iterable[str] = (),
        response_headers: Iterable[str] = (),
        fields: Choice | None = None,
        shutdown_timeout: float = 5.0,
        control: RequestControl | None = None,
    ) -> None:
        if not isinstance(control, RequestControl | None):
            raise ConfigurationError.of("LoggingMiddleware.control", control, "a RequestControl")
        self.app = app
        self._control = control
        self._access = Access(
            logger=logger,
            request_id_header=request_id_header,
            new_request_id=new_request_id,
            level=level,
            exclude=exclude,
            query=query,
            headers=headers,
            response_headers=response_headers,
            fields=fields,
        )
        self._inside = Inside(shutdown_timeout, self._access.errors)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Run the app for one request, websocket or lifespan."""
        kind = scope["type"]
        if kind == "lifespan":
            receive = self._inside.before_shutdown(receive)
        if kind not in _CALLS or MARK in scope:
            await self.app(scope, receive, send)
            return
        call = _CALLS[kind](self._access, scope, receive, send)
        call.begin()
        self._inside.enter(call)
        try:
            if self._control is not None:
                await self._control.apply_to(call)
            await self.app(call.asgi, call.receive, call.send)
        except BaseException as error:
            call.end(error)
            raise
        else:
            call.end(None)
        finally:
            self._inside.leave(call)


_CALLS: dict[str, type[Request | Connection]] = {"http": Request, "websocket": Connection}

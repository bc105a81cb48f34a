"""An app's shutdown waits for the calls that are in it; under real servers: test_asgi_load.py."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self

import anyio
import anyio.lowlevel
import pytest

from logflume import ConfigurationError, Pipeline, get_logger
from logflume.integrations.asgi import LoggingMiddleware, lifespan
from tests.fakes import Collect

log = get_logger("app")


class Shop:
    """An app with a pipeline, whose requests work on after the response until they may `go`."""

    def __init__(self, sink: Any) -> None:
        self.go = anyio.Event()
        self._life = lifespan(Pipeline(sink))(self)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await receive()
            async with self._life:
                await send({"type": "lifespan.startup.complete"})
                await receive()
                log.info("closing")
            return
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"ok"})
        await self.go.wait()
        log.info("background")


class Server:
    """Serves an app without waiting for anything but responses."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self._told, self._read = anyio.create_memory_object_stream[dict[str, Any]](2)
        self.started = anyio.Event()

    async def __aenter__(self) -> Self:
        self._tasks = await anyio.create_task_group().__aenter__()
        self._tasks.start_soon(self._app, {"type": "lifespan"}, self._read.receive, self._send)
        await self._told.send({"type": "lifespan.startup"})
        await self.started.wait()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._tasks.__aexit__(exc_type, exc, traceback)
        self._told.close()
        self._read.close()

    async def ask(self) -> None:
        """Return when the response came."""
        answered = anyio.Event()

        async def send(message: Any) -> None:
            if message["type"] == "http.response.body":
                answered.set()

        scope = {"type": "http", "method": "GET", "path": "/x", "headers": []}
        self._tasks.start_soon(self._app, scope, anyio.sleep_forever, send)
        await answered.wait()

    async def shut_down(self) -> None:
        """Tell the app."""
        await self._told.send({"type": "lifespan.shutdown"})
        await anyio.wait_all_tasks_blocked()

    async def _send(self, message: Any) -> None:
        self.started.set()


async def test_a_shutdown_waits_for_background_work() -> None:
    """The pipeline is open until it is over, and so is what the app holds."""
    sink = Collect()
    shop = Shop(sink)
    async with Server(LoggingMiddleware(shop)) as server:
        await server.ask()
        await server.ask()
        await server.shut_down()
        assert "closing" not in sink.messages
        shop.go.set()
    assert sorted(sink.messages[:4]) == ["GET /x 200"] * 2 + ["background"] * 2
    assert sink.messages[4:] == ["closing"]


async def test_it_waits_so_long_and_logs_those_that_are_left() -> None:
    """How many by the logger of failures, and the record of each, with its context; once."""
    sink = Collect()
    shop = Shop(sink)
    async with Server(LoggingMiddleware(shop, shutdown_timeout=0.02)) as server:
        await server.ask()
        await server.ask()
        await server.shut_down()
        await sink.until(4)
        shop.go.set()
    told, *calls, closing = sink.records
    assert (told.logger, told.level.name) == ("access.error", "WARNING")
    assert told.message == "Calls that are not over at shutdown: 2"
    for call in calls:
        assert (call.logger, call.level.name) == ("access", "WARNING")
        assert call.message == "GET /x 200"
        assert call.fields["outcome"] == "cancelled"
    assert len({call.context["request_id"] for call in calls}) == 2
    assert closing.message == "closing"


async def test_without_calls_a_shutdown_waits_for_nothing() -> None:
    """Nor does a second middleware below the first."""
    shop = Shop(sink := Collect())
    async with Server(LoggingMiddleware(LoggingMiddleware(shop))) as server:
        shop.go.set()
        await server.ask()
        await server.shut_down()
    assert sink.messages == ["background", "GET /x 200", "closing"]


@pytest.mark.parametrize("given", [-1, "1", None, float("inf")])
def test_a_time_that_means_nothing_is_refused(given: Any) -> None:
    """At construction, by name."""
    with pytest.raises(ConfigurationError, match=r"LoggingMiddleware\.shutdown_timeout: got"):
        LoggingMiddleware(Shop(Collect()), shutdown_timeout=given)


async def test_that_there_is_no_record_of_a_call_that_is_left_is_told() -> None:
    """With its path, which is the call's and not the shutdown's."""

    class Odd(Shop):
        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            if scope["type"] == "http":  # which keeps to no protocol
                await send({"type": "http.response.start", "status": 200, "headers": 1})
                await send({"type": "http.response.pathsend", "path": "/etc/hosts"})
                await send({"type": "http.response.body"})
                await self.go.wait()
                return
            await super().__call__(scope, receive, send)

    shop = Odd(sink := Collect())
    async with Server(LoggingMiddleware(shop, shutdown_timeout=0.02)) as server:
        await server.ask()
        await server.shut_down()
        await sink.until(3)
        shop.go.set()
    assert sink.messages[1:] == ["No record of /x", "closing"]

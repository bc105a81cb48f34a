"""The middleware around Starlette and FastAPI apps, behind real servers on loopback.

With many requests at once, and servers that are programs of their own: test_asgi_load.py.
"""

# What frameworks' decorators and classes are is not known here: they may not be installed.
# mypy: disable-error-code="untyped-decorator, name-defined"

from __future__ import annotations

import contextlib
import json
import runpy
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest

import logflume
from logflume import Pipeline, get_logger
from logflume.integrations.asgi import LoggingMiddleware, lifespan
from tests.fakes import Collect

fastapi = pytest.importorskip("fastapi")
httpx = pytest.importorskip("httpx")
uvicorn = pytest.importorskip("uvicorn")
applications = pytest.importorskip("starlette.applications")
base = pytest.importorskip("starlette.middleware.base")
responses = pytest.importorskip("starlette.responses")
routing = pytest.importorskip("starlette.routing")

# Frameworks and servers open files, look up names and take locks on their loop as they please.
pytestmark = [pytest.mark.real, pytest.mark.blocking]

log = get_logger("app")


@contextlib.contextmanager
def serving(app: Any, loop: str = "asyncio") -> Iterator[str]:
    """Run an app under uvicorn, in a thread, on a free port; give its address."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(2_048)  # who connects before the server is up waits
    config = uvicorn.Config(app, loop=loop, log_config=None, access_log=False, lifespan="on")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        yield f"127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()


def records_of(app: Any, use: Callable[[Any], object], loop: str = "asyncio") -> list[Any]:
    """Serve an app while `use` is called with a client for it; return what it logged, as dicts."""
    sink = Collect()
    app.router.lifespan_context = lifespan(Pipeline(sink))
    with (
        serving(LoggingMiddleware(app), loop) as address,
        httpx.Client(base_url=f"http://{address}", trust_env=False) as client,
    ):
        use(client)
    return [record.to_dict() for record in sink.records]


def shop() -> Any:
    """Return a FastAPI app with the things that logs are lost in."""
    app = fastapi.FastAPI()
    router = fastapi.APIRouter(prefix="/users")

    def dependency() -> None:  # sync: FastAPI runs it in a thread
        log.info("dependency")
        logflume.scope().add(from_dependency=True)

    def later() -> None:
        log.info("background")

    @router.get("/{user}", dependencies=[fastapi.Depends(dependency)])
    async def show(user: int, tasks: fastapi.BackgroundTasks) -> dict[str, int]:
        log.info("handler")
        tasks.add_task(later)
        return {"user": user}

    @app.get("/stream")
    async def stream() -> Any:
        async def parts() -> AsyncIterator[bytes]:
            for _ in range(3):
                log.info("part")
                yield b"x" * 10

        return responses.StreamingResponse(parts())

    @app.post("/echo")
    async def echo(request: fastapi.Request) -> Any:
        return responses.Response(await request.body())

    @app.get("/boom")
    async def boom() -> None:
        raise ValueError("wrong")

    app.include_router(router, prefix="/v1")
    return app


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_handlers_dependencies_and_background_tasks_have_the_context(loop: str) -> None:
    """All records of a request have its id and its route; the response has the id."""
    pytest.importorskip(loop)

    def use(client: Any) -> None:
        response = client.get("/v1/users/7", headers={"x-request-id": "r7", "user-agent": "ua"})
        assert response.headers["x-request-id"] == "r7"

    records = records_of(shop(), use, loop)
    assert [record["message"] for record in records] == [
        "dependency",
        "handler",
        "background",
        "GET /v1/users/7 200",
    ]
    for record in records:
        assert record["fields"]["request_id"] == "r7"
        assert record["fields"]["route"] == "/v1/users/{user}"
        assert record["fields"]["client"] == "127.0.0.1"
    last = records[-1]["fields"]
    assert (last["bytes_out"], last["user_agent"]) == (len('{"user":7}'), "ua")
    assert last["from_dependency"] is True


def test_bodies_are_counted_both_ways_and_streams_have_the_context() -> None:
    """What the app read, and what the client got."""

    def use(client: Any) -> None:
        assert client.post("/echo", content=b"x" * 100_000).content == b"x" * 100_000
        assert client.get("/stream").content == b"x" * 30

    records = records_of(shop(), use)
    echo, *parts, stream = records
    assert (echo["fields"]["bytes_in"], echo["fields"]["bytes_out"]) == (100_000, 100_000)
    assert stream["fields"]["bytes_out"] == 30
    assert {p["fields"]["request_id"] for p in parts} == {stream["fields"]["request_id"]}


def test_an_exception_is_logged_once_with_the_response_that_the_framework_made() -> None:
    """The client gets 500, with the id by which the record is found."""
    seen = []

    def use(client: Any) -> None:
        for path in ("/nowhere", "/boom"):
            response = client.get(path)
            seen.append((response.status_code, response.headers["x-request-id"]))

    missing, failure, last = records_of(shop(), use)
    assert failure["exception"]["message"] == "wrong"
    assert seen == [
        (404, missing["fields"]["request_id"]),
        (500, failure["fields"]["request_id"]),
    ]
    assert (last["fields"]["status"], last["fields"]["outcome"]) == (500, "failed")
    assert last["fields"]["route"] == "/boom"
    assert (missing["level"], missing["fields"].get("route")) == ("WARNING", None)


def test_routes_below_mounts_are_whole() -> None:
    """With the templates of the mounts, also through middlewares that start a task."""

    async def show(request: Any) -> Any:
        log.info("handler")
        return responses.PlainTextResponse("ok")

    async def around(request: Any, call_next: Any) -> Any:
        return await call_next(request)

    inner = applications.Starlette(routes=[routing.Route("/items/{item}", show)])
    inner.add_middleware(base.BaseHTTPMiddleware, dispatch=around)
    app = applications.Starlette(routes=[routing.Mount("/t/{tenant}", inner)])
    records = records_of(app, lambda client: client.get("/t/acme/items/3"))
    assert [record["fields"]["route"] for record in records] == ["/t/{tenant}/items/{item}"] * 2


def test_a_client_that_leaves_in_the_middle_is_seen() -> None:
    """The stream ends, and the record says how far it came."""
    app = fastapi.FastAPI()
    ended = threading.Event()

    @app.get("/endless")
    async def endless() -> Any:
        async def parts() -> AsyncIterator[bytes]:
            try:
                while True:
                    yield b"x" * 1_000
                    await anyio.sleep(0.001)
            finally:
                ended.set()

        return responses.StreamingResponse(parts())

    def use(client: Any) -> None:
        with client.stream("GET", "/endless") as response:
            next(response.iter_raw())
        assert ended.wait(5)

    (record,) = records_of(app, use)
    assert record["fields"]["outcome"] == "disconnected"
    assert record["fields"]["status"] == 200
    assert record["fields"]["bytes_out"] >= 1_000


def test_websockets_are_logged_at_start_and_end() -> None:
    """With the client's close code, and messages counted on both sides."""
    client_of = pytest.importorskip("websockets.sync.client")
    app = fastapi.FastAPI()

    @app.websocket("/ws/{room}")
    async def talk(socket: fastapi.WebSocket) -> None:
        await socket.accept()
        async for text in socket.iter_text():
            await socket.send_text(text.upper())

    def use(client: Any) -> None:
        address = f"ws://{client.base_url.host}:{client.base_url.port}/ws/1"
        with client_of.connect(address, proxy=None) as connection:
            assert connection.response.headers["x-request-id"]
            for text in ("a", "b"):
                connection.send(text)
                assert connection.recv() == text.upper()
            connection.close(4001)

    opened, closed = records_of(app, use)
    assert opened["message"] == "websocket /ws/1 opened"
    assert (
        closed["fields"].items()
        >= {
            "route": "/ws/{room}",
            "close_code": 4001,
            "messages_in": 2,
            "messages_out": 2,
            "outcome": "ok",
        }.items()
    )


async def test_hypercorn_serves_it_on_every_backend(anyio_backend_name: str) -> None:
    """Another server, and trio: the same records, and the pipeline's life is the app's."""
    config = pytest.importorskip("hypercorn.config").Config()
    serve = pytest.importorskip(f"hypercorn.{anyio_backend_name}").serve
    sink = Collect()

    async def show(request: Any) -> Any:
        log.info("handler")
        await anyio.to_thread.run_sync(log.info, "thread")
        return responses.PlainTextResponse("ok")

    async def stream(request: Any) -> Any:
        async def parts() -> AsyncIterator[bytes]:
            yield b"whole"

        return responses.StreamingResponse(parts())

    routes = [routing.Route("/items/{item}", show), routing.Route("/stream", stream)]
    app = applications.Starlette(routes=routes, lifespan=lifespan(Pipeline(sink)))
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()  # who connects before the server is up waits
        port = listener.getsockname()[1]
        config.bind = [f"fd://{listener.detach()}"]
    config.loglevel = "CRITICAL"
    stop = anyio.Event()

    async def run() -> None:
        await serve(LoggingMiddleware(app), config, shutdown_trigger=stop.wait)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run)
        async with await anyio.connect_tcp("127.0.0.1", port) as connection:
            await connection.send(b"GET /items/3 HTTP/1.1\r\nhost: x\r\nx-request-id: r3\r\n\r\n")
            assert b"x-request-id: r3" in await connection.receive()
        async with await anyio.connect_tcp("127.0.0.1", port) as connection:
            await connection.send(b"GET /stream HTTP/1.1\r\nhost: x\r\n\r\n")
            got = b""
            while not got.endswith(b"0\r\n\r\n"):
                got += await connection.receive()
        stop.set()
    *first, streamed = sink.records
    assert [record.message for record in first] == ["handler", "thread", "GET /items/3 200"]
    assert {record.fields["route"] for record in first} == {"/items/{item}"}
    assert {record.fields["request_id"] for record in first} == {"r3"}
    shown = streamed.fields
    assert shown.items() >= {"path": "/stream", "outcome": "ok", "bytes_out": 5}.items()
    assert sink.closed == 1


def test_the_example_of_a_service_logs_as_it_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One access record per request in the file; the rest on the console, with the context."""
    monkeypatch.chdir(tmp_path)
    example = Path(__file__).parents[2] / "examples" / "fastapi_service.py"
    names = runpy.run_path(str(example), run_name="fastapi_service")
    with serving(names["app"]) as address:
        for path in ("/health", "/orders/7", "/orders/0", "/orders/13"):
            httpx.get(f"http://{address}{path}", headers={"x-customer": "eve"}, trust_env=False)
    lines = (tmp_path / "logs" / "requests.jsonl").read_text(encoding="utf-8").splitlines()
    shown = [json.loads(line)["fields"] for line in lines]
    assert [(s["path"], s["status"], s["customer"]) for s in shown] == [
        ("/orders/7", 200, "eve"),
        ("/orders/0", 404, "eve"),
        ("/orders/13", 500, "eve"),
    ]
    assert shown[0]["mail_count"] == shown[0]["db_count"] == 1
    told = capsys.readouterr().err
    assert "Order 7 found for eve" in told
    assert "the stock is in disorder" in told
    assert "Closing the stock" in told


def test_it_may_be_one_of_the_framework_s_own_middlewares() -> None:
    """Below the framework's own handling of errors: the same records, but no id in the 500."""
    sink = Collect()
    app = shop()
    app.router.lifespan_context = lifespan(Pipeline(sink))
    app.add_middleware(LoggingMiddleware, exclude=["/stream"])
    with serving(app) as address:
        assert httpx.get(f"http://{address}/stream", trust_env=False).status_code == 200
        assert httpx.get(f"http://{address}/boom", trust_env=False).status_code == 500
    *parts, failure, last = sink.records
    assert [record.message for record in parts] == ["part"] * 3
    assert failure.exception is not None
    assert last.fields.items() >= {"status": 500, "outcome": "failed", "route": "/boom"}.items()

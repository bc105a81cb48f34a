"""The middleware and the lifespan in Litestar apps; under real servers: test_asgi_load.py."""

# What the framework's decorators and classes are is not known here: it may not be installed.
# mypy: disable-error-code="untyped-decorator, name-defined"

from __future__ import annotations

import runpy
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from logflume import Pipeline, get_logger
from logflume.integrations.asgi import LoggingMiddleware, lifespan
from tests.fakes import Collect, may_block

httpx = pytest.importorskip("httpx")
litestar = pytest.importorskip("litestar")
params = pytest.importorskip("litestar.params")
middleware = pytest.importorskip("litestar.middleware")
routing = pytest.importorskip("starlette.routing")
responses = pytest.importorskip("starlette.responses")

log = get_logger("app")


@litestar.get("/users/{user:int}")
async def show(user: params.FromPath[int]) -> str:
    """Answer with what was asked for."""
    log.info("handler")
    return f"{user}"


@litestar.get("/boom")
async def boom() -> None:
    """Fail."""
    raise ValueError("wrong")


@litestar.asgi("/other", is_mount=True, copy_scope=False)
async def other(scope: Any, receive: Any, send: Any) -> None:
    """Hand over to a router of another framework."""

    async def item(request: Any) -> Any:
        log.info("handler")
        return responses.PlainTextResponse("ok")

    await routing.Router([routing.Route("/items/{item}/", item)])(scope, receive, send)


def shop(**settings: Any) -> Any:
    """Return a Litestar app."""
    v1 = litestar.Router("/v1", route_handlers=[show, boom])
    return litestar.Litestar([v1, other], openapi_config=None, logging_config=None, **settings)


async def records_of(app: Any, *paths: str) -> list[dict[str, Any]]:
    """Ask for these paths; return what was logged."""
    sink = Collect()
    transport = httpx.ASGITransport(app=app)
    async with (
        Pipeline(sink),
        httpx.AsyncClient(transport=transport, base_url="http://test", trust_env=False) as client,
    ):
        for path in paths:
            await client.get(path)
    return [record.to_dict() for record in sink.records]


def shown(records: list[dict[str, Any]]) -> list[tuple[str, str | None]]:
    return [(record["message"], record["fields"].get("route")) for record in records]


async def test_records_have_the_route_that_litestar_has_chosen() -> None:
    """With its routers' prefixes; what is not found has none."""
    records = await records_of(LoggingMiddleware(shop()), "/v1/users/7", "/nowhere")
    assert shown(records) == [
        ("handler", "/v1/users/{user}"),
        ("GET /v1/users/7 200", "/v1/users/{user}"),
        ("GET /nowhere 404", None),
    ]


async def test_routes_below_mounts_of_litestar_are_whole() -> None:
    """The mount's own path, and then what the router in there says."""
    records = await records_of(LoggingMiddleware(shop()), "/other/items/3", "/other/nowhere")
    assert shown(records) == [
        ("handler", "/other/items/{item}/"),
        ("GET /other/items/3 200", "/other/items/{item}/"),
        ("GET /other/nowhere 404", None),
    ]


async def test_below_the_router_the_route_is_known_from_the_start() -> None:
    """As one of Litestar's own middlewares, which run when the route is chosen."""
    inside = middleware.DefineMiddleware(LoggingMiddleware, exclude=["/v1/boom"])
    app = shop(middleware=[inside])
    assert shown(await records_of(app, "/v1/users/7", "/v1/boom", "/nowhere")) == [
        ("handler", "/v1/users/{user}"),
        ("GET /v1/users/7 200", "/v1/users/{user}"),
    ]


async def test_exceptions_are_logged_where_litestar_makes_responses_of_them() -> None:
    """None comes out of the app; its hook has the request's context."""

    async def tell(error: Exception, scope: Any) -> None:
        log.exception("Failed")

    app = LoggingMiddleware(shop(after_exception=[tell]))
    failed, last = await records_of(app, "/v1/boom")
    assert failed["exception"]["message"] == "wrong"
    assert (last["level"], last["fields"]["status"]) == ("ERROR", 500)
    assert failed["fields"]["request_id"] == last["fields"]["request_id"]


async def test_its_lifespans_follow_the_pipeline_s() -> None:
    """What they and the hooks at the start log is delivered."""
    sink = Collect()

    @asynccontextmanager
    async def own(app: Any) -> AsyncIterator[None]:
        log.info("opening")
        yield
        log.info("closing")

    app = shop(lifespan=[lifespan(Pipeline(sink)), own], on_startup=[lambda: log.info("hook")])
    async with app.lifespan():
        log.info("open")
    assert sink.messages == ["opening", "hook", "open", "closing"]
    assert sink.closed == 1


PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "log-requests.md"


async def test_the_app_of_the_how_to_logs_as_the_page_says(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its records are on the console, and a failure with its traceback."""
    with may_block():
        text = PAGE.read_text(encoding="utf-8").partition("### Litestar")[2]
        (tmp_path / "shop.py").write_text(text.split("```py\n")[1].partition("```")[0])
        app = runpy.run_path(str(tmp_path / "shop.py"))["app"]
        app.app.register(boom)
    transport = httpx.ASGITransport(app=app)
    async with (
        app.app.lifespan(),
        httpx.AsyncClient(transport=transport, base_url="http://test", trust_env=False) as client,
    ):
        assert (await client.get("/users/7")).json() == {"user": 7}
        assert (await client.get("/users/x")).status_code == 404
        assert (await client.get("/boom")).status_code == 500
    told = capsys.readouterr().err
    assert told.count("Looking up 7") == told.count("Unhandled ValueError") == 1
    assert told.count("route=/users/{user}") == 2
    assert "ValueError: wrong" in told

"""Requests that choose how they are logged: by headers, if they are trusted."""

# What frameworks' decorators and classes are is not known here: they may not be installed.
# mypy: disable-error-code="untyped-decorator, name-defined"

from __future__ import annotations

import contextlib
import contextvars
import hmac
import json
import logging
import types
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest

import logflume
from logflume import (
    ConfigurationError,
    Pipeline,
    Route,
    context,
    get_logger,
    register_level,
    sinks,
)
from logflume import source as sources
from logflume.integrations import stdlib
from logflume.integrations.asgi import LoggingMiddleware, RequestControl, lifespan
from logflume.level import INFO, LEVELS
from tests.fakes import Collect, may_block
from tests.intake import captured
from tests.integrations.test_asgi import access, call, respond, scope_of

log = get_logger("app")


@pytest.fixture(autouse=True)
def nothing_stays_lowered() -> Iterator[None]:
    """Whatever a request does, its level ends with it."""
    yield
    assert sources._lowered == []


async def chatty(scope: Any, receive: Any, send: Any) -> None:
    log.debug("detail")
    log.info("news")
    await respond(send, b"hello")


def everybody(scope: Any) -> bool:
    return True


def nobody(scope: Any) -> bool:
    return False


def yields(scope: Any) -> Iterator[bool]:
    yield False


async def yields_later(scope: Any) -> AsyncIterator[bool]:
    yield False


def controlled(app: Any = chatty, trusts: Any = everybody, **settings: Any) -> Any:
    return LoggingMiddleware(app, control=RequestControl(trusts, **settings))


def messages(records: Any) -> list[str]:
    return [record.message for record in records]


WITHOUT_DETAIL = ["news", "GET / 200"]
WITH_DETAIL = ["detail", *WITHOUT_DETAIL]


# Levels.


@pytest.mark.parametrize("level", ["DEBUG", "debug", "10", " Debug\t", "TRACE"])
async def test_a_header_raises_the_level_of_its_request(level: str) -> None:
    """By name or number; the next request has the ordinary one."""
    app = controlled()
    with captured(level=INFO) as taken:
        await call(app, scope_of(x_log_level=level))
        assert messages(taken.records) == WITH_DETAIL
        taken.records.clear()
        await call(app, scope_of())
    assert messages(taken.records) == WITHOUT_DETAIL


async def test_all_other_requests_stay_as_they_are() -> None:
    """Hundreds of them at once: each has just what it asked for."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        for _ in range(3):
            await anyio.lowlevel.checkpoint()
            log.debug("detail")
            await log.adebug("detail")
        await anyio.to_thread.run_sync(log.debug, "detail")
        await respond(send)

    sink = Collect()
    served = controlled(app)
    async with Pipeline(sink, level="INFO"), anyio.create_task_group() as tasks:
        for number in range(100):
            headers = {"x_log_level": "DEBUG"} if number % 3 == 0 else {}
            scope = scope_of(x_request_id=str(number), **headers)
            tasks.start_soon(call, served, scope)
    seen: dict[str, int] = {}
    for record in sink.records:
        request = record.fields["request_id"]
        seen[request] = seen.get(request, 0) + 1
    assert seen == {str(number): 8 if number % 3 == 0 else 1 for number in range(100)}


async def test_a_higher_level_makes_a_request_quieter() -> None:
    """It is the level of the request, in both directions."""
    with captured(level=INFO) as taken:
        await call(controlled(), scope_of(x_log_level="WARNING"))
    assert not taken.records


async def test_levels_that_were_registered_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the names that the program gave them."""
    monkeypatch.setattr("logflume.level.LEVELS", dict(LEVELS))
    monkeypatch.setattr("logflume.level._BY_NO", {})
    register_level("CHATTER", 8)
    with captured(level=INFO) as taken:
        await call(controlled(), scope_of(x_log_level="chatter"))
    assert messages(taken.records) == WITH_DETAIL


@pytest.mark.parametrize(
    "value",
    ["", "LOUD", "DEBUG, DEBUG", "-1", "1000000", "DEBUG" * 500, "ä", "DE\nBUG", "10\x00", "٣"],
    ids=lambda value: ascii(value)[:10],
)
async def test_what_is_no_level_is_ignored(value: str) -> None:
    """And nobody is asked whether the request is trusted."""
    asked: list[Any] = []
    with captured(level=INFO) as taken:
        sent = await call(controlled(trusts=asked.append), scope_of(x_log_level=value))
    assert messages(taken.records) == WITHOUT_DETAIL
    assert sent[0]["status"] == 200
    assert not asked


async def test_a_level_given_twice_is_ignored() -> None:
    """Nobody knows which one counts."""
    scope = scope_of()
    scope["headers"] = [(b"x-log-level", b"DEBUG"), (b"x-log-level", b"TRACE")]
    with captured(level=INFO) as taken:
        await call(controlled(), scope)
    assert messages(taken.records) == WITHOUT_DETAIL


async def test_routes_with_a_level_of_their_own_keep_it() -> None:
    """The pager is not told of details because somebody looks for them."""
    stored, pager = Collect(), Collect()
    async with Pipeline(stored, Route(pager, level="WARNING"), level="INFO"):
        await call(controlled(), scope_of(x_log_level="DEBUG"))
    assert messages(stored.records) == WITH_DETAIL
    assert not pager.records


async def test_what_streams_and_what_comes_after_is_inside() -> None:
    """Bodies, tasks behind the response, threads and child tasks are the request's."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(2):
            log.debug("part")
            await send({"type": "http.response.body", "body": b"x", "more_body": True})
        await send({"type": "http.response.body"})
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(log.adebug, "task")
        await anyio.to_thread.run_sync(log.debug, "behind it")
        with may_block():  # handlers of `logging` have locks
            logging.getLogger("library").debug("library")

    sink = Collect()
    async with Pipeline(sink, level="INFO"):
        with stdlib.capture():
            await call(controlled(app), scope_of(x_log_level="DEBUG"))
            logging.getLogger("library").debug("no")
    told = ["part", "part", "task", "behind it", "library", "GET / 200"]
    assert messages(sink.records) == told


async def test_a_websocket_asks_in_its_handshake() -> None:
    """The level holds until it is closed."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        log.debug("detail")
        await send({"type": "websocket.close"})

    connect = {"type": "websocket.connect"}
    with captured(level=INFO) as taken:
        await call(controlled(app), scope_of(kind="websocket", x_log_level="DEBUG"), connect)
        assert messages(taken.records)[1] == "detail"
        taken.records.clear()
        await call(controlled(app), scope_of(kind="websocket", x_log_skip="1"), connect)
        assert not taken.records


@pytest.mark.parametrize("how", ["raises", "cancelled", "disconnected"])
async def test_the_level_ends_with_the_request_however_that_ends(how: str) -> None:
    """An exception, a cancellation or a client that leaves: others are not lowered any more."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        log.debug("detail")
        if how == "raises":
            raise ValueError
        if how == "cancelled":
            whole.cancel()
            await anyio.sleep_forever()
        assert (await receive())["type"] == "http.disconnect"

    with captured(level=INFO) as taken:
        with anyio.CancelScope() as whole, contextlib.suppress(ValueError):
            incoming = {"type": "http.disconnect"}
            await call(controlled(app), scope_of(x_log_level="DEBUG"), incoming)
        assert sources._lowered == []
        log.debug("no")
    assert messages(taken.records)[0] == "detail"
    assert access(taken).fields["outcome"] == {"raises": "failed"}.get(how, how)
    assert "no" not in messages(taken.records)


# Silence.


@pytest.mark.parametrize("value", ["1", "true", "YES", "on"])
async def test_nothing_is_logged_of_a_request_that_is_skipped(value: str) -> None:
    """Neither its own records nor the access record; its id is in the response as ever."""
    with captured() as taken:
        sent = await call(controlled(), scope_of(x_log_skip=value, x_request_id="r1"))
    assert not taken.records
    assert sent[0]["headers"] == [(b"x-request-id", b"r1")]


@pytest.mark.parametrize("value", ["", "0", "false", "no", "x" * 5000])
async def test_other_values_skip_nothing(value: str) -> None:
    """What says no, and what nobody understands."""
    with captured(level=INFO) as taken:
        await call(controlled(), scope_of(x_log_skip=value))
    assert messages(taken.records) == WITHOUT_DETAIL


@pytest.mark.parametrize("headers", [{"x_log_skip": "1"}, {"x_log_level": "CRITICAL"}])
async def test_failures_are_logged_in_any_case(headers: dict[str, str]) -> None:
    """An exception that nobody handles is not to be hidden by those who caused it."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        log.error("not this")
        raise ValueError("wrong")

    with captured(level=INFO) as taken, pytest.raises(ValueError, match="wrong"):
        await call(controlled(app), scope_of("/x", x_request_id="r1", **headers))
    (failure, *rest) = taken.records
    assert failure.message == "Unhandled ValueError in GET /x"
    assert failure.exception is not None
    assert failure.fields["request_id"] == "r1"
    assert messages(rest) == ([] if "x_log_skip" in headers else ["GET /x 500"])


async def test_a_failure_elsewhere_is_logged_as_the_request_s_own() -> None:
    """If another task throws into it: with the fields and routes of the request, not of that."""

    @types.coroutine
    def pause() -> Iterator[None]:
        yield

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await pause()

    async def nothing(message: Any = None) -> Any:
        raise AssertionError

    for asked in ({"x_log_skip": "1"}, {"x_log_without": "a"}, {"x_log_level": "CRITICAL"}):
        with captured(level=INFO) as taken:
            scope = scope_of("/x", x_request_id="r1", **asked)
            running = controlled(app)(scope, nothing, nothing)
            contextvars.copy_context().run(running.send, None)
            with pytest.raises(ValueError, match="wrong"):
                running.throw(ValueError("wrong"))
        failure = taken.records[0]
        assert failure.message == "Unhandled ValueError in GET /x"
        assert failure.fields["request_id"] == "r1"
        assert failure.without == ({"a"} if "x_log_without" in asked else set())


# Routes.


@pytest.mark.parametrize("value", ["audit", " audit , nowhere,,", "nowhere,audit"])
async def test_nothing_of_a_request_goes_to_the_routes_it_names(value: str) -> None:
    """The access record included; unknown names are ignored."""
    shown, audit = Collect(), Collect()
    async with Pipeline(
        Route(shown, name="shown"), Route(audit, name="audit"), level="INFO"
    ) as pipeline:
        await call(controlled(), scope_of(x_log_without=value))
        assert pipeline.stats().routes.keys() == {"shown", "audit"}
    assert messages(shown.records) == WITHOUT_DETAIL
    assert not audit.records


async def test_several_headers_of_routes_are_one_list() -> None:
    """As HTTP has it (RFC 9110, section 5.3)."""
    scope = scope_of()
    scope["headers"] = [(b"x-log-without", b"a"), (b"x-log-without", b"b")]
    with captured() as taken:
        await call(controlled(), scope)
    assert all(record.without == {"a", "b"} for record in taken.records)


async def test_an_app_that_leaves_a_scope_open_changes_nothing() -> None:
    """The access record, which is logged from outside of that then, does not go there either."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        logflume.scope("never closed").__enter__()
        await respond(send)

    with captured() as taken:
        await call(controlled(app), scope_of(x_log_without="a"))
    assert access(taken).without == {"a"}


@pytest.mark.parametrize("value", ["a" * 1025, ",".join(map(str, range(17)))])
async def test_a_list_that_is_too_long_names_no_route(value: str) -> None:
    """What comes from outside fills no memory."""
    with captured() as taken:
        await call(controlled(), scope_of(x_log_without=value))
    assert not any(record.without for record in taken.records)


async def test_no_header_leads_past_redaction() -> None:
    """Whatever routes it names, secrets stay in the program."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        log.info("x", password="secret")
        await respond(send)

    sink = Collect()
    async with Pipeline(sink):
        await call(controlled(app), scope_of(x_log_without="redaction, processors, door"))
    assert sink.records[0].fields["password"] != "secret"


# Trust.


async def test_nobody_chooses_unless_it_is_turned_on() -> None:
    """Without a control, and without trust, headers say nothing."""
    headers = {"x_log_level": "DEBUG", "x_log_skip": "1", "x_log_without": "shown"}
    sink = Collect()
    async with Pipeline(Route(sink, name="shown"), level="INFO"):
        await call(LoggingMiddleware(chatty), scope_of(**headers))
        await call(controlled(trusts=nobody), scope_of(**headers))
    assert messages(sink.records) == WITHOUT_DETAIL * 2


async def test_trust_is_asked_with_the_scope_and_in_the_context() -> None:
    """It sees all of the request, only if that asks for something, and logs with its id."""
    asked: list[Any] = []

    def trusts(scope: Any) -> bool:
        asked.append(scope["path"])
        log.info("asked")
        return bool(dict(scope["headers"])[b"x-token"] == b"t")

    app = controlled(trusts=trusts)
    with captured(level=INFO) as taken:
        await call(app, scope_of("/none", x_token="t"))
        await call(app, scope_of("/some", x_token="t", x_log_level="DEBUG", x_request_id="r1"))
    assert asked == ["/some"]
    assert messages(taken.records)[2:] == ["asked", "detail", "news", "GET /some 200"]
    assert taken.records[2].fields["request_id"] == "r1"


async def test_trust_may_be_awaited() -> None:
    """What says who is trusted may have to be asked itself; the answer counts, not the promise."""

    async def trusts(scope: Any) -> bool:
        await anyio.lowlevel.checkpoint()
        return bool(scope["path"] == "/yes")

    app = controlled(trusts=trusts)
    with captured(level=INFO) as taken:
        await call(app, scope_of("/no", x_log_level="DEBUG"))
        await call(app, scope_of("/yes", x_log_level="DEBUG"))
    assert messages(taken.records) == ["news", "GET /no 200", "detail", "news", "GET /yes 200"]


@pytest.mark.parametrize("awaited", [True, False])
async def test_trust_that_fails_is_none(awaited: bool) -> None:
    """The request goes on as any other; its access record says what happened."""

    def fails(scope: Any) -> bool:
        raise KeyError("secret")

    async def fails_later(scope: Any) -> bool:
        return fails(scope)

    app = controlled(trusts=fails_later if awaited else fails)
    with captured(level=INFO) as taken:
        sent = await call(app, scope_of(x_log_level="DEBUG"))
    assert messages(taken.records) == WITHOUT_DETAIL
    assert taken.last.fields["logflume.control_error"] == "KeyError"
    assert sent[0]["status"] == 200


async def test_headers_that_no_server_sends_ask_for_nothing() -> None:
    """What breaks the protocol is the app's affair, not the end of the request here."""
    scope = scope_of()
    scope["headers"] = [(b"x-log-level", 3), (b"x-log-without", None)]
    with captured(level=INFO) as taken:
        await call(controlled(), scope)
    assert messages(taken.records) == WITHOUT_DETAIL


async def test_a_request_cancelled_while_trust_is_asked_has_its_record() -> None:
    """As at any other time."""

    async def trusts(scope: Any) -> bool:
        request.cancel()
        await anyio.sleep_forever()
        return True

    with captured(level=INFO) as taken, anyio.CancelScope() as request:
        await call(controlled(trusts=trusts), scope_of(x_log_level="DEBUG"))
    assert access(taken).fields["outcome"] == "cancelled"


# Settings.


async def test_the_headers_are_settings() -> None:
    """Others may be named; None is a header that nobody may use."""
    app = controlled(level_header="X-Debug", skip_header=None)
    with captured(level=INFO) as taken:
        await call(app, scope_of(x_debug="DEBUG", x_log_skip="1"))
        await call(app, scope_of(x_log_level="DEBUG"))
    assert messages(taken.records) == [*WITH_DETAIL, *WITHOUT_DETAIL]


@pytest.mark.parametrize(
    ("setting", "settings"),
    [
        ("trusts", {"trusts": True}),
        ("trusts", {"trusts": None}),
        ("trusts", {"trusts": yields}),
        ("trusts", {"trusts": yields_later}),
        ("level_header", {"level_header": "x log"}),
        ("skip_header", {"skip_header": ""}),
        ("routes_header", {"routes_header": 3}),
        ("routes_header", {"routes_header": "X-Log-Level"}),
        ("level_header", dict.fromkeys(["level_header", "skip_header", "routes_header"])),
    ],
)
def test_settings_that_mean_nothing_are_refused(setting: str, settings: dict[str, Any]) -> None:
    """At once, by name."""
    with pytest.raises(ConfigurationError, match=f"RequestControl.{setting}"):
        RequestControl(**{"trusts": everybody, **settings})
    with pytest.raises(ConfigurationError, match=r"LoggingMiddleware\.control"):
        LoggingMiddleware(chatty, control=everybody)  # type: ignore[arg-type]


def test_a_control_cannot_be_changed() -> None:
    """Whoever may choose is decided once."""
    control = RequestControl(nobody)
    with pytest.raises(AttributeError):
        control.trusts = everybody  # type: ignore[misc]
    assert control == RequestControl(nobody)


# Tenants.


async def test_each_tenant_s_requests_go_to_a_file_of_its_own(tmp_path: Path) -> None:
    """Also access records and tracebacks, if the tenant is known around the middleware."""

    async def shop(scope: Any, receive: Any, send: Any) -> None:
        await log.ainfo("order")
        if scope["path"] == "/boom":
            raise ValueError("wrong")
        await respond(send)

    logged = LoggingMiddleware(shop)

    async def by_tenant(scope: Any, receive: Any, send: Any) -> None:
        with context(tenant=dict(scope["headers"])[b"x-tenant"].decode()):
            await logged(scope, receive, send)

    big = Collect()
    only_acme = logflume.processors.Filter(fields={"tenant": "acme"})
    async with Pipeline(
        sinks.File(tmp_path / "{tenant}" / "app.jsonl"), Route(big, filter=only_acme)
    ):
        async with anyio.create_task_group() as tasks:
            for tenant in ("acme", "umbrella", "acme"):
                tasks.start_soon(call, by_tenant, scope_of(x_tenant=tenant))
        with pytest.raises(ValueError, match="wrong"):
            await call(by_tenant, scope_of("/boom", x_tenant="umbrella"))
        await call(by_tenant, scope_of(x_tenant="../../etc"))

    def stored(tenant: str) -> list[str]:
        with may_block():
            lines = (tmp_path / tenant / "app.jsonl").read_text().splitlines()
        return sorted(json.loads(line)["message"] for line in lines)

    done = "GET / 200"
    assert stored("acme") == [done, done, "order", "order"]
    assert stored("umbrella") == sorted(
        [done, "order", "order", "Unhandled ValueError in GET /boom", "GET /boom 500"]
    )
    assert sorted(messages(big.records)) == stored("acme")
    with may_block():
        files = list(tmp_path.rglob("*.jsonl"))
    assert len(files) == 3
    assert all(file.parent.parent == tmp_path for file in files)


# A real server.


@pytest.mark.real
@pytest.mark.blocking
@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_under_a_real_server_one_request_has_its_level(loop: str) -> None:
    """With FastAPI's threads, streams and background tasks; requests beside it stay as they are."""
    fastapi = pytest.importorskip("fastapi")
    pytest.importorskip("httpx")
    pytest.importorskip("uvicorn")
    responses = pytest.importorskip("starlette.responses")
    pytest.importorskip(loop)
    import httpx

    from tests.integrations.test_asgi_servers import serving

    sink = Collect()
    app = fastapi.FastAPI(lifespan=lifespan(Pipeline(sink, level="INFO")))

    def dependency() -> None:  # sync: FastAPI runs it in a thread
        log.debug("dependency")

    @app.get("/", dependencies=[fastapi.Depends(dependency)])
    async def show() -> Any:
        tasks = fastapi.BackgroundTasks()
        tasks.add_task(log.debug, "background")

        async def parts() -> AsyncIterator[bytes]:
            for _ in range(2):
                log.debug("part")
                yield b"x"

        return responses.StreamingResponse(parts(), background=tasks)

    def trusts(scope: Any) -> bool:
        given = dict(scope["headers"]).get(b"x-log-token", b"")
        return hmac.compare_digest(given, b"secret")

    served = LoggingMiddleware(app, control=RequestControl(trusts))
    with (
        serving(served, loop) as address,
        httpx.Client(base_url=f"http://{address}", trust_env=False) as client,
    ):
        for token, level in (("secret", "DEBUG"), ("wrong", "DEBUG"), ("secret", "INFO")):
            client.get("/", headers={"x-log-token": token, "x-log-level": level})
        client.get("/", headers={"x-log-token": "secret", "x-log-skip": "true"})
    told = [record.message for record in sink.records if "/" not in record.message]
    assert told == ["dependency", "part", "part", "background"]
    assert len(sink.records) == 4 + 3

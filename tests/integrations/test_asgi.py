"""The middleware around raw ASGI apps, without any framework or server."""

from __future__ import annotations

import contextlib
import contextvars
import copy
import gc
import os
import subprocess
import sys
import weakref
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from typing import Any

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest

import logflume
from logflume import (
    ConfigurationError,
    Pipeline,
    PipelineError,
    Record,
    context,
    current_context,
    get_logger,
)
from logflume.integrations.asgi import LoggingMiddleware, lifespan
from logflume.level import DEBUG
from tests.fakes import Collect
from tests.intake import Taken, captured

log = get_logger("app")
TRACE_ID, SPAN_ID = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
TRACEPARENT = f"00-{TRACE_ID}-{SPAN_ID}-01"
GONE = object()


def scope_of(path: str = "/", kind: str = "http", query: str = "", **headers: str) -> Any:
    """Return an ASGI scope; headers are given with `_` for `-`."""
    pairs = [(k.replace("_", "-").encode(), v.encode()) for k, v in headers.items()]
    scope = {
        "type": kind,
        "asgi": {"version": "3.0"},
        "path": path,
        "query_string": query.encode(),
        "headers": pairs,
        "client": ("192.0.2.1", 4711),
    }
    if kind == "http":
        scope["method"] = "GET"
    return scope


async def call(app: Any, scope: Any, *incoming: dict[str, Any]) -> list[Any]:
    """Run an app for a scope, with what the client sends; return what it is sent."""
    sent: list[Any] = []
    left = list(incoming)

    async def receive() -> Any:
        await anyio.lowlevel.checkpoint()
        if left:
            return left.pop(0)
        return await anyio.sleep_forever()

    async def send(message: Any) -> None:
        await anyio.lowlevel.checkpoint()
        sent.append(message)

    await app(scope, receive, send)
    return sent


async def respond(send: Any, *parts: bytes, status: int = 200, headers: Any = ()) -> None:
    await send({"type": "http.response.start", "status": status, "headers": list(headers)})
    for part in parts:
        await send({"type": "http.response.body", "body": part, "more_body": True})
    await send({"type": "http.response.body"})


def app_of(body: Callable[..., Awaitable[None]], **settings: Any) -> Any:
    return LoggingMiddleware(body, **settings)


async def hello(scope: Any, receive: Any, send: Any) -> None:
    log.info("hello")
    await respond(send, b"hello")


def status_app(status: int) -> Any:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await respond(send, status=status)

    return app


def access(taken: Taken) -> Any:
    """Return the one access record."""
    (record,) = [record for record in taken.records if record.logger == "access"]
    return record


async def test_all_that_is_logged_in_a_request_has_its_context() -> None:
    """Id, method, path and client are fields; trace and span stand beside them."""
    with captured() as taken:
        await call(app_of(hello), scope_of("/x", x_request_id="abc-1", traceparent=TRACEPARENT))
    for record in taken.records:
        assert (
            record.fields.items()
            >= {
                "request_id": "abc-1",
                "method": "GET",
                "path": "/x",
                "client": "192.0.2.1",
            }.items()
        )
        assert (record.trace_id, record.span_id) == (TRACE_ID, SPAN_ID)
    assert [record.logger for record in taken.records] == ["app", "access"]
    assert current_context() == {}


async def test_one_access_record_says_what_happened() -> None:
    """Status, duration, sizes and user agent; the message names the request."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        while (await receive())["more_body"]:
            pass
        await respond(send, b"12345", b"678", status=201)

    with captured() as taken:
        await call(
            app_of(app),
            scope_of("/x", user_agent="curl/8"),
            {"type": "http.request", "body": b"abc", "more_body": True},
            {"type": "http.request", "body": b"d", "more_body": False},
        )
    record = access(taken)
    assert record.message == "GET /x 201"
    shown = record.call_fields
    assert 0 < shown.pop("duration_ms") <= shown.pop("total_ms")
    assert shown == {
        "status": 201,
        "bytes_in": 4,
        "bytes_out": 8,
        "user_agent": "curl/8",
        "outcome": "ok",
    }


@pytest.mark.parametrize(
    "given", ["", "a b", "x" * 129, "ä", "a\nb", "a,b"], ids=lambda given: ascii(given)[:8]
)
async def test_an_id_that_is_not_valid_is_replaced(given: str) -> None:
    """Anything but a short word is replaced by a new id, in records and response."""
    with captured() as taken:
        sent = await call(app_of(hello), scope_of(x_request_id=given))
    made = taken.records[0].fields["request_id"]
    assert len(made) == 32
    assert sent[0]["headers"] == [(b"x-request-id", made.encode())]


async def test_an_id_given_twice_counts_as_none() -> None:
    """Two headers are no id: nobody knows which one others logged."""
    scope = scope_of()
    scope["headers"] = [(b"x-request-id", b"a"), (b"x-request-id", b"b")]
    with captured() as taken:
        await call(app_of(hello), scope)
    assert len(taken.records[0].fields["request_id"]) == 32


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_makes_other_ids() -> None:
    """A server that forks its workers after the import does not give the same ids in each."""
    program = """
import os
from logflume.integrations.asgi.trace import new_request_id
new_request_id()
if child := os.fork():
    os.waitpid(child, 0)
print(new_request_id(), flush=True)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    ids = done.stdout.split()
    assert len(set(ids)) == 2
    assert all(len(made) == 32 for made in ids)


async def test_the_header_of_the_id_is_a_setting() -> None:
    """Another header is read and returned; None takes and returns none."""
    with captured() as taken:
        sent = await call(
            app_of(hello, request_id_header="X-Correlation-ID"), scope_of(x_correlation_id="c1")
        )
        assert sent[0]["headers"] == [(b"x-correlation-id", b"c1")]
        sent = await call(
            app_of(hello, request_id_header=None, new_request_id=lambda: "made"),
            scope_of(x_request_id="r"),
        )
        assert sent[0]["headers"] == []
        await call(app_of(hello, new_request_id=lambda: 1 / 0), scope_of())
    ids = [record.fields["request_id"] for record in taken.records if record.logger == "app"]
    assert ids[:2] == ["c1", "made"]
    assert len(ids[2]) == 32


async def test_a_header_that_the_app_sends_itself_stays() -> None:
    """The app's own id is not doubled, and its message is not changed."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await respond(send, headers=[(b"X-Request-Id", b"mine")])

    with captured():
        sent = await call(app_of(app), scope_of())
    assert sent[0]["headers"] == [(b"X-Request-Id", b"mine")]


@pytest.mark.parametrize(
    "given",
    [
        "",
        f"00-{TRACE_ID}-{SPAN_ID}",
        f"00-{TRACE_ID.upper()}-{SPAN_ID}-01",
        f"00-{'0' * 32}-{SPAN_ID}-01",
        f"00-{TRACE_ID}-{'0' * 16}-01",
        f"ff-{TRACE_ID}-{SPAN_ID}-01",
        f"00-{TRACE_ID}-{SPAN_ID}-01-more",
        f"00-{TRACE_ID}-{SPAN_ID}-01\n",
    ],
)
async def test_a_traceparent_that_is_not_valid_is_ignored(given: str) -> None:
    """W3C Trace Context, section 3.2: no trace rather than a wrong one."""
    with captured() as taken:
        await call(app_of(hello), scope_of(traceparent=given))
    assert taken.records[0].trace_id is None


async def test_a_span_of_the_app_s_own_goes_before_the_caller_s() -> None:
    """It is the nearer one, as OpenTelemetry says; outside of it, the request's counts."""
    spans: list[tuple[int, int] | None] = [(1, 2), None]

    class Spans:
        inline = True

        def current_span(self) -> tuple[int, int] | None:
            return spans.pop(0) if spans else None

        def __call__(self, record: Record) -> Record:
            return record

    sink = Collect()
    async with Pipeline(sink, processors=[Spans()]):
        await call(app_of(hello), scope_of(traceparent=TRACEPARENT, x_request_id="r1"))
    assert [record.trace_id for record in sink.records] == [f"{1:032x}", TRACE_ID]
    assert {record.fields["request_id"] for record in sink.records} == {"r1"}


async def test_later_versions_of_traceparent_are_read_as_far_as_known() -> None:
    """Section 4: other versions may say more."""
    with captured() as taken:
        await call(app_of(hello), scope_of(traceparent=f"01-{TRACE_ID}-{SPAN_ID}-01-more"))
    assert taken.records[0].trace_id == TRACE_ID


@pytest.mark.parametrize(
    ("status", "level"),
    [(200, "INFO"), (302, "INFO"), (404, "WARNING"), (499, "WARNING"), (503, "ERROR")],
)
async def test_the_level_is_by_status(status: int, level: str) -> None:
    """Errors of the client are warnings, those of the server errors."""
    with captured() as taken:
        await call(app_of(status_app(status)), scope_of())
    assert access(taken).level.name == level


async def test_levels_may_be_chosen() -> None:
    """A function says which; if it fails, the usual one counts."""
    with captured(level=DEBUG) as taken:
        await call(app_of(status_app(404), level=lambda status: "debug"), scope_of())
        assert taken.last.level.name == "DEBUG"
        await call(app_of(status_app(404), level=lambda status: 1 // 0), scope_of())
        assert taken.last.level.name == "WARNING"


async def test_excluded_paths_have_no_access_record() -> None:
    """Whole paths, or all below one; what they log has its context nevertheless."""
    app = app_of(hello, exclude=["/health", "/static/*"])
    with captured() as taken:
        for path in ("/health", "/static/a.css", "/healthy", "/static"):
            await call(app, scope_of(path))
    paths = [record.fields["path"] for record in taken.records if record.logger == "access"]
    assert paths == ["/healthy", "/static"]
    assert len([record for record in taken.records if record.fields["path"] == "/health"]) == 1


async def test_query_and_headers_are_logged_only_if_named_and_redacted() -> None:
    """Names choose; what is secret by name or shape is masked there and then."""
    app = app_of(
        hello,
        query=["page", "token", "tag"],
        headers=["Accept", "Authorization"],
        response_headers=["x-request-id", "content-type"],
    )
    scope = scope_of(
        query="page=2&token=abc&other=1&tag=a&tag=password%3Dsesame",
        accept="text/html",
        authorization="Basic Zm9vOmJhcg==",
        cookie="sid=1",
    )
    with captured() as taken:
        await call(app, scope)
        shown = taken.last.call_fields
        assert shown["query"] == {
            "page": "2",
            "token": "[redacted]",
            "tag": ["a", "password=[redacted]"],
        }
        assert shown["headers"] == {"accept": "text/html", "authorization": "[redacted]"}
        await call(app_of(hello), scope)
        assert not {"query", "headers"} & set(taken.last.fields)
        assert "page" not in str(taken.last.fields)


async def test_a_hook_chooses_the_fields() -> None:
    """It gets the fields and the scope; None means no record; a failure shows all."""
    with captured() as taken:
        chosen = app_of(hello, fields=lambda fields, scope: {**fields, "path": scope["path"] * 2})
        await call(chosen, scope_of("/x"))
        assert taken.last.call_fields.items() >= {"status": 200, "path": "/x/x"}.items()
        await call(app_of(hello, fields=lambda fields, scope: {}), scope_of("/x"))
        assert taken.last.message == "GET /x 200"
        await call(app_of(hello, fields=lambda fields, scope: None), scope_of())
        assert taken.last.logger == "app"
        await call(app_of(hello, fields=lambda fields, scope: fields["no"]), scope_of())
        assert taken.last.call_fields["logflume.fields_error"] == "KeyError"
        assert taken.last.call_fields["status"] == 200


async def test_an_unhandled_exception_is_logged_once_and_goes_on() -> None:
    """One record with the exception and the request's context; the access record says 500."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise ValueError("wrong")

    with captured() as taken, pytest.raises(ValueError, match="wrong") as raised:
        await call(app_of(app, exclude=["/quiet"]), scope_of("/x", x_request_id="r1"))
    assert raised.value.__traceback__ is not None
    failure, last = taken.records
    assert failure.exception.message == "wrong"  # type: ignore[union-attr]
    assert failure.message == "Unhandled ValueError in GET /x"
    assert (failure.logger, last.logger) == ("access.error", "access")
    assert failure.fields["request_id"] == last.fields["request_id"] == "r1"
    assert last.exception is None
    assert (last.level.name, last.fields["status"], last.fields["outcome"]) == (
        "ERROR",
        500,
        "failed",
    )
    assert current_context() == {}


async def test_a_failure_after_the_start_keeps_the_status_that_was_sent() -> None:
    """The client saw 200; the record is an error nevertheless."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200})
        raise ValueError("wrong")

    with captured() as taken, pytest.raises(ValueError, match="wrong"):
        await call(app_of(app), scope_of())
    assert (taken.last.level.name, taken.last.fields["status"]) == ("ERROR", 200)


async def test_an_app_that_says_nothing_is_incomplete() -> None:
    """The server answers 500 for it."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        pass

    with captured() as taken:
        await call(app_of(app), scope_of())
    assert taken.last.fields.items() >= {"outcome": "incomplete", "status": 500}.items()


async def test_a_cancelled_request_is_logged_and_no_failure() -> None:
    """Cancellation passes; the record says how far it came."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": b"abc", "more_body": True})
        cancel.cancel()
        await anyio.sleep_forever()

    with captured() as taken:
        with anyio.CancelScope() as cancel:
            await call(app_of(app), scope_of())
    assert cancel.cancelled_caught
    assert access(taken).level.name == "WARNING"
    assert access(taken).fields.items() >= {"outcome": "cancelled", "bytes_out": 3}.items()
    assert current_context() == {}


@pytest.mark.parametrize("moment", range(7))
async def test_wherever_a_request_is_cancelled_it_has_one_record(moment: int) -> None:
    """At every await of a streamed response: one record, with all that was added, and no context
    left behind."""

    async def here(number: int) -> None:
        if number == moment:
            cancel.cancel()
        await anyio.lowlevel.checkpoint()

    async def parts() -> AsyncGenerator[bytes, None]:
        for number in (2, 3, 4):
            await here(number)
            yield b"x"

    async def app(scope: Any, receive: Any, send: Any) -> None:
        logflume.scope().add(seen=True)
        try:
            await here(0)
            await send({"type": "http.response.start", "status": 200})
            with logflume.scope().timer("stream"), context(step="stream"):
                await here(1)
                async with contextlib.aclosing(parts()) as stream:
                    async for part in stream:
                        body = {"type": "http.response.body", "body": part, "more_body": True}
                        await send(body)
            await here(5)
            await send({"type": "http.response.body"})
            await here(6)
        finally:
            logflume.scope().add(cleaned_up=True)

    with captured() as taken, anyio.CancelScope() as cancel:
        await call(app_of(app), scope_of(x_request_id="r1"))
    assert cancel.cancelled_caught
    shown = access(taken).fields
    assert shown.items() >= {"request_id": "r1", "seen": True, "cleaned_up": True}.items()
    assert shown["outcome"] == "cancelled"
    assert shown.get("stream_count", 0) == (moment > 0)
    assert shown["bytes_out"] == min(max(moment - 2, 0), 3)
    assert "step" not in shown
    assert current_context() == {}


async def test_a_client_that_leaves_is_told_from_a_failure() -> None:
    """Whether the app returns or raises for it, nothing is unhandled."""

    class ClientDisconnect(Exception):  # noqa: N818
        pass

    async def returns(scope: Any, receive: Any, send: Any) -> None:
        await receive()

    async def raises(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        raise ClientDisconnect

    async def answers(scope: Any, receive: Any, send: Any) -> None:  # as Starlette does
        await receive()
        await respond(send, status=500)
        raise ClientDisconnect

    with captured() as taken:
        await call(app_of(returns), scope_of(), {"type": "http.disconnect"})
        for app in (raises, answers):
            with pytest.raises(ClientDisconnect):
                await call(app_of(app), scope_of(), {"type": "http.disconnect"})
    assert [record.fields["outcome"] for record in taken.records] == ["disconnected"] * 3
    assert {record.level.name for record in taken.records} == {"INFO"}
    assert "status" not in taken.last.fields


@pytest.mark.parametrize("swallows", [False, True])
@pytest.mark.parametrize("part", ["http.response.start", "http.response.body"])
async def test_a_server_that_refuses_to_send_says_that_the_client_left(
    part: str, swallows: bool
) -> None:
    """ASGI 2.4: sending raises an OSError then; nothing counts that was not taken."""

    class Refused(OSError):  # noqa: N818
        pass

    async def app(scope: Any, receive: Any, send: Any) -> None:
        with contextlib.suppress(OSError) if swallows else contextlib.nullcontext():
            await respond(send, b"abc")

    async def send(message: Any) -> None:
        if message["type"] == part:
            raise Refused

    with captured() as taken, contextlib.nullcontext() if swallows else pytest.raises(Refused):
        await app_of(app)(scope_of(), anyio.sleep_forever, send)
    assert [record.logger for record in taken.records] == ["access"]
    shown = access(taken).fields
    assert shown.items() >= {"outcome": "disconnected", "bytes_out": 0}.items()
    assert shown.get("status") == (200 if part == "http.response.body" else None)
    assert "total_ms" not in shown


async def test_tasks_that_are_refused_together_are_no_failure() -> None:
    """A group of nothing else says no more than one; with another exception it does."""

    async def part(send: Any) -> None:
        await send({"type": "http.response.body", "body": b"x", "more_body": True})

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200})
        errors: list[Exception] = [ValueError()] if scope["path"] == "/other" else []
        for _ in range(2):
            try:
                await part(send)
            except OSError as error:
                errors.append(error)
        raise ExceptionGroup("parts", errors)

    async def send(message: Any) -> None:
        if message["type"] == "http.response.body":
            raise BrokenPipeError

    for path, outcome in (("/", "disconnected"), ("/other", "failed")):
        with captured() as taken, pytest.raises(ExceptionGroup):
            await app_of(app)(scope_of(path), anyio.sleep_forever, send)
        assert access(taken).fields["outcome"] == outcome


@pytest.mark.parametrize("error", [FileNotFoundError, ConnectionResetError])
async def test_a_failure_after_the_client_has_left_is_a_failure(error: type[OSError]) -> None:
    """The app's own files and sockets are not the client's."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        raise error

    with captured() as taken, pytest.raises(error):
        await call(app_of(app), scope_of(), {"type": "http.disconnect"})
    assert [record.logger for record in taken.records] == ["access.error", "access"]
    assert access(taken).fields["outcome"] == "failed"


async def test_somebody_else_s_disconnect_is_a_failure() -> None:
    """Clients of websockets have exceptions of these names, too; here, the client is there."""

    class WebSocketDisconnect(Exception):  # noqa: N818
        pass

    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise WebSocketDisconnect

    with captured() as taken, pytest.raises(WebSocketDisconnect):
        await call(app_of(app), scope_of())
    assert [record.logger for record in taken.records] == ["access.error", "access"]
    assert access(taken).fields.items() >= {"outcome": "failed", "status": 500}.items()


async def test_a_second_start_that_the_server_refuses_changes_nothing() -> None:
    """The client saw the first status."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200})
        with contextlib.suppress(RuntimeError):
            await send({"type": "http.response.start", "status": 500})
        await send({"type": "http.response.body"})

    starts = 0

    async def send(message: Any) -> None:
        nonlocal starts
        starts += message["type"] == "http.response.start"
        if starts == 2 and message["type"] == "http.response.start":
            raise RuntimeError

    with captured() as taken:
        await app_of(app)(scope_of(), anyio.sleep_forever, send)
    assert access(taken).fields.items() >= {"status": 200, "outcome": "ok"}.items()


async def test_the_end_of_a_connection_after_the_response_is_none() -> None:
    """Servers say `http.disconnect` to whoever listens on after the last byte."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await respond(send)
        await receive()

    with captured() as taken:
        await call(app_of(app), scope_of(), {"type": "http.disconnect"})
    assert access(taken).fields["outcome"] == "ok"


async def _cancelled_by_the_end(app: Any, scope: Any, end: str, last: str) -> Taken:
    """Call an app that sends in one task and listens in another, as streamed responses do; the
    server says that all is over before its `send` of the last message has returned."""
    over = anyio.Event()

    async def receive() -> Any:
        if scope["type"] == "websocket" and not connected:
            connected.append(True)
            return {"type": "websocket.connect"}
        await over.wait()
        return {"type": end}

    async def send(message: Any) -> None:
        if message["type"] == last and not message.get("more_body"):
            over.set()
            await anyio.sleep_forever()

    connected: list[bool] = []
    with captured() as taken:
        await app_of(app)(scope, receive, send)
    return taken


@pytest.mark.parametrize(
    ("last", "outcome"),
    [
        ({"type": "http.response.body"}, "ok"),
        ({"type": "http.response.body", "body": b"abc"}, "disconnected"),
        ({"type": "http.response.pathsend", "path": "/file"}, "disconnected"),
    ],
)
async def test_the_end_may_be_told_before_the_last_send_returns(last: Any, outcome: str) -> None:
    """Hypercorn does so, and who listens then cancels the send: the response is whole, if there
    was nothing left in it but the end."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        async def stream() -> None:
            await send({"type": "http.response.start", "status": 200})
            await send({"type": "http.response.body", "body": b"x", "more_body": True})
            await send(last)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(stream)
            await receive()
            tasks.cancel_scope.cancel()
        await anyio.sleep(0.01)  # a background task

    taken = await _cancelled_by_the_end(app, scope_of(), "http.disconnect", last["type"])
    shown = access(taken).fields
    assert shown.items() >= {"outcome": outcome, "bytes_out": 1}.items()
    assert access(taken).level.name == "INFO"
    assert ("total_ms" in shown) == (outcome == "ok")


async def test_a_websocket_s_end_may_be_told_before_its_close_returns() -> None:
    """It was closed with the code that the app gave."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})

        async def close() -> None:
            await send({"type": "websocket.close", "code": 1000})

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(close)
            await receive()
            tasks.cancel_scope.cancel()

    taken = await _cancelled_by_the_end(
        app, scope_of(kind="websocket"), "websocket.disconnect", "websocket.close"
    )
    assert taken.last.fields.items() >= {"close_code": 1000, "outcome": "ok"}.items()


async def test_bodies_that_are_not_sent_are_not_counted() -> None:
    """A server sends none in answer to HEAD, whatever the app gives."""
    scope = scope_of()
    scope["method"] = "HEAD"
    with captured() as taken:
        await call(app_of(hello), scope)
    assert access(taken).fields["bytes_out"] == 0


@pytest.mark.parametrize("kind", ["http.response.pathsend", "http.response.zerocopysend"])
async def test_files_that_the_server_reads_count_by_their_header(kind: str) -> None:
    """ASGI's extensions: the app sends a path or a file, and no body."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        headers = [(b"Content-Length", b"1234")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": kind, "path": "/srv/file"})

    with captured() as taken:
        await call(app_of(app), scope_of())
    assert access(taken).fields.items() >= {"bytes_out": 1234, "outcome": "ok"}.items()


@pytest.mark.parametrize(
    "headers", [[(b"content-length", b"10")], [(b"content-length", b"9" * 5_000)]]
)
async def test_parts_of_files_and_of_bodies_are_counted_once(headers: Any) -> None:
    """They may be mixed; the header says the sum, and if it makes no sense the counts do."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"abc", "more_body": True})
        await send({"type": "http.response.zerocopysend", "file": 1, "count": 7})

    with captured() as taken:
        await call(app_of(app), scope_of())
    assert access(taken).fields.items() >= {"bytes_out": 10, "outcome": "ok"}.items()


async def test_background_work_counts_apart() -> None:
    """It has the context and adds to the record, but not to the duration."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await respond(send)
        await anyio.sleep(0.02)
        log.info("later")
        logflume.scope().add(mails=3)

    with captured() as taken:
        await call(app_of(app), scope_of(x_request_id="r1"))
    assert taken.records[0].fields["request_id"] == "r1"
    shown = access(taken).fields
    assert shown["mails"] == 3
    assert shown["total_ms"] - shown["duration_ms"] > 10


async def test_the_scope_of_a_request_is_its_access_record() -> None:
    """Fields and times are added from tasks and threads; its own fields cannot be forged."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        logflume.scope().add(user_id=7, status="forged", method="card", request_id=1, path="/y")
        async with anyio.create_task_group() as tasks:
            for _ in range(3):
                tasks.start_soon(in_a_task)
        await anyio.to_thread.run_sync(lambda: logflume.scope().add(thread=True))
        await respond(send)

    async def in_a_task() -> None:
        with logflume.scope().timer("db"):
            await anyio.lowlevel.checkpoint()

    with captured() as taken:
        await call(app_of(app), scope_of())
    shown = access(taken).fields
    assert shown.items() >= {"user_id": 7, "thread": True, "db_count": 3, "status": 200}.items()
    assert shown["db_ms"] > 0
    assert access(taken).to_dict()["message"] == "GET / 200"
    assert shown["request_id"] != 1


async def test_a_streamed_body_has_the_context() -> None:
    """What an async generator logs between its parts belongs to the request."""

    async def parts() -> AsyncIterator[bytes]:
        for number in range(3):
            log.info("part", number=number)
            yield b"x"

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200})
        async for part in parts():
            await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body"})

    with captured() as taken:
        await call(app_of(app), scope_of(x_request_id="r1"))
    assert [record.fields["request_id"] for record in taken.records] == ["r1"] * 4
    assert access(taken).fields["bytes_out"] == 3


async def test_the_route_is_known_as_soon_as_the_router_has_chosen() -> None:
    """Below the router, records have the template; so has the access record."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        log.info("before")
        scope["route"] = "/users/{id}"
        log.info("after")
        await respond(send)

    with captured() as taken:
        await call(app_of(app), scope_of("/users/7"))
    assert [record.fields.get("route") for record in taken.records] == [
        None,
        "/users/{id}",
        "/users/{id}",
    ]
    assert current_context() == {}


async def test_routes_of_nested_mounts_are_joined() -> None:
    """Whether a router names the mount, or only takes its part off the path."""

    class Mount:
        path = "/t/{tenant}"
        routes = ()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        scope["route"] = Mount()
        scope.update({"root_path": "/t/acme"})
        scope.update({"root_path": "/t/acme/api"})
        scope.update({"route": "/items/{item}"})
        await respond(send)

    with captured() as taken:
        await call(app_of(app), scope_of("/t/acme/api/items/3"))
    assert access(taken).fields["route"] == "/t/{tenant}/api/items/{item}"


async def test_copies_of_the_asgi_scope_are_plain() -> None:
    """Other middlewares may copy it as they like, in any way."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        for copied in (copy.copy(scope), copy.deepcopy(scope), dict(scope), scope | {}):
            assert copied == scope
            copied["route"] = "/elsewhere"
        await respond(send)

    with captured() as taken:
        await call(app_of(app), scope_of())
    assert "route" not in access(taken).fields


async def test_a_route_that_cannot_be_read_costs_no_request() -> None:
    """Whatever its attributes do."""

    class Route:
        def __getattr__(self, name: str) -> Any:
            raise RuntimeError

    async def app(scope: Any, receive: Any, send: Any) -> None:
        scope["route"] = Route()
        scope.update(route=Route())
        await respond(send)

    with captured() as taken:
        await call(app_of(app), scope_of())
    assert access(taken).fields["outcome"] == "ok"
    assert "route" not in access(taken).fields


async def test_a_route_may_be_merged_into_the_scope() -> None:
    """With `|=`, too."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        scope |= {"route": "/users/{id}"}
        await respond(send)

    with captured() as taken:
        await call(app_of(app), scope_of())
    assert access(taken).fields["route"] == "/users/{id}"


async def test_middlewares_around_see_what_the_app_put_into_the_scope() -> None:
    """When the response starts, and at the end: metrics are named by the route, for example."""
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        scope["route"] = "/users/{id}"
        await respond(send)
        scope["late"] = True

    async def around(scope: Any, receive: Any, send: Any) -> None:
        async def look(message: Any) -> None:
            seen.append(scope.get("route"))
            await send(message)

        await app_of(app)(scope, receive, look)
        seen.append(scope.get("late"))

    with captured() as taken:
        scope = scope_of()
        await call(around, scope)
        await call(around, scope)
    assert seen == ["/users/{id}", "/users/{id}", True] * 2
    assert [record.logger for record in taken.records] == ["access"] * 2


@pytest.mark.parametrize("hook", ["fields", "level", "new_request_id"])
async def test_a_hook_that_ends_the_program_leaves_no_context_behind(hook: str) -> None:
    """Whatever it raises."""

    def leave(*args: Any) -> Any:
        raise SystemExit

    settings: Any = {hook: leave}
    with captured(), pytest.raises(SystemExit):
        await call(app_of(hello, **settings), scope_of())
    assert current_context() == {}


async def test_headers_may_be_any_iterable() -> None:
    """What the app gives is read once."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await respond(send, headers=[])
        start = {"type": "http.response.start", "status": 200}
        await send({**start, "headers": (pair for pair in [(b"a", b"b")])})

    with captured() as taken:
        sent = await call(app_of(app, request_id_header=None, response_headers=["a"]), scope_of())
    assert sent[-1]["headers"] == [(b"a", b"b")]
    assert access(taken).fields["response_headers"] == {"a": "b"}


async def test_an_app_that_keeps_to_no_protocol_is_not_disturbed() -> None:
    """What cannot be made sense of is the server's to refuse."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await respond(send, status="OK", headers=[("a", "b")])  # type: ignore[arg-type]

    with captured() as taken:
        sent = await call(app_of(app, response_headers=["a"]), scope_of())
    assert sent[0]["status"] == "OK"
    assert len(taken.records) == 1
    assert current_context() == {}


@pytest.mark.parametrize(
    "odd",
    [
        {"path": None},
        {"path": b"/x"},
        {"headers": None},
        {"headers": 5},
        {"headers": [(b"a", b"b", b"c")]},
        {"headers": [("accept", "x"), (b"user-agent", "x")]},
        {"headers": [(bytearray(b"x-request-id"), bytearray(b"x"))]},
        {"client": None},
        {"client": []},
        {"client": 5},
        {"client": (None, 0)},
        {"method": None},
        {"query_string": "a=1"},
    ],
    ids=str,
)
async def test_a_server_that_keeps_to_no_protocol_costs_no_request(odd: dict[str, Any]) -> None:
    """The app is called, and there is a record."""
    with captured() as taken:
        sent = await call(app_of(hello, query=["a"], headers=["accept"]), {**scope_of("/x"), **odd})
    assert sent[0]["status"] == 200
    assert access(taken).fields["outcome"] == "ok"
    assert "{" not in access(taken).message


async def test_a_scope_with_a_type_alone_is_enough() -> None:
    """All else has a default."""
    with captured() as taken:
        await call(app_of(hello), {"type": "http"})
    assert access(taken).fields.items() >= {"path": "", "status": 200}.items()


async def test_a_request_leaves_nothing_to_the_garbage_collector() -> None:
    """No cycles: what a request held is free when it ends."""
    seen: list[weakref.ref[Any]] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(weakref.ref(send.__self__))
        with logflume.scope("inner") as inner:
            assert logflume.scope() is inner
        await respond(send)

    with captured():
        gc.collect()
        gc.disable()
        try:
            await call(app_of(app), scope_of())
            assert seen[0]() is None
        finally:
            gc.enable()


async def test_a_second_middleware_below_does_nothing() -> None:
    """One request, one access record, one id."""
    with captured() as taken:
        sent = await call(app_of(app_of(hello, logger="inner")), scope_of())
    assert [record.logger for record in taken.records] == ["app", "access"]
    assert len(sent[0]["headers"]) == 1


async def test_a_long_path_is_cut() -> None:
    """A client must not fill every record of its request."""
    with captured() as taken:
        await call(app_of(hello), scope_of("/" + "x" * 60_000))
    assert len(taken.last.fields["path"]) < 1_100


async def test_a_request_that_is_dropped_unfinished_keeps_to_its_own_context() -> None:
    """Closed from elsewhere, its record has its own context, not that of whoever closes it."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await anyio.sleep_forever()

    with captured() as taken:
        coroutine = call(app_of(app), scope_of(x_request_id="own"))
        other = contextvars.copy_context()
        other.run(_step, coroutine)
        with context(request_id="another's", user="eve"):
            coroutine.close()
            assert current_context() == {"request_id": "another's", "user": "eve"}
    record = access(taken)
    assert record.fields["request_id"] == "own"
    assert "user" not in record.fields
    gc.collect()


def _step(coroutine: Any) -> None:
    """Run a coroutine to its first suspension, in no task of its own."""
    try:
        coroutine.send(None)
    except StopIteration:
        pass


async def echo(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        log.info("echo")
        await send({"type": "websocket.send", "text": message["text"]})


async def test_a_websocket_has_a_record_at_its_start_and_end() -> None:
    """Close code, duration and messages both ways; the response to the handshake has the id."""
    with captured() as taken:
        sent = await call(
            app_of(echo),
            scope_of("/ws", "websocket", x_request_id="w1"),
            {"type": "websocket.connect"},
            {"type": "websocket.receive", "text": "häh"},
            {"type": "websocket.receive", "text": "b"},
            {"type": "websocket.disconnect", "code": 1001},
        )
    assert sent[0]["headers"] == [(b"x-request-id", b"w1")]
    assert {record.fields["request_id"] for record in taken.records} == {"w1"}
    messages = [record.message for record in taken.records]
    assert messages == ["websocket /ws opened", "echo", "echo", "websocket /ws closed 1001"]
    shown = taken.last.call_fields
    assert shown.pop("duration_ms") > 0
    assert shown == {
        "close_code": 1001,
        "messages_in": 2,
        "messages_out": 2,
        "bytes_in": 5,
        "bytes_out": 5,
        "outcome": "ok",
    }


async def test_a_websocket_that_is_refused_has_a_status() -> None:
    """Closed before it is accepted, the handshake fails with 403."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "websocket.close"})

    with captured() as taken:
        await call(app_of(app), scope_of("/ws", "websocket"))
    (record,) = taken.records
    assert (record.level.name, record.fields["status"]) == ("WARNING", 403)
    assert record.message == "websocket /ws refused 403"


async def test_what_a_websocket_s_server_refuses_does_not_count() -> None:
    """Neither messages nor the close; the client has left."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "websocket.accept"})
        with contextlib.suppress(OSError):
            await send({"type": "websocket.send", "text": "abc"})
        await send({"type": "websocket.close"})

    async def send(message: Any) -> None:
        if message["type"] != "websocket.accept":
            raise BrokenPipeError

    with captured() as taken, pytest.raises(BrokenPipeError):
        await app_of(app)(scope_of(kind="websocket"), anyio.sleep_forever, send)
    assert [record.logger for record in taken.records] == ["access", "access"]
    shown = taken.last.fields
    assert shown.items() >= {"outcome": "disconnected", "messages_out": 0, "bytes_out": 0}.items()
    assert "close_code" not in shown


async def test_a_websocket_s_unhandled_exception_is_logged_once() -> None:
    """As for requests; the end of the connection itself is none."""

    class WebSocketDisconnect(Exception):  # noqa: N818
        pass

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "websocket.accept"})
        if (await receive())["type"] == "websocket.disconnect":
            raise WebSocketDisconnect
        raise ValueError("wrong")

    with captured() as taken:
        with pytest.raises(ValueError, match="wrong"):
            await call(
                app_of(app),
                scope_of("/ws", "websocket"),
                {"type": "websocket.receive", "bytes": b"x"},
            )
        assert [r.level.name for r in taken.records] == ["INFO", "ERROR", "ERROR"]
        with pytest.raises(WebSocketDisconnect):
            await call(app_of(app), scope_of("/ws", "websocket"), {"type": "websocket.disconnect"})
        assert taken.last.level.name == "INFO"
        assert taken.last.fields["close_code"] == 1005


async def test_a_thousand_requests_at_once_never_mix() -> None:
    """Each record has the id of its own request, and each request one access record."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        number = scope["path"][1:]
        log.info("first", number=number)
        await anyio.lowlevel.checkpoint()
        with context(step=number):
            logflume.scope().add(number=number)
            await anyio.lowlevel.checkpoint()
            log.info("second", number=number)
        await respond(send, number.encode())

    watched = app_of(app)
    with captured() as taken:
        async with anyio.create_task_group() as tasks:
            for number in range(1_000):
                tasks.start_soon(call, watched, scope_of(f"/{number}", x_request_id=f"r{number}"))
    assert len(taken.records) == 3_000
    for record in taken.records:
        shown = record.fields
        assert shown["request_id"] == f"r{shown['number']}"
        assert shown["path"] == f"/{shown['number']}"
        assert shown.get("step", shown["number"]) == shown["number"]
    assert sum(record.logger == "access" for record in taken.records) == 1_000


async def test_lifespan_opens_the_pipeline_around_the_app_s_own() -> None:
    """What the app's own lifespan logs is delivered; its state is passed on."""

    @contextlib.asynccontextmanager
    async def own(app: Any) -> AsyncIterator[dict[str, str]]:
        log.info("start", app=app)
        yield {"db": "open"}
        log.info("stop")

    sink = Collect()
    async with lifespan(lambda: Pipeline(sink), own)("the app") as state:
        assert state == {"db": "open"}
    assert sink.messages == ["start", "stop"]
    assert sink.closed == 1
    async with lifespan(Pipeline(Collect()))(None) as state:
        assert state is None


async def test_lifespan_events_pass_through() -> None:
    """The middleware has no part in them."""
    seen = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope)

    scope = {"type": "lifespan"}
    await call(app_of(app), scope)
    assert seen[0] is scope


@pytest.mark.parametrize(
    ("setting", "given"),
    [
        ("logger", None),
        ("request_id_header", "x request"),
        ("new_request_id", "abc"),
        ("level", "INFO"),
        ("exclude", "/health"),
        ("exclude", ["health"]),
        ("exclude", ["/a*b"]),
        ("query", "page"),
        ("query", [1]),
        ("headers", ["no header"]),
        ("response_headers", 7),
        ("fields", ["status"]),
        ("fields", hello),
        ("level", hello),
        ("new_request_id", hello),
    ],
)
def test_settings_that_mean_nothing_are_refused(setting: str, given: Any) -> None:
    """At construction, by name."""
    with pytest.raises(ConfigurationError, match=f"LoggingMiddleware.{setting}: got"):
        LoggingMiddleware(hello, **{setting: given})


async def test_an_app_that_starts_again_is_told_how_to() -> None:
    """As the second test client does: with a function, each start has a pipeline of its own."""
    once, again = lifespan(Pipeline(Collect())), lifespan(lambda: Pipeline(Collect()))
    for starts in (once, again, again):
        async with starts(None):
            pass
    with pytest.raises(PipelineError, match=r"lifespan\(lambda: Pipeline"):
        async with once(None):
            pass


def test_a_lifespan_of_nothing_is_refused() -> None:
    """At construction, by name."""
    with pytest.raises(ConfigurationError, match=r"lifespan\.pipeline"):
        lifespan("app.log")  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match=r"lifespan\.own"):
        lifespan(Pipeline(), "app")  # type: ignore[arg-type]


def test_a_lifespan_that_could_not_start_is_refused() -> None:
    """A forgotten `asynccontextmanager`, or an async function that makes the pipeline."""

    async def own(app: Any) -> AsyncIterator[None]:
        yield

    async def make() -> Pipeline:
        return Pipeline()

    with pytest.raises(ConfigurationError, match=r"lifespan\.own: .*asynccontextmanager"):
        lifespan(Pipeline(), own)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match=r"lifespan\.pipeline"):
        lifespan(make)  # type: ignore[arg-type]

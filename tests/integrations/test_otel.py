"""OpenTelemetry around logflume: its instrumentation of web apps, and its handler of `logging`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import anyio
import anyio.to_thread
import pytest

from logflume import Level, Pipeline, get_logger, processors
from logflume.integrations.asgi import LoggingMiddleware
from logflume.level import LEVELS
from logflume.sinks import Stdlib
from tests.fakes import Collect, may_block

api = pytest.importorskip("opentelemetry.trace")
logs = pytest.importorskip("opentelemetry.sdk._logs")
exports = pytest.importorskip("opentelemetry.sdk._logs.export")
tracing = pytest.importorskip("opentelemetry.sdk.trace")
severity = pytest.importorskip("opentelemetry._logs.severity")

log = get_logger("app")
tracer = tracing.TracerProvider(shutdown_on_exit=False).get_tracer("tests")
TRACE_ID, PARENT_ID = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


# Severity.


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("TRACE", "TRACE"),
        ("DEBUG", "DEBUG"),
        ("INFO", "INFO"),
        ("SUCCESS", "INFO4"),
        ("WARNING", "WARN"),
        ("ERROR", "ERROR"),
        ("CRITICAL", "FATAL"),
    ],
)
def test_levels_are_severities_of_the_log_data_model(name: str, number: str) -> None:
    """Each level begins its range there: 1-4, 5-8, 9-12, 13-16, 17-20, 21-24."""
    assert LEVELS[name].severity_number == severity.SeverityNumber[number].value


def test_all_numbers_are_severities_in_the_same_order() -> None:
    """From 1 to 24; and the same as in OpenTelemetry's own bridge from `logging`."""
    bridge = pytest.importorskip("opentelemetry.instrumentation.log_utils")
    found = [Level(no, "X").severity_number for no in [*range(120), 99_999]]
    assert sorted(found) == found
    assert (found[0], found[-1]) == (1, 24)
    assert set(found) == set(range(1, 25))
    for no in range(10, 120):
        assert found[no] == bridge.std_to_otel(no).value


def test_a_level_s_own_severity_goes_before() -> None:
    """For levels whose number says something else."""
    assert Level(22, "NOTICE", severity=11).severity_number == 11


# The handler of `logging`.


@pytest.fixture
def exported() -> Any:
    """Return where OpenTelemetry's logs go."""
    return exports.InMemoryLogRecordExporter()


@pytest.fixture
def handler(exported: Any) -> Any:
    """Return OpenTelemetry's handler of `logging`, as it is called today."""
    module = pytest.importorskip("opentelemetry.instrumentation.logging.handler")
    provider = logs.LoggerProvider(shutdown_on_exit=False)
    provider.add_log_record_processor(exports.SimpleLogRecordProcessor(exported))
    return module.LoggingHandler(logger_provider=provider)


async def test_records_come_to_it_with_severity_and_trace_context(
    handler: Any, exported: Any
) -> None:
    """By `sinks.Stdlib`: in a thread where no span is current, each has that of its call."""
    async with Pipeline(
        Stdlib(handler, close=False), processors=[processors.Otel()], level="TRACE"
    ):
        await log.ainfo("before")
        with tracer.start_as_current_span("outer") as outer:
            await log.awarning("User {user} is in", user="ann")
            with tracer.start_as_current_span("inner") as inner:
                log.critical("no")
        log.debug("after")
    found = [one.log_record for one in exported.get_finished_logs()]
    spans = [None, outer.get_span_context(), inner.get_span_context(), None]
    assert [one.body for one in found] == ["before", "User ann is in", "no", "after"]
    assert [one.severity_number.name for one in found] == ["INFO", "WARN", "FATAL", "DEBUG"]
    assert [one.trace_id for one in found] == [span.trace_id if span else 0 for span in spans]
    assert [one.span_id for one in found] == [span.span_id if span else 0 for span in spans]
    assert found[1].attributes["user"] == "ann"


async def test_an_exception_comes_to_it_with_its_stack(handler: Any, exported: Any) -> None:
    """It makes the text of a traceback by itself, so it needs one."""

    def fail() -> None:
        raise ValueError("no")

    async with Pipeline(Stdlib(handler, close=False)):
        try:
            fail()
        except ValueError:
            await log.aexception("failed")
    (found,) = [one.log_record for one in exported.get_finished_logs()]
    assert found.attributes["exception.type"] == "ValueError"
    assert found.attributes["exception.message"] == "no"
    assert "in fail" in found.attributes["exception.stacktrace"]


async def test_times_are_those_of_the_call(handler: Any, exported: Any) -> None:
    """To the microsecond, which is what `logging` knows."""
    sink = Collect()
    async with Pipeline(Stdlib(handler, close=False), sink):
        await log.ainfo("m")
    (found,) = [one.log_record for one in exported.get_finished_logs()]
    assert abs(found.timestamp - sink.records[0].time_ns) < 1_000


# The instrumentation of ASGI apps.


def ids(span: Any) -> tuple[str, str]:
    """Return what a finished span of OpenTelemetry shows as its ids."""
    context = span.get_span_context()
    return api.format_trace_id(context.trace_id), api.format_span_id(context.span_id)


class Spans:
    """A provider of spans, and those that ended."""

    def __init__(self) -> None:
        export = pytest.importorskip("opentelemetry.sdk.trace.export")
        memory = pytest.importorskip("opentelemetry.sdk.trace.export.in_memory_span_exporter")
        self._exporter = memory.InMemorySpanExporter()
        self.provider = tracing.TracerProvider(shutdown_on_exit=False)
        self.provider.add_span_processor(export.SimpleSpanProcessor(self._exporter))

    def server(self) -> Any:
        """Return the one span of a server."""
        finished = self._exporter.get_finished_spans()
        (found,) = [span for span in finished if span.kind is api.SpanKind.SERVER]
        return found


@pytest.fixture
def spans() -> Spans:
    return Spans()


async def endpoint(scope: Any, receive: Any, send: Any) -> None:
    await log.ainfo("in the endpoint")
    await anyio.to_thread.run_sync(log.info, "in a thread")
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"ok"})


async def request(app: Any, *headers: tuple[bytes, bytes]) -> None:
    """Ask an app for `/`."""
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": "/",
        "query_string": b"",
        "headers": list(headers),
        "client": ("192.0.2.1", 4711),
        "server": ("192.0.2.2", 80),
    }

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        await anyio.lowlevel.checkpoint()

    await app(scope, receive, send)


TRACEPARENT = (b"traceparent", f"00-{TRACE_ID}-{PARENT_ID}-01".encode())


@pytest.mark.parametrize("headers", [[], [TRACEPARENT]], ids=["new trace", "traceparent"])
async def test_under_its_middleware_all_records_are_in_the_span(
    spans: Spans, headers: list[Any]
) -> None:
    """With OpenTelemetry's outermost, the access record, too; the header says no other trace."""
    asgi = pytest.importorskip("opentelemetry.instrumentation.asgi")
    sink = Collect()
    app = asgi.OpenTelemetryMiddleware(
        LoggingMiddleware(endpoint), tracer_provider=spans.provider, exclude_spans=["send"]
    )
    async with Pipeline(sink, processors=[processors.Otel()]):
        await request(app, *headers)
    server = spans.server()
    assert len(sink.records) == 3
    assert {(r.trace_id, r.span_id) for r in sink.records} == {ids(server)}
    if headers:
        assert ids(server)[0] == TRACE_ID
        assert api.format_span_id(server.parent.span_id) == PARENT_ID


@pytest.mark.parametrize("headers", [[], [TRACEPARENT]], ids=["new trace", "traceparent"])
async def test_around_its_middleware_the_access_record_is_in_the_trace(
    spans: Spans, headers: list[Any]
) -> None:
    """With logflume's outermost, it is logged when the span is over, and is in it all the same."""
    asgi = pytest.importorskip("opentelemetry.instrumentation.asgi")
    sink = Collect()
    instrumented = asgi.OpenTelemetryMiddleware(
        endpoint, tracer_provider=spans.provider, exclude_spans=["send"]
    )
    async with Pipeline(sink, processors=[processors.Otel()]):
        await request(LoggingMiddleware(instrumented), *headers)
    assert len(sink.records) == 3
    assert {(r.trace_id, r.span_id) for r in sink.records} == {ids(spans.server())}


async def test_without_its_instrumentation_the_header_says_the_span(spans: Spans) -> None:
    """Also where a span of the program's own is current in the endpoint."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        log.info("in the caller's span")
        with tracer.start_as_current_span("own") as span:
            found.append(ids(span))
            log.info("in the program's")
        await endpoint(scope, receive, send)

    found: list[tuple[str, str]] = []
    sink = Collect()
    async with Pipeline(sink, processors=[processors.Otel()]):
        await request(LoggingMiddleware(app), TRACEPARENT)
    header = (TRACE_ID, PARENT_ID)
    expected = [header, *found, header, header, header]
    assert [(r.trace_id, r.span_id) for r in sink.records] == expected


@pytest.fixture
def fastapi_app(spans: Spans) -> Iterator[Any]:
    """Return an instrumented app with one endpoint."""
    fastapi = pytest.importorskip("fastapi")
    instrumentation = pytest.importorskip("opentelemetry.instrumentation.fastapi")
    app = fastapi.FastAPI()

    @app.get("/")  # type: ignore[untyped-decorator]
    def home() -> str:
        log.info("in the endpoint")
        return "ok"

    instrumentation.FastAPIInstrumentor.instrument_app(app, tracer_provider=spans.provider)
    yield app
    instrumentation.FastAPIInstrumentor.uninstrument_app(app)


async def test_an_instrumented_fastapi_s_records_are_in_its_span(
    fastapi_app: Any, spans: Spans
) -> None:
    """`FastAPIInstrumentor`, with the middleware around the app and a sync endpoint."""
    sink = Collect()
    async with Pipeline(sink, processors=[processors.Otel()]):
        with may_block():  # the first request builds its middleware
            await request(LoggingMiddleware(fastapi_app))
    assert [record.logger for record in sink.records] == ["app", "access"]
    assert {(r.trace_id, r.span_id) for r in sink.records} == {ids(spans.server())}

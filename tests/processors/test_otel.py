"""The trace and span that records belong to, with OpenTelemetry's own API and SDK."""

from __future__ import annotations

import contextlib
import json
import sys
import threading
from collections.abc import Iterator
from typing import Any

import anyio
import anyio.to_thread
import pytest

from logflume import ConfigurationError, Pipeline, Record, Route, context, encoders, get_logger
from logflume import capture as capturing
from logflume.context import get_context
from logflume.engine.backend import whereabouts
from logflume.level import TRACE, Thresholds
from logflume.processors import Add, Otel
from tests.fakes import Collect
from tests.intake import Taken, captured, record_of

trace = pytest.importorskip("opentelemetry.trace")
sdk = pytest.importorskip("opentelemetry.sdk.trace")
sampling = pytest.importorskip("opentelemetry.sdk.trace.sampling")

tracer = sdk.TracerProvider().get_tracer("tests")
log = get_logger("tests")


def ids(span: Any) -> tuple[str, str]:
    """Return what OpenTelemetry itself shows as the span's ids."""
    found = span.get_span_context()
    return trace.format_trace_id(found.trace_id), trace.format_span_id(found.span_id)


def seen(record: Record) -> tuple[str | None, str | None]:
    """Return the ids that a record shows."""
    shown = record.to_dict()
    assert (shown.get("trace_id"), shown.get("span_id")) == (record.trace_id, record.span_id)
    assert json.loads(encoders.Json().encode(record)) == shown
    return record.trace_id, record.span_id


@contextlib.contextmanager
def capture(current_span: Any, *, at_home: bool = True) -> Iterator[Taken]:
    """Take what loggers say in this block, with the spans they say it in."""
    with captured() as taken:
        if not at_home:
            taken.ident, taken.mark = -1, 0
        capturing.connect(taken, Thresholds(TRACE), whereabouts, current_span)
        yield taken


async def test_a_record_belongs_to_the_span_it_was_logged_in() -> None:
    """Not to one that is current later, when the pipeline's loop comes to it."""
    sink = Collect()
    async with Pipeline(sink, processors=[Add(service="shop"), Otel()]):
        log.info("before")
        with tracer.start_as_current_span("outer") as outer:
            log.info("outer")
            with tracer.start_as_current_span("inner") as inner:
                await log.ainfo("inner")
            log.info("outer again")
        await log.ainfo("after")
    nowhere = (None, None)
    assert sink.messages == ["before", "outer", "inner", "outer again", "after"]
    expected = [nowhere, ids(outer), ids(inner), ids(outer), nowhere]
    assert [seen(record) for record in sink.records] == expected
    assert ids(outer)[0] == ids(inner)[0]
    assert [record.fields for record in sink.records] == [{"service": "shop"}] * 5


async def test_every_task_and_thread_is_in_its_own_span() -> None:
    """Tasks that run side by side, and worker threads that carry their context."""
    sink = Collect()
    spans = {}

    async def work(name: str) -> None:
        with tracer.start_as_current_span(name) as span:
            spans[name] = ids(span)
            for _ in range(3):
                await log.ainfo(name)
                await anyio.lowlevel.checkpoint()
                log.info(name)
            await anyio.to_thread.run_sync(log.info, name)

    async with Pipeline(sink, processors=[Otel()]), anyio.create_task_group() as tasks:
        for name in "abc":
            tasks.start_soon(work, name)
    assert len(sink.records) == 21
    assert [seen(record) for record in sink.records] == [spans[name] for name in sink.messages]


def test_threads_without_a_loop_have_spans_too() -> None:
    """For a pipeline in a thread of its own, all callers are elsewhere."""
    sink = Collect()
    spans = {}

    def work(name: str) -> None:
        with tracer.start_as_current_span(name) as span:
            spans[name] = ids(span)
            log.info(name)

    with Pipeline(sink, processors=[Otel()]):
        threads = [threading.Thread(target=work, args=(name,)) for name in "abc"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert {r.message: seen(r) for r in sink.records} == spans


async def test_only_the_current_pipeline_decides_whether_spans_are_looked_for() -> None:
    """While one without Otel is open, and when all are closed, capture is as if there was none."""
    inner, outer = Collect("inner"), Collect("outer")
    with tracer.start_as_current_span("s") as span:
        async with Pipeline(outer, processors=[Otel()]):
            log.info("1")
            async with Pipeline(inner):
                assert capturing.get_context is get_context
                log.info("2")
            log.info("3")
        assert capturing.get_context is get_context
    assert [seen(record) for record in inner.records] == [(None, None)]
    assert [seen(record) for record in outer.records] == [ids(span)] * 2


@pytest.mark.parametrize("at_home", [False, True])
def test_all_ways_of_logging_know_the_span(at_home: bool) -> None:
    """The short ones, those with options, with exceptions, and those that are put off."""
    with capture(Otel().current_span, at_home=at_home) as taken:
        with tracer.start_as_current_span("s") as span, context(user="ann"):
            log.info("{n}", n=1)
            log.log("NOTICE", "{n}", n=2)
            log.opt(depth=1).info("{n}", n=3)
            log.opt(lazy=True).info("{n}", n=lambda: 4)
            try:
                raise ValueError("no")
            except ValueError:
                log.exception("{n}", n=5)
        log.opt(depth=1).info("after")
    *inside, after = taken.records
    assert [record.message for record in inside] == list("12345")
    for record in inside:
        assert record.fields["user"] == "ann"
        assert record.extra is not None
        assert record.extra.span is not None
        assert (record.trace_id, record.span_id) == ids(span)
    assert inside[4].exception is not None
    assert seen(inside[4])[0]
    assert after.extra is None


async def test_what_a_sink_logs_in_a_span_does_not_come_back_to_it() -> None:
    """A record has its span besides the routes that it came from."""
    other = Collect("other")
    spans = []

    def callback(shown: dict[str, Any]) -> None:
        with tracer.start_as_current_span("in the callback") as span:
            spans.append(ids(span))
            log.info("from the callback")

    async with Pipeline(callback, Route(other), processors=[Otel()]) as pipeline:
        log.info("said")
        await pipeline.flush(5)
    assert other.messages == ["said", "from the callback"]
    assert [seen(record) for record in other.records] == [(None, None), *spans]


def test_ids_are_hex_digits_of_fixed_length() -> None:
    """W3C Trace Context, sections 3.2.2.3 and 3.2.2.4; of remote and unsampled spans, too."""
    far = trace.SpanContext(0xABC, 0xD, is_remote=True)
    with capture(Otel().current_span) as taken:
        with trace.use_span(trace.NonRecordingSpan(far)):
            log.info("m")
        unsampled = sdk.TracerProvider(sampling.ALWAYS_OFF).get_tracer("tests")
        with unsampled.start_as_current_span("s") as span:
            log.info("m")
    first, second = taken.records
    assert seen(first) == ("00000000000000000000000000000abc", "000000000000000d")
    assert seen(second) == ids(span)


def test_an_invalid_span_is_none() -> None:
    """Its ids are zeros, which stand for nothing (section 3.2.2.3)."""
    with capture(Otel().current_span) as taken, trace.use_span(trace.INVALID_SPAN):
        log.info("m")
    assert taken.last.extra is None
    assert "trace_id" not in taken.last.to_dict()


def test_a_failure_to_find_the_span_costs_no_record() -> None:
    """Whatever stands in for OpenTelemetry: the record is captured without a span."""

    def broken() -> Any:
        raise RuntimeError("a bug")

    with capture(broken) as taken:
        log.info("{n}", n=1)
        log.opt(depth=0).info("{n}", n=2)
    assert [record.message for record in taken.records] == ["1", "2"]
    assert [record.fields for record in taken.records] == [{"n": 1}, {"n": 2}]


def test_it_has_nothing_left_to_do_for_records() -> None:
    """They pass by it whole."""
    record = record_of()
    assert Otel()(record) is record
    assert Otel().passes([record])


def test_without_the_api_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """When the processor is made, not when something is logged."""
    monkeypatch.setitem(sys.modules, "opentelemetry.trace", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'logflume\[otel\]'"):
        Otel()

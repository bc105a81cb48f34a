"""Levels, silence and routes for one task, while all others log as ever."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import logging
import os
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
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
    current_context,
    get_logger,
    override,
    processors,
)
from logflume import source as sources
from logflume.capture import get_context as plain
from logflume.integrations import stdlib
from logflume.level import DEBUG, INFO, WARNING, Thresholds
from logflume.testing import capture
from tests.fakes import Collect, unmeasured
from tests.intake import captured

log = get_logger("app")


@pytest.fixture(autouse=True)
def nothing_stays_lowered() -> Iterator[None]:
    """Whatever a test does, in the end calls below the level cost one comparison again."""
    yield
    gc.collect()
    assert sources._lowered == []
    assert logflume.capture.get_context is plain


def messages(records: Any) -> list[str]:
    return [record.message for record in records]


# Levels.


@pytest.mark.parametrize("at_home", [True, False])
def test_a_level_holds_for_the_block(at_home: bool) -> None:
    """All loggers have it inside, none before and after."""
    with captured(level=INFO, at_home=at_home) as taken:
        log.debug("before")
        with override(level="DEBUG"):
            log.debug("plain")
            log.opt(depth=0).debug("with options")
            log.log("DEBUG", "by name")
            get_logger("made here").debug("new")
            log.trace("too low")
        log.debug("after")
    assert messages(taken.records) == ["plain", "with options", "by name", "new"]


async def test_the_waiting_methods_heed_it_too() -> None:
    """`await log.adebug(...)` is captured inside, and awaits nothing outside."""
    sink = Collect()
    async with Pipeline(sink, level="INFO"):
        await log.adebug("before")
        with override(level="DEBUG"):
            await log.adebug("plain")
            await log.opt(lazy=True).adebug("{v}", v=lambda: "lazy")
            await log.alog("DEBUG", "by name")
        await log.adebug("after")
    assert messages(sink.records) == ["plain", "lazy", "by name"]


async def test_it_is_the_task_s_alone() -> None:
    """Siblings that run meanwhile have the ordinary levels, however they take turns."""
    sink = Collect()
    turns = [anyio.Event(), anyio.Event()]

    async def watched() -> None:
        with override(level="DEBUG"):
            turns[0].set()
            await turns[1].wait()
            log.debug("watched")
            await log.adebug("watched")

    async def other() -> None:
        await turns[0].wait()
        log.debug("other")
        await log.adebug("other")
        with context(a=1):
            log.debug("other")
            log.opt(exception=True).debug("other")
        log.info("ordinary")
        turns[1].set()

    async with Pipeline(sink, level="INFO") as pipeline:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(watched)
            tasks.start_soon(other)
        await pipeline.flush()
        assert pipeline.stats().door.received == 3
    assert messages(sink.records) == ["ordinary", "watched", "watched"]


async def test_child_tasks_and_threads_inherit_it() -> None:
    """What is started in the block is inside, on other threads and loops too."""

    async def child() -> None:
        log.debug("task")

    async def elsewhere() -> None:
        await log.adebug("loop")

    def thread() -> None:
        log.debug("thread")
        asyncio.run(elsewhere())

    with captured(level=INFO) as taken, override(level="DEBUG"):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(child)
        await anyio.to_thread.run_sync(thread)
    assert messages(taken.records) == ["task", "thread", "loop"]


def test_a_higher_level_makes_the_block_quieter() -> None:
    """The level takes the place of the ordinary one, in both directions; the inner block's counts,
    for levels of names, too."""
    thresholds = Thresholds(INFO, {"app": DEBUG})
    with captured() as taken:
        logflume.capture.connect(taken, thresholds, lambda: ("", None))
        with override(level="ERROR"):
            log.warning("no")
            with override(level="DEBUG"):
                log.debug("inner")
                get_logger("lib").debug("inner")
            with override(skip=False):
                log.warning("no")
            log.error("outer")
        log.debug("own")
    assert messages(taken.records) == ["inner", "inner", "outer", "own"]


def test_is_enabled_for_tells_what_a_call_would_do_here() -> None:
    """It says what the rules around it come to."""
    with captured(level=INFO):
        with override(level="DEBUG"):
            assert log.is_enabled_for("DEBUG")
            assert not contextvars.Context().run(log.is_enabled_for, "DEBUG")
            assert contextvars.Context().run(log.is_enabled_for, "INFO")
            with override(skip=True):
                assert not log.is_enabled_for("CRITICAL")
        assert not log.is_enabled_for("DEBUG")


def test_levels_may_change_meanwhile() -> None:
    """`set_level` counts for all others at once, and for the block when it is over."""
    sink = Collect()
    outside = contextvars.Context()
    with Pipeline(sink, level="INFO") as pipeline:
        with override(level="DEBUG"):
            pipeline.set_level(None, "ERROR")
            outside.run(log.warning, "no")
            log.debug("inside")
            pipeline.set_level("app", "TRACE")
            outside.run(log.trace, "others")
            log.trace("no")
        log.trace("after")
    assert messages(sink.records) == ["inside", "others", "after"]


def test_pipelines_may_open_and_close_meanwhile() -> None:
    """The block is a matter of the calls: whoever takes them gets what it lets through."""
    outer, inner = Collect(), Collect()
    outside = contextvars.Context()
    with Pipeline(outer, level="INFO"), override(level="DEBUG"):
        with Pipeline(inner, level="WARNING"):
            log.debug("inner")
            outside.run(log.info, "no")
        log.debug("outer")
        outside.run(log.debug, "no")
    assert (messages(inner.records), messages(outer.records)) == (["inner"], ["outer"])


def test_a_silenced_library_stays_silent() -> None:
    """What `disable` switched off is not meant to speak at any level."""
    library = get_logger("library.of_override")
    logflume.disable("library.of_override")
    try:
        with captured() as taken, override(level="TRACE"):
            library.error("no")
            assert not library.is_enabled_for("CRITICAL")
    finally:
        logflume.enable("library.of_override")
        sources._switches.clear()
    assert not taken.records


def test_the_level_ends_with_the_block_also_for_what_goes_on() -> None:
    """A task that was left behind has the ordinary levels, even while others have lower ones."""
    with captured(level=INFO) as taken:
        with override(level="DEBUG"), context(job=1):
            left_behind = contextvars.copy_context()
        with override(level="DEBUG"):
            left_behind.run(log.debug, "no")
            left_behind.run(log.info, "fields stay")
    assert [(r.message, r.fields) for r in taken.records] == [("fields stay", {"job": 1})]


async def test_a_generator_closed_by_another_task_ends_its_level() -> None:
    """Wherever the block is left, the level is not held any more."""

    async def items() -> AsyncIterator[int]:
        with override(level="DEBUG"):
            log.debug("in the generator")
            yield 1

    with captured(level=INFO) as taken:
        made: list[Any] = []

        async def first() -> None:
            made.append(items())
            await anext(made[0])

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(first)
        async with aclosing(made[0]):
            pass
        log.debug("no")
    assert messages(taken.records) == ["in the generator"]
    assert sources._lowered == []


async def test_a_cancelled_block_ends_its_level() -> None:
    """As any block does."""
    with captured(level=INFO) as taken:
        with anyio.CancelScope() as cancelled, override(level="DEBUG"):
            cancelled.cancel()
            await anyio.sleep_forever()
        log.debug("no")
    assert not taken.records


def test_one_block_may_be_entered_by_several_at_once() -> None:
    """The level holds until the last of them has left; leaving once too often is no harm."""
    block = override(level="DEBUG")
    with captured(level=INFO) as taken:
        with block:
            with block:
                log.debug("twice")
            log.debug("once")
        block.__exit__(None, None, None)
        log.debug("no")
    assert messages(taken.records) == ["twice", "once"]


def test_many_threads_may_enter_and_leave_at_once() -> None:
    """Levels are right for each of them all the time, and as before in the end."""
    sink = Collect()

    def work(watched: bool) -> None:
        for _ in range(300):
            if watched:
                with override(level="DEBUG"):
                    log.debug("watched")
            else:
                log.info("ordinary")

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        with Pipeline(sink, level="INFO"):
            threads = [threading.Thread(target=work, args=(n % 3 > 0,)) for n in range(6)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert log._source.threshold == log._source.ordinary == INFO.no
    finally:
        sys.setswitchinterval(interval)
    said = messages(sink.records)
    assert (said.count("watched"), said.count("ordinary")) == (1200, 600)


def test_what_one_costs_does_not_grow_with_those_that_are_open() -> None:
    """Thousands of requests may have a level at once."""

    def fastest() -> float:
        times = []
        for _ in range(20):
            begun = time.perf_counter()
            with override(level="DEBUG"):
                pass
            times.append(time.perf_counter() - begun)
        return min(times)

    alone = fastest()
    blocks = [(contextvars.Context(), override(level="DEBUG")) for _ in range(30_000)]
    for own, block in blocks:
        own.run(block.__enter__)
    among_many = fastest()
    for own, block in blocks:
        own.run(block.__exit__, None, None, None)
    assert among_many < 5 * alone + 50e-6


def test_one_that_ends_while_another_begins_takes_nothing_from_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As the finalizer of a coroutine may, which comes in anywhere."""
    with captured(level=INFO) as taken:
        ending, own = override(level="DEBUG"), contextvars.Context()
        own.run(ending.__enter__)
        lowest = sources._lowest

        def interrupted() -> int | None:
            monkeypatch.undo()
            found = lowest()
            own.run(ending.__exit__, None, None, None)
            return found

        monkeypatch.setattr(sources, "_lowest", interrupted)
        with override(level="DEBUG"):
            log.debug("mine")
        log.debug("nobody's")
    assert messages(taken.records) == ["mine"]


def test_a_level_that_is_higher_than_all_costs_others_nothing() -> None:
    """Nobody has to be looked at for it."""
    with captured(level=INFO):
        for level in ("INFO", "ERROR"):
            with override(level=level):
                outside = contextvars.Context()
                assert type(outside.run(logflume.capture.get_context)) is dict
                assert logflume.capture.get_context is plain
                with override(level="DEBUG"):
                    assert logflume.capture.get_context is not plain
                assert logflume.capture.get_context is plain


def test_a_level_that_others_rise_above_is_one_to_look_at() -> None:
    """And no longer when they are as low again."""
    with Pipeline(Collect(), level="DEBUG") as pipeline, override(level="DEBUG"):
        assert logflume.capture.get_context is plain
        pipeline.set_level("app", "ERROR")
        assert log.is_enabled_for("DEBUG")
        assert not contextvars.Context().run(log.is_enabled_for, "INFO")
        pipeline.set_level("app", "DEBUG")
        assert logflume.capture.get_context is plain


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_in_the_child_of_a_fork_only_its_own_block_counts() -> None:
    """Those of other threads are over there; its own ends as it does in the parent."""
    code = """
        import contextvars, os, threading
        from logflume import Pipeline, get_logger, override, source
        log = get_logger("app")
        entered, leave = threading.Event(), threading.Event()
        def other():
            with override(level="TRACE"):
                entered.set()
                leave.wait()
        thread = threading.Thread(target=other)
        thread.start()
        entered.wait()
        with override(level="DEBUG"):
            pid = os.fork()
            if not pid:
                assert source._lowered == [10], source._lowered
                assert log.is_enabled_for("DEBUG")
                assert not contextvars.Context().run(log.is_enabled_for, "DEBUG")
        if not pid:
            assert source._lowered == []
            os._exit(0 if not log.is_enabled_for("DEBUG") else 1)
        leave.set()
        thread.join()
        assert os.waitpid(pid, 0)[1] == 0
        assert source._lowered == []
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=unmeasured(),
    )
    assert done.returncode == 0, done.stderr


async def test_lazy_values_of_others_are_not_worked_out() -> None:
    """A call that is not wanted calls nothing, though all loggers are lowered."""
    called: list[str] = []
    outside = contextvars.Context()

    def value(who: str) -> str:
        called.append(who)
        return who

    lazy = log.opt(lazy=True)
    async with Pipeline(Collect(), level="INFO"):
        with override(level="DEBUG"):
            outside.run(lambda: lazy.debug("{v}", v=lambda: value("other")))
            await outside.run(lambda: lazy.adebug("{v}", v=lambda: value("other")))
            lazy.debug("{v}", v=lambda: value("inside"))
        with override(skip=True):
            lazy.info("{v}", v=lambda: value("skipped"))
    assert called == ["inside"]


async def test_a_route_s_own_level_decides_as_ever() -> None:
    """The block says what is captured, and the route what it takes of that."""
    all_of_it, news = Collect(), Collect()
    async with Pipeline(all_of_it, Route(news, level="INFO"), level="INFO"):
        with override(level="DEBUG"):
            log.debug("detail")
            log.info("news")
    assert messages(all_of_it.records) == ["detail", "news"]
    assert messages(news.records) == ["news"]


def test_the_default_pipeline_heeds_it(capsys: pytest.CaptureFixture[str]) -> None:
    """Also where nothing is configured."""
    with override(level="DEBUG"):
        log.debug("from the default one")
    log.debug("no")
    log.complete()
    shown = capsys.readouterr().err
    assert "from the default one" in shown
    assert "no\n" not in shown


def test_records_keep_fields_and_spans() -> None:
    """Other blocks, and spans that the pipeline asks for, are not concerned."""
    with captured(level=INFO) as taken:
        logflume.capture.connect(taken, Thresholds(INFO), lambda: ("", None), lambda: (10, 11))
        with context(a=1), override(level="DEBUG"), context(b=2):
            log.debug("x")
            assert current_context() == {"a": 1, "b": 2}
            contextvars.Context().run(log.info, "other")
            contextvars.Context().run(log.debug, "no")
    assert [(r.message, r.fields, r.span_id) for r in taken.records] == [
        ("x", {"a": 1, "b": 2}, f"{11:016x}"),
        ("other", {}, f"{11:016x}"),
    ]


# `logging`.


def test_loggers_of_logging_heed_it() -> None:
    """Those that are routed here are let through inside, and turned away outside."""
    there = logging.getLogger("tests.override")
    sink = Collect()
    outside = contextvars.Context()
    with Pipeline(sink, level="INFO"), stdlib.capture():
        there.debug("before")
        with override(level="DEBUG"):
            there.debug("inside")
            outside.run(there.debug, "no")
            outside.run(there.info, "ordinary")
            with override(skip=True):
                there.error("skipped")
        there.debug("after")
        assert not there.isEnabledFor(logging.DEBUG)
    assert messages(sink.records) == ["inside", "ordinary"]


def test_handlers_that_are_kept_are_told_no_more_than_ever() -> None:
    """They cannot tell whose call it is: so, beside them, `logging` keeps its levels."""
    told: list[str] = []

    class Kept(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            told.append(record.getMessage())

    kept = Kept()
    logging.getLogger().addHandler(kept)
    try:
        with Pipeline(level="INFO"), stdlib.capture(keep_handlers=True), override(level="DEBUG"):
            contextvars.Context().run(logging.getLogger("tests.override").debug, "no")
    finally:
        logging.getLogger().removeHandler(kept)
    assert told == []


def test_loggers_of_structlog_heed_it() -> None:
    """What its chain hands over is looked at as a call here is."""
    structlog = pytest.importorskip("structlog")
    from logflume.integrations.structlog import ToLogflume

    there = structlog.wrap_logger(structlog.PrintLogger(), processors=[ToLogflume()])
    _says_what_a_block_wants(there)


def test_loggers_of_loguru_heed_it() -> None:
    """What it gives to its sink is looked at as a call here is."""
    loguru = pytest.importorskip("loguru")
    from logflume.integrations.loguru import ToLogflume

    loguru.logger.remove()
    loguru.logger.add(ToLogflume(), format=lambda record: "", level=0)
    try:
        _says_what_a_block_wants(loguru.logger)
    finally:
        loguru.logger.remove()


def _says_what_a_block_wants(there: Any) -> None:
    outside = contextvars.Context()
    with captured(level=INFO) as taken:
        there.debug("no")
        with override(level="DEBUG", without=["shown"]):
            there.debug("inside")
            outside.run(there.debug, "no")
            with override(skip=True):
                there.error("skipped")
        there.debug("no")
    assert messages(taken.records) == ["inside"]
    assert taken.last.without == {"shown"}


# Captures of tests.


def test_a_capture_sees_what_the_code_it_tests_would_log() -> None:
    """With the pipeline's levels, that is those of the block; and what is skipped is not there."""
    outside = contextvars.Context()
    sink = Collect()
    with Pipeline(sink, level="INFO"):
        with capture(level=None, pass_on=True) as logs, override(level="DEBUG"):
            log.debug("inside")
            outside.run(log.debug, "no")
            with override(skip=True):
                log.error("skipped")
        with capture() as all_of_it, override(level="WARNING"):
            log.info("no")
            outside.run(log.trace, "others")
    assert logs.messages == messages(sink.records) == ["inside"]
    assert all_of_it.messages == ["others"]


# Silence.


async def test_nothing_is_logged_in_a_block_that_skips() -> None:
    """At no level, by no way, in no ledger; and not in blocks within it either."""
    async with Pipeline(Collect()) as pipeline:
        with override(skip=True):
            log.critical("no")
            await log.aerror("no")
            with override(level="TRACE"), logflume.scope("no"), log.catch():
                raise ValueError
        await pipeline.flush()
        assert pipeline.stats().door.received == 0
        log.info("after")
        await pipeline.flush()
        assert pipeline.stats().door.received == 1


def test_what_a_block_has_started_stays_skipped() -> None:
    """As fields do, silence goes on with the tasks that were started in it."""
    with captured() as taken:
        with override(skip=True):
            left_behind = contextvars.copy_context()
        left_behind.run(log.info, "no")
    assert not taken.records


# Routes.


async def test_records_do_not_go_to_the_routes_that_are_named() -> None:
    """They count as filtered there; names that no route has change nothing."""
    shown, stored = Collect(), Collect()
    async with Pipeline(Route(shown, name="shown"), Route(stored, name="stored")) as pipeline:
        with override(without=["shown", "no such route"]):
            await log.ainfo("stored only")
            with override(without=["stored"]):
                log.info("nowhere")
        log.info("both")
        await pipeline.flush()
        counts = pipeline.stats().routes
    assert messages(shown.records) == ["both"]
    assert messages(stored.records) == ["stored only", "both"]
    assert (counts["shown"].received, counts["shown"].filtered) == (3, 2)
    assert (counts["stored"].received, counts["stored"].filtered) == (3, 1)
    assert stored.records[0].without == {"shown", "no such route"}


@pytest.mark.parametrize("name", ["redaction", "processors", "door"])
async def test_no_name_leads_past_redaction_or_processors(name: str) -> None:
    """What the engine calls its own parts is no route to be left out."""
    sink = Collect()
    async with Pipeline(sink, processors=[processors.Add(service="shop")]):
        with override(without=[name]):
            log.info("x", password="secret")
    (record,) = sink.records
    assert record.fields["password"] != "secret"
    assert record.fields["service"] == "shop"


@pytest.mark.parametrize("options", [{}, {"depth": 0}])
def test_what_is_left_of_a_broken_call_does_not_go_there_either(
    options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A call whose capture fails has the context and the rules of its block."""

    def broken(fields: Any) -> Any:
        raise RecursionError

    with captured() as taken, context(tenant="acme"), override(without=["audit"]):
        monkeypatch.setattr(logflume.capture, "snapshot_fields", broken)
        (log.opt(**options) if options else log).info("m", items=[1])
    assert taken.last.fields == {"tenant": "acme", "logflume.capture_error": "RecursionError"}
    assert taken.last.without == {"audit"}


async def test_a_sink_s_own_records_come_from_nowhere_else() -> None:
    """What a sink logs of such a record is not kept from the same routes: it is news of its own."""

    class Telling(Collect):
        async def send(self, batch: Any) -> None:
            log.info("sent")
            await super().send(batch)

    shown = Collect()
    async with Pipeline(Route(shown, name="shown"), Route(Telling(), name="stored")) as pipeline:
        with override(without=["shown"]):
            log.info("stored only")
        await pipeline.flush()
    assert messages(shown.records) == ["sent"]


async def test_a_block_inside_a_sink_keeps_where_records_come_from() -> None:
    """Details that a sink asks for do not come back to it."""

    class Curious(Collect):
        async def send(self, batch: Any) -> None:
            with override(level="DEBUG", without=["third"]):
                log.debug("detail of a sink")
            await super().send(batch)

    curious, other, third = Curious(), Collect(), Collect()
    routes = [Route(curious, name="curious"), Route(other), Route(third, name="third")]
    async with Pipeline(*routes, level="INFO") as pipeline:
        log.info("first")
        await pipeline.flush()
    assert messages(curious.records) == messages(third.records) == ["first"]
    assert messages(other.records) == ["first", "detail of a sink"]


@pytest.mark.parametrize(
    "settings",
    [
        {"level": "LOUD"},
        {"level": -1},
        {"skip": "yes"},
        {"without": "shown"},
        {"without": [1]},
        {"without": 3},
        {"without": [""]},
    ],
    ids=str,
)
def test_settings_that_mean_nothing_are_refused(settings: dict[str, Any]) -> None:
    """At once, by name."""
    with pytest.raises(ConfigurationError, match=f"override.{next(iter(settings))}"):
        override(**settings)


def test_nothing_given_changes_nothing() -> None:
    """So a condition may choose the settings."""
    with captured(level=WARNING) as taken, override(level=None, without=()):
        log.info("no")
        log.warning("yes")
    assert messages(taken.records) == ["yes"]
    assert taken.last.without == frozenset()

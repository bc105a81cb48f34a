"""Records of loguru on their way into logflume: complete, from any thread, in nobody's way."""

from __future__ import annotations

import contextlib
import io
import multiprocessing
import pickle
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import anyio
import pytest

from logflume import (
    ConfigurationError,
    Level,
    Pipeline,
    Record,
    Route,
    context,
    encoders,
    get_logger,
    level,
)
from logflume.capture import connect
from logflume.engine import current
from logflume.engine.backend import whereabouts
from logflume.integrations.loguru import ToLogflume
from logflume.level import CRITICAL, TRACE, WARNING, Thresholds, register_level
from logflume.sinks import Loguru
from tests.fakes import Collect, may_block
from tests.intake import Taken, captured

loguru = pytest.importorskip("loguru")


@pytest.fixture
def logger() -> Iterator[Any]:
    """Return loguru's logger, without any sinks."""
    loguru.logger.remove()
    yield loguru.logger
    loguru.logger.remove()
    loguru.logger.configure(extra={})


@pytest.fixture
def given(logger: Any) -> Any:
    """Return loguru's logger, which leads to logflume and nowhere else."""
    logger.add(ToLogflume(), format=lambda record: "", level=0, catch=False)
    return logger


@pytest.fixture
def known_levels() -> Iterator[None]:
    """Forget the levels that the test registers."""
    tables: list[dict[Any, Level]] = [level.LEVELS, level._BY_NO]
    kept = [(known, dict(known)) for known in tables]
    yield
    for known, before in kept:
        known.clear()
        known.update(before)


@pytest.fixture
def taken() -> Iterator[Taken]:
    with captured() as taken:
        yield taken


def test_a_call_becomes_a_record(given: Any, taken: Taken) -> None:
    """Level, message, fields, time, thread and place are those of the call."""
    before = time.time_ns()
    given.bind(shop="s1").warning("Disk is {percent} {{full}}", percent=97)
    line = sys._getframe().f_lineno - 1
    shown = taken.last.to_dict()
    assert (shown["level"], shown["message"]) == ("WARNING", "Disk is 97 {full}")
    assert shown["fields"] == {"shop": "s1", "percent": 97}
    assert (shown["file"], shown["line"]) == (__file__, line)
    assert (shown["function"], shown["module"]) == ("test_a_call_becomes_a_record", "test_loguru")
    assert shown["thread"] == "MainThread"
    assert shown["logger"] == __name__
    assert before - 1_000 <= taken.last.time_ns <= time.time_ns()
    assert "template" not in shown


@pytest.mark.usefixtures("known_levels")
def test_levels_are_those_of_the_same_name_and_number(given: Any, taken: Taken) -> None:
    """Loguru's own are logflume's; others keep their names; mere numbers are numbers."""
    for name in ("trace", "debug", "info", "success", "warning", "error", "critical"):
        getattr(given, name)("m")
        assert taken.last.level.name == name.upper()
    given.level("TESTED", no=33)
    given.log("TESTED", "m")
    assert (taken.last.level.no, taken.last.level.name) == (33, "TESTED")
    registered = register_level("TESTED", 33, severity=14)
    given.log("TESTED", "m")
    assert taken.last.level is registered
    given.log(20, "m")
    assert taken.last.level.name == "INFO"
    given.log(17, "m")
    assert (taken.last.level.no, taken.last.level.name) == (17, "LEVEL17")
    given.log(10**9, "m")
    assert taken.last.level.name == "LEVEL99999"


def test_levels_of_logflume_apply(given: Any) -> None:
    """A logger's threshold holds for what comes in, besides loguru's own."""
    sink = Collect()
    with Pipeline(sink, level="DEBUG") as pipeline:
        given.trace("below")
        given.debug("above")
        pipeline.set_level(__name__, "ERROR")
        given.warning("below")
        given.error("above, too")
    assert sink.messages == ["above", "above, too"]


def test_contexts_of_both_are_fields(given: Any, taken: Taken) -> None:
    """`contextualize`, `configure(extra=...)` and `with context(...)`."""
    given.configure(extra={"app": "a"})
    with given.contextualize(request="r1"), context(user="u"):
        given.info("{}", "m")
    assert taken.last.message == "m"
    assert taken.last.fields == {"user": "u", "app": "a", "request": "r1"}


def test_an_exception_comes_whole(given: Any, taken: Taken) -> None:
    """With its traceback and cause, from `exception`, `opt` and `catch`."""

    def fail() -> None:
        try:
            raise KeyError("first")
        except KeyError as error:
            raise ValueError("second") from error

    try:
        fail()
    except ValueError as error:
        given.exception("a")
        given.opt(exception=error).error("b")
        given.opt(exception=(type(error), error, error.__traceback__)).error("c")
    given.catch(fail)()
    assert len(taken.records) == 4
    for record in taken.records:
        found = record.exception
        assert found is not None
        assert (found.type, found.message) == ("ValueError", "second")
        assert found.frames[-1].function.endswith("fail")
        assert found.cause is not None
        assert found.cause.type == "KeyError"


def test_values_are_as_they_were(given: Any, taken: Taken) -> None:
    """What the caller changes afterwards is not seen in the record; keys are texts."""
    basket = ["a"]
    given.patch(lambda record: record["extra"].update({7: 8})).info("m", basket=basket)
    basket.append("b")
    assert taken.last.fields == {"basket": ["a"], "7": 8}


def test_threads_are_the_callers(given: Any, taken: Taken) -> None:
    """Any thread may log; each record says which did."""
    threads = [threading.Thread(target=given.info, args=("m",), name=f"t{n}") for n in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(record.thread for record in taken.records) == [f"t{n}" for n in range(5)]


async def test_a_task_is_the_caller_s(given: Any) -> None:
    """On every backend."""
    sink = Collect()
    async with Pipeline(sink):
        given.info("loguru")
        await get_logger("x").ainfo("logflume")
    first, second = sorted(sink.records, key=lambda record: -len(record.message))
    assert first.message == "logflume"
    assert first.task == second.task is not None


def test_with_enqueue_the_call_is_the_caller_s(logger: Any, taken: Taken) -> None:
    """Called from loguru's own thread: time, place and thread are the call's, the task is not."""
    logger.add(ToLogflume(), format=lambda record: "", level=0, enqueue=True, catch=False)
    try:
        raise ValueError("no")
    except ValueError:
        logger.exception("{n}", n=1)
    logger.complete()
    record = taken.last
    assert record.message == "1"
    assert record.site.function == "test_with_enqueue_the_call_is_the_caller_s"
    assert (record.thread, record.task) == ("MainThread", None)
    assert record.exception is not None
    assert (record.exception.type, record.exception.message) == ("ValueError", "no")


class NoPickleError(Exception):
    def __reduce__(self) -> Any:
        raise TypeError("not me")


def test_an_exception_that_cannot_be_pickled_keeps_its_name(logger: Any, taken: Taken) -> None:
    """All that loguru's queue leaves of it."""
    logger.add(ToLogflume(), format=lambda record: "", enqueue=True, catch=False)
    logger.opt(exception=NoPickleError("x")).error("m")
    logger.complete()
    found = taken.last.exception
    assert found is not None
    assert (found.type, found.message) == ("NoPickleError", "")


def _log_elsewhere(logger: Any) -> None:
    logger.info("from afar")
    logger.complete()


@pytest.mark.skipif(sys.platform == "win32", reason="no fork here")
def test_records_of_other_processes_say_which(logger: Any, taken: Taken) -> None:
    """With `enqueue=True`, loguru brings them to the process that opened the sink."""
    there = multiprocessing.get_context("fork")
    logger.add(ToLogflume(), format=lambda record: "", enqueue=True, context=there, catch=False)
    process = there.Process(target=_log_elsewhere, args=(logger,))
    process.start()
    process.join(30)
    logger.complete()
    logger.remove()
    assert taken.last.message == "from afar"
    assert taken.last.fields == {"process.pid": process.pid}


def test_nothing_is_raised_into_the_call(given: Any, taken: Taken) -> None:
    """Whatever a record holds; what is logged while it is taken makes no circles."""

    class Broken:
        def __repr__(self) -> str:
            raise RuntimeError("broken")

    class Chatty:
        def __repr__(self) -> str:
            with contextlib.suppress(RuntimeError):  # loguru's, of its lock
                given.info("shown")
            get_logger("x").info("shown")
            return "chatty"

    given.info("m", broken=Broken())
    assert taken.last.fields["broken"].startswith("<un")
    given.info("m", value=Chatty())
    assert taken.last.fields["value"] == "chatty"
    assert len(taken.records) == 3
    given.patch(lambda record: record.pop("time")).info("no time")
    assert (taken.last.message, taken.last.logger) == ("no time", "loguru")
    assert taken.last.fields == {"logflume.capture_error": "KeyError"}
    ToLogflume()("no message of {loguru}'s")
    assert taken.last.message == "no message of {loguru}'s"
    assert taken.last.fields == {"logflume.capture_error": "AttributeError"}
    for record in taken.records:
        assert encoders.Json().encode(record)


def test_what_cannot_be_taken_whole_keeps_its_level(given: Any) -> None:
    """Else the level of the pipeline would drop the gravest."""
    with captured(level=WARNING) as taken:
        given.patch(lambda record: record.update(extra=None)).critical("said")
        given.patch(lambda record: record.update(extra=None)).info("not wanted")
    (record,) = taken.records
    assert (record.message, record.level) == ("said", CRITICAL)
    assert record.fields == {"logflume.capture_error": "AttributeError"}


def test_without_a_module_the_logger_is_the_root(given: Any, taken: Taken) -> None:
    """Code that was made at run time may have none."""
    exec("logger.info('m')", {"logger": given})
    assert taken.last.logger == "root"


async def test_a_sink_that_logs_with_loguru_is_not_sent_its_own_records(given: Any) -> None:
    """Other routes are."""

    class Talkative(Collect):
        async def before(self, batch: Any) -> None:
            given.info("from the sink")

    talkative, other = Talkative("talkative"), Collect("other")
    async with Pipeline(talkative, other) as pipeline:
        given.info("first")
        await pipeline.flush()
        await pipeline.flush()
    assert talkative.messages == ["first"]
    assert sorted(other.messages) == ["first", "from the sink"]


@pytest.mark.parametrize("enqueue", [False, True])
async def test_both_ways_at_once_make_no_circles(logger: Any, enqueue: bool) -> None:
    """Each record comes to each of both sides once, wherever it was logged."""
    lines = io.StringIO()
    with may_block():
        logger.add(lines, format="{message}")
        logger.add(ToLogflume(), format=lambda record: "", level=0, enqueue=enqueue)
    sink = Collect()
    async with Pipeline(sink, Loguru()) as pipeline:
        await get_logger("x").ainfo("of logflume")
        with may_block():  # with `enqueue`, loguru writes to a pipe
            logger.info("of loguru")
        for _ in range(3):
            await anyio.to_thread.run_sync(logger.complete)
            await pipeline.flush()
        with may_block():
            logger.remove()
    assert sorted(sink.messages) == ["of logflume", "of loguru"]
    assert sorted(lines.getvalue().splitlines()) == ["of logflume", "of loguru"]


async def test_a_thread_that_waits_for_room_holds_up_no_loop(given: Any) -> None:
    """Once a loop's thread logs, no other waits for room with loguru's lock in its hands."""
    waited: list[Record] = []

    class Full(Taken):
        def submit_from_afar(self, record: Record) -> None:
            waited.append(record)

    taken = Full(at_home=False)
    connect(taken, Thresholds(TRACE), whereabouts)
    try:
        thread = threading.Thread(target=given.info, args=("no loop yet",))
        thread.start()
        thread.join()
        given.info("from a loop")
        thread = threading.Thread(target=given.info, args=("afterwards",))
        thread.start()
        thread.join()
    finally:
        current._reconnect()
    assert [record.message for record in waited] == ["no loop yet"]
    assert [record.message for record in taken.records] == ["from a loop", "afterwards"]


async def test_secrets_in_records_of_loguru_are_hidden(given: Any, tmp_path: Any) -> None:
    """Redaction looks at their fields and messages as at any others."""
    path = tmp_path / "out.jsonl"
    async with Pipeline(Route(path, encoder=encoders.Json())):
        given.info("password={password}", password="hunter2")
    text = await anyio.Path(path).read_text()
    assert '"password"' in text
    assert "hunter" not in text


def test_it_can_be_pickled() -> None:
    """For processes that loguru starts anew."""
    assert isinstance(pickle.loads(pickle.dumps(ToLogflume())), ToLogflume)


def test_without_loguru_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """When it is made, not when something is logged."""
    monkeypatch.setitem(sys.modules, "loguru", None)
    for make in (ToLogflume, Loguru):
        with pytest.raises(ConfigurationError, match=r"pip install 'logflume\[loguru\]'"):
            make()

"""Loguru as a sink: faithful records for all that was added there, with failures that count."""

from __future__ import annotations

import datetime
import io
import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from anyio import to_thread

from logflume import (
    ConfigurationError,
    Level,
    Pipeline,
    Retry,
    Route,
    SinkBatch,
    get_logger,
    level,
    register_level,
)
from logflume.sinks import Loguru
from logflume.testing.contracts import SinkContract
from tests.fakes import may_block
from tests.intake import WHEN, WHEN_NS, record_of

loguru = pytest.importorskip("loguru")
log = get_logger("tests.loguru.sink")


class TestContract(SinkContract):
    """What a pipeline expects of any sink."""

    @pytest.fixture(autouse=True)
    def somebody_listens(self, logger: Any) -> None:
        """Let loguru show all that it has."""
        shown = "{time} {level} {name} {file} {line} {thread} {message} {extra} {exception}"
        keep(logger, format=shown, colorize=True)

    def make(self) -> Loguru:
        return Loguru()


@pytest.fixture
def logger() -> Iterator[Any]:
    """Return loguru's logger, without any sinks."""
    with may_block():
        loguru.logger.remove()
    yield loguru.logger
    loguru.logger.remove()


@pytest.fixture
def known_levels() -> Iterator[None]:
    """Forget the levels that the test registers."""
    tables: list[dict[Any, Level]] = [level.LEVELS, level._BY_NO]
    kept = [(known, dict(known)) for known in tables]
    yield
    for known, before in kept:
        known.clear()
        known.update(before)


def keep(logger: Any, **options: Any) -> list[Any]:
    """Add a sink that keeps loguru's messages."""
    kept: list[Any] = []
    with may_block():
        options = {"format": "{message}", "level": 0, "catch": False, **options}
        logger.add(kept.append, **options)
    return kept


async def test_a_record_is_loguru_s_of_the_same_event(logger: Any) -> None:
    """Everything that its sinks know says what the record says."""
    kept = keep(logger)
    async with Pipeline(Loguru()):
        await log.ainfo("User {user} is in {{0}}", user="alice", tries=[3])
    (message,) = kept
    given = message.record
    code = test_a_record_is_loguru_s_of_the_same_event.__code__
    assert given["message"] == "User alice is in {0}"
    assert given["extra"] == {"user": "alice", "tries": [3]}
    assert (given["level"].name, given["level"].no) == ("INFO", 20)
    assert (given["name"], given["function"]) == ("tests.loguru.sink", code.co_name)
    assert (given["file"].path, given["file"].name) == (__file__, "test_loguru.py")
    assert (given["line"], given["module"]) == (code.co_firstlineno + 4, "test_loguru")
    assert given["thread"].name == threading.current_thread().name
    assert given["thread"].id == threading.get_ident()
    assert given["exception"] is None


async def test_it_is_called_in_a_thread_of_its_own(logger: Any) -> None:
    """What loguru's sinks do may block."""
    threads = []
    with may_block():
        logger.add(lambda message: threads.append(threading.get_ident()))
    async with Pipeline(Loguru()):
        log.info("m")
    assert len(threads) == 1
    assert threads != [threading.get_ident()]


async def given_to(logger: Any, *records: Any, escape: bool = True) -> None:
    """Send records by a sink of their own."""
    sink = Loguru(logger, escape=escape)
    await sink.open()
    try:
        await sink.send(SinkBatch(records))
    finally:
        await sink.aclose()


async def test_times_are_those_of_the_call(logger: Any) -> None:
    """In loguru's own formats, and however late it is given."""
    kept = keep(logger, format="{time:YYYY-MM-DD HH:mm:ss.SSSSSS!UTC} {message}")
    await given_to(logger, record_of("m").replace(time_ns=WHEN_NS))
    assert str(kept[0]) == "2026-01-02 03:04:05.678901 m\n"
    assert kept[0].record["time"] == WHEN
    started = datetime.datetime.now(datetime.UTC) - kept[0].record["elapsed"]
    assert started != WHEN


async def test_braces_and_markup_mean_nothing(logger: Any) -> None:
    """The message is made already: loguru neither formats nor colours it again."""
    kept = keep(logger, colorize=True)
    record = record_of("{} is {x} <red>%s</red>", "{0}", x="{y}")
    await given_to(logger.opt(colors=True, record=True), record)
    assert str(kept[0]) == f"{record.message}\n"
    assert kept[0].record["message"] == "{0} is {y} <red>%s</red>"


@pytest.mark.usefixtures("known_levels")
async def test_levels_are_loguru_s_where_it_has_them(logger: Any) -> None:
    """Others are numbers with their own names; its sinks' levels decide."""
    kept = keep(logger, level="INFO", format="{level} {level.no}")
    register_level("TESTED_TOO", 26)
    async with Pipeline(Loguru(), level="TRACE"):
        for given in ("TRACE", "DEBUG", "INFO", "SUCCESS", "ERROR", "TESTED_TOO", 31):
            log.log(given, "m")
    assert [str(message).strip() for message in kept] == [
        "INFO 20",
        "SUCCESS 25",
        "ERROR 40",
        "TESTED_TOO 26",
        "LEVEL31 31",
    ]


async def test_bound_values_and_patches_of_the_logger_stay(logger: Any) -> None:
    """A record's own fields go before."""
    kept = keep(logger)
    bound = logger.bind(app="a", n=0).patch(lambda record: record["extra"].update(patched=True))
    await given_to(bound, record_of("m", n=1))
    assert kept[0].record["extra"] == {"app": "a", "patched": True, "n": 1}


async def test_an_exception_has_its_traceback(logger: Any) -> None:
    """Loguru shows it as it shows others, through the same places, but knows no variables."""
    kept = keep(logger, format="{message}", diagnose=True, backtrace=True)

    def fail(secret: str) -> None:
        try:
            raise KeyError("first")
        except KeyError as error:
            raise ValueError(f"second, not {len(secret)}") from error

    async with Pipeline(Loguru()):
        secret = f"hunter{len(kept) + 2}"
        try:
            fail(secret)
        except ValueError:
            log.exception("failed")
    (text,) = kept
    assert "hunter2" not in text
    assert "KeyError: 'first'" in text
    assert "direct cause" in text
    assert "ValueError: second, not 7" in text
    assert "in fail" in text
    assert 'raise KeyError("first")' in text
    assert text.record["exception"].type.__name__ == "ValueError"


async def test_a_traceback_begins_where_the_exception_s_does(logger: Any) -> None:
    """Loguru shows by default who called, and the values there: in our thread, that would be us."""
    texts = keep(logger, format="{message}", backtrace=True, diagnose=True)
    async with Pipeline(Loguru()):
        try:
            raise ValueError("no")
        except ValueError:
            log.exception("failed", password="hunter2")
    assert texts[0].count('File "') == 1
    assert __file__ in texts[0]
    assert "└" not in texts[0]


async def test_exceptions_come_through_loguru_s_queue(logger: Any) -> None:
    """With `enqueue=True`, loguru pickles records."""
    kept = keep(logger, format="{message}", enqueue=True)
    async with Pipeline(Loguru()):
        try:
            raise KeyError("no")
        except KeyError:
            log.exception("failed")
    await to_thread.run_sync(logger.complete)
    (text,) = kept
    assert 'raise KeyError("no")' in text
    assert text.record["exception"].type.__name__ == "KeyError"


async def test_control_characters_forge_no_lines(logger: Any) -> None:
    """Values show escapes; `escape=False` is for sinks that see to it themselves."""
    kept = keep(logger, format="{message} {extra} {extra[more][k][0]}")
    record = record_of("{user}", user="eve\n2026 ERROR forged", more={"k": ["\n"]})
    await given_to(logger, record)
    assert str(kept[0]).count("\n") == 1
    await given_to(logger, record, escape=False)
    assert str(kept[1]).startswith("eve\n2026 ERROR forged {")


async def test_what_loguru_serializes_is_complete(logger: Any) -> None:
    """Its JSON shows fields, and nothing of how records are known here."""
    kept = keep(logger, serialize=True)
    await given_to(logger, record_of("m", when=WHEN, n=1))
    shown = json.loads(kept[0])["record"]
    assert shown["extra"] == {"when": str(WHEN), "n": 1}
    assert "logflume" not in shown


async def test_a_sink_of_loguru_s_that_raises_is_counted(logger: Any) -> None:
    """If it was added with `catch=False`; the other records are delivered."""
    kept: list[str] = []

    def sink(message: str) -> None:
        if "bad" in message:
            raise OSError("full")
        kept.append(message.strip())

    with may_block():
        logger.add(sink, format="{message}", catch=False)
    route = Route(Loguru(), retry=Retry(attempts=1), name="r")
    async with Pipeline(route) as pipeline:
        for message in ("good", "bad", "good again"):
            log.info(message)
        await pipeline.flush()
        counts = pipeline.stats().routes["r"]
    assert kept == ["good", "good again"]
    assert (counts.delivered, sum(counts.dropped.values())) == (2, 1)


async def test_it_goes_on_after_a_call_that_hangs(logger: Any) -> None:
    """It is one record's failure; the next ones wait until it ends at last."""
    release = threading.Event()
    kept: list[str] = []

    def sink(message: str) -> None:
        if "hang" in message:
            release.wait(10)
        kept.append(message.strip())

    with may_block():
        logger.add(sink, format="{message}", catch=False)
    async with Pipeline(Route(Loguru(), timeout=0.5, retry=Retry(attempts=1))) as pipeline:
        for message in ("hang", "next", "last"):
            log.info(message)
        assert (await pipeline.flush(1.2)).pending == {"loguru": 2}
        release.set()
        await pipeline.flush()
        counts = pipeline.stats().routes["loguru"]
    assert kept == ["hang", "next", "last"]
    assert (counts.delivered, counts.dropped) == (2, {"timeout": 1})


def test_only_loguru_s_loggers_are_taken() -> None:
    """Something else is refused at once."""
    for given in ("loguru", object(), io.StringIO()):
        with pytest.raises(ConfigurationError, match=r"Loguru\.logger.*a logger of loguru"):
            Loguru(given)

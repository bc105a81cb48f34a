"""Handlers of `logging` as sinks: faithful records, in a thread, with failures that count."""

from __future__ import annotations

import contextlib
import io
import logging
import logging.handlers
import os
import pickle
import queue
import socket
import socketserver
import struct
import subprocess
import sys
import threading
import time
import urllib.parse
from collections.abc import Callable, Iterator
from pathlib import Path
from traceback import format_exception
from types import SimpleNamespace
from typing import Any

import anyio
import pytest

from logflume import ConfigurationError, Pipeline, Retry, Route, get_logger
from logflume.exception import ExceptionInfo, Frame, take_exception
from logflume.integrations.stdlib import Handler
from logflume.sinks import Stdlib, as_sink
from logflume.sinks._log_records import LogRecords
from logflume.sinks._stand_ins import stand_in
from logflume.sinks.stdlib import _leave_out_of_exit
from tests.fakes import Collect, may_block
from tests.intake import captured, record_of

log = get_logger("tests.std")


class NoLock:
    """For handlers that may be in several calls at once: one that hangs holds up no other."""

    def acquire(self) -> None: ...

    def release(self) -> None: ...

    def __enter__(self) -> None: ...

    def __exit__(self, *exc: object) -> None: ...


class Keep(logging.Handler):
    """Keep what comes, as formatted text and as it is."""

    def __init__(self, form: str = "%(message)s") -> None:
        super().__init__()
        self.setFormatter(logging.Formatter(form))
        self.given: list[logging.LogRecord] = []
        self.texts: list[str] = []
        self.threads: set[str] = set()
        self.closes = 0

    def emit(self, record: logging.LogRecord) -> None:
        self.given.append(record)
        self.texts.append(self.format(record))
        self.threads.add(threading.current_thread().name)

    def close(self) -> None:
        self.closes += 1
        super().close()


async def test_a_record_is_a_log_record_of_the_same_event() -> None:
    """Every attribute that formatters know says what the record says."""
    keep = Keep()
    async with Pipeline(Stdlib(keep)):
        await log.ainfo("User {user} is in", user="alice", tries=3)
    [given] = keep.given
    assert given.getMessage() == "User alice is in"
    assert (given.name, given.levelno, given.levelname) == ("tests.std", 20, "INFO")
    assert (given.pathname, given.filename, given.module) == (
        __file__,
        "test_stdlib.py",
        "test_stdlib",
    )
    assert given.funcName == "test_a_record_is_a_log_record_of_the_same_event"
    code = test_a_record_is_a_log_record_of_the_same_event.__code__
    assert given.lineno == code.co_firstlineno + 4
    assert given.threadName == threading.current_thread().name
    assert given.thread == threading.get_ident()
    assert abs(given.created - time.time()) < 60
    assert 0 <= given.msecs < 1000
    assert given.relativeCreated > 0
    assert vars(given)["user"] == "alice"
    assert vars(given)["tries"] == 3
    assert vars(given)["taskName"]
    assert given.exc_info is None
    assert keep.threads != {threading.current_thread().name}


def test_times_are_those_of_the_call() -> None:
    """`asctime`, `created` and `msecs` are the record's, however late it is written."""
    record = record_of("x").replace(time_ns=1_767_323_045_678_901_234)
    given = LogRecords(escape=True).made_from(record)
    formatter = logging.Formatter("%(asctime)s")
    formatter.converter = time.gmtime
    assert formatter.format(given) == "2026-01-02 03:04:05,678"


def test_percent_arguments_stay_apart() -> None:
    """Where `%` makes the message, `msg` and `args` are what it is made of; else the message is
    all there is, and its percent signs mean nothing."""
    made = LogRecords(escape=True).made_from
    given = made(record_of("%s has %d", "bob", 3))
    assert (given.msg, given.args, given.getMessage()) == ("%s has %d", ("bob", 3), "bob has 3")
    given = made(record_of("%(a)s", {"a": 1}))
    assert (given.msg, given.args, given.getMessage()) == ("%(a)s", {"a": 1}, "1")
    for message in (record_of("{} is 100%", 5), record_of("100%"), record_of("%d", "x")):
        given = made(message)
        assert given.args == ()
        assert given.getMessage() == message.message


def test_fields_do_not_overwrite_what_a_log_record_has() -> None:
    """A field that is named like an attribute gets a `_`, so that formatters keep working."""
    fields: dict[str, Any] = {"name": "x", "args": 1, "message_": 0, "message": "y", "user": [1]}
    given = LogRecords(escape=True).made_from(record_of("said", **fields))
    own = vars(given)
    assert (given.name, given.args) == ("tests.record", ())
    assert (own["name_"], own["args_"], own["user"]) == ("x", 1, [1])
    assert own["message_"] == "y"


def test_exceptions_are_text_and_a_stand_in() -> None:
    """Formatters show the traceback; filters see class, message and base of the exception."""
    with captured() as taken:
        try:
            dict[str, int]()["key"]
        except KeyError:
            log.exception("failed")
    given = LogRecords(escape=True).made_from(taken.last)
    text = logging.Formatter().format(given)
    assert text.startswith("failed\nTraceback (most recent call last):\n  File ")
    assert text.endswith("\nKeyError: 'key'")
    assert given.exc_info is not None
    kind, error, traceback = given.exc_info
    assert kind is not None
    assert issubclass(kind, KeyError)
    assert (kind.__name__, str(error)) == ("KeyError", "'key'")
    assert traceback is not None
    assert traceback.tb_frame.f_code.co_filename == __file__
    assert traceback.tb_frame.f_code.co_name == "test_exceptions_are_text_and_a_stand_in"
    assert not traceback.tb_frame.f_locals
    line = text.splitlines()[2].partition("line ")[2].partition(",")[0]
    assert str(traceback.tb_lineno) == line
    shown = "".join(format_exception(error))
    assert shown.splitlines()[2].strip() == 'dict[str, int]()["key"]'
    assert shown.endswith("\nKeyError: 'key'\n")


def test_a_stand_in_has_all_that_belongs_to_the_exception() -> None:
    """Cause, context, members and notes are stand-ins as well."""
    cause = KeyError("cause")
    cause.add_note("a note")
    error = ExceptionGroup("two", [ValueError("one"), OSError("other")])
    error.__cause__ = cause
    with captured() as taken:
        log.opt(exception=error).error("failed")
    assert taken.last.exception is not None
    found = stand_in(taken.last.exception, str)
    assert isinstance(found, ExceptionGroup)
    assert [str(member) for member in found.exceptions] == ["one", "other"]
    assert str(found.__cause__) == "'cause'"
    assert found.__cause__ is not None
    assert found.__cause__.__notes__ == ["a note"]
    assert found.__context__ is None


@pytest.mark.parametrize(
    "error",
    [
        UnicodeDecodeError("utf-8", b"x", 0, 1, "bad"),
        OSError(2, "no file"),
        ExceptionGroup("many", [ValueError("one")]),
        type("Odd", (Exception,), {"__module__": "some.where"})("odd"),
        KeyboardInterrupt(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_every_exception_has_a_stand_in(error: BaseException) -> None:
    """Also of classes that cannot be made from a message."""
    with captured() as taken:
        log.opt(exception=error).error("failed")
    given = LogRecords(escape=True).made_from(taken.last)
    assert given.exc_info is not None
    kind, found, _ = given.exc_info
    assert kind is not None
    assert kind.__name__ == type(error).__name__
    assert str(found) == str(error)
    assert type(error).__name__ in logging.Formatter().format(given)


def test_the_process_is_the_one_that_logged() -> None:
    """A record that came from another one, by a socket, say, has its number."""
    made = LogRecords(escape=True).made_from(record_of("m", **{"process.pid": 4}))
    assert (made.process, "process.pid" in vars(made)) == (4, False)
    made = LogRecords(escape=True).made_from(record_of("m", **{"process.pid": "x"}))
    assert (made.process, vars(made)["process.pid"]) == (os.getpid(), "x")


def test_it_has_no_more_than_those_of_logging() -> None:
    """What lists the extra attributes, a formatter for JSON, say, finds those that are fields."""
    made = LogRecords(escape=True).made_from(record_of("m", user="a"))
    assert vars(made).keys() - vars(logging.makeLogRecord({})).keys() == {"user"}


@pytest.mark.parametrize(
    "error",
    [
        KeyError("k"),
        UnicodeDecodeError("utf-8", b"", 0, 1, "reason"),
        ExceptionGroup("group", [ValueError("a"), OSError(2, "b")]),
        ExceptionInfo("far.away.Error", "message"),
        ExceptionInfo("odd\0.\ud800", "message", [Frame("f\0", 2**40, "\ud800")]),
    ],
    ids=["a built-in one", "of five arguments", "a group", "unknown", "impossible"],
)
def test_stand_ins_can_be_pickled(error: BaseException | ExceptionInfo) -> None:
    """Queues to other threads and processes do so; tracebacks are never pickled."""
    info = error if isinstance(error, ExceptionInfo) else take_exception(error)
    assert info is not None
    made = stand_in(info, str)
    made.add_note("note")
    again = pickle.loads(pickle.dumps(made))
    assert type(again) is type(made)
    assert (str(again), again.args, again.__notes__) == (str(made), made.args, ["note"])
    assert "".join(format_exception(made))
    members = [(type(one), str(one)) for one in getattr(again, "exceptions", ())]
    assert members == [(type(one), str(one)) for one in getattr(made, "exceptions", ())]


def test_control_characters_forge_no_lines() -> None:
    """Values show escapes; `escape=False` is for formatters that see to it themselves."""
    record = record_of("{user}", user="eve\n2026 ERROR forged")
    given = LogRecords(escape=True).made_from(record)
    assert logging.Formatter("%(message)s %(user)s").format(given).count("\n") == 0
    given = LogRecords(escape=False).made_from(record)
    assert given.getMessage() == "eve\n2026 ERROR forged"
    record = record_of("%s", "a\nb")
    given = LogRecords(escape=True).made_from(record)
    assert given.getMessage() == "a\\nb"


def test_records_of_logging_come_back_as_they_were() -> None:
    """There and back again: template, arguments, extra, stack, place and thread are the same."""
    logger = logging.Logger("there", 1)
    before = Keep()
    logger.addHandler(before)
    logger.addHandler(Handler())
    with captured() as taken:
        logger.warning("%s of %r", 1, "x", extra={"user": 7}, stack_info=True)
    given = vars(LogRecords(escape=True).made_from(taken.last))
    for name, value in vars(before.given[0]).items():
        if name in ("relativeCreated", "created"):
            assert abs(given[name] - value) < 0.01
        elif name not in ("taskName", "message"):
            assert given[name] == value, name


async def test_levels_filters_and_formatters_of_the_handler_work() -> None:
    """The handler decides as it does under `logging`."""
    keep = Keep("%(levelname)-8s %(name)s %(user)s: %(message)s")
    keep.setLevel("WARNING")
    keep.addFilter(lambda record: vars(record).get("user") != "eve")
    async with Pipeline(Stdlib(keep)) as pipeline:
        log.info("no", user="bob")
        log.warning("no", user="eve")
        log.warning("yes", user="bob")
    assert keep.texts == ["WARNING  tests.std bob: yes"]
    assert pipeline.stats().routes["Keep"].delivered == 3


async def test_redaction_comes_before() -> None:
    """What a handler gets has no secrets, in none of its parts."""
    keep = Keep()
    async with Pipeline(Stdlib(keep)):
        log.info("password=%s", "hunter2", api_key="hunter3")
    assert "hunter" not in repr(vars(keep.given[0]))


async def test_what_a_handler_fails_with_counts(capsys: pytest.CaptureFixture[str]) -> None:
    """An error, raised or given to `handleError`, concerns its record, and is not printed."""

    class Fails(Keep):
        def emit(self, record: logging.LogRecord) -> None:
            if record.getMessage() == "raised":
                raise ValueError("raised")
            try:
                assert record.getMessage() != "handled"
                super().emit(record)
            except AssertionError:
                self.handleError(record)

    keep = Fails()
    async with Pipeline(Route(Stdlib(keep), retry=Retry(attempts=1))) as pipeline:
        for message in ("one", "raised", "two", "handled", "three"):
            log.info(message)
    counts = pipeline.stats().routes["Fails"]
    assert [text for text in keep.texts if "logflume" not in text] == ["one", "two", "three"]
    assert sum(counts.dropped.values()) == 2
    assert "Logging error" not in capsys.readouterr().err
    assert "handleError" not in vars(keep)


async def test_a_handler_that_hangs_takes_few_threads() -> None:
    """Each record that takes too long is lost by itself, but there is no thread for each of them:
    the next ones wait."""
    hung = threading.Event()
    keep = Keep()

    def emit(record: logging.LogRecord) -> None:
        hung.wait()
        keep.texts.append(record.getMessage())

    keep.lock, vars(keep)["emit"] = NoLock(), emit
    route = Route(Stdlib(keep), timeout=0.5, retry=Retry(attempts=1))
    async with Pipeline(route) as pipeline:
        for n in range(7):
            log.info("{n}", n=n)
        with anyio.fail_after(20):
            while pipeline.stats().routes["Keep"].dropped != {"timeout": 4}:
                await anyio.sleep(0.05)
        assert (await pipeline.flush(1.2)).pending == {"Keep": 3}
        named = [t for t in threading.enumerate() if t.name.startswith("logflume Keep")]
        assert len(named) <= 5  # on trio they are called otherwise
        hung.set()
        with anyio.fail_after(20):
            while len(keep.texts) < 7:
                await anyio.sleep(0.05)
        log.info("again")
    # Of those that hung, nobody can say which one is the first to go on.
    assert sorted(keep.texts) == [*"0123456", "again"]
    assert [text for text in keep.texts if text not in "0123"] == ["4", "5", "6", "again"]
    assert pipeline.stats().routes["Keep"].dropped == {"timeout": 4}


async def test_what_comes_after_a_call_that_hangs_waits_for_the_lock() -> None:
    """As it would under `logging`; it is not lost for want of a lock that another call has."""
    hung = threading.Event()

    class Hanging(Keep):
        def emit(self, record: logging.LogRecord) -> None:
            if record.getMessage() == "0":
                hung.wait(10)
            super().emit(record)

    keep = Hanging()
    async with Pipeline(Route(Stdlib(keep), timeout=0.5, retry=Retry(attempts=1))) as pipeline:
        for n in range(7):
            log.info("{n}", n=n)
        with anyio.fail_after(20):
            while not pipeline.stats().routes["Hanging"].dropped:
                await anyio.sleep(0.01)
        assert (await pipeline.flush(1.2)).pending == {"Hanging": 6}
        hung.set()
        assert (await pipeline.flush(20)).complete
        counts = pipeline.stats().routes["Hanging"]
    assert keep.texts == list("0123456")
    assert (counts.delivered, counts.dropped) == (6, {"timeout": 1})


async def test_closing_does_not_wait_for_a_call_that_hangs() -> None:
    """What waits for it is counted as lost after the `shutdown_timeout`."""
    hung = threading.Event()
    keep = Keep()
    vars(keep)["emit"] = lambda record: hung.wait(10)
    route = Route(Stdlib(keep), timeout=0.5, retry=Retry(attempts=1))
    with anyio.fail_after(20):
        async with Pipeline(route, shutdown_timeout=1.5) as pipeline:
            for n in range(7):
                log.info("{n}", n=n)
    hung.set()
    assert pipeline.stats().routes["Keep"].dropped == {"timeout": 1, "shutdown": 6}


async def test_a_call_that_was_given_up_is_no_other_record_s_failure() -> None:
    """It may raise when it ends at last, while the handler is busy with another record."""
    hung, raised = threading.Event(), threading.Event()
    texts: list[str] = []

    class Late(logging.Handler):
        def createLock(self) -> None:
            self.lock = NoLock()

        def emit(self, record: logging.LogRecord) -> None:
            if record.getMessage() == "0":
                hung.wait()
                threading.Timer(0.1, raised.set).start()
                raise ValueError("late")
            hung.set()
            raised.wait()
            texts.append(record.getMessage())

    async with Pipeline(Route(Stdlib(Late()), timeout=1.0, retry=Retry(attempts=1))) as pipeline:
        log.info("0")
        log.info("1")
        await pipeline.flush(timeout=20)
        counts = pipeline.stats().routes["Late"]
    assert (texts, counts.delivered, counts.dropped) == (["1"], 1, {"timeout": 1})


async def test_a_call_that_was_given_up_gives_no_more_records() -> None:
    """Its thread leaves the rest to the next one: no record comes twice."""
    hung = threading.Event()
    texts: list[str] = []

    class Slow(logging.Handler):
        def createLock(self) -> None:
            self.lock = NoLock()

        def emit(self, record: logging.LogRecord) -> None:
            texts.append(record.getMessage())
            if record.getMessage() == "0":
                hung.wait()

    route = Route(Stdlib(Slow()), timeout=0.01, retry=Retry(attempts=1))
    async with Pipeline(route) as pipeline:
        for n in range(3):
            log.info("{n}", n=n)
        with anyio.fail_after(20):
            while not pipeline.stats().routes["Slow"].dropped:
                await anyio.sleep(0)
        hung.set()
        await pipeline.flush(timeout=20)
    assert len(texts) == len(set(texts))


async def test_only_the_record_that_a_handler_hangs_at_is_lost() -> None:
    """Those before and after it in the batch come once each."""
    hung = threading.Event()
    texts: list[str] = []

    class Hanging(logging.Handler):
        def createLock(self) -> None:
            self.lock = NoLock()

        def emit(self, record: logging.LogRecord) -> None:
            texts.append(record.getMessage())
            if record.getMessage() == "5":
                hung.wait()

    async with Pipeline(Route(Stdlib(Hanging()), timeout=1.0, retry=Retry(attempts=1))) as pipeline:
        for n in range(10):
            log.info("{n}", n=n)
        await pipeline.flush(timeout=20)
        counts = pipeline.stats().routes["Hanging"]
        hung.set()
    assert texts == list("0123456789")
    assert (counts.delivered, counts.dropped) == (9, {"timeout": 1})


HUNG = """
import logging, sys, threading
import anyio
from logflume import Pipeline, Route, log, sinks

class Hangs(logging.Handler):
    def emit(self, record): threading.Event().wait()

def pipeline():
    return Pipeline(Route(sinks.Stdlib(Hangs()), timeout=0.1), shutdown_timeout=0.2)

async def main():
    async with pipeline():
        log.info("one")

where = sys.argv[1]
if where == "thread":
    with pipeline():
        log.info("one")
elif where == "exit":
    pipeline().__enter__()
    log.info("one")
else:
    options = {"use_uvloop": True} if where == "uvloop" else {}
    anyio.run(main, backend="trio" if where == "trio" else "asyncio", backend_options=options)
print("end of script", flush=True)
"""


@pytest.mark.parametrize("where", ["asyncio", "uvloop", "trio", "thread", "exit"])
def test_a_handler_that_hangs_does_not_hold_up_the_exit(where: str) -> None:
    """`logging` flushes handlers then: for this one it would wait for ever."""
    done = subprocess.run(
        [sys.executable, "-c", HUNG, where], capture_output=True, text=True, timeout=30, check=False
    )
    assert (done.returncode, done.stdout) == (0, "end of script\n")
    assert done.stderr.count("\n") == 1
    assert "1 record dropped by route 'Hangs'" in done.stderr


def left_to_exit(handler: logging.Handler) -> bool:
    """Say whether `logging` will flush a handler at the exit."""
    return any(reference() is handler for reference in logging._handlerList)  # type: ignore[attr-defined]


@pytest.mark.parametrize("where", ["emit", "flush", "target"])
async def test_only_a_handler_that_hangs_is_left_out_of_the_exit(where: str) -> None:
    """Whatever it is that hangs, also in the one to which it hands records on."""
    hung, well = threading.Event(), Keep()
    hangs = Keep()
    vars(hangs)["flush" if where == "flush" else "emit"] = lambda *_: hung.wait()
    given: logging.Handler = hangs
    if where == "target":
        given = logging.handlers.MemoryHandler(1, target=hangs)
    try:
        async with Pipeline(
            Route(Stdlib(given, close=False), timeout=0.05),
            Route(Stdlib(well, close=False)),
            shutdown_timeout=1.0,
        ):
            log.info("one")
        assert well.texts[0] == "one"
        assert left_to_exit(well)
        assert not left_to_exit(given)
        assert not left_to_exit(hangs)
    finally:
        hung.set()


@pytest.mark.parametrize("known", [{}, {"_handlerList": ()}], ids=["none", "another"])
def test_other_versions_of_logging_may_keep_no_list(
    known: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then nothing is done about the exit."""
    hangs = Keep()
    monkeypatch.setitem(sys.modules, "logging", SimpleNamespace(**known))
    _leave_out_of_exit(hangs)


async def test_failures_of_others_uses_of_a_handler_go_their_way() -> None:
    """`handleError` is watched in our thread only."""
    heard: list[str] = []

    class Shared(Keep):
        def handleError(self, record: logging.LogRecord) -> None:
            heard.append(record.getMessage())

    keep = Shared()
    async with Pipeline(Stdlib(keep)):
        await log.ainfo("x")
        keep.handleError(logging.makeLogRecord({"msg": "elsewhere"}))
    assert heard == ["elsewhere"]


async def test_a_handler_is_closed_unless_it_is_shared() -> None:
    """It is flushed at the end, and closed if it is ours."""
    ours, shared = Keep(), Keep()
    async with Pipeline(Stdlib(ours), Route(Stdlib(shared, close=False), name="shared")):
        log.info("x")
    assert (ours.closes, shared.closes) == (1, 0)


async def test_what_a_handler_logs_does_not_come_back_to_it() -> None:
    """Neither with logflume nor with `logging` does it go round in circles."""
    library = logging.Logger("library", 1)
    library.addHandler(Handler())
    other = Collect("other")

    class Talkative(Keep):
        def emit(self, record: logging.LogRecord) -> None:
            super().emit(record)
            log.info("from logflume")
            library.info("from logging")

    keep = Talkative()
    async with Pipeline(Stdlib(keep), other) as pipeline:
        log.info("first")
        await pipeline.flush()
        await pipeline.flush()
    assert keep.texts == ["first"]
    assert sorted(other.messages) == ["first", "from logflume", "from logging"]


async def test_a_queue_that_leads_back_is_no_circle() -> None:
    """What comes back by another thread goes to the other routes, once; pickled, it is like any."""
    records = queue.Queue[Any]()
    listener = logging.handlers.QueueListener(records, Handler())
    listener.start()
    other, queued = Collect("other"), logging.handlers.QueueHandler(records)
    try:
        async with Pipeline(Stdlib(queued), other) as pipeline:
            log.info("first")
            for _ in range(5):
                await pipeline.flush()
                await anyio.to_thread.run_sync(listener.stop)
                listener.start()
    finally:
        with may_block():
            listener.stop()
    assert other.messages == ["first", "first"]
    given = LogRecords(escape=True).made_from(record_of("said {n}", n=1))
    again = pickle.loads(pickle.dumps(given))
    assert (type(again), again.n) == (logging.LogRecord, 1)


def test_only_handlers_are_taken() -> None:
    """A class, a logger and logflume's own handler are refused by name."""
    ours = type("Ours", (Handler,), {"__module__": "app"})
    wrong: list[Any] = [logging.StreamHandler, logging.getLogger("x"), None, Handler(), ours()]
    for given in wrong:
        with pytest.raises(ConfigurationError, match=r"Stdlib\.handler: got .*; accepted: "):
            Stdlib(given)


def test_a_pipeline_takes_handlers_as_they_are() -> None:
    """Where a sink is wanted, a handler will do."""
    handler = logging.StreamHandler(io.StringIO())
    handler.set_name("stream")
    sink = as_sink(handler)
    assert isinstance(sink, Stdlib)
    assert sink.name == "stream"


async def test_files_that_rotate(tmp_path: Path) -> None:
    """RotatingFileHandler writes, rotates, and is closed at the end."""
    path = tmp_path / "app.log"
    with may_block():
        handler = logging.handlers.RotatingFileHandler(path, maxBytes=100, backupCount=9)
    async with Pipeline(handler):
        for n in range(20):
            await log.ainfo("line {n:02} of twenty", n=n)
    with may_block():
        texts = [p.read_text() for p in sorted(tmp_path.iterdir(), reverse=True)]
    assert len(texts) > 2
    assert "".join(texts).splitlines() == [f"line {n:02} of twenty" for n in range(20)]


@pytest.mark.parametrize("kind", ["timed", "watched"])
async def test_other_files(tmp_path: Path, kind: str) -> None:
    """TimedRotatingFileHandler and WatchedFileHandler write what they are given."""
    path = tmp_path / "app.log"
    handlers, handler = logging.handlers, logging.Handler()
    with may_block():
        if kind == "timed":
            handler = handlers.TimedRotatingFileHandler(path, when="H")
        else:
            handler = handlers.WatchedFileHandler(path)
    async with Pipeline(handler):
        log.info("said")
    assert await anyio.Path(path).read_text() == "said\n"


async def test_memory_and_queue() -> None:
    """MemoryHandler gives out what it kept at the end; QueueHandler can pickle what it gets."""
    keep, records = Keep(), queue.SimpleQueue[Any]()
    memory = logging.handlers.MemoryHandler(100, target=keep)
    async with Pipeline(memory, logging.handlers.QueueHandler(records)):
        try:
            raise ValueError("wrong")
        except ValueError:
            log.exception("said {n}", n=1)
    assert [text.splitlines()[0] for text in keep.texts] == ["said 1"]
    assert "ValueError: wrong" in pickle.loads(pickle.dumps(records.get(False))).msg


async def test_datagrams_and_syslog() -> None:
    """DatagramHandler and SysLogHandler send what their protocols say."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(10)
        address = receiver.getsockname()
        syslog = logging.handlers.SysLogHandler(address)
        async with Pipeline(logging.handlers.DatagramHandler(*address)):
            log.info("said", user=1)
        data = await anyio.to_thread.run_sync(receiver.recv, 65_536)
        (length,) = struct.unpack(">L", data[:4])
        sent = pickle.loads(data[4 : 4 + length])
        assert (sent["msg"], sent["user"], sent["levelname"]) == ("said", 1, "INFO")
        async with Pipeline(syslog):
            log.error("said")
        assert await anyio.to_thread.run_sync(receiver.recv, 65_536) == b"<11>said\x00"


class _Received(socketserver.StreamRequestHandler):
    """Answer as the protocol of a test wants it, and keep what came."""

    def handle(self) -> None:
        server: Any = self.server
        server.answer(self, server.came)


@contextlib.contextmanager
def serving(
    answer: Callable[[socketserver.StreamRequestHandler, list[bytes]], None],
) -> Iterator[tuple[str, int, list[bytes]]]:
    """Serve connections in a thread: where, and what came. It ends when something has."""
    with may_block():
        server: Any = socketserver.TCPServer(("127.0.0.1", 0), _Received)
        server.answer, server.came = answer, []
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
    try:
        yield *server.server_address, server.came
        with may_block():  # what was sent may still wait to be accepted
            end = time.monotonic() + 10
            while not server.came and time.monotonic() < end:
                time.sleep(0.01)
    finally:
        with may_block():
            server.shutdown()
            thread.join()
            server.server_close()


def _http(request: socketserver.StreamRequestHandler, came: list[bytes]) -> None:
    head = b"".join(iter(request.rfile.readline, b"\r\n"))
    length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
    came.append(request.rfile.read(length))
    request.wfile.write(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")


def _smtp(request: socketserver.StreamRequestHandler, came: list[bytes]) -> None:
    request.wfile.write(b"220 ready\r\n")
    for line in request.rfile:
        if line.upper().startswith(b"DATA"):
            request.wfile.write(b"354 go on\r\n")
            came.append(b"".join(iter(request.rfile.readline, b".\r\n")))
        request.wfile.write(b"250 ok\r\n")
        if line.upper().startswith(b"QUIT"):
            return


def _pickles(request: socketserver.StreamRequestHandler, came: list[bytes]) -> None:
    (length,) = struct.unpack(">L", request.rfile.read(4))
    came.append(request.rfile.read(length))


async def test_http_posts_what_a_record_has() -> None:
    """HTTPHandler sends the attributes of the LogRecord, fields among them."""
    with serving(_http) as (host, port, came):
        handler = logging.handlers.HTTPHandler(f"{host}:{port}", "/log", method="POST")
        async with Pipeline(handler) as pipeline:
            log.info("said {n}", n=1)
        assert pipeline.stats().routes["HTTPHandler"].delivered == 1
    sent = urllib.parse.parse_qs(came[0].decode())
    assert (sent["msg"], sent["n"], sent["name"]) == (["said 1"], ["1"], ["tests.std"])


async def test_smtp_mails_a_record() -> None:
    """SMTPHandler sends a mail, with the traceback in it."""
    with serving(_smtp) as (host, port, came):
        mail = logging.handlers.SMTPHandler((host, port), "a@example.org", ["b@example.org"], "Oh")
        async with Pipeline(mail):
            try:
                raise ValueError("wrong")
            except ValueError:
                log.exception("failed")
    assert b"Subject: Oh" in came[0]
    assert b"failed" in came[0]
    assert b"ValueError: wrong" in came[0]


async def test_sockets_carry_records_to_logflume_again() -> None:
    """What SocketHandler pickles becomes, elsewhere, the record that it was."""
    with serving(_pickles) as (host, port, came):
        async with Pipeline(logging.handlers.SocketHandler(host, port)):
            log.warning("said {n}", n=1)
    with captured() as taken:
        Handler().handle(logging.makeLogRecord(pickle.loads(came[0])))
    shown = taken.last.to_dict()
    assert (shown["message"], shown["level"], shown["fields"]) == ("said 1", "WARNING", {"n": 1})
    assert shown["function"] == "test_sockets_carry_records_to_logflume_again"


async def test_a_server_that_is_not_there_is_a_failure() -> None:
    """What HTTPHandler cannot send counts as lost, with the reason, and holds nobody up."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    handler = logging.handlers.HTTPHandler(f"127.0.0.1:{port}", "/log", method="POST")
    async with Pipeline(Route(handler, retry=Retry(attempts=1))) as pipeline:
        log.info("said")
    counts = pipeline.stats().routes["HTTPHandler"]
    assert sum(counts.dropped.values()) >= 1
    assert "ConnectionRefusedError" in str(counts.last_error)

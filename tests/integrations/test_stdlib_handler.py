"""Records of `logging` on their way into logflume: complete, from any thread, in nobody's way."""

from __future__ import annotations

import datetime
import logging
import logging.config
import logging.handlers
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import orjson
import pytest
from hypothesis import given as given_any
from hypothesis import strategies as st

from logflume import ConfigurationError, Pipeline, Record, Route, context, encoders, register_level
from logflume.capture import connect
from logflume.engine import current
from logflume.engine.backend import whereabouts
from logflume.integrations.stdlib import Handler
from logflume.level import TRACE, Thresholds
from tests.fakes import Collect
from tests.intake import Taken, captured


def logger_of(handler: logging.Handler, name: str = "tests.given") -> logging.Logger:
    """Return a logger that knows no other handler, and no other logger."""
    logger = logging.Logger(name, 1)
    logger.addHandler(handler)
    return logger


@pytest.fixture
def given() -> logging.Logger:
    """Return a logger of `logging` whose records go to logflume, and nowhere else."""
    return logger_of(Handler())


@pytest.fixture
def taken() -> Iterator[Taken]:
    with captured() as taken:
        yield taken


def test_a_call_becomes_a_record(given: logging.Logger, taken: Taken) -> None:
    """Level, message, logger, thread and call site are those of the call."""
    given.warning("Disk is full")
    line = sys._getframe().f_lineno - 1
    shown = taken.last.to_dict()
    assert shown["level"] == "WARNING"
    assert shown["message"] == "Disk is full"
    assert shown["logger"] == "tests.given"
    assert shown["thread"] == "MainThread"
    assert (shown["file"], shown["line"]) == (__file__, line)
    assert shown["function"] == "test_a_call_becomes_a_record"
    assert shown["module"] == "test_stdlib_handler"
    assert shown["fields"] == {}
    assert "template" not in shown


def test_json_shows_the_place_of_the_call(given: logging.Logger, taken: Taken) -> None:
    """Each call site keeps its own file, line, function and module, also when encoded again."""
    for _ in range(2):
        given.info("one %s", 1)
        given.info("one %s", 1)
    lines = [orjson.loads(line) for line in map(encoders.Json().encode, taken.records)]
    first = test_json_shows_the_place_of_the_call.__code__.co_firstlineno + 3
    assert [line["line"] for line in lines] == [first, first + 1] * 2
    assert {(line["file"], line["function"]) for line in lines} == {
        (__file__, "test_json_shows_the_place_of_the_call")
    }


def test_a_call_from_a_made_up_place_does_no_harm(taken: Taken) -> None:
    """Lines that no code could be at become 0; the rest of the place stays."""
    for line in (-1, 2**40, None, "x"):
        record = logging.makeLogRecord({"pathname": "C:/odd.py", "lineno": line, "funcName": "f"})
        Handler().handle(record)
        site = taken.last.site
        assert (site.file, site.function, site.module) == ("C:/odd.py", "f", "odd")
        assert site.line == 0 or site.line == line


def test_arguments_stay_apart_from_the_template(given: logging.Logger, taken: Taken) -> None:
    """The template and the values are kept; the message is what `logging` makes of them."""
    given.info("%s has %d of %05.1f%%", "alice", 3, 7.25)
    record = taken.last
    assert record.template == "%s has %d of %05.1f%%"
    assert record.args == ("alice", 3, 7.25)
    assert record.message == "alice has 3 of 007.2%"
    given.info("%(who)s is %(what)r", {"who": "bob", "what": [1]})
    assert taken.last.args == ({"who": "bob", "what": [1]},)
    assert taken.last.message == "bob is [1]"


def test_of_a_mapping_only_what_the_template_names_is_kept(
    given: logging.Logger, taken: Taken
) -> None:
    """Servers give all headers and the environment for their access logs: they stay out."""
    atoms: dict[str, Any] = {"h": "127.0.0.1", "{user-agent}i": "curl", "{aws_secret}e": "hunter2"}
    given.info('%(h)s "%({user-agent}i)s"', atoms)
    assert list(taken.last.args) == [{"h": "127.0.0.1", "{user-agent}i": "curl"}]
    assert taken.last.message == '127.0.0.1 "curl"'
    given.info("got %s", {"a": 1})
    assert list(taken.last.args) == [{"a": 1}]
    assert taken.last.message == "got {'a': 1}"


class Point:
    def __init__(self) -> None:
        self.x = 1

    def __repr__(self) -> str:
        return f"Point({self.x})"


def test_messages_are_those_of_logging(given: logging.Logger, taken: Taken) -> None:
    """Braces mean nothing, objects are shown by their own `str` and `repr`, as they were then."""
    point = Point()
    given.info("{} and %s", "this")
    given.info("{user}", extra={"user": "eve"})
    given.info("%r", point)
    given.info("%r", [point])
    given.info("100%")
    given.info(point)
    point.x = 2
    messages = [record.message for record in taken.records]
    assert messages == ["{} and this", "{user}", "Point(1)", "[Point(1)]", "100%", "Point(1)"]


def test_a_wrong_format_loses_nothing(given: logging.Logger, taken: Taken) -> None:
    """Where `logging` would complain on stderr, template and values are shown."""
    given.info("%d things", "many")
    given.info("{} %d things", "many")
    given.info("no placeholder", "spare")
    assert [record.message for record in taken.records] == [
        "%d things many",
        "{} %d things many",
        "no placeholder spare",
    ]


def test_a_record_class_of_somebody_s_own_makes_its_message(taken: Taken) -> None:
    """`getMessage` is asked where a class overrides it: brace style, for example."""

    class Braces(logging.LogRecord):
        def getMessage(self) -> str:
            return str(self.msg).format(*self.args or ())

    Handler().handle(Braces("x", 20, "f.py", 1, "{} = {}", (1, 2), None))
    assert taken.last.message == "1 = 2"


def test_extra_and_adapters_become_fields(given: logging.Logger, taken: Taken) -> None:
    """What `extra` and LoggerAdapters give are fields, with their types, as they were then."""
    tags = ["a"]
    when = datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC)
    given.info("x", extra={"user": 42, "tags": tags, "when": when})
    tags.append("b")
    assert taken.last.fields == {"user": 42, "tags": ["a"], "when": when}
    logging.LoggerAdapter(given, {"request": "r1"}).info("x")
    assert taken.last.fields == {"request": "r1"}
    given.info("x", extra={"color_message": "\x1b[1mx"})
    assert taken.last.fields == {}


def test_what_other_handlers_leave_in_a_record_is_no_field(taken: Taken) -> None:
    """A formatter that ran before leaves its text, time and exception in the LogRecord."""
    record = logging.LogRecord("x", 20, "f.py", 1, "m %s", ("a",), None)
    logging.Formatter("%(asctime)s %(message)s").format(record)
    Handler().handle(record)
    assert taken.last.fields == {}


def test_the_context_of_the_task_belongs_to_it(given: logging.Logger, taken: Taken) -> None:
    """Fields bound by `with context(...)` are in records from `logging`, too."""
    with context(request="r1"):
        given.info("x", extra={"user": 1})
    assert taken.last.fields == {"request": "r1", "user": 1}


def test_exceptions_come_as_data(given: logging.Logger, taken: Taken) -> None:
    """`exc_info` in any of its forms is the record's exception; without one there is none."""
    try:
        raise ValueError("wrong")
    except ValueError as error:
        kept = error
        given.exception("failed")
        given.info("also", exc_info=True)
    given.info("later", exc_info=kept)
    given.info("none", exc_info=True)
    *some, none = taken.records
    for record in some:
        assert record.exception is not None
        assert (record.exception.type, record.exception.message) == ("ValueError", "wrong")
        assert record.exception.frames[-1].function == "test_exceptions_come_as_data"
    assert some[0].level.name == "ERROR"
    assert none.exception is None


def test_stacks_are_fields(given: logging.Logger, taken: Taken) -> None:
    """`stack_info` is shown as the text that `logging` made of it."""
    given.info("x", stack_info=True)
    assert "test_stacks_are_fields" in taken.last.fields["stack_info"]


def test_exceptions_of_other_processes_stay_text(taken: Taken) -> None:
    """A record that was sent over a socket has the text of its exception only."""
    Handler().handle(
        logging.makeLogRecord({"name": "far", "exc_text": "Traceback ...", "msg": "m"})
    )
    assert taken.last.fields == {"exc_text": "Traceback ..."}


def test_the_time_is_that_of_the_call(taken: Taken) -> None:
    """The time is the LogRecord's, to the microsecond, however late it comes."""
    created = 1_767_323_045.678901
    Handler().handle(logging.makeLogRecord({"name": "x", "msg": "m", "created": created}))
    assert taken.last.timestamp == "2026-01-02T03:04:05.678901Z"


def test_levels_keep_number_and_name(given: logging.Logger, taken: Taken) -> None:
    """Numbers are the same in both; names of unknown ones are kept, and only those are made up
    that neither knows."""
    logging.addLevelName(17, "CHATTY")
    register_level("NOTICE", 22)
    for number in (10, 20, 30, 40, 50, 5, 25, 17, 22, 33):
        given.log(number, "x")
    assert [(record.level.no, record.level.name) for record in taken.records] == [
        (10, "DEBUG"),
        (20, "INFO"),
        (30, "WARNING"),
        (40, "ERROR"),
        (50, "CRITICAL"),
        (5, "TRACE"),
        (25, "SUCCESS"),
        (17, "CHATTY"),
        (22, "NOTICE"),
        (33, "Level 33"),
    ]


def test_colours_in_level_names_are_not_believed(taken: Taken) -> None:
    """Filters of others that colour `levelname` do not make new levels."""
    Handler().handle(logging.makeLogRecord({"levelno": 40, "levelname": "\x1b[31mERROR\x1b[0m"}))
    assert taken.last.level.name == "ERROR"


def test_colours_that_a_program_gave_level_names_are_left_out(
    given: logging.Logger, taken: Taken
) -> None:
    """As `addLevelName` gets them from many programs, for their own console."""
    name = logging.getLevelName(33)
    logging.addLevelName(33, "\x1b[1;31mLOUD\x1b[0m")
    try:
        given.log(33, "x")
    finally:
        logging.addLevelName(33, name)
    assert (taken.last.level.name, taken.last.level.no) == ("LOUD", 33)


def test_a_width_among_the_arguments_is_one(given: logging.Logger, taken: Taken) -> None:
    """`%*d` is as in `logging`."""
    given.info("%*d|%.*f", 5, 3, 1, 2.25)
    assert taken.last.message == "    3|2.2"


async def test_the_task_is_named(given: logging.Logger) -> None:
    """A record has the name of the task that logged it, on every backend and Python."""
    sink = Collect()

    async def work() -> None:
        given.info("x")

    async with Pipeline(sink), anyio.create_task_group() as tasks:
        tasks.start_soon(work, name="worker-7")
    assert sink.records[0].task == "worker-7"


async def test_records_come_from_any_thread(given: logging.Logger) -> None:
    """From the loop, from worker threads and from threads that know no loop."""
    sink = Collect()
    async with Pipeline(sink) as pipeline:
        given.info("loop")
        await anyio.to_thread.run_sync(given.info, "worker")
        thread = threading.Thread(target=given.info, args=("thread",), name="mine")
        thread.start()
        await anyio.to_thread.run_sync(thread.join)
        await pipeline.flush()
    assert sorted(sink.messages) == ["loop", "thread", "worker"]
    assert {r.thread for r in sink.records if r.message == "thread"} == {"mine"}


def test_a_queue_between_keeps_where_it_was_logged(taken: Taken) -> None:
    """Behind a QueueHandler, records keep the thread and the place of the call."""
    records: queue.SimpleQueue[Any] = queue.SimpleQueue()
    listener = logging.handlers.QueueListener(records, Handler())
    logger = logger_of(logging.handlers.QueueHandler(records))
    thread = threading.Thread(target=logger.info, args=("said %s", 1), name="mine")
    thread.start()
    thread.join()
    listener.start()
    listener.stop()
    assert taken.last.message == "said 1"
    assert taken.last.thread == "mine"


def test_levels_of_names_follow_logflume() -> None:
    """`set_level` decides for `logging`'s loggers, too: by name, with all below."""
    handler = Handler()
    logger, below = logger_of(handler, "tests.levels"), logger_of(handler, "tests.levels.db")
    sink = Collect()
    with Pipeline(sink) as pipeline:
        logger.debug("no")
        pipeline.set_level("tests.levels.db", "DEBUG")
        below.debug("yes")
        logger.debug("no")
        pipeline.set_level("tests.levels", "ERROR")
        logger.warning("no")
        logger.error("yes, too")
    assert sink.messages == ["yes", "yes, too"]


def test_dict_config_builds_it_from_plain_values(taken: Taken) -> None:
    """Configurations of `logging` name it by its path, with lists and level names."""
    settings: dict[str, Any] = {
        "version": 1,
        "disable_existing_loggers": False,
        "handlers": {
            "logflume": {
                "class": "logflume.integrations.stdlib.Handler",
                "level": "INFO",
                "exclude_loggers": ["tests.config.noisy"],
                "exclude_fields": ["secret"],
            }
        },
        "loggers": {
            "tests.config": {"handlers": ["logflume"], "level": "DEBUG", "propagate": False}
        },
    }
    logging.config.dictConfig(settings)
    logger = logging.getLogger("tests.config")
    try:
        logger.debug("below")
        logger.info("said", extra={"secret": 1, "open": 2})
        logging.getLogger("tests.config.noisy.deep").error("noise")
        logging.getLogger("tests.config.noisyless").error("other")
    finally:
        logger.handlers.clear()
        logger.propagate = True
    assert [record.message for record in taken.records] == ["said", "other"]
    assert taken.records[0].fields == {"open": 2}


@pytest.mark.parametrize(
    "settings",
    [
        {"level": "LOUD"},
        {"level": -5},
        {"level": None},
        {"exclude_loggers": "httpx"},
        {"exclude_loggers": [1]},
        {"exclude_loggers": None},
        {"exclude_fields": b"x"},
        {"exclude_fields": [""]},
    ],
    ids=str,
)
def test_settings_that_mean_nothing_are_refused(settings: dict[str, Any]) -> None:
    """The setting is named, and what is accepted."""
    [name] = settings
    with pytest.raises(ConfigurationError, match=rf"Handler\.{name}: got .*; accepted: "):
        Handler(**settings)


def test_level_names_of_both_are_known() -> None:
    """`TRACE` and `SUCCESS` are levels, too; so are those that the program named."""
    logging.addLevelName(17, "CHATTY")
    assert [Handler(name).level for name in ("TRACE", "success", "CHATTY", 33)] == [5, 25, 17, 33]


def test_records_that_raise_do_not(given: logging.Logger, taken: Taken) -> None:
    """Whatever the values do, the call returns, and something of it is to be seen."""

    class Broken:
        def __str__(self) -> str:
            raise RuntimeError("broken")

        __repr__ = __str__

    given.info("%s", Broken())
    given.info(Broken())
    given.info("x", extra={"field": Broken()})
    Handler().handle(logging.makeLogRecord({"name": "odd", "created": "never", "msg": "m"}))
    assert len(taken.records) == 4
    assert taken.last.fields == {"logflume.capture_error": "TypeError"}
    assert taken.last.message == "m"


@pytest.mark.parametrize(
    "name", ["name", "levelno", "levelname", "lineno", "pathname", "funcName", "args", "process"]
)
@pytest.mark.parametrize("value", [[], {}, [1], None, b"\xff", 1.5])
def test_records_made_by_hand_are_taken(taken: Taken, name: str, value: Any) -> None:
    """Whatever somebody put in place of a text or number: the rest of it comes."""
    made = {"name": "made", "msg": "{m}", "levelno": 40, "levelname": "ERROR", name: value}
    Handler().handle(logging.makeLogRecord(made))
    assert taken.last.message.startswith("{m}")
    assert taken.last.level.name == "ERROR" or name == "levelno"
    assert encoders.Json().encode(taken.last).count(b"\n") == 1


def test_a_record_without_anything_is_told_of(taken: Taken) -> None:
    """One whose class forgot to initialize it."""
    Handler().handle(logging.LogRecord.__new__(logging.LogRecord))
    assert taken.last.logger == "root"
    assert taken.last.fields == {"logflume.capture_error": "AttributeError"}


def test_a_function_that_is_not_known_has_no_name(taken: Taken) -> None:
    """`None` would be one."""
    Handler().handle(logging.LogRecord("x", 20, "p.py", 1, "m", (), None))
    assert taken.last.site.function == ""


def test_records_of_other_processes_say_which(taken: Taken) -> None:
    """As they come by a socket or queue; those of this one do not say it twice."""
    Handler().handle(logging.makeLogRecord({"name": "far", "msg": "m", "process": os.getpid() + 1}))
    assert taken.last.fields == {"process.pid": os.getpid() + 1}
    Handler().handle(logging.makeLogRecord({"name": "near", "msg": "m"}))
    assert taken.last.fields == {}


def test_filters_decide_and_may_fail(taken: Taken) -> None:
    """A filter that refuses is heeded; one that raises is told of in a field."""
    handler = Handler()
    handler.addFilter(lambda record: record.msg != "no")
    assert not handler.handle(logging.makeLogRecord({"msg": "no"}))
    assert handler.handle(logging.makeLogRecord({"msg": "yes"}))

    def fails(record: logging.LogRecord) -> bool:
        raise KeyError("x")

    handler.addFilter(fails)
    handler.handle(logging.makeLogRecord({"msg": "kept"}))
    assert [record.message for record in taken.records] == ["yes", "kept"]
    assert taken.last.fields == {"logflume.filter_error": "KeyError"}


def test_what_is_logged_by_taking_a_record_comes_to_an_end(
    given: logging.Logger, taken: Taken
) -> None:
    """A value that logs whenever it is shown does not do so for ever."""

    class Chatty:
        def __repr__(self) -> str:
            given.info("shown %r", self)
            return "chatty"

    given.info("value %r", Chatty())
    assert taken.last.message == "value chatty"
    assert len(taken.records) < 100


@pytest.mark.parametrize("name", ["httpx", "httpcore.connection", "urllib3.connectionpool"])
async def test_a_sink_s_http_client_makes_no_circles(name: str) -> None:
    """What httpx logs while a sink sends is left out; what it logs for the program is not."""
    client = logger_of(Handler(), name)

    class Talkative(Collect):
        async def before(self, batch: Any) -> None:
            client.info("HTTP Request: POST")

    first, second = Talkative("first"), Talkative("second")
    async with Pipeline(first, second) as pipeline:
        client.info("HTTP Request: GET")
        await pipeline.flush()
    assert first.messages == second.messages == ["HTTP Request: GET"]


async def test_a_sink_may_log_to_the_other_routes() -> None:
    """Other libraries' records from inside a sink go to all routes but its own."""
    library = logger_of(Handler(), "tests.library")

    class Talkative(Collect):
        async def before(self, batch: Any) -> None:
            library.info("from the sink")

    talkative, other = Talkative("talkative"), Collect("other")
    async with Pipeline(talkative, other) as pipeline:
        library.info("first")
        await pipeline.flush()
        await pipeline.flush()
    assert talkative.messages == ["first"]
    assert sorted(other.messages) == ["first", "from the sink"]


def test_a_thread_that_waits_for_room_holds_up_no_other() -> None:
    """The handler has no lock while it puts a record in: a loop's thread must not wait for it."""
    waits, room = threading.Event(), threading.Event()

    class Full(Taken):
        def submit_from_afar(self, record: Record) -> None:
            waits.set()
            room.wait(10)
            super().submit(record)

    handler = Handler()
    taken = Full(at_home=True)
    taken.mark = 0
    connect(taken, Thresholds(TRACE), whereabouts)
    try:
        thread = threading.Thread(target=handler.handle, args=(logging.makeLogRecord({}),))
        thread.start()
        assert waits.wait(10)
        handler.handle(logging.makeLogRecord({"msg": "from the loop's thread"}))
        assert taken.last.message == "from the loop's thread"
        room.set()
        thread.join()
    finally:
        current._reconnect()


async def test_secrets_in_records_of_logging_are_hidden(
    given: logging.Logger, tmp_path: Path
) -> None:
    """Redaction looks at fields, arguments and messages of these records as at any others."""
    path = tmp_path / "out.jsonl"
    async with Pipeline(Route(path, encoder=encoders.Json())):
        given.info("password=%s", "hunter2", extra={"api_key": "hunter3"})
        given.info("{} password=%s", "hunter2")
        given.info("user %(password)s", {"password": "hunter2"})
    text = await anyio.Path(path).read_text()
    assert text.count("\n") == 3
    assert "hunter" not in text


def test_importing_logflume_touches_nothing_of_logging() -> None:
    """Neither `logflume` nor its bridge installs anything; the bridge is loaded when asked for."""
    code = """if True:
        import asyncio, logging, sys, threading, warnings
        hooks = lambda: (sys.excepthook, sys.unraisablehook, threading.excepthook,
                         warnings.showwarning, logging.root.handlers[:], logging.getLoggerClass())
        before = hooks()
        import logflume
        assert "logflume.integrations" not in sys.modules
        import logflume.integrations.stdlib
        assert hooks() == before
        assert not any(log.handlers for log in logging.root.manager.loggerDict.values()
                       if isinstance(log, logging.Logger))
    """
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_after_a_fork_the_child_s_records_are_its_own(tmp_path: Path) -> None:
    """The child's calls of `logging` go to its own pipeline, also at levels that it sets."""
    program = tmp_path / "program.py"
    program.write_text(
        """if True:
        import logging, os, warnings
        from logflume import Pipeline
        from logflume.integrations.stdlib import capture
        warnings.simplefilter("ignore")
        with Pipeline("out.jsonl") as pipeline, capture():
            logging.info("parent")
            child = os.fork()
            pipeline.set_level("lib", "DEBUG" if child == 0 else "ERROR")
            logging.getLogger("lib").debug("child")
            if child == 0:
                pipeline.close()
                os._exit(0)
            os.waitpid(child, 0)
        """
    )
    subprocess.run([sys.executable, program], cwd=tmp_path, check=True, timeout=60)
    lines = (tmp_path / "out.jsonl").read_bytes().splitlines()
    assert sorted(orjson.loads(line)["message"] for line in lines) == ["child", "parent"]


_ODD = st.one_of(
    st.none(),
    st.integers(),
    st.floats(),
    st.text(max_size=5),
    st.binary(max_size=3),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
    st.tuples(st.integers(), st.text(max_size=3)),
)
_NAMES = [*vars(logging.makeLogRecord({})), "taskName", "user", "message", 7]


@given_any(st.dictionaries(st.sampled_from(_NAMES), _ODD, max_size=8))
def test_no_log_record_is_too_odd(attributes: dict[Any, Any]) -> None:
    """Whatever a LogRecord holds, the call returns; what comes of it is a line of JSON."""
    with captured() as taken:
        Handler().handle(logging.makeLogRecord(attributes))
    assert len(taken.records) <= 1
    for record in taken.records:
        line = encoders.Json().encode(record)
        assert line.count(b"\n") == 1
        assert orjson.loads(line)["logger"] == record.logger

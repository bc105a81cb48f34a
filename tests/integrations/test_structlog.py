"""Events of structlog on their way into logflume: complete, from any thread, in nobody's way."""

from __future__ import annotations

import asyncio
import datetime
import io
import logging
import pickle
import sys
import threading
from collections.abc import Iterator
from typing import Any

import anyio
import orjson
import pytest
from hypothesis import given as given_any
from hypothesis import strategies as st

from logflume import ConfigurationError, Pipeline, Record, Route, context, encoders
from logflume.integrations.stdlib import Handler
from logflume.integrations.structlog import ToLogflume
from logflume.level import WARNING
from logflume.sinks._log_records import LogRecords
from tests.fakes import Collect
from tests.intake import Taken, captured

structlog = pytest.importorskip("structlog")
S = structlog.processors


@pytest.fixture(autouse=True)
def defaults() -> Iterator[None]:
    """Leave structlog as it was."""
    yield
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


@pytest.fixture
def taken() -> Iterator[Taken]:
    with captured() as taken:
        yield taken


def logger_of(*before: Any, wrapped: Any = None, **options: Any) -> Any:
    """Return a logger whose chain has these processors before ToLogflume."""
    wrapped = structlog.PrintLogger() if wrapped is None else wrapped
    options.setdefault("wrapper_class", structlog.make_filtering_bound_logger(0))
    return structlog.wrap_logger(wrapped, processors=[*before, ToLogflume()], **options)


def test_a_call_becomes_a_record(taken: Taken, capsys: pytest.CaptureFixture[str]) -> None:
    """Level, event, fields and place are those of the call; nothing is printed besides."""
    log = logger_of(structlog.processors.add_log_level).bind(shop="s1")
    log.warning("Disk is {full}", percent=97)
    line = sys._getframe().f_lineno - 1
    shown = taken.last.to_dict()
    assert (shown["level"], shown["message"]) == ("WARNING", "Disk is {full}")
    assert shown["fields"] == {"shop": "s1", "percent": 97}
    assert (shown["file"], shown["line"]) == (__file__, line)
    assert (shown["function"], shown["module"]) == (
        "test_a_call_becomes_a_record",
        "test_structlog",
    )
    assert shown["thread"] == "MainThread"
    assert shown["logger"] == __name__  # the module's
    assert capsys.readouterr() == ("", "")


def test_every_method_has_its_level(taken: Taken) -> None:
    """With `add_log_level` and without; `exception` is an error."""
    names = ("debug", "info", "warning", "warn", "error", "exception", "critical", "fatal", "msg")
    expected = ["DEBUG", "INFO", "WARNING", "WARNING", "ERROR", "ERROR", "CRITICAL", "CRITICAL"]
    for log in (logger_of(), logger_of(S.add_log_level), logger_of(structlog.stdlib.add_log_level)):
        taken.records.clear()
        for name in names:
            getattr(log, name)("m")
        log.log(logging.WARNING, "m")
        assert [r.level.name for r in taken.records] == [*expected, "INFO", "WARNING"]
        assert {len(r.fields) for r in taken.records} == {0}


def test_a_field_that_is_named_level_stays_one(taken: Taken) -> None:
    """What is no level was not put there by `add_log_level`."""
    for given in ("gold", "3", 3, None):
        logger_of().info("m", level=given)
        assert taken.last.level.name == "INFO"
        assert taken.last.fields == {"level": given}


def test_the_logger_s_name_is_the_event_s_or_the_wrapped_logger_s(taken: Taken) -> None:
    """`add_logger_name` and the name of a logger of `logging` go before the module."""
    wrapped = logging.Logger("shop.db")
    for log in (
        logger_of(wrapped=wrapped),
        logger_of(structlog.stdlib.add_logger_name, wrapped=wrapped),
        logger_of(wrapped=wrapped, wrapper_class=structlog.stdlib.BoundLogger),
        logger_of().bind(logger="shop.db"),
    ):
        log.info("m")
        assert taken.last.logger == "shop.db"
        assert taken.last.fields == {}


def test_levels_of_logflume_apply() -> None:
    """A logger's threshold holds for what comes in, besides structlog's own."""
    sink = Collect()
    with Pipeline(sink, level="DEBUG") as pipeline:
        pipeline.set_level("noisy", "ERROR")
        logger_of(wrapped=logging.Logger("noisy.part")).warning("below")
        logger_of(wrapped=logging.Logger("other")).debug("above")
        filtering = structlog.make_filtering_bound_logger(logging.INFO)
        logger_of(wrapper_class=filtering).debug("filtered by structlog")
    assert sink.messages == ["above"]


def test_contexts_of_both_are_fields(taken: Taken) -> None:
    """`merge_contextvars` and `with context(...)`; what the call says goes before."""
    log = logger_of(structlog.contextvars.merge_contextvars)
    with structlog.contextvars.bound_contextvars(request="r1", a=1), context(user="u", a=2):
        log.info("m")
    assert taken.last.fields == {"request": "r1", "user": "u", "a": 1}
    assert taken.last.context == {"user": "u", "a": 2}


@pytest.mark.parametrize(("fmt", "utc"), [("iso", True), ("iso", False), (None, True)])
def test_the_time_is_the_stamp(taken: Taken, fmt: str | None, utc: bool) -> None:
    """A TimeStamper's, in ISO 8601 or seconds; one that says less stays a field."""

    def earlier(logger: Any, name: str, event_dict: Any) -> Any:
        stamp = event_dict["timestamp"]
        if fmt:
            stamp = datetime.datetime.fromisoformat(stamp).replace(microsecond=123_456).isoformat()
        event_dict["timestamp"] = stamp
        stamps.append(stamp)
        return event_dict

    stamps: list[Any] = []
    logger_of(S.TimeStamper(fmt=fmt, utc=utc), earlier).info("m")
    (stamp,) = stamps
    expected = datetime.datetime.fromisoformat(stamp).timestamp() if fmt else stamp
    assert taken.last.time_ns == pytest.approx(expected * 1e9, abs=1_000)
    assert taken.last.fields == {}


@pytest.mark.parametrize("stamp", ["12:30", "soon", -1, 10**15, True, float("nan"), None])
def test_a_stamp_that_says_no_time_is_a_field(taken: Taken, stamp: Any) -> None:
    """The time is then that of the call."""
    before = datetime.datetime.now(datetime.UTC)
    logger_of().info("m", timestamp=stamp)
    assert before - datetime.timedelta(seconds=1) < taken.last.time
    assert repr(taken.last.fields["timestamp"]) == repr(stamp)


def test_a_callsite_that_was_found_is_taken(taken: Taken) -> None:
    """It may be told to leave modules out; what it says of the place is no field besides."""
    logger_of(S.CallsiteParameterAdder()).info("m", module_="x")
    line = sys._getframe().f_lineno - 1
    assert (taken.last.site.file, taken.last.site.line) == (__file__, line)
    assert not {"pathname", "filename", "module", "lineno", "func_name"} & set(taken.last.fields)
    assert "thread_name" not in taken.last.fields

    outer = S.CallsiteParameterAdder(additional_ignores=[__name__])
    logger_of(outer).info("m")
    assert taken.last.site.file != __file__
    assert taken.last.site.function == "pytest_pyfunc_call"


def test_fields_that_are_named_like_parts_of_a_callsite_stay(taken: Taken) -> None:
    """Only what says the same as the record is left out."""
    fields = {"module": "payments", "filename": "a.csv", "process": "p", "thread": 3}
    logger_of().info("m", **fields)
    assert taken.last.fields == fields
    assert taken.last.site.file == __file__


def raise_in_turn() -> None:
    try:
        raise KeyError("first")
    except KeyError as error:
        raise ValueError("second") from error


def test_an_exception_comes_whole(taken: Taken) -> None:
    """However it is given: as `exc_info`, or as the data that `dict_tracebacks` makes of it."""
    for log in (logger_of(), logger_of(S.dict_tracebacks)):
        try:
            raise_in_turn()
        except ValueError as error:
            log.exception("a")
            log.error("b", exc_info=error)
            log.error("c", exc_info=(type(error), error, error.__traceback__))
    assert len(taken.records) == 6
    for record in taken.records:
        found = record.exception
        assert found is not None
        assert (found.type, found.message) == ("ValueError", "second")
        assert [frame.function for frame in found.frames][-1] == "raise_in_turn"
        assert found.cause is not None
        assert found.cause.type == "KeyError"
        assert record.fields == {}


def test_groups_of_exceptions_come_whole(taken: Taken) -> None:
    """Also as the data that `dict_tracebacks` makes of them; notes as well."""
    for log in (logger_of(), logger_of(S.dict_tracebacks)):
        inner = OSError("inner")
        inner.add_note("on the way")
        log.error("m", exc_info=ExceptionGroup("two", [inner, ValueError("x")]))
        found = taken.last.exception
        assert found is not None
        assert [member.type for member in found.group] == ["OSError", "ValueError"]
        assert found.group[0].notes == ["on the way"]


def test_an_exception_has_its_context(taken: Taken) -> None:
    """What was being handled when it was raised, if it has no cause."""
    for log in (logger_of(), logger_of(S.dict_tracebacks)):
        try:
            try:
                raise KeyError("first")
            except KeyError:
                raise ValueError("second")  # noqa: B904 - what this is about
        except ValueError:
            log.exception("m")
        found = taken.last.exception
        assert found is not None
        assert found.cause is None
        assert found.context is not None
        assert found.context.type == "KeyError"


def test_tracebacks_as_data_are_bounded(taken: Taken) -> None:
    """However many exceptions such a list describes, few are taken."""
    one = {"exc_type": "E", "exc_value": "", "is_cause": True, "frames": []}
    group = {**one, "exceptions": [[one]] * 100}
    for stacks in ([one] * 100, [group], [{**group, "exceptions": [[group] * 9] * 9}]):
        logger_of().info("m", exception=stacks)
        assert taken.last.exception is not None
        assert len(taken.last.exception.walk()) <= 33


def test_an_exception_that_is_text_already_is_a_field(taken: Taken) -> None:
    """As when it comes from `logging`; so are stacks, rendered or not."""
    log = logger_of(S.format_exc_info, S.StackInfoRenderer())
    try:
        raise_in_turn()
    except ValueError:
        log.exception("m", stack_info=True)
    fields = dict(taken.last.fields)
    assert fields.pop("exc_text").endswith("ValueError: second")
    assert fields.pop("stack_info").startswith("Stack (most recent call last):")
    assert fields == {}
    logger_of().info("m", stack_info=True, exc_info=False)
    assert list(taken.last.fields) == ["stack_info"]
    last = taken.last.fields["stack_info"].splitlines()[-1]
    assert last.endswith("in test_an_exception_that_is_text_already_is_a_field")
    assert __file__ in last


def test_fields_of_the_same_names_stay_as_they_are(taken: Taken) -> None:
    """What is no traceback is a value like any other."""
    fields = {"exception": [1, 2], "stack": "mean", "stack_info": 3, "positional_args": "no"}
    logger_of().info("m", **fields)
    assert taken.last.fields == fields


def test_arguments_are_formatted_as_structlog_does(taken: Taken) -> None:
    """By `make_filtering_bound_logger`, and for `stdlib.BoundLogger` with its processor or not."""
    logger_of().info("%s has {%d}", "a", 1)
    bound = structlog.stdlib.BoundLogger
    logger_of(structlog.stdlib.PositionalArgumentsFormatter(), wrapper_class=bound).info(
        "%s has {%d}", "a", 1
    )
    assert not taken.last.args
    logger_of(wrapper_class=bound).info("%s has {%d}", "a", 1)
    assert taken.last.args == ("a", 1)
    assert [r.message for r in taken.records] == ["a has {1}"] * 3
    logger_of(wrapper_class=bound).info("%d", "x")
    assert taken.last.message == "%d x"


def test_values_are_as_they_were(taken: Taken) -> None:
    """What the caller changes afterwards is not seen in the record."""
    basket = ["a"]
    logger_of().info("m", basket=basket)
    basket.append("b")
    assert taken.last.fields == {"basket": ["a"]}


def test_what_a_renderer_made_is_the_message(taken: Taken) -> None:
    """A chain whose last but one makes text still says something."""
    logger_of(S.KeyValueRenderer()).warning("m", a=1)
    assert taken.last.message == "a=1 event='m'"
    logger_of(S.JSONRenderer(serializer=lambda *a, **k: b'{"a": 1}')).warning("m", a=1)
    assert taken.last.message == '{"a": 1}'
    assert taken.last.level == WARNING


@pytest.mark.parametrize("wrapper", ["native", "stdlib"])
async def test_async_methods_know_their_caller(
    wrapper: str, anyio_backend_name: str, taken: Taken
) -> None:
    """Their chain runs in another thread: place, thread and contexts are those of the call."""
    if anyio_backend_name == "trio":
        pytest.skip("structlog's own are for asyncio")
    wrapped = logging.Logger("w", 1)
    native = structlog.make_filtering_bound_logger(0)
    kind = native if wrapper == "native" else structlog.stdlib.BoundLogger
    log = logger_of(structlog.contextvars.merge_contextvars, wrapped=wrapped, wrapper_class=kind)
    with structlog.contextvars.bound_contextvars(request="r1"), context(user="u"):
        await log.ainfo("m", n=1)
        line = sys._getframe().f_lineno - 1
        try:
            raise_in_turn()
        except ValueError:
            await log.aexception("m")
    info, error = taken.records
    assert (info.site.file, info.site.line) == (__file__, line)
    assert info.site.function == "test_async_methods_know_their_caller"
    assert info.fields == {"request": "r1", "user": "u", "n": 1}
    assert info.thread == threading.current_thread().name
    assert error.exception is not None
    assert error.exception.type == "ValueError"


async def test_from_every_backend_it_is_logflume_s_record() -> None:
    """Calls in a task go the way of logflume's own, with the task's name."""
    sink = Collect()
    log = logger_of()
    async with Pipeline(sink):
        log.info("m", n=1)
    (record,) = sink.records
    assert record.message == "m"
    assert record.task is not None


async def test_a_sink_that_logs_with_structlog_is_not_sent_its_own_records() -> None:
    """Other routes are."""
    log = logger_of()

    class Talkative(Collect):
        async def before(self, batch: Any) -> None:
            log.info("from the sink")

    talkative, other = Talkative("talkative"), Collect("other")
    async with Pipeline(talkative, other) as pipeline:
        log.info("first")
        await pipeline.flush()
        await pipeline.flush()
    assert talkative.messages == ["first"]
    assert sorted(other.messages) == ["first", "from the sink"]


def test_an_event_wrapped_for_a_formatter_of_structlog_s_is_taken_apart(taken: Taken) -> None:
    """By the bridge from `logging`: and a handler with that formatter may be the sink then."""
    shown = io.StringIO()
    handler = logging.StreamHandler(shown)
    render = structlog.processors.KeyValueRenderer(key_order=["level", "event", "a"])
    before = [structlog.stdlib.add_log_level, structlog.stdlib.ExtraAdder()]
    formatter = structlog.stdlib.ProcessorFormatter(render, foreign_pre_chain=before)
    handler.setFormatter(formatter)
    wrapped = logging.getLogger("tests.wrapped")
    bridge = Handler()
    wrapped.addHandler(bridge)
    log = structlog.wrap_logger(
        wrapped,
        processors=[S.add_log_level, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.stdlib.BoundLogger,
    )
    try:
        log.warning("{round} %s", "x", a=1, name="field")
        try:
            raise ValueError("no")
        except ValueError:
            log.exception("failed")
        first, second = taken.records
        assert (first.message, first.logger, first.level) == ("{round} x", wrapped.name, WARNING)
        assert first.fields == {"a": 1, "name": "field"}
        assert (second.message, second.fields) == ("failed", {})
        assert second.exception is not None
        assert second.exception.type == "ValueError"
        handler.handle(LogRecords(escape=True).made_from(first))
        assert shown.getvalue().startswith("level='warning' event='{round} x' a=1")
    finally:
        wrapped.removeHandler(bridge)


def test_a_configured_chain_works_with_cached_loggers(taken: Taken) -> None:
    """`structlog.configure`, from many threads at once, with loggers that are kept."""
    structlog.configure(processors=[ToLogflume()], cache_logger_on_first_use=True)
    log = structlog.get_logger()
    threads = [threading.Thread(target=log.info, args=("m",), name=f"t{n}") for n in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(record.thread for record in taken.records) == [f"t{n}" for n in range(5)]


def test_an_event_that_cannot_be_taken_is_told_of(taken: Taken) -> None:
    """Its message comes all the same."""

    class Odd(dict[str, Any]):
        def keys(self) -> Any:
            raise RuntimeError("odd")

        def __iter__(self) -> Any:
            raise RuntimeError("odd")

    with pytest.raises(structlog.DropEvent):
        ToLogflume()(None, "info", Odd(event="{said}", n=1))
    assert (taken.last.message, taken.last.logger) == ("{said}", "structlog")
    assert taken.last.fields == {"logflume.capture_error": "RuntimeError"}


def test_loggers_can_be_pickled_with_it(taken: Taken) -> None:
    """As structlog's are, for other processes."""
    log = pickle.loads(pickle.dumps(logger_of(S.add_log_level).bind(a=1)))
    log.info("m")
    assert taken.last.fields == {"a": 1}


def test_nothing_is_raised_but_what_ends_the_chain(taken: Taken) -> None:
    """Whatever an event holds; a value that logs when it is shown does not do so for ever."""

    class Broken:
        def __repr__(self) -> str:
            raise RuntimeError("broken")

    class Chatty:
        def __repr__(self) -> str:
            log.info("shown", value=self)
            return "chatty"

    log = logger_of()
    log.info("m", broken=Broken())
    assert taken.last.fields["broken"].startswith("<un")
    log.info(Broken())
    log.info("m", value=Chatty())
    assert len(taken.records) < 20
    end = ToLogflume()
    odd: Any
    for odd in (None, 3, (("m",), {}), [1], {}, {7: 8, "event": None}, {"exc_info": "yes"}):
        with pytest.raises(structlog.DropEvent):
            end(None, "info", odd)
    for record in taken.records:
        assert encoders.Json().encode(record)


async def test_secrets_of_events_are_hidden(tmp_path: Any) -> None:
    """Redaction looks at their fields as at any others."""
    path = tmp_path / "out.jsonl"
    async with Pipeline(Route(path, encoder=encoders.Json())):
        logger_of().info("m password=hunter2", password="hunter3")
    text = await anyio.Path(path).read_text()
    assert '"password"' in text
    assert "hunter" not in text


def test_without_structlog_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """When it is made, not when something is logged."""
    monkeypatch.setitem(sys.modules, "structlog", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'logflume\[structlog\]'"):
        ToLogflume()


def test_an_older_structlog_does_as_well(monkeypatch: pytest.MonkeyPatch, taken: Taken) -> None:
    """One that does not say who called an async method: the record comes all the same."""
    monkeypatch.delattr(structlog.contextvars, "_ASYNC_CALLING_STACK")
    monkeypatch.delattr(structlog.contextvars, "_ASYNC_CALLING_THREAD")
    log = logger_of()
    log.info("m")
    assert taken.last.site.file == __file__

    async def main() -> None:
        await log.ainfo("n")

    asyncio.run(main())
    records: list[Record] = list(taken.records)
    assert [record.message for record in records] == ["m", "n"]


_ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=5),
    st.binary(max_size=3),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
    st.lists(st.fixed_dictionaries({"exc_type": st.text(), "frames": st.lists(st.none())})),
    st.tuples(st.integers(), st.text(max_size=3)),
    st.datetimes(),
    st.just(ValueError("x")),
)
_NAMES = [
    *("event", "level", "level_number", "logger", "timestamp", "exc_info", "exception", "stack"),
    *("stack_info", "positional_args", "lineno", "pathname", "filename", "func_name", "module"),
    *("process", "thread", "thread_name", "user", 7),
]


@given_any(
    st.dictionaries(st.sampled_from(_NAMES), _ODD, max_size=8), st.sampled_from(["info", "odd", ""])
)
def test_no_event_is_too_odd(event_dict: dict[Any, Any], method: str) -> None:
    """Whatever it holds, the chain ends as it should; what comes of it is a line of JSON."""
    before = dict(event_dict)
    with captured() as taken, pytest.raises(structlog.DropEvent):
        ToLogflume()(None, method, event_dict)
    assert list(before) == list(event_dict)
    assert len(taken.records) == 1
    record = taken.last
    assert "logflume.capture_error" not in record.fields
    line = encoders.Json().encode(record)
    assert line.count(b"\n") == 1
    assert orjson.loads(line)["logger"] == record.logger

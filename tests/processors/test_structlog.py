"""Processors of structlog in a pipeline: what they make of a record, and what they may not."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from logflume import ConfigurationError, Pipeline, get_logger
from logflume.config.build import made
from logflume.config.plugins import PROCESSORS
from logflume.processors import Structlog
from logflume.testing.contracts import ProcessorContract
from tests.fakes import Collect
from tests.processors.given import said

structlog = pytest.importorskip("structlog")


class TestContract(ProcessorContract):
    """What a pipeline expects of any processor."""

    def make(self) -> Structlog:
        return Structlog(add("made", 1))


def add(name: str, value: Any) -> Any:
    """Return a processor that puts a value in."""

    def put(logger: Any, method_name: str, event_dict: Any) -> Any:
        event_dict[name] = value
        return event_dict

    return put


def test_they_see_a_record_as_an_event_dict() -> None:
    """Fields, message, level and logger; and what structlog passes besides."""
    seen: list[Any] = []

    def look(logger: Any, method_name: str, event_dict: Any) -> Any:
        seen.append((logger.name, method_name, dict(event_dict)))
        return event_dict

    record = said("User {user} is in", level="WARNING", user="ann", tries=[1])
    made = Structlog(look)(record)
    expected = {
        "user": "ann",
        "tries": [1],
        "event": "User ann is in",
        "level": "warning",
        "logger": record.logger,
    }
    assert seen == [(record.logger, "warning", expected)]
    assert made is not None
    assert made.to_dict() == record.to_dict()


def test_what_they_change_is_changed() -> None:
    """Message, level, logger and fields; in the order they are given."""

    def change(logger: Any, method_name: str, event_dict: Any) -> Any:
        return {
            "event": event_dict["event"].upper(),
            "level": "error",
            "logger": "other",
            "n": event_dict["n"] + 1,
        }

    record = said("m", n=1, gone=True)
    made = Structlog(change, add("last", {"a": {1}}))(record)
    assert made is not None
    assert (made.message, made.level.name, made.logger) == ("M", "ERROR", "other")
    assert made.fields == {"n": 2, "last": {"a": [1]}}
    assert record.fields == {"n": 1, "gone": True}
    assert made.site == record.site


def test_the_original_stays_as_it_was() -> None:
    """Also what is nested in it: others may have the same record."""

    def pop(logger: Any, method_name: str, event_dict: Any) -> Any:
        event_dict["user"].pop("name")
        return event_dict

    record = said("m", user={"name": "ann", "id": 1})
    made = Structlog(pop)(record)
    assert made is not None
    assert made.fields == {"user": {"id": 1}}
    assert record.fields == {"user": {"name": "ann", "id": 1}}


def test_structlog_s_own_do_what_they_do_there() -> None:
    """Those that look at the event dict alone."""
    record = said("m", id=7, data=b"x", where="here")
    own = structlog.processors
    made = Structlog(
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        own.UnicodeDecoder(),
        own.EventRenamer("msg"),
        own.TimeStamper(fmt="%Y"),
    )(record)
    assert made is not None
    assert (made.level, made.logger, made.message) == (record.level, record.logger, "m")
    assert made.time_ns == record.time_ns
    assert made.fields.pop("timestamp").isdecimal()
    assert made.fields == {"id": 7, "data": "x", "where": "here", "msg": "m"}


def test_fields_named_like_its_own_keys_are_kept_aside() -> None:
    """They are neither taken for the record's level nor lost."""
    record = said("m").replace(fields={"event": "click", "level": "gold", "logger": 3, "n": 1})
    made = Structlog(add("n", 2))(record)
    assert made is not None
    assert made.fields == {"event": "click", "level": "gold", "logger": 3, "n": 2}
    assert (made.message, made.level, made.logger) == ("m", record.level, record.logger)


async def test_a_drop_filters_the_record() -> None:
    """`DropEvent` is no failure."""

    def drop(logger: Any, method_name: str, event_dict: Any) -> Any:
        if event_dict.get("path") == "/health":
            raise structlog.DropEvent
        return event_dict

    sink, log = Collect(), get_logger("tests")
    async with Pipeline(sink, processors=[Structlog(drop)]) as pipeline:
        await log.ainfo("a", path="/health")
        await log.ainfo("b", path="/")
        await pipeline.flush()
        assert pipeline.stats().door.filtered == 1
    assert sink.messages == ["b"]
    assert sink.records[0].fields == {"path": "/"}


@pytest.mark.parametrize(
    ("processor", "error"),
    [
        (lambda logger, name, event_dict: 1 / 0, "ZeroDivisionError"),
        (lambda logger, name, event_dict: "a=1", "TypeError"),
        (lambda logger, name, event_dict: None, "TypeError"),
        (add("level", "gold"), "ConfigurationError"),
        (add("event", 3), "TypeError"),
    ],
    ids=["raises", "text", "nothing", "no level", "no message"],
)
async def test_a_failure_is_told_of_in_the_record(processor: Any, error: str) -> None:
    """The record goes on as it was: as with any other processor."""
    sink, log = Collect(), get_logger("tests")
    async with Pipeline(sink, processors=[Structlog(processor)]):
        await log.ainfo("m", n=1)
    (record,) = sink.records
    assert record.message == "m"
    assert record.fields["n"] == 1
    assert record.fields["logflume.error"].startswith(error)
    assert record.fields["logflume.failed_processor"] == "Structlog"


def test_a_configuration_names_them() -> None:
    """A list of functions, each as `module:attribute`; what is none is refused by its place."""
    table = {"type": "structlog"}
    chosen = made(PROCESSORS, {**table, "processors": ["structlog.stdlib:add_log_level"]}, "p")
    assert isinstance(chosen, Structlog)
    with pytest.raises(ConfigurationError, match=r"^p\.processors: .*accepted: a list"):
        made(PROCESSORS, {**table, "processors": "structlog.stdlib:add_log_level"}, "p")
    with pytest.raises(ConfigurationError, match=r"^p\.processors\[1\]: .*'module:attribute'"):
        made(PROCESSORS, {**table, "processors": ["structlog.stdlib:add_log_level", "x"]}, "p")


def test_what_cannot_work_is_refused() -> None:
    """When it is made: no processor, async ones, renderers, and what leads back here."""
    from logflume.integrations.structlog import ToLogflume

    async def late(logger: Any, method_name: str, event_dict: Any) -> Any:
        return event_dict

    wrong: list[tuple[Any, ...]] = [
        (),
        (3,),
        (structlog.processors.TimeStamper,),
        (late,),
        (structlog.processors.JSONRenderer(),),
        (structlog.dev.ConsoleRenderer(),),
        (ToLogflume(),),
        (Structlog(add("a", 1)),),
    ]
    for given in wrong:
        with pytest.raises(ConfigurationError, match=r"^Structlog: got .*; accepted: "):
            Structlog(*given)


def test_without_structlog_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """When it is made, not when something is logged."""
    monkeypatch.setitem(sys.modules, "structlog", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'logflume\[structlog\]'"):
        Structlog(add("a", 1))

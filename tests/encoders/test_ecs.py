"""ECS: the names and places that the schema and Elastic's own loggers have."""

from __future__ import annotations

import json
import logging
from typing import Any

import msgspec
import pytest

from logflume import ConfigurationError, ExceptionInfo, Frame, Level, Record
from logflume.encoders import Ecs, Json
from logflume.exception import take_exception
from logflume.record import Extra
from tests.intake import WHEN_NS, record_of


def read(record: Record, encoder: Ecs | None = None) -> dict[str, Any]:
    """Return what a parser reads, of exactly one line in which no name stands twice."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        assert len(dict(pairs)) == len(pairs)
        return dict(pairs)

    line = (encoder or Ecs()).encode(record)
    assert line.count(b"\n") == 1
    assert line.endswith(b"}\n")
    parsed = json.loads(line, object_pairs_hook=once)
    assert isinstance(parsed, dict)
    return parsed


def test_a_record_has_the_names_of_the_schema() -> None:
    """Time, level, message and version come first, at the top; the rest is nested."""
    record = record_of("Paid {amount}", amount=5)
    record = msgspec.structs.replace(record, time_ns=WHEN_NS, task="worker")
    shown = read(record)
    assert list(shown)[:4] == ["@timestamp", "log.level", "message", "ecs.version"]
    assert shown == {
        "@timestamp": "2026-01-02T03:04:05.678901Z",
        "log.level": "info",
        "message": "Paid 5",
        "ecs.version": "8.11.0",
        "log": {
            "logger": "tests.record",
            "origin": {
                "file": {"name": "intake.py", "line": record.site.line},
                "function": "record_of",
            },
        },
        "process": {"pid": record.to_dict()["process"], "thread": {"name": "MainThread"}},
        "labels": {"amount": 5, "template": "Paid {amount}", "task": "worker"},
    }


def test_it_agrees_with_elastic_s_own_logger() -> None:
    """What both know of a record, both say in the same places."""
    ecs_logging = pytest.importorskip("ecs_logging")
    try:
        raise ValueError("wrong")
    except ValueError as error:
        exc_info: Any = (ValueError, error, error.__traceback__)
        info = take_exception(error)
    theirs = logging.LogRecord("shop", 30, "/srv/shop.py", 7, "said", (), exc_info, "pay")
    theirs.created, theirs.msecs = WHEN_NS / 10**9, 678.0
    theirs.threadName = "MainThread"
    vars(theirs).update({"http.request.method": "GET", "trace.id": "abc"})
    expected = json.loads(ecs_logging.StdlibFormatter().format(theirs))

    record = record_of("said", trace_id="abc", **{"http.request.method": "GET"})
    record = msgspec.structs.replace(record, time_ns=WHEN_NS).replace(
        logger="shop", level=Level(30, "WARNING"), exception=info
    )
    shown = read(record, Ecs(time="iso-ms"))
    for members in (expected, shown):  # where they cannot agree, or need not
        assert members.pop("ecs.version")
        assert members["error"].pop("stack_trace")
        members["log"].pop("original", None)
        members["log"].pop("origin")
        for name in ("id", "name"):
            members["process"].pop(name, None)
        members["process"]["thread"].pop("id", None)
    assert shown == expected
    assert list(shown)[:3] == list(expected)[:3]


def test_fields_of_the_schema_go_where_it_says() -> None:
    """Dotted names and mappings under a field set are one and the same object at the top."""
    shown = read(record_of("m", http={"request": {"method": "GET"}, "version": "1.1"}, **{
        "http.response.status_code": 200, "event.dataset": "shop.log",
        "transaction_id": "t", "span_id": "s", "log.file.path": "/x", "service.name": "shop",
    }))  # fmt: skip
    assert shown["http"] == {
        "request": {"method": "GET"}, "version": "1.1", "response": {"status_code": 200},
    }  # fmt: skip
    assert (shown["transaction"], shown["span"]) == ({"id": "t"}, {"id": "s"})
    assert (shown["event"], shown["service"]) == ({"dataset": "shop.log"}, {"name": "shop"})
    assert shown["log"]["file"] == {"path": "/x"}
    assert "labels" not in shown


def test_a_span_is_that_of_the_record() -> None:
    """The record's own trace and span come before those of fields."""
    record = record_of("m", trace_id="mine", **{"span.name": "s"})
    shown = read(msgspec.structs.replace(record, extra=Extra(span=(10, 11))))
    assert shown["trace"] == {"id": f"{10:032x}"}
    assert shown["span"] == {"id": f"{11:016x}", "name": "s"}
    assert shown["labels"] == {"trace_id": "mine"}


def test_all_other_fields_are_flat_labels() -> None:
    """Labels have no dots and hold no objects; names of field sets alone are names like others."""
    shown = read(record_of("m", n=1, user="ann", shop={"id": 5, "of": {"a.b": [1]}, "no": {}}, **{
        "a.b*c\\d": None, "rows": [{"k": 1}], "labels.env": "prod", "labels": {"zone": "a"},
        "hash.md5": "x",
    }))  # fmt: skip
    assert shown["labels"] == {
        "n": 1, "user": "ann", "shop_id": 5, "shop_of_a_b": [1], "shop_no": "{}",
        "a_b_c_d": None, "rows": '[{"k":1}]', "env": "prod", "zone": "a", "hash_md5": "x",
    }  # fmt: skip


def test_a_namespace_keeps_the_form_of_fields() -> None:
    """Under a name of one's own, fields are nested as they were."""
    record = record_of("m", n=1, order={"id": 5, "rows": [{"k": 1}]}, **{"a.b": 2, "url.path": "/"})
    shown = read(record, Ecs(namespace="shop"))
    assert shown["shop"] == {"n": 1, "order": {"id": 5, "rows": [{"k": 1}]}, "a.b": 2}
    assert shown["url"] == {"path": "/"}


def test_fields_do_not_replace_what_the_record_says() -> None:
    """A field in the place of another, or in its way, becomes a label; nothing is lost."""
    info = ExceptionInfo("E", "wrong")
    record = record_of("m", **{
        "log.level": "forged", "log.logger": "forged", "process": {"pid": 0, "name": "p"},
        "error.type": "forged", "error.code": 5, "message": "forged", "@timestamp": "forged",
        "trace.id": "a", "trace_id": "b", "url": "x", "url.path": "/", "url.path.x": 1,
        "http..x": 1, "ecs.version": 0, "log_level": "x", "host": {}, "host.name": "h",
    }).replace(exception=info)  # fmt: skip
    shown = read(record)
    assert (shown["log.level"], shown["message"], shown["log"]["logger"]) == (
        "info", "m", "tests.record",
    )  # fmt: skip
    assert shown["error"] == {"type": "E", "message": "wrong", "stack_trace": "E: wrong", "code": 5}
    assert shown["process"]["pid"] != 0
    assert shown["process"]["name"] == "p"
    assert (shown["trace"], shown["url"], shown["host"]) == (
        {"id": "a"},
        {"path": "/"},
        {"name": "h"},
    )
    assert shown["labels"] == {
        "log_level": "forged", "log_logger": "forged", "process_pid": 0, "error_type": "forged",
        "message": "forged", "@timestamp": "forged", "trace_id": "b", "url": "x", "url_path_x": 1,
        "http__x": 1, "ecs_version": 0, "log_level_": "x",
    }  # fmt: skip
    assert record.fields["host"] == {}


def test_an_exception_has_its_whole_traceback() -> None:
    """`error.stack_trace` holds the causes, too."""
    info = ExceptionInfo("E", "wrong", [Frame("a.py", 1, "f")], cause=ExceptionInfo("C", "why"))
    trace = read(record_of("m").replace(exception=info))["error"]["stack_trace"]
    assert trace.startswith("C: why\n")
    assert trace.endswith('  File "a.py", line 1, in f\nE: wrong')


def test_what_processors_make_is_encoded_too() -> None:
    """Cycles, endless depth and foreign objects that come after capture still give a line."""
    ring: dict[Any, Any] = {}
    ring.update(a=ring, b=[ring], c=ring)
    deep: dict[Any, Any] = {}
    for _ in range(2_000):
        deep = {"k": deep}

    class Unprintable:
        def __repr__(self) -> str:
            raise ValueError("no")

    for value in (ring, deep, Unprintable(), {Unprintable(): {1, 2}}, [ring], {1: 1, "1": 2}):
        for key in ("value", "http", "http.x", 5):
            fields: dict[Any, Any] = {key: value, "fine": 1}
            for encoder in (Ecs(), Ecs(namespace="shop")):
                shown = read(record_of("m").replace(fields=fields), encoder)
                assert (shown.get("labels") or shown["shop"])["fine"] == 1
    while deep:
        deep = deep["k"]


@pytest.mark.parametrize("namespace", ["", "a.b", "log", "message", "@timestamp", "user", 5, None])
def test_a_namespace_that_means_nothing_is_refused(namespace: Any) -> None:
    """A name with dots, or one that the schema has another use for, is an error."""
    with pytest.raises(ConfigurationError, match=r"^Ecs\.namespace: got .*; accepted: "):
        Ecs(namespace=namespace)


def test_equal_encoders_are_equal() -> None:
    """Encoders with the same settings share their bytes; others do not."""
    assert Ecs() == Ecs()
    assert hash(Ecs(namespace="a")) == hash(Ecs(namespace="a"))
    others: list[Any] = [Ecs(namespace="a"), Ecs(time="iso-ms"), Json()]
    assert all(Ecs() != other for other in others)
    assert repr(Ecs()) == "Ecs()"
    assert repr(Ecs(namespace="a")) == "Ecs(namespace='a')"

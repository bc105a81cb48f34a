"""The record: what it shows, and how it is changed by copies."""

from __future__ import annotations

import os
from typing import Any

import msgspec
import pytest

from logflume import ExceptionInfo, Level, get_logger
from logflume.level import ERROR
from logflume.record import _MAX_SITES, Extra, _sites, site_of
from tests.intake import WHEN, WHEN_NS, captured, record_of


def test_to_dict_has_the_promised_keys() -> None:
    """A record shows at least time, level, message, fields, logger, site, process and thread."""
    shown = record_of("plain").to_dict()
    assert shown.keys() == {
        "timestamp", "level", "message", "fields", "logger", "file", "line", "function", "module",
        "process", "thread",
    }  # fmt: skip
    assert shown["level"] == "INFO"
    assert shown["process"] == os.getpid()
    assert shown["module"] == "intake"


def test_to_dict_has_more_where_there_is_more() -> None:
    """Template, task and exception are there only if they say something."""
    record = record_of("n={n}", n=1)
    assert record.to_dict()["template"] == "n={n}"
    record = msgspec.structs.replace(record, task="worker").replace(
        exception=ExceptionInfo("ValueError", "wrong")
    )
    assert record.to_dict()["task"] == "worker"
    assert record.to_dict()["exception"]["message"] == "wrong"


def test_the_time_is_utc_to_the_microsecond() -> None:
    """The timestamp is ISO 8601 with a Z, cut and not rounded."""
    record = msgspec.structs.replace(record_of(), time_ns=WHEN_NS)
    assert record.time == WHEN
    assert record.timestamp == "2026-01-02T03:04:05.678901Z"
    whole = msgspec.structs.replace(record, time_ns=WHEN_NS // 10**9 * 10**9)
    assert whole.timestamp == "2026-01-02T03:04:05.000000Z"


def test_a_dict_is_the_callers_own() -> None:
    """Whatever is done to one dict shows in no other, nor in the record."""
    record = record_of("x", user={"tags": ["a"], "pair": ([1], 2)}, n=1)
    shown = record.to_dict()
    shown["fields"]["user"]["tags"].append("b")
    shown["fields"]["user"]["pair"][0].append(2)
    shown["fields"]["new"] = 1
    del shown["fields"]["n"]
    assert record.to_dict()["fields"] == {"user": {"tags": ["a"], "pair": ([1], 2)}, "n": 1}
    assert record.fields == {"user": {"tags": ["a"], "pair": ([1], 2)}, "n": 1}


def test_a_dict_has_an_end_even_if_a_processor_made_a_cycle() -> None:
    """What a processor put in without end is cut in the dict."""
    ring: list[Any] = []
    ring.append(ring)
    assert "cycle" in repr(record_of().replace(fields={"ring": ring}).to_dict()["fields"])


def test_copies_are_changed_and_the_record_is_not() -> None:
    """`replace` returns another record; new fields show in a message that was not rendered yet."""
    record = record_of("user {user}", user="ann")
    other = record.replace(
        level=ERROR, fields={"user": "bob"}, logger="other",
        exception=ExceptionInfo("ValueError", "wrong"),
    )  # fmt: skip
    assert (other.message, other.level, other.logger) == ("user bob", ERROR, "other")
    assert other.exception is not None
    assert (record.message, record.logger, record.exception) == ("user ann", "tests.record", None)
    assert record.replace(message="said {user}").message == "said {user}"
    assert record.replace(level=Level(21, "CUSTOM")).to_dict()["level"] == "CUSTOM"


def test_a_bare_copy_holds_nothing_of_the_caller() -> None:
    """`bare` keeps time, level and place, and not one value that was given."""
    with captured() as taken:
        try:
            raise ValueError("secret")
        except ValueError:
            get_logger("t").bind(b="secret").exception("secret {x} {}", "secret", x="secret")
    record = taken.last.replace(message="withheld", fields={})
    assert "secret" not in repr(record.bare())
    assert record.bare().message == "withheld"


def test_the_site_is_the_line_of_the_call() -> None:
    """File, line, function and module are those of the call, also in calls of many lines."""
    log = get_logger("t")
    with captured() as taken:
        log.info("one line")
        first = taken.last.site
        log.info(
            "several lines {a}",
            a=1,
        )
        second = taken.last.site
    code = test_the_site_is_the_line_of_the_call.__code__
    assert (first.file, first.function, first.module) == (__file__, code.co_name, "test_record")
    assert first.line == code.co_firstlineno + 4
    assert second.line == first.line + 2
    assert site_of(first.code, first.lasti) is first


def test_sites_of_code_made_at_run_time_do_not_fill_the_memory() -> None:
    """The table of call sites is bounded, and an address used again gives the new code's site."""
    for n in range(50):
        code = compile(f"\n\n\nlog{n}()", f"<made {n}>", "exec")
        assert site_of(code, 0).file == f"<made {n}>"
        del code
    assert len(_sites) <= _MAX_SITES


@pytest.mark.parametrize("lasti", [-1, 10**9])
def test_a_site_that_is_not_there_is_the_function(lasti: int) -> None:
    """An offset outside the code gives the function's first line, not an error."""
    code = record_of.__code__
    assert site_of(code, lasti).line == code.co_firstlineno


def test_a_bare_record_still_says_where_it_must_not_go() -> None:
    """Or what a sink logs, withheld, would go round in circles; and its trace tells no secret."""
    record = record_of("secret")
    record.extra = Extra(None, frozenset({"file"}), False, (1, 2))
    bare = record.replace(exception=ExceptionInfo("ValueError", "secret")).bare()
    assert bare.origins == {"file"}
    assert bare.span_id == "0000000000000002"
    assert bare.exception is None


@pytest.mark.parametrize(
    ("part", "given", "told"),
    [
        ("fields", [("a", 1)], "fields must be dict, not list"),
        ("message", b"m", "message must be str, not bytes"),
        ("template", b"m", "template must be str, not bytes"),
        ("args", [1], "args must be tuple, not list"),
        ("bound", None, "bound must be dict, not NoneType"),
        ("task", 1, "task must be str, not int"),
        ("exception", ValueError(), "exception must be ExceptionInfo, not ValueError"),
    ],
)
def test_a_part_of_another_type_is_refused_where_it_is_given(
    part: str, given: Any, told: str
) -> None:
    """Not by an encoder, from which nothing leads to the processor that gave it."""
    with pytest.raises(TypeError, match=told):
        record_of("m").replace(**{part: given})


def test_a_record_may_be_taken_out_of_its_task() -> None:
    """None is no text, and allowed."""
    assert record_of("m").replace(task="t").replace(task=None).task is None


def test_fields_of_a_subclass_become_a_plain_dict() -> None:
    """With what a dict has to say of them."""

    class Odd(dict[str, Any]):
        def items(self) -> Any:
            raise ValueError("no")

    record = record_of("m").replace(fields=Odd(a=1))
    assert type(record.fields) is dict
    assert record.fields == {"a": 1}

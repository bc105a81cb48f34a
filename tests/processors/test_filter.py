"""Which records go on."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from logflume import ConfigurationError, Level, Pipeline, Record, Route, get_logger
from logflume.processors import Filter
from tests.fakes import Collect
from tests.intake import captured, record_of


def said_by(logger: str, level: str | int = "INFO", **fields: Any) -> Record:
    """Return a record of this logger, at this level."""
    with captured() as taken:
        get_logger(logger).log(level, "m", **fields)
    return taken.last


def at(level: str | int) -> Record:
    """Return a record at this level."""
    return said_by("tests", level)


def kept(condition: Filter, records: list[Record]) -> list[bool]:
    """Return which records a filter keeps, and hold its three ways of saying so to each other."""
    verdicts = [condition(record) is record for record in records]
    assert [condition(record) is None for record in records] == [not v for v in verdicts]
    assert [condition.accepts(record) for record in records] == verdicts
    assert [(~condition).accepts(record) for record in records] == [not v for v in verdicts]
    assert not condition.passes(records) or all(verdicts)
    return verdicts


LEVELS: list[str | int] = ["DEBUG", "INFO", 22, "WARNING", "ERROR"]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"min_level": "INFO"}, "01111"),
        ({"min_level": "warning"}, "00011"),
        ({"max_level": 20}, "11000"),
        ({"min_level": "INFO", "max_level": "WARNING"}, "01110"),
        ({"min_level": "INFO", "max_level": "INFO"}, "01000"),
        ({"levels": ["DEBUG", "ERROR", 22]}, "10101"),
        ({"levels": "INFO"}, "01000"),
        ({"levels": [Level(20, "NOTICE")]}, "01000"),
        ({"min_level": "INFO", "levels": {"DEBUG", "INFO"}}, "01000"),
    ],
)
def test_levels_are_within_bounds_or_one_of_some(options: Any, expected: str) -> None:
    """Both bounds are included, levels are their numbers, and all conditions are to be met."""
    records = [at(level) for level in LEVELS]
    assert kept(Filter(**options), records) == [digit == "1" for digit in expected]


@pytest.mark.parametrize(
    ("logger", "covered"),
    [
        ("app.db", True),
        ("app.db.x", True),
        ("app.db.x.y", True),
        ("app.dbx", False),
        ("app", False),
        ("xapp.db", False),
        ("web", True),
        ("", False),
    ],
)
def test_a_logger_s_name_covers_what_is_below_it(logger: str, covered: bool) -> None:
    """Below is by the dots, not by the letters; the verdict is the same the second time."""
    condition = Filter(logger=["app.db", "web"])
    record = record_of().replace(logger=logger)
    assert kept(condition, [record, record]) == [covered, covered]


def test_more_logger_names_than_are_remembered_are_no_harm() -> None:
    """Names made at run time fill no memory, and get the right verdicts."""
    condition = Filter(logger="a")
    record = record_of()
    for number in range(5_000):
        assert condition(record.replace(logger=f"a.{number}"))
        assert not condition(record.replace(logger=f"a{number}"))


def test_the_call_site_s_module_and_function_are_whole_names() -> None:
    """One of several, and not a part of one."""
    record = record_of()  # said in intake.py, by record_of
    assert kept(Filter(module="intake", function="record_of"), [record]) == [True]
    assert kept(Filter(module=("x", "intake")), [record]) == [True]
    assert kept(Filter(module="intak"), [record]) == [False]
    assert kept(Filter(module="intake", function="record"), [record]) == [False]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"has": "user"}, True),
        ({"has": ["user", "nothing"]}, True),
        ({"has": ["user", "other"]}, False),
        ({"fields": {"user": "ann"}}, True),
        ({"fields": {"user": "ann", "status": 500}}, True),
        ({"fields": {"user": "ann", "status": 200}}, False),
        ({"fields": {"nothing": None}}, True),
        ({"fields": {"other": None}}, False),
        ({"fields": {"tags": ["a", "b"]}}, True),
        ({"fields": {"tags": {"a"}}}, False),
        ({"fields": {"status": lambda status: status >= 500}}, True),
        ({"fields": {"user": "ann", "status": lambda status: status < 500}}, False),
        ({"fields": {"other": lambda _: True}}, False),
        ({"has": "user", "where": lambda record: record.fields["status"] == 500}, True),
        ({"where": lambda record: ""}, False),
    ],
)
def test_fields_are_there_equal_or_as_a_function_says(options: Any, expected: bool) -> None:
    """A field that is not there equals nothing, and no function is asked about it."""
    record = record_of("m", user="ann", status=500, nothing=None, tags=["a", "b"])
    assert kept(Filter(**options), [record]) == [expected]


def test_any_lets_through_what_one_of_several_does() -> None:
    """And turning that round keeps what none of them does."""
    records = [said_by("a"), said_by("b"), said_by("a", "ERROR"), said_by("c", "ERROR")]
    either = Filter.any(Filter(logger="a"), Filter(min_level="ERROR"))
    assert kept(either, records) == [True, False, True, True]
    assert kept(~either, records) == [False, True, False, False]
    assert kept(Filter.any(Filter(logger="b")), records) == [False, True, False, False]


def test_it_speaks_for_many_records_without_asking_functions_twice() -> None:
    """A function may count, say: it is called once for each record, as it goes through."""
    records = [record_of(), record_of()]
    assert Filter(min_level="INFO").passes(records)
    assert not Filter(min_level="ERROR").passes(records)
    assert (~Filter(min_level="ERROR")).passes(records)
    assert not Filter.any(Filter(min_level="INFO"), Filter(where=bool)).passes(records)
    asked: list[Any] = []
    assert not Filter(where=asked.append).passes(records)
    assert not Filter(fields={"user": asked.append}).passes(records)
    assert asked == []


async def is_wanted(record: Record, wanted: str = "yes") -> bool:
    return record.message == wanted


class Wanted:
    async def __call__(self, record: Record) -> bool:
        return await is_wanted(record)


@pytest.mark.parametrize("where", [is_wanted, partial(is_wanted, wanted="yes"), Wanted()])
async def test_an_async_condition_is_awaited_last(where: Callable[..., Any]) -> None:
    """A record that fails another condition is not asked about."""
    condition = Filter(min_level="INFO", where=where)
    assert not condition.inline
    yes, no = record_of("yes"), record_of("no")
    assert await condition(yes) is yes
    assert await condition(no) is None
    assert condition(at("DEBUG")) is None
    assert not condition.passes([yes])


def test_an_async_condition_is_refused_where_nothing_is_awaited() -> None:
    """In a route, in `any`, turned round, and for the value of a field."""
    condition = Filter(where=is_wanted)
    for use in (
        lambda: condition.accepts,
        lambda: ~condition,
        lambda: Filter.any(condition),
        lambda: Route(Collect(), filter=condition),
        lambda: Filter(fields={"user": is_wanted}),
    ):
        with pytest.raises(ConfigurationError, match="not async"):
            use()


def test_something_to_await_is_no_verdict() -> None:
    """A function that hides its being async is found out, rather than believed."""
    with pytest.raises(TypeError, match="async def"):
        Filter(where=lambda record: is_wanted(record))(record_of())


@pytest.mark.parametrize(
    ("options", "setting"),
    [
        ({}, "Filter"),
        ({"min_level": "LOUD"}, "Filter.min_level"),
        ({"max_level": -1}, "Filter.max_level"),
        ({"min_level": "ERROR", "max_level": "INFO"}, "Filter.max_level"),
        ({"levels": []}, "Filter.levels"),
        ({"levels": ["LOUD"]}, "Filter.levels"),
        ({"levels": 1.5}, "Filter.levels"),
        ({"levels": b"x"}, "Filter.levels"),
        ({"logger": ""}, "Filter.logger"),
        ({"logger": 5}, "Filter.logger"),
        ({"module": [1]}, "Filter.module"),
        ({"function": ()}, "Filter.function"),
        ({"has": []}, "Filter.has"),
        ({"fields": {}}, "Filter.fields"),
        ({"fields": ["user"]}, "Filter.fields"),
        ({"where": "user == 'ann'"}, "Filter.where"),
    ],
)
def test_a_condition_that_means_nothing_is_refused(options: Any, setting: str) -> None:
    """The error names the condition."""
    with pytest.raises(ConfigurationError, match=f"^{setting}: got .*; accepted: "):
        Filter(**options)


def test_any_of_no_filters_is_refused() -> None:
    """It would let nothing through."""
    with pytest.raises(ConfigurationError, match="at least one"):
        Filter.any()


async def test_one_filter_serves_a_pipeline_and_its_routes() -> None:
    """What the processors keep goes on to the routes, and what those want arrives there."""
    log = get_logger("app")
    errors, rest = Collect("errors"), Collect("rest")
    is_error = Filter(min_level="ERROR")
    async with Pipeline(
        Route(errors, filter=is_error),
        Route(rest, filter=~is_error),
        processors=[~Filter(fields={"path": "/health"}), Filter(where=is_not_secret)],
    ) as pipeline:
        log.info("GET {path}", path="/health")
        log.info("GET {path}", path="/cart")
        log.error("GET {path}", path="/health")
        log.error("failed")
        log.error("secret")
    assert errors.messages == ["failed"]
    assert rest.messages == ["GET /cart"]
    assert pipeline.stats().door.filtered == 3


async def is_not_secret(record: Record) -> bool:
    return record.message != "secret"

"""What a capture has taken: found by what was logged, and told apart when it is not there."""

from __future__ import annotations

import dataclasses
import re
import threading
from collections.abc import Callable
from typing import Any

import anyio
import anyio.to_thread
import pytest

from logflume import ConfigurationError, PipelineError, get_logger
from logflume.testing import Logs, capture
from tests.fakes import name_of_case

log = get_logger("shop")


@dataclasses.dataclass
class Point:
    x: int
    y: int


@pytest.fixture
def logs() -> Logs:
    """Three records of a shop."""
    with capture() as logs:
        log.info("User {user} logged in", user="alice", id=7)
        log.warning("Cart is full", at=Point(1, 2), tags={"a"}, user=None)
        get_logger("shop.db").opt(exception=ValueError("odd")).error("Query failed", level=3)
    return logs


def numbers(logs: Logs, found: list[Any]) -> list[int]:
    return [i for i, record in enumerate(logs) if record in found]


def test_it_is_a_sequence_of_records(logs: Logs) -> None:
    """In the order of the calls, by index and slice, and true if there are any."""
    assert len(logs) == 3
    assert logs[0] is logs.records[0]
    assert logs[-1].message == "Query failed"
    assert logs[1:] == list(logs)[1:]
    assert logs.messages == ["User alice logged in", "Cart is full", "Query failed"]
    assert not Logs()
    assert repr(logs) == "<Logs: 3 records>"


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({}, [0, 1, 2]),
        ({"message": "Cart is full"}, [1]),
        ({"message": "User {user} logged in"}, [0]),
        ({"message": "User alice logged in"}, [0]),
        ({"message": "alice"}, []),
        ({"message": re.compile("alice|Query")}, [0, 2]),
        ({"message": str.istitle}, []),
        ({"message": lambda text: text.endswith("full")}, [1]),
        ({"level": "warning"}, [1]),
        ({"level": 40}, [2]),
        ({"at_least": "WARNING"}, [1, 2]),
        ({"logger": "shop"}, [0, 1]),
        ({"logger": re.compile(r"^shop\.")}, [2]),
        ({"exception": ValueError}, [2]),
        ({"exception": "ValueError"}, [2]),
        ({"exception": KeyError}, []),
        ({"exception": True}, [2]),
        ({"exception": False}, [0, 1]),
        ({"user": "alice"}, [0]),
        ({"user": None}, [1]),
        ({"user": str}, [0]),
        ({"id": lambda number: number > 6}, [0]),
        ({"id": lambda number: number.nothing}, []),
        ({"at": Point(1, 2)}, [1]),
        ({"at": {"x": 1, "y": 2}}, [1]),
        ({"tags": {"a"}}, [1]),
        ({"fields": {"level": 3}}, [2]),
        ({"fields": {"id": 7}, "user": "alice", "level": "INFO"}, [0]),
        ({"unknown": 1}, []),
    ],
    ids=name_of_case,
)
def test_records_are_found_by_what_was_logged(
    logs: Logs, wanted: dict[str, Any], found: list[int]
) -> None:
    """All that is asked must hold."""
    assert numbers(logs, logs.find(**wanted)) == found


def test_one_and_assert_logged_return_the_record(logs: Logs) -> None:
    """So that a test can look further."""
    assert logs.one("Cart is full") is logs[1]
    assert logs.assert_logged(logger="shop") is logs[0]
    assert logs.assert_logged(logger="shop", times=2) is logs[0]
    logs.assert_none(level="CRITICAL")


def failure(call: Callable[[], object]) -> str:
    with pytest.raises(AssertionError) as raised:
        call()
    return re.sub(r"\[\S+:\d+\]", "[file:1]", str(raised.value))


def test_a_failure_shows_the_nearest_records_and_the_difference(logs: Logs) -> None:
    """The nearest first, each with the points in which it is another one."""
    text = failure(lambda: logs.assert_logged("User bob logged in", level="INFO", user="bob", n=1))
    assert text.splitlines() == [
        "no record with level INFO, message 'User bob logged in', user='bob', n=1; nearest of 3:",
        "  INFO     shop 'User alice logged in' user='alice' id=7 [file:1]",
        "      message: 'User alice logged in', not 'User bob logged in'",
        "      user: 'alice', not 'bob'",
        "      n: missing, not 1",
        "  ERROR    shop.db 'Query failed' level=3 (ValueError: 'odd') [file:1]",
        "      level: ERROR, not INFO",
        "      message: 'Query failed', not 'User bob logged in'",
        "      user: missing, not 'bob'",
        "      n: missing, not 1",
        "  WARNING  shop 'Cart is full' at={'x': 1, 'y': 2} tags=['a'] user=None [file:1]",
        "      level: WARNING, not INFO",
        "      message: 'Cart is full', not 'User bob logged in'",
        "      user: None, not 'bob'",
        "      n: missing, not 1",
    ]


def test_other_differences_are_told_too(logs: Logs) -> None:
    """Levels, loggers, exceptions, patterns, classes and functions."""
    text = failure(
        lambda: logs.one(
            re.compile("Nobody"), at_least="ERROR", logger="x", exception=KeyError, id=str
        )
    )
    for line in (
        "level ERROR or above, logger 'x', message /Nobody/, exception KeyError, id=any str",
        "level: INFO, below ERROR",
        "logger: 'shop.db', not 'x'",
        "exception: ValueError, not KeyError",
        "exception: none, not KeyError",
        "id: 7, not any str",
    ):
        assert line in text
    assert "exception: none, not any" in failure(lambda: logs.one(exception=True, id=7))
    assert "exception: ValueError, not none" in failure(
        lambda: logs.one("Query failed", exception=False)
    )


def test_too_many_are_shown(logs: Logs) -> None:
    """By `one`, by a number of `times`, and by `assert_none`."""
    assert failure(lambda: logs.one(logger="shop")).startswith("2 records, not 1, with logger")
    assert "2 records, not 3" in failure(lambda: logs.assert_logged(logger="shop", times=3))
    text = failure(lambda: logs.assert_none(at_least="ERROR"))
    assert text == (
        "1 record with level ERROR or above:\n"
        "  ERROR    shop.db 'Query failed' level=3 (ValueError: 'odd') [file:1]"
    )
    assert "nothing was logged" in failure(lambda: Logs().one("x"))


def test_what_is_shown_is_bounded_and_on_one_line_each() -> None:
    """Whatever was logged."""
    with capture() as logs:
        for n in range(60):
            log.info("line\nbreak", n=n, long="x" * 10_000)
    lines = str(logs).splitlines()
    assert len(lines) == 51
    assert lines[0] == "... 10 more before these"
    assert max(map(len, lines)) < 300
    assert str(Logs()) == "(nothing was logged)"


@pytest.mark.parametrize(
    ("wanted", "told"),
    [
        ({"level": "LOUD"}, "level: got 'LOUD'"),
        ({"at_least": object}, "at_least: got"),
        ({"message": 3}, "message: got 3"),
        ({"logger": 3}, "logger: got 3"),
        ({"exception": int}, "exception: got"),
        ({"exception": 3}, "exception: got 3"),
        ({"times": 0}, "times: got 0"),
    ],
)
def test_a_question_that_means_nothing_is_refused(wanted: dict[str, Any], told: str) -> None:
    """Or a mistake in a test would pass as a record that is not there."""
    with pytest.raises(ConfigurationError, match=told):
        Logs().assert_logged(**wanted)


def test_clear_forgets_what_came_so_far() -> None:
    """And takes what comes next."""
    with capture() as logs:
        log.info("first")
        logs.clear()
        log.info("second")
    assert logs.messages == ["second"]


async def test_until_waits_for_a_record_of_any_thread() -> None:
    """Woken by it, not by polling; one that is there already is returned at once."""
    go = threading.Event()

    def work() -> None:
        go.wait()
        log.info("Job {n} done", n=1)

    with capture() as logs:
        thread = threading.Thread(target=work)
        thread.start()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(logs.until, "Job 1 done")
            await anyio.wait_all_tasks_blocked()
            log.info("something else")
            go.set()
        assert (await logs.until("Job 1 done", within=20)).fields == {"n": 1}
        await anyio.to_thread.run_sync(thread.join)


async def test_until_says_what_came_instead() -> None:
    """As a failing assertion does."""
    with capture() as logs:
        log.info("Job 2 done")
        with pytest.raises(AssertionError, match=r"(?s)in 0.01 s, no record .* not 'Job 1 done'"):
            await logs.until("Job 1 done", within=0.01)


def test_wait_blocks_a_thread_until_a_record_came() -> None:
    """For scripts and threads."""
    with capture() as logs:
        thread = threading.Thread(target=log.info, args=("from afar",))
        thread.start()
        assert logs.wait("from afar").thread == thread.name
        thread.join()
        with pytest.raises(AssertionError, match=r"in 0\.01 s, no record"):
            logs.wait("never", within=0.01)


async def test_wait_refuses_to_block_a_loop() -> None:
    """It would wait for what can never come."""
    with capture() as logs, pytest.raises(PipelineError, match="would block the event loop"):
        logs.wait("never")


class Account:
    def __repr__(self) -> str:
        return "<Account 7>"


def test_a_class_that_no_record_has_is_told() -> None:
    """What was logged is in the record as plain data: the failure says so."""
    with capture() as logs:
        log.info("Opened", account=Account(), by=Account, n=1)
    with pytest.raises(AssertionError, match=r"not any Account \(records have plain data of it\)"):
        logs.one(account=Account)
    with pytest.raises(AssertionError, match=r"n: 1, not any str$"):
        logs.one(n=str)
    logs.one(account=Account(), by=Account)  # and a class that was logged is itself


def test_fields_have_to_be_a_mapping() -> None:
    """As all that means nothing, others are refused by name."""
    with capture() as logs, pytest.raises(ConfigurationError, match="fields: got 5"):
        logs.find(fields=5)  # type: ignore[arg-type]

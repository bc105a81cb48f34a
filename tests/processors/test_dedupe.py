"""One record for many that say the same."""

from __future__ import annotations

from operator import attrgetter
from typing import Any

import pytest

from logflume import ConfigurationError, Record, get_logger
from logflume.processors import Dedupe
from tests.intake import captured
from tests.processors.given import Clock, out_of, said


def messages(records: Record | list[Record] | None) -> list[str]:
    return [record.message for record in out_of(records)]


def test_the_first_passes_and_the_last_stands_for_the_others() -> None:
    """What comes out came in: the last repeat, with its own time, saying how many there were."""
    clock = Clock()
    dedupe = Dedupe(10, clock=clock)
    records = [said("down", host="db") for _ in range(38)]
    assert dedupe(records[0]) is records[0]
    assert [dedupe(record) for record in records[1:]] == [None] * 37
    clock.now += 10
    (last,) = dedupe.release()
    assert last.message == "down (repeated 37 times)"
    assert last.fields == {"host": "db", "repeated": 37}
    assert last.time_ns == records[-1].time_ns
    assert (records[-1].message, records[-1].fields) == ("down", {"host": "db"})
    assert (dedupe.due(), dedupe.release()) == (None, [])


def test_one_repeat_is_repeated_once() -> None:
    """Even so it is kept back: more might have come."""
    dedupe = Dedupe()
    dedupe(said("down"))
    assert dedupe(said("down")) is None
    (last,) = dedupe.release()
    assert (last.message, last.fields) == ("down (repeated once)", {"repeated": 1})


def test_the_next_record_ends_a_window_that_is_over() -> None:
    """What was kept back goes out before it, and it begins a new window."""
    clock = Clock()
    dedupe = Dedupe(10, clock=clock)
    for n in range(10):
        dedupe(said("a", n=n % 2))
        clock.now += 1
    assert messages(dedupe(said("a", n=0))) == [
        "a (repeated 4 times)",
        "a (repeated 4 times)",
        "a",
    ]
    clock.now += 9.9
    assert dedupe(said("a", n=0)) is None
    clock.now += 0.1
    assert messages(dedupe(said("b"))) == ["a (repeated once)", "b"]


def test_what_others_log_in_between_does_not_matter() -> None:
    """Concurrent tasks that say the same by turns are collapsed all the same."""
    dedupe = Dedupe()
    assert messages(dedupe(said("a"))) + messages(dedupe(said("b"))) == ["a", "b"]
    assert [dedupe(said(message)) for message in "abab"] == [None] * 4


def test_what_goes_out_together_is_in_the_order_in_which_it_came() -> None:
    """By the last repeat of each, not by the first."""
    dedupe = Dedupe()
    for message in "abcabca":
        dedupe(said(message))
    assert messages(dedupe.release()) == [
        "b (repeated once)",
        "c (repeated once)",
        "a (repeated 2 times)",
    ]


def test_nothing_is_due_unless_something_is_kept() -> None:
    """Without repeats nobody needs to wake; with some, the end of the window is the time."""
    clock = Clock()
    dedupe = Dedupe(10, clock=clock)
    assert (dedupe.due(), dedupe.release()) == (None, [])
    dedupe(said())
    assert dedupe.due() is None
    clock.now += 4
    dedupe(said())
    assert dedupe.due() == 1_010.0


def test_a_flush_gives_out_what_is_kept_and_leaves_the_window() -> None:
    """After it, repeats are kept back until the window's end as before, and counted anew."""
    clock = Clock()
    dedupe = Dedupe(10, clock=clock)
    for _ in range(3):
        dedupe(said("a"))
    assert messages(dedupe.release()) == ["a (repeated 2 times)"]
    assert dedupe(said("a")) is None
    assert dedupe.due() == 1_010.0
    clock.now += 10
    assert messages(dedupe.release()) == ["a (repeated once)"]
    assert messages(dedupe(said("a"))) == ["a"]


@pytest.mark.parametrize(
    "other",
    [
        {"level": "ERROR"},
        {"n": 2},
        {"n": True},
        {"n": 1.0},
        {"n": "1"},
        {"n": [1]},
        {"n": 1, "m": None},
    ],
)
def test_records_that_differ_pass(other: dict[str, Any]) -> None:
    """In level, or in any field: its name, value, or the value's type."""
    dedupe = Dedupe()
    record = said(**{"n": 1} | other)
    assert dedupe(said(n=1)) is not None
    assert dedupe(record) is record


def test_loggers_messages_and_exceptions_are_told_apart() -> None:
    """The same text of another logger, or about another failure, is something else."""
    dedupe = Dedupe()
    with captured() as taken:
        for name in ("a", "b"):
            get_logger(name).info("x")
        for text in ("x", "y"):
            get_logger("c").info(text)
        for error in (KeyError(1), KeyError(2), ValueError(2), KeyError(1)):
            get_logger("d").opt(exception=error).error("failed")
    assert [dedupe(record) is not None for record in taken.records] == [True] * 7 + [False]


def test_fields_of_any_kind_and_length_can_be_compared() -> None:
    """Nested values are, and long ones are not kept."""
    dedupe = Dedupe()
    for value in ({"a": [1, {"b": None}]}, "x" * 100_000, "x" * 99_999 + "y", float("nan")):
        assert dedupe(said("say {v}", v=value)) is not None
        assert dedupe(said("say {v}", v=value)) is None
    assert all("x" * 1_000 not in repr(key) for key in dedupe._seen)


def test_a_key_leaves_out_what_differs() -> None:
    """A callable, or the field that alone matters; records without it are the same."""
    dedupe = Dedupe(key=attrgetter("template"))
    assert [bool(dedupe(said("User {n}", n=n))) for n in range(3)] == [True, False, False]
    assert messages(dedupe.release()) == ["User 2 (repeated 2 times)"]
    dedupe = Dedupe(key="host", field="times")
    kept = [bool(dedupe(record)) for record in (said(host="a"), said("x", host="a"), said("y"))]
    assert (kept, dedupe(said("z"))) == ([True, False, True], None)
    assert [record.fields for record in dedupe.release()] == [
        {"host": "a", "times": 1},
        {"times": 1},
    ]


def test_too_many_different_records_end_the_window_early() -> None:
    """Memory is bounded, and what is kept goes out rather than to be forgotten."""
    dedupe = Dedupe(max_keys=3)
    for message in "abcab":
        dedupe(said(message))
    assert messages(dedupe(said("d"))) == ["a (repeated once)", "b (repeated once)", "d"]
    assert messages(dedupe(said("a"))) == ["a"]
    for n in range(100):
        dedupe(said(str(n)))
        assert len(dedupe._seen) <= 3


def test_a_child_process_forgets() -> None:
    """What the parent keeps, the parent gives out."""
    dedupe = Dedupe()
    dedupe(said())
    dedupe(said())
    dedupe.forget()
    assert (dedupe.due(), dedupe.release()) == (None, [])
    record = said()
    assert dedupe(record) is record


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"window": 0}, "Dedupe.window"),
        ({"window": "10"}, "Dedupe.window"),
        ({"key": 7}, "Dedupe.key"),
        ({"field": 7}, "Dedupe.field"),
        ({"max_keys": 0}, "Dedupe.max_keys"),
        ({"key": ""}, "Dedupe.key"),
        ({"clock": 0}, "Dedupe.clock"),
    ],
)
def test_settings_that_mean_nothing_are_refused(settings: dict[str, Any], named: str) -> None:
    """The error names the setting."""
    with pytest.raises(ConfigurationError) as error:
        Dedupe(**settings)
    assert str(error.value).startswith(f"{named}: ")

"""What led to an error, and nothing of what went well."""

from __future__ import annotations

from operator import attrgetter
from typing import Any

import pytest

from logflume import ConfigurationError, Record
from logflume.processors import FingersCrossed
from tests.processors.given import Clock, out_of, said


def passed(fingers: FingersCrossed, message: str, level: str = "DEBUG", **fields: Any) -> list[str]:
    """Give it a record of request 1, unless told otherwise, and return what comes out."""
    record = said(message, level=level, **{"request": 1} | fields)
    return [record.message for record in out_of(fingers(record))]


def crossed(**settings: Any) -> FingersCrossed:
    given: dict[str, Any] = {"key": "request", "clock": Clock()} | settings
    return FingersCrossed(**given)


def test_what_led_to_an_error_comes_out_before_it() -> None:
    """In its order, as it came, and of that key alone."""
    fingers = crossed()
    mine, others = ([said(m, request=n) for m in "abc"] for n in (1, 2))
    for pair in zip(mine, others, strict=True):
        assert [fingers(record) for record in pair] == [None, None]
    error = said("failed", level="ERROR", request=1)
    assert fingers(error) == [*mine, error]
    assert passed(fingers, "failed", "CRITICAL", request=2) == ["a", "b", "c", "failed"]


def test_after_an_error_all_of_its_key_passes() -> None:
    """For so long after the last one; others are kept back as before."""
    clock = Clock()
    fingers = crossed(stay_open=10, clock=clock)
    assert passed(fingers, "failed", "ERROR") == ["failed"]
    clock.now += 9
    assert passed(fingers, "after") == ["after"]
    assert passed(fingers, "other", request=2) == []
    assert passed(fingers, "again", "ERROR") == ["again"]
    clock.now += 9
    assert passed(fingers, "after") == ["after"]
    clock.now += 1
    assert passed(fingers, "long after") == []
    assert passed(fingers, "third", "ERROR") == ["long after", "third"]


def test_it_may_stay_open_for_good_or_not_at_all() -> None:
    """None and 0."""
    clock = Clock()
    for stay_open, later in ((None, ["later"]), (0, [])):
        fingers = crossed(stay_open=stay_open, clock=clock)
        passed(fingers, "failed", "ERROR")
        clock.now += 1_000_000 if stay_open is None else 0
        assert passed(fingers, "later") == later


def test_warnings_pass_at_once() -> None:
    """They bring nothing out, and overtake what is kept."""
    fingers = crossed()
    assert passed(fingers, "a", "INFO") == []
    assert passed(fingers, "w", "WARNING") == ["w"]
    assert passed(fingers, "failed", "ERROR") == ["a", "failed"]


def test_the_levels_can_be_chosen() -> None:
    """With no level that passes, all that is below the trigger is kept in its order."""
    fingers = crossed(pass_level=None)
    assert passed(fingers, "a") + passed(fingers, "w", "WARNING") == []
    assert passed(fingers, "failed", "ERROR") == ["a", "w", "failed"]
    fingers = crossed(trigger="WARNING", pass_level=20)
    assert passed(fingers, "a") == []
    assert passed(fingers, "i", "INFO") == ["i"]
    assert passed(fingers, "w", "WARNING") == ["a", "w"]


def test_neither_time_nor_a_flush_brings_out_what_is_kept() -> None:
    """It was filtered, unless an error comes."""
    fingers = crossed()
    passed(fingers, "a")
    processor: Any = fingers
    assert (processor.due(), processor.release()) == (None, [])
    assert passed(fingers, "failed", "ERROR") == ["a", "failed"]


def test_the_last_records_of_a_key_are_kept() -> None:
    """Older ones make room for newer ones."""
    fingers = crossed(keep=3)
    for message in "abcde":
        passed(fingers, message)
    assert passed(fingers, "failed", "ERROR") == ["c", "d", "e", "failed"]


def test_old_records_do_not_come_out() -> None:
    """What was kept for longer than `max_age` has nothing to do with the error."""
    clock = Clock()
    fingers = crossed(max_age=10, clock=clock)
    passed(fingers, "a")
    clock.now += 5
    passed(fingers, "b")
    clock.now += 5
    assert passed(fingers, "failed", "ERROR") == ["b", "failed"]


def test_keys_that_fell_silent_are_forgotten() -> None:
    """When another key begins, those whose records are all too old make room."""
    clock = Clock()
    fingers = crossed(max_age=10, clock=clock)
    for n in range(5):
        passed(fingers, "a", request=n)
        clock.now += 2
    passed(fingers, "b", request=0)
    clock.now += 5
    passed(fingers, "a", request=5)
    assert list(fingers._kept) == [3, 4, 0, 5]


def test_no_more_keys_are_known_than_it_was_told() -> None:
    """Of those that are kept back, the one silent longest makes room; so do those that pass."""
    fingers = crossed(max_keys=2)
    for n in (1, 2, 1, 3):
        passed(fingers, str(n), request=n)
    assert passed(fingers, "failed", "ERROR", request=2) == ["failed"]
    assert passed(fingers, "failed", "ERROR", request=1) == ["1", "1", "failed"]
    assert passed(fingers, "failed", "ERROR", request=3) == ["3", "failed"]
    assert [passed(fingers, "x", request=n) for n in (1, 2, 3)] == [["x"], [], ["x"]]
    for n in range(100):
        passed(fingers, "x", request=n)
        passed(fingers, "x", "ERROR", request=-n)
    assert len(fingers._kept) == len(fingers._open) == 2


def test_a_new_error_keeps_its_key_among_those_that_pass() -> None:
    """The one whose last error is longest ago is kept back again first."""
    fingers = crossed(max_keys=2)
    for n in (1, 2, 1, 3):
        passed(fingers, "failed", "ERROR", request=n)
    assert [passed(fingers, "x", request=n) for n in (1, 2, 3)] == [["x"], [], ["x"]]


def test_records_without_the_key_belong_together() -> None:
    """An error outside any request brings out what was said outside any."""
    fingers = crossed()
    assert fingers(said("starting")) is None
    passed(fingers, "a")
    assert [r.message for r in out_of(fingers(said("no", level="ERROR")))] == ["starting", "no"]


def test_the_task_may_be_the_key() -> None:
    """And anything else that a callable gives."""
    fingers = crossed(key=attrgetter("task"))
    assert fingers(said("a")) is None
    assert len(out_of(fingers(said("no", level="ERROR")))) == 2
    fingers = crossed(key=lambda record: [record.fields["request"]])
    assert passed(fingers, "a") == []
    assert passed(fingers, "failed", "ERROR") == ["a", "failed"]


def test_a_key_that_fails_leaves_everything_as_it_was() -> None:
    """The exception is the engine's to tell; what is kept stays."""
    fingers = crossed(key=lambda record: record.fields["request"])
    passed(fingers, "a")
    with pytest.raises(KeyError):
        fingers(said("without"))
    assert passed(fingers, "failed", "ERROR") == ["a", "failed"]


def test_a_child_process_forgets() -> None:
    """What the parent keeps, the parent gives out; what fails there is not its child's."""
    fingers = crossed()
    passed(fingers, "a")
    passed(fingers, "failed", "ERROR", request=2)
    fingers.forget()
    assert passed(fingers, "b", request=2) == []
    assert passed(fingers, "failed", "ERROR") == ["failed"]


def records_in(fingers: FingersCrossed) -> list[Record]:
    return [record for ring in fingers._kept.values() for _, record in ring]


def test_what_came_out_is_let_go() -> None:
    """A record is given out once."""
    fingers = crossed(stay_open=0)
    passed(fingers, "a")
    passed(fingers, "failed", "ERROR")
    assert records_in(fingers) == []
    assert passed(fingers, "failed", "ERROR") == ["failed"]


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"key": 7}, "FingersCrossed.key"),
        ({"trigger": "LOUD"}, "FingersCrossed.trigger"),
        ({"pass_level": "LOUD"}, "FingersCrossed.pass_level"),
        ({"pass_level": "CRITICAL"}, "FingersCrossed.pass_level"),
        ({"keep": 0}, "FingersCrossed.keep"),
        ({"keep": 10**30}, "FingersCrossed.keep"),
        ({"clock": 0}, "FingersCrossed.clock"),
        ({"max_age": 0}, "FingersCrossed.max_age"),
        ({"stay_open": -1}, "FingersCrossed.stay_open"),
        ({"max_keys": 0}, "FingersCrossed.max_keys"),
    ],
)
def test_settings_that_mean_nothing_are_refused(settings: dict[str, Any], named: str) -> None:
    """The error names the setting."""
    with pytest.raises(ConfigurationError) as error:
        crossed(**settings)
    assert str(error.value).startswith(f"{named}: ")

"""Records made to order are those that a log call makes."""

from __future__ import annotations

import pytest

from logflume import ConfigurationError, get_logger
from logflume.testing import capture, record_of

GIVEN = {"user": "alice", "tags": {"a"}, "n": 1}


def test_it_says_what_a_log_call_says() -> None:
    """Values as they were then, the caller's place, the same message."""
    with capture() as logs:
        log = get_logger("shop")
        made, said = record_of("Hi {user}", logger="shop", **GIVEN), log.info("Hi {user}", **GIVEN)  # type: ignore[func-returns-value, arg-type]
    assert said is None
    apart = ("timestamp", "thread", "task")
    shown, expected = made.to_dict(), logs[0].to_dict()
    assert {k: v for k, v in shown.items() if k not in apart} == {
        k: v for k, v in expected.items() if k not in apart
    }


def test_level_time_and_exception_are_given() -> None:
    """As keywords; those of the fields are the others."""
    record = record_of("%s", 1, level="ERROR", time_ns=1_000_000_000, exception=ValueError("odd"))
    assert (record.level.name, record.message, record.fields) == ("ERROR", "1", {})
    assert record.timestamp == "1970-01-01T00:00:01.000000Z"
    assert record.exception is not None
    assert record.exception.type == "ValueError"
    with pytest.raises(ConfigurationError, match="level: got 'LOUD'"):
        record_of("said", level="LOUD")

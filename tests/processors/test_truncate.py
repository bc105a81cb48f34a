"""Records that are not too large."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from logflume import ConfigurationError, ExceptionInfo, Frame, Record, encoders, get_logger
from logflume.processors import Truncate
from tests.intake import captured, record_of


def cut(value: Any, **limits: int) -> Any:
    """Return a field's value after the cut, and make sure that the record is as it was."""
    record = record_of("m", value=value)
    before = record.to_dict()
    truncate = Truncate(**limits)
    result = truncate(record)
    assert record.to_dict() == before
    assert truncate.passes([record]) == (result is record)
    assert truncate(result) is result or truncate(result).to_dict() == result.to_dict()
    return result.fields["value"]


@pytest.mark.parametrize(
    ("limits", "text", "expected"),
    [
        ({"max_characters": 40}, "x" * 40, "x" * 40),
        ({"max_characters": 40}, "x" * 41, "x" * 17 + "...<24 more characters>"),
        ({"max_characters": 40}, "ä" * 1_000, "ä" * 15 + "...<985 more characters>"),
        ({"max_bytes": 40}, "x" * 40, "x" * 40),
        ({"max_bytes": 40}, "ä" * 20, "ä" * 20),
        ({"max_bytes": 40}, "ä" * 21, "ä" * 8 + "...<13 more characters>"),
        ({"max_bytes": 41}, "ä" * 21, "ä" * 9 + "...<12 more characters>"),
        ({"max_bytes": 40}, "€" * 21, "€" * 5 + "...<16 more characters>"),
        ({"max_bytes": 40}, "😀" * 21, "😀" * 4 + "...<17 more characters>"),
        ({"max_bytes": 40, "max_characters": 100}, "€" * 21, "€" * 5 + "...<16 more characters>"),
        ({"max_bytes": 99, "max_characters": 40}, "€" * 50, "€" * 17 + "...<33 more characters>"),
        ({"max_bytes": 70, "max_characters": 40}, "€" * 50, "€" * 15 + "...<35 more characters>"),
    ],
)
def test_texts_are_cut_between_characters(limits: Any, text: str, expected: str) -> None:
    """The result, with what it says of the rest, is within the limits."""
    assert cut(text, **limits) == expected
    assert len(expected) <= limits.get("max_characters", 1_000)
    assert len(expected.encode()) <= limits.get("max_bytes", 1_000)


def test_a_text_that_is_cut_has_no_lone_surrogates() -> None:
    """Nor half a pair; one that is not cut is as it was."""
    assert cut("\ud83d\ude00" * 16, max_characters=32) == "\ud83d\ude00" * 16
    assert cut("\ud83d\ude00" * 17, max_characters=32) == "?" * 9 + "...<25 more characters>"
    assert cut("\ud83d" * 50, max_bytes=40) == "?" * 17 + "...<33 more characters>"


def test_bytes_stay_bytes() -> None:
    """Cut between characters, where they are text."""
    assert cut(b"x" * 40, max_bytes=40) == b"x" * 40
    assert cut(b"x" * 41, max_bytes=40) == b"x" * 22 + b"...<19 more bytes>"
    assert (
        cut("ä€€€€€€€€€€€€€".encode(), max_bytes=40) == "ä€€€€€€".encode() + b"...<21 more bytes>"
    )
    assert cut(b"\x80" * 50, max_bytes=40) == b"\x80" * 19 + b"...<31 more bytes>"
    assert cut(b"x" * 41, max_characters=40) == b"x" * 41


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ([1, 2], [1, 2]),
        ([1, 2, 3, 4], [1, 2, "<2 more>"]),
        ((1, 2, 3), (1, 2, "<1 more>")),
        ({"a": 1, "b": 2, "c": 3}, {"a": 1, "b": 2, "...": "<1 more>"}),
        ([[1, 2, 3], 2], [[1, 2, "<1 more>"], 2]),
        ({"a": {"b": [1, 2, 3]}}, {"a": {"b": [1, 2, "<1 more>"]}}),
        (list(range(1_500)), [0, 1, "<1498 more>"]),
        (dict.fromkeys(range(1_500)), {0: None, 1: None, "...": "<1498 more>"}),
    ],
)
def test_containers_are_cut_behind_their_first_items(value: Any, expected: Any) -> None:
    """What the snapshot of a very large one left out already is counted, too."""
    assert cut(value, max_items=2) == expected


@pytest.mark.parametrize(
    ("depth", "expected"),
    [
        (0, "<dict of 3: too deep>"),
        (1, {"a": "<list of 1: too deep>", "b": {}, "c": 1}),
        (2, {"a": ["<tuple of 2: too deep>"], "b": {}, "c": 1}),
        (3, {"a": [(1, 2)], "b": {}, "c": 1}),
    ],
)
def test_what_is_too_deep_says_what_it_was(depth: int, expected: Any) -> None:
    """And how many it had."""
    assert cut({"a": [(1, 2)], "b": {}, "c": 1}, max_depth=depth) == expected


def test_values_of_other_types_stay() -> None:
    """Numbers and their like have no parts."""
    for value in (1, 2.5, None, True, 10**50):
        assert cut(value, max_characters=32, max_bytes=32, max_items=0, max_depth=0) == value


def test_the_message_is_filled_with_what_was_cut_and_then_cut() -> None:
    """So one large value does not take the place of all that comes after it."""
    record = record_of("{body} gave {status}", body="x" * 10_000, status=500)
    assert Truncate(max_characters=40)(record).message == (
        "xxxxxxxxxxxxxx...<9986 more characters> gave 500"
    )
    assert Truncate(max_message=32)(record).message == "xxxxxx...<10003 more characters>"
    assert len(Truncate(max_message=32)(record).fields["body"]) == 10_000
    positional = record_of("%s", "x" * 100)
    assert Truncate(max_message=40)(positional).message == "x" * 16 + "...<84 more characters>"
    assert Truncate(max_message=40).passes([record_of("x" * 40)])


def deep(depth: int) -> None:
    if not depth:
        try:
            raise KeyError("k" * 100)
        except KeyError as error:
            error.add_note("n" * 100)
            raise ValueError("short") from error
    deep(depth - 1)


def failed(depth: int) -> Record:
    """Return a record with an exception raised so deep."""
    with captured() as taken:
        try:
            deep(depth)
        except ValueError:
            get_logger("tests").exception("failed")
    return taken.last


@pytest.mark.parametrize("depth", [10, 200])
@pytest.mark.parametrize("most", [1, 2, 5])
def test_the_first_and_last_frames_stay(most: int, depth: int) -> None:
    """What is between them is counted, with what was left out when it was captured."""
    record = failed(depth)
    truncate = Truncate(max_frames=most)
    result = truncate(record)
    assert result.exception is not None
    frames = result.exception.frames
    assert len(frames) == most + 1
    assert frames[most // 2] == Frame("...", 0, f"{depth + 2 - most} frames left out")
    assert record.exception is not None
    assert frames[-1] == record.exception.frames[-1]
    assert most == 1 or frames[0] == record.exception.frames[0]
    assert truncate(result).to_dict() == result.to_dict()


def test_texts_of_exceptions_are_cut_as_those_of_fields() -> None:
    """In all that are linked to the one that was logged, and in groups."""
    record = failed(1)
    result = Truncate(max_characters=40)(record)
    assert result.exception is not None
    assert result.exception.cause is not None
    assert result.exception.message == "short"
    assert result.exception.cause.message == "'" + "k" * 15 + "...<86 more characters>"
    assert result.exception.cause.notes == ["n" * 16 + "...<84 more characters>"]
    assert record.exception is not None
    assert record.exception.cause is not None
    assert len(record.exception.cause.message) == 102
    group = ExceptionInfo(
        "ExceptionGroup", "g", group=[record.exception], context=ExceptionInfo("E", "")
    )
    cut_group = Truncate(max_characters=40)(record.replace(exception=group)).exception
    assert cut_group is not None
    assert cut_group.group == [result.exception]
    assert Truncate(max_characters=200, max_frames=9).passes([record])


@pytest.mark.parametrize(
    ("limits", "setting"),
    [
        ({}, "Truncate"),
        ({"max_characters": 31}, "Truncate.max_characters"),
        ({"max_bytes": 0}, "Truncate.max_bytes"),
        ({"max_message": 40.0}, "Truncate.max_message"),
        ({"max_items": -1}, "Truncate.max_items"),
        ({"max_depth": True}, "Truncate.max_depth"),
        ({"max_frames": 0}, "Truncate.max_frames"),
        ({"max_frames": "10"}, "Truncate.max_frames"),
    ],
)
def test_limits_that_mean_nothing_are_refused(limits: Any, setting: str) -> None:
    """A text's limit has room for what is said of the rest."""
    with pytest.raises(ConfigurationError, match=rf"^{setting}: got .*; accepted: "):
        Truncate(**limits)


texts = st.text(st.characters(), max_size=60) | st.text("aä€😀\ud83d\ude00", max_size=60)
values = st.recursive(
    st.none() | st.integers() | texts | st.binary(max_size=60),
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(texts, inner, max_size=6),
    max_leaves=20,
)


@settings(deadline=None)
@given(values, st.integers(32, 50), st.integers(32, 50), st.integers(0, 5), st.integers(0, 4))
def test_whatever_comes_is_within_the_limits_afterwards(
    value: Any, max_characters: int, max_bytes: int, max_items: int, max_depth: int
) -> None:
    """And a second time finds nothing to cut; JSON takes all of it."""
    taken = cut(
        value,
        max_characters=max_characters,
        max_bytes=max_bytes,
        max_items=max_items,
        max_depth=max_depth,
    )
    check(taken, max_characters, max_bytes, max_items, max_depth)
    json.loads(encoders.Json().encode(record_of("m", value=taken)))


def check(value: Any, max_characters: int, max_bytes: int, max_items: int, depth: int) -> None:
    if isinstance(value, str):
        assert len(value) <= max_characters
        assert len(value.encode("utf-8", "replace")) <= max_bytes
        if "more characters>" in value:
            value.encode()
    elif isinstance(value, bytes):
        assert len(value) <= max_bytes
    elif isinstance(value, dict | list):
        assert depth > 0 or not value
        assert len(value) <= max_items + 1
        for item in value.values() if isinstance(value, dict) else value:
            check(item, max_characters, max_bytes, max_items, depth - 1)

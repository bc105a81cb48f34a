"""Other names for fields."""

from __future__ import annotations

from typing import Any

import pytest

from logflume import ConfigurationError
from logflume.processors import Rename
from tests.intake import record_of


def renamed(names: dict[str, str], **fields: Any) -> dict[str, Any]:
    """Return a record's fields with other names, and make sure that its own are as they were."""
    record = record_of("m", **fields)
    before = record.to_dict()
    rename = Rename(names)
    result = rename(record)
    assert record.to_dict() == before
    if rename.passes([record]):
        assert result is record
    return result.fields


def test_a_field_gets_another_name_and_keeps_its_place() -> None:
    """Given as keywords or in a mapping."""
    assert list(renamed({"b": "z"}, a=1, b=2, c=3).items()) == [("a", 1), ("z", 2), ("c", 3)]
    record = record_of("m", a=1, b=2)
    assert Rename({"a": "x"}, b="y")(record).fields == {"x": 1, "y": 2}


@pytest.mark.parametrize(
    ("names", "fields"),
    [
        ({"a": "b"}, {"a": 1, "b": 2}),
        ({"m.a": "m.b"}, {"m": {"a": 1, "b": 2}}),
        ({"m.a": "b"}, {"m": {"a": 1}, "b": 2}),
    ],
)
def test_a_name_that_is_taken_is_left_to_who_has_it(names: dict[str, str], fields: Any) -> None:
    """No value is lost: both fields stay as they are."""
    assert renamed(names, **fields) == fields


def test_of_two_fields_for_one_name_the_first_takes_it() -> None:
    """The first in the order of the names, not of the record."""
    names = {"uid": "user", "userId": "user"}
    assert renamed(names, userId=2, uid=1) == {"userId": 2, "user": 1}
    assert renamed(names, userId=2) == {"user": 2}


def test_names_are_changed_one_after_another() -> None:
    """A name that one field gave up is free for the next."""
    assert renamed({"b": "c", "a": "b"}, a=1, b=2) == {"b": 1, "c": 2}


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ({"user.name": "user.login"}, {"user": {"id": 7, "login": "ann"}, "a.b": 1}),
        ({"user.name": "login"}, {"user": {"id": 7}, "a.b": 1, "login": "ann"}),
        ({"user.name": "enduser.name"}, {"user": {"id": 7}, "a.b": 1, "enduser.name": "ann"}),
        ({"user": "enduser"}, {"enduser": {"id": 7, "name": "ann"}, "a.b": 1}),
        ({"a.b": "c"}, {"user": {"id": 7, "name": "ann"}, "c": 1}),
        ({"a.b": "a.c"}, {"user": {"id": 7, "name": "ann"}, "a.c": 1}),
        ({"user.age": "x"}, {"user": {"id": 7, "name": "ann"}, "a.b": 1}),
        ({"user.name.first": "x"}, {"user": {"id": 7, "name": "ann"}, "a.b": 1}),
        ({"other.name": "x"}, {"user": {"id": 7, "name": "ann"}, "a.b": 1}),
    ],
)
def test_dots_lead_into_mappings(names: dict[str, str], expected: Any) -> None:
    """Unless a field has the name as it is written; a path that leads nowhere changes nothing."""
    assert renamed(names, **{"user": {"id": 7, "name": "ann"}, "a.b": 1}) == expected


def test_paths_may_be_deep() -> None:
    """In place at every depth."""
    fields = renamed({"a.b.c": "a.b.d", "a.b.x": "y"}, a={"b": {"c": 1, "x": 2}, "e": 3})
    assert fields == {"a": {"b": {"d": 1}, "e": 3}, "y": 2}


def test_the_message_stays_as_it_was() -> None:
    """A placeholder is the name that the call used."""
    record = Rename(user="enduser")(record_of("{user} {enduser}", user="ann"))
    assert record.message == "ann {enduser}"


def test_a_record_without_the_fields_is_the_same() -> None:
    """Nothing is copied for those whom it does not concern."""
    record = record_of("m", user="ann")
    assert Rename(uid="x", **{"user.name": "y"})(record) is record
    assert Rename(uid="x").passes([record])
    assert not Rename(user="x").passes([record_of(), record])


@pytest.mark.parametrize(
    "names", [{}, {"": "a"}, {"a": ""}, {"a": "a"}, {1: "a"}, {"a": 1}, ["a", "b"]]
)
def test_names_that_mean_nothing_are_refused(names: Any) -> None:
    """The error says what was given."""
    with pytest.raises(ConfigurationError, match=r"^Rename.*: got .*; accepted: "):
        Rename(names)

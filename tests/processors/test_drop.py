"""Records without some of their fields."""

from __future__ import annotations

from typing import Any

import pytest

from logflume import ConfigurationError
from logflume.processors import Drop
from tests.intake import record_of


def dropped(*names: str, **fields: Any) -> dict[str, Any]:
    """Return a record's other fields, and make sure that the record itself is as it was."""
    record = record_of("m", **fields)
    before = record.to_dict()
    drop = Drop(*names)
    result = drop(record)
    assert record.to_dict() == before
    assert drop.passes([record]) == (result is record)
    return result.fields


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["a"], ["b", "ab", "debug.x", "debug.x.y", "x[0]"]),
        (["a", "b", "other"], ["ab", "debug.x", "debug.x.y", "x[0]"]),
        (["debug.x"], ["a", "b", "ab", "debug.x.y", "x[0]"]),
        (["a*"], ["b", "debug.x", "debug.x.y", "x[0]"]),
        (["?", "ab"], ["debug.x", "debug.x.y", "x[0]"]),
        (["debug.*"], ["a", "b", "ab", "x[0]"]),
        (["*.y"], ["a", "b", "ab", "debug.x", "x[0]"]),
        (["x[*]"], ["a", "b", "ab", "debug.x", "debug.x.y"]),
        (["*"], []),
        (["A", "[ab]", "c*"], ["a", "b", "ab", "debug.x", "debug.x.y", "x[0]"]),
    ],
)
def test_fields_go_by_name_or_wildcard(names: list[str], expected: list[str]) -> None:
    """A name is the whole name, dots are a part of it, and so are brackets."""
    fields = dict.fromkeys(("a", "b", "ab", "debug.x", "debug.x.y", "x[0]"), 1)
    assert list(dropped(*names, **fields)) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("user.token", {"user": {"id": 7, "keys": {"token": 1, "k2": 2}}, "to": "x"}),
        ("user.to*", {"user": {"id": 7, "keys": {"token": 1, "k2": 2}}, "to": "x"}),
        ("user.keys.k?", {"user": {"id": 7, "token": 0, "keys": {"token": 1}}, "to": "x"}),
        ("*.*.token", {"user": {"id": 7, "token": 0, "keys": {"k2": 2}}, "to": "x"}),
        ("user.*", {"user": {}, "to": "x"}),
        ("to.x", {"user": {"id": 7, "token": 0, "keys": {"token": 1, "k2": 2}}, "to": "x"}),
        ("user.id.x", {"user": {"id": 7, "token": 0, "keys": {"token": 1, "k2": 2}}, "to": "x"}),
    ],
)
def test_dots_lead_into_mappings(name: str, expected: Any) -> None:
    """Part by part, each of which may have wildcards."""
    user = {"id": 7, "token": 0, "keys": {"token": 1, "k2": 2}}
    assert dropped(name, user=user, to="x") == expected


def test_lists_on_the_way_are_gone_through() -> None:
    """All their items, also in lists of lists; tuples stay tuples."""
    users = [{"id": 1, "token": 2}, [{"token": 3}], ({"token": 4},), "token"]
    assert dropped("users.token", users=users) == {"users": [{"id": 1}, [{}], ({},), "token"]}


def test_the_message_stays_as_it_was() -> None:
    """What was said was said."""
    assert Drop("user")(record_of("Hello {user}", user="ann")).message == "Hello ann"


def test_a_record_without_the_fields_is_the_same() -> None:
    """Nothing is copied for those whom it does not concern."""
    record = record_of("m", user={"name": "ann"}, users=[{"id": 1}])
    for name in ("uid", "uid*", "user.token", "users.token", "*.token"):
        assert Drop(name)(record) is record
    assert not Drop("user").passes([record_of(), record])


def test_more_names_than_are_remembered_are_no_harm() -> None:
    """Names made at run time fill no memory, and are treated alike."""
    drop = Drop("x*")
    record = record_of()
    for number in range(0, 10_000, 10):
        names = [f"{letter}{n}" for n in range(number, number + 10) for letter in "xy"]
        assert len(drop(record.replace(fields=dict.fromkeys(names))).fields) == 10


@pytest.mark.parametrize("names", [[], [""], ["a", "."], ["a."], [".a"], ["a..b"], [1], [None]])
def test_names_that_mean_nothing_are_refused(names: Any) -> None:
    """The error says what was given."""
    with pytest.raises(ConfigurationError, match=r"^Drop: got .*; accepted: "):
        Drop(*names)

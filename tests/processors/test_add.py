"""Fields that every record gets."""

from __future__ import annotations

import itertools

from logflume.processors import Add
from tests.intake import record_of


def test_fields_are_added_to_every_record() -> None:
    """The record that goes on has the fields; the one that came has not."""
    record = record_of("m", user="ann")
    assert Add(service="shop")(record).fields == {"service": "shop", "user": "ann"}
    assert record.fields == {"user": "ann"}


def test_what_a_record_has_already_stays() -> None:
    """The nearer to the call wins, and a callable is then not called."""
    add = Add(user="nobody", n=lambda: 1 / 0)
    assert add(record_of("m", user="ann", n=None)).fields == {"user": "ann", "n": None}


def test_a_callable_is_called_for_each_record() -> None:
    """Each record gets what the callable returns then, as a snapshot."""
    numbers = itertools.count()
    tags = ["a"]
    add = Add(n=lambda: next(numbers), tags=lambda: tags)
    first = add(record_of())
    tags.append("b")
    assert first.fields == {"n": 0, "tags": ["a"]}
    assert add(record_of()).fields == {"n": 1, "tags": ["a", "b"]}


def test_values_are_those_of_the_time_it_was_made() -> None:
    """Later changes of an object do not show."""
    tags = ["a"]
    add = Add(tags=tags)
    tags.append("b")
    assert add(record_of()).fields == {"tags": ["a"]}


def test_any_name_is_a_field() -> None:
    """Names of parameters are fields like others."""
    assert Add(self=1, record=2)(record_of()).fields == {"self": 1, "record": 2}


def test_added_fields_are_known_to_the_template() -> None:
    """A placeholder may name a field that a processor adds."""
    assert Add(service="shop")(record_of("{service} {n}", n=1)).message == "shop 1"

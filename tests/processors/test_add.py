"""Fields that every record gets."""

from __future__ import annotations

import itertools
import os
import warnings
from functools import partial

import pytest

from logflume import ConfigurationError, Record, context, get_logger, processors
from logflume.processors import Add
from tests.intake import captured, record_of


def record_everywhere() -> Record:
    """Return a record with fields from all three places, two of them from each."""
    with captured() as taken, context(a="context", b="context"):
        get_logger("tests", b="bound", c="bound").info("m", c="call", d="call")
    return taken.last


def test_fields_are_added_to_every_record() -> None:
    """The record that goes on has the fields; the one that came has not."""
    record = record_of("m", user="ann")
    assert Add(service="shop")(record).fields == {"service": "shop", "user": "ann"}
    assert record.fields == {"user": "ann"}


@pytest.mark.parametrize("looked_at", [False, True])
@pytest.mark.parametrize("called", [False, True])
def test_added_fields_come_first_and_lose_against_all_others(looked_at: bool, called: bool) -> None:
    """So it is wherever the others come from, and whether or not they were merged before."""
    record = record_everywhere()
    if looked_at:
        assert len(record.fields) == 4
    last = (lambda: "added") if called else "added"
    fields = Add(z="added", a="added", b="added", c="added", d="added", y=last)(record).fields
    assert list(fields) == ["z", "a", "b", "c", "d", "y"]
    assert list(fields.values()) == ["added", "context", "bound", "call", "call", "added"]


def test_what_processors_before_it_did_to_the_fields_stays() -> None:
    """A field that was taken away does not come back, and what was changed is not overwritten."""
    record = record_everywhere().replace(fields={"d": "changed"})
    assert Add(z=1, d=2)(record).fields == {"z": 1, "d": "changed"}


def test_each_task_s_records_keep_its_own_context() -> None:
    """One Add serves the records of many tasks in turn."""
    add = Add(service="shop")
    for user in ("ann", "bob", "ann"):
        with captured() as taken, context(user=user):
            get_logger("tests").info("m")
            get_logger("tests").info("m")
        for record in taken.records:
            assert add(record).fields == {"service": "shop", "user": user}


def test_what_a_record_has_already_stays() -> None:
    """The nearer to the call wins, and a callable is then not called."""
    add = Add(user="nobody", n=lambda: 1 / 0)
    assert add(record_of("m", user="ann", n=None)).fields == {"user": "ann", "n": None}


def test_a_callable_is_called_for_each_record() -> None:
    """Each record gets what the callable returns then, as a snapshot."""
    numbers = itertools.count()
    tags = ["a"]
    add = Add(n=partial(next, numbers), tags=lambda: tags)
    first = add(record_of())
    tags.append("b")
    assert first.fields == {"n": 0, "tags": ["a"]}
    assert add(record_of()).fields == {"n": 1, "tags": ["a", "b"]}


def test_an_async_callable_is_refused() -> None:
    """Nobody would await it."""

    async def country() -> str:
        return "DE"

    with pytest.raises(ConfigurationError, match=r"Add\.country: got .* not async"):
        Add(country=country)


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


def test_host_and_process_are_values_like_others() -> None:
    """Under the names that the user chooses."""
    fields = Add(host=processors.hostname, pid=processors.process_id)(record_of()).fields
    assert fields == {"host": os.uname().nodename, "pid": os.getpid()}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_has_its_own_process_id() -> None:
    """Also with an Add that was made, and used, in the parent."""
    add = Add(pid=processors.process_id)
    add(record_of())
    ours, theirs = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of forks while threads run
        child = os.fork()
    if not child:
        try:
            os.write(theirs, str(add(record_of()).fields["pid"]).encode())
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    assert int(os.read(ours, 20)) == child
    os.close(ours)
    os.close(theirs)

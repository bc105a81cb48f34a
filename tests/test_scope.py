"""Scopes: the one record of a block."""

from __future__ import annotations

import contextlib
import contextvars
import gc
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest

from logflume import ConfigurationError, context, get_logger, scope
from logflume.scope import MOST_FIELDS, Scope
from tests.fakes import name_of_case
from tests.intake import captured

log = get_logger("app")


def test_a_block_is_logged_once_at_its_end() -> None:
    """Its message, the fields that were added, its duration; by the logger of its module."""
    with captured() as taken, scope("Order {order} placed", order=7, user="?") as placed:
        placed.add(user="alice")
        assert not taken.records
    (record,) = taken.records
    assert record.message == "Order 7 placed"
    assert (record.logger, record.level.name) == (__name__, "INFO")
    assert record.fields.pop("duration_ms") > 0
    assert record.fields == {"order": 7, "user": "alice", "outcome": "ok"}


def test_its_call_site_is_the_block() -> None:
    """Not the machinery that logs it."""
    with captured() as taken, scope("job"):
        pass
    assert taken.last.site.function == "test_its_call_site_is_the_block"


def test_logger_and_level_may_be_given() -> None:
    """The level is the least one; an unknown one is refused."""
    with captured() as taken:
        with scope("job", logger=log, level="warning"):
            pass
        assert (taken.last.logger, taken.last.level.name) == ("app", "WARNING")
    with pytest.raises(ConfigurationError, match=r"scope\.level"):
        scope("job", level="loud")
    with pytest.raises(TypeError, match="message"):
        scope(user="alice")  # type: ignore[call-overload]


def test_the_innermost_one_is_found_from_anywhere_below() -> None:
    """Blocks nest; each has its own record, and the outer one is back afterwards."""
    with captured() as taken, scope("outer") as outer:
        with scope("inner") as inner:
            assert scope() is inner
            scope().add(a=1)
        assert scope() is outer
        scope().add(b=2)
    assert [("a" in r.fields, "b" in r.fields) for r in taken.records] == [
        (True, False),
        (False, True),
    ]


def test_outside_of_any_nothing_happens() -> None:
    """What code adds is ignored, with no error."""
    with captured() as taken:
        scope().add(a=1)
        with scope().timer("db"):
            pass
    assert not taken.records


def test_what_comes_after_its_end_is_ignored() -> None:
    """A record that was logged does not change, and is not logged again."""
    with captured() as taken:
        with scope("job") as job:
            pass
        job.add(late=1)
        with job:
            pass
    (record,) = taken.records
    assert "late" not in record.fields


@pytest.mark.parametrize(
    ("error", "outcome", "level"),
    [
        (ValueError("wrong"), "failed", "ERROR"),
        (BaseExceptionGroup("g", [KeyboardInterrupt(), ValueError()]), "failed", "ERROR"),
        (KeyboardInterrupt(), "cancelled", "WARNING"),
    ],
)
def test_an_exception_passes_and_shows(error: BaseException, outcome: str, level: str) -> None:
    """The record says what kind it was; its traceback is for whoever handles it."""
    with captured() as taken, pytest.raises(type(error)):
        _fail(error)
    record = taken.last
    assert record.exception is None
    assert record.level.name == level
    assert (
        record.fields.items()
        >= {
            "outcome": outcome,
            "error": type(error).__name__,
            "done": 3,
        }.items()
    )


def _fail(error: BaseException) -> None:
    with scope("job") as job:
        job.add(done=3)
        raise error


async def test_a_cancelled_block_is_logged_too() -> None:
    """Whatever ends it."""
    with captured() as taken, anyio.CancelScope() as cancel, scope("job"):
        cancel.cancel()
        await anyio.sleep_forever()
    assert taken.last.fields["outcome"] == "cancelled"


async def test_tasks_and_threads_add_to_the_same_record() -> None:
    """Those that have a copy of the context."""

    async def work(number: int) -> None:
        scope().add(**{f"task_{number}": True})
        with scope().timer("db"):
            await anyio.lowlevel.checkpoint()

    with captured() as taken, scope("job"):
        async with anyio.create_task_group() as tasks:
            for number in range(10):
                tasks.start_soon(work, number)
        await anyio.to_thread.run_sync(lambda: scope().add(thread=1))
    shown = taken.last.fields
    assert shown["db_count"] == 10
    assert shown["thread"] == 1
    assert all(shown[f"task_{number}"] for number in range(10))


async def test_times_of_a_name_are_summed() -> None:
    """In milliseconds, with their number."""
    with captured() as taken, scope("job") as job:
        for _ in range(2):
            with job.timer("db"):
                await anyio.sleep(0.005)
    shown = taken.last.fields
    assert shown["db_count"] == 2
    assert 5 <= shown["db_ms"] <= shown["duration_ms"]


async def test_a_generator_that_is_closed_elsewhere_logs_in_its_own_context() -> None:
    """The record has the fields of where it was opened, and the closer keeps its own scope."""

    async def parts() -> AsyncIterator[int]:
        with scope("stream"):
            yield 1

    with captured() as taken, scope("closer") as closer:
        stream = parts()

        async def start() -> None:
            with context(owner="starter"):
                await anext(stream)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(start)
        with context(owner="closer"):
            await stream.aclose()  # type: ignore[attr-defined]
            assert scope() is closer
    stream_record, closer_record = taken.records
    assert (stream_record.message, stream_record.fields["owner"]) == ("stream", "starter")
    assert "owner" not in closer_record.fields


def test_one_that_ended_elsewhere_is_no_longer_found() -> None:
    """A task that outlives its scope sees the one around it."""
    with captured(), scope("outer") as outer:
        with scope("inner") as inner:
            inside = contextvars.copy_context()
        assert inside.run(scope) is outer
        assert inner is not outer


async def test_generators_that_are_left_half_way_keep_no_scopes() -> None:
    """A long task may leave thousands: those closed elsewhere are let go."""

    async def numbers() -> AsyncGenerator[int, None]:
        with scope("numbers"):
            yield 1

    def alive() -> int:
        gc.collect()
        return sum(type(one) is Scope for one in gc.get_objects())

    before = alive()

    def close(generator: AsyncGenerator[int, None]) -> None:
        with contextlib.suppress(StopIteration):
            contextvars.copy_context().run(generator.aclose().send, None)

    with captured() as taken:
        late = numbers()  # closed when the next one has begun, as event loops do
        await anext(late)
        for _ in range(5):
            generator = numbers()
            await anext(generator)
            close(late)
            late = generator
        close(late)
    assert len(taken.records) == 6
    del generator, late
    assert alive() <= before + 2


@pytest.mark.parametrize("given", ["app", 5, object()], ids=name_of_case)
def test_a_logger_that_is_none_is_refused(given: Any) -> None:
    """At once, and not at the end of the block, where it would hide the block's exception."""
    with pytest.raises(ConfigurationError, match=r"scope\.logger"):
        scope("x", logger=given)


def test_names_that_are_data_do_not_fill_the_memory() -> None:
    """What is gathered is bounded; the record says how much was left out."""
    with captured() as taken, scope("job") as job:
        for number in range(MOST_FIELDS + 5):
            job.add(**{f"f{number}": number})
        job.add(f0="changed")
    shown = taken.last.fields
    assert shown["fields_left_out"] == 5
    assert shown["f0"] == "changed"
    assert len(shown) < MOST_FIELDS + 5


def test_values_are_those_of_the_time_they_were_added() -> None:
    """Later changes of an object do not show."""
    cart = ["apple"]
    with captured() as taken, scope("job") as job:
        job.add(cart=cart)
        cart.append("pear")
    assert taken.last.fields["cart"] == ["apple"]

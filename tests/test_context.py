"""Fields bound to the current task."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import AsyncIterator, Iterator

import anyio
import anyio.to_thread
import pytest

from logflume import context, current_context, get_logger
from logflume.context import Inside, _context, enter_origins, traced
from tests.intake import captured


def test_fields_hold_for_the_block() -> None:
    """Records logged under the block carry its fields, those after it do not."""
    log = get_logger("t")
    with captured() as taken:
        with log.contextualize(request="42"):
            log.info("in")
            assert taken.last.fields == {"request": "42"}
        log.info("out")
        assert taken.last.fields == {}


def test_the_nearer_to_the_call_wins() -> None:
    """A call's fields win over bound ones, those over inner blocks, those over outer ones."""
    log = get_logger("t").bind(a="bound", b="bound")
    with captured() as taken, context(a=1, b=1, c=1, d=1), context(c=2):
        log.info("x", a="call")
    assert taken.last.fields == {"a": "call", "b": "bound", "c": 2, "d": 1}


def test_any_name_is_a_field() -> None:
    """Names of the machinery's own parameters are fields like others."""
    with context(self=1, fields=2, exc=3):
        assert current_context() == {"self": 1, "fields": 2, "exc": 3}


def test_a_block_is_left_by_an_exception_too() -> None:
    """An exception passes, and the fields are gone."""
    with pytest.raises(ValueError, match="wrong"), context(a=1):
        raise ValueError("wrong")
    assert current_context() == {}


def test_values_are_those_of_the_time_it_was_made() -> None:
    """Later changes of an object do not show."""
    tags = ["a"]
    with context(tags=tags):
        tags.append("b")
        assert current_context() == {"tags": ["a"]}


def test_the_copy_is_the_callers_own() -> None:
    """Changing what `current_context` returned changes no record."""
    with context(a=1):
        current_context()["b"] = 2
        assert current_context() == {"a": 1}


def test_one_block_may_be_entered_again_inside_itself() -> None:
    """The same object nests, and each leaving takes off one entering."""
    block = context(a=1)
    with block:
        with context(a=2):
            with block:
                assert current_context() == {"a": 1}
            assert current_context() == {"a": 2}
        assert current_context() == {"a": 1}
    assert current_context() == {}


def test_leaving_without_entering_does_nothing() -> None:
    """A block that is left once too often takes nothing of others away."""
    with context(a=1):
        context(a=1).__exit__(None, None, None)
        assert current_context() == {"a": 1}


def test_blocks_left_in_another_order_take_only_themselves() -> None:
    """A generator that is closed inside a block entered after it leaves that block alone."""

    def generator() -> Iterator[int]:
        with context(generator=1):
            yield 1

    items = generator()
    next(items)
    with context(block=2):
        assert current_context() == {"generator": 1, "block": 2}
        items.close()  # type: ignore[attr-defined]
        assert current_context() == {"block": 2}
    assert current_context() == {}


def test_a_block_inside_a_sink_keeps_where_records_come_from() -> None:
    """Records logged in a sink, under a block, still do not go back to the sink."""

    def inside() -> None:
        enter_origins(frozenset({"route"}))
        log = get_logger("t")
        with captured() as taken:
            with context(a=1):
                log.info("in")
                assert taken.last.origins == {"route"}
                with context(b=2):
                    log.info("deeper")
                    assert taken.last.fields == {"a": 1, "b": 2}
            log.info("after")
            assert taken.last.origins == {"route"}
            assert taken.last.fields == {} == _context.get()
            assert type(_context.get()) is Inside

    contextvars.copy_context().run(inside)


async def test_child_tasks_and_threads_inherit() -> None:
    """What a task has bound, its child tasks and worker threads have too."""
    seen: list[object] = []

    async def child() -> None:
        seen.append(current_context())

    with context(a=1):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(child)
        seen.append(await anyio.to_thread.run_sync(current_context))
    assert seen == [{"a": 1}, {"a": 1}]


async def test_siblings_do_not_see_each_other() -> None:
    """Fields bound in one task show in no other, however they take turns."""
    turns = [anyio.Event(), anyio.Event()]
    seen: dict[int, object] = {}

    async def sibling(number: int) -> None:
        with context(**{f"n{number}": number}):
            turns[number].set()
            await turns[1 - number].wait()
            seen[number] = current_context()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(sibling, 0)
        tasks.start_soon(sibling, 1)
    assert seen == {0: {"n0": 0}, 1: {"n1": 1}}
    assert current_context() == {}


async def test_one_block_serves_several_tasks_at_once() -> None:
    """A block that tasks share ends for each of them where that one leaves it."""
    shared = context(a=1)
    first_in, second_in = anyio.Event(), anyio.Event()
    seen: list[object] = []

    async def first() -> None:
        with shared:
            first_in.set()
            await second_in.wait()
        seen.append(current_context())

    async def second() -> None:
        await first_in.wait()
        with shared:
            second_in.set()
        seen.append(current_context())

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(first)
        tasks.start_soon(second)
    assert seen == [{}, {}]


async def test_a_generator_closed_by_another_task_survives() -> None:
    """Closing an async generator from another task raises nothing and takes nothing from it."""

    async def generator() -> AsyncIterator[int]:
        with context(generator=1):
            yield 1

    items = generator()
    seen: list[object] = []

    async def opens() -> None:
        await anext(items)
        seen.append(current_context())

    async def closes() -> None:
        with context(closer=2):
            await items.aclose()  # type: ignore[attr-defined]
            seen.append(current_context())

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(opens)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(closes)
    assert seen == [{"generator": 1}, {"closer": 2}]
    assert current_context() == {}


def test_a_plain_thread_begins_with_nothing() -> None:
    """A thread that copies no context has none of its starter's fields."""
    seen: list[object] = []
    with context(a=1):
        thread = threading.Thread(target=lambda: seen.append(current_context()))
        thread.start()
        thread.join()
    assert seen == [{}]


def test_a_block_of_a_span_gives_it_to_the_records_under_it() -> None:
    """Inner blocks keep the span, its end takes it away, and it is no field."""
    log = get_logger("t")
    with captured() as taken:
        with traced((1, 2), {"request": "r"}):
            log.info("in")
            with context(user="alice"):
                log.error("deeper")
        log.info("out")
    ids = [(record.trace_id, record.span_id) for record in taken.records]
    assert ids == [(f"{1:032x}", f"{2:016x}")] * 2 + [(None, None)]
    assert taken.records[1].fields == {"request": "r", "user": "alice"}
    assert current_context() == {}

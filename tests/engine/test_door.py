"""The door: who gets in, when, in which order, and what is counted."""

from __future__ import annotations

import signal
import threading

import anyio
import pytest
from anyio.lowlevel import checkpoint

from logflume import Batch, Pipeline, Route, get_logger
from logflume.engine.backend import running_loop
from logflume.engine.door import Door
from logflume.engine.ledger import News
from logflume.record import Record
from tests.fakes import Collect, Gate, may_block
from tests.intake import captured

log = get_logger("tests.door")


def new_door(capacity: int = 10, block_timeout: float = 5.0) -> Door:
    return Door(capacity, block_timeout, lambda level_no: True, News(lambda: None))


def records(count: int, level: str = "INFO") -> list[Record]:
    """Make records the way callers do."""
    with captured() as taken:
        for n in range(count):
            log.log(level, "{n}", n=n)
    return list(taken.records)


def is_balanced(door: Door) -> bool:
    return door.counts().balanced


async def test_a_record_goes_in_and_comes_out_in_order() -> None:
    """What one task submits is taken in the order in which it was submitted."""
    door = new_door(100)
    door.bind(running_loop())
    sent = records(20)
    for record in sent:
        door.submit(record)
    taken: list[Record] = []
    while batch := door.take():
        taken += batch
        door.settle(len(batch), 0)
    assert taken == sent
    assert door.counts().delivered == 20


@pytest.mark.parametrize("capacity", [1, 2, 3, 10, 11, 100])
async def test_never_more_inside_than_the_capacity(capacity: int) -> None:
    """Queued and in hand together never exceed the capacity, also while the pump works."""
    door = new_door(capacity)
    door.bind(running_loop())
    for _ in range(5):
        for record in records(capacity * 2, "ERROR"):
            door.submit(record)
            assert door.counts().pending <= capacity
        taken = door.take()
        for record in records(capacity * 2, "ERROR"):
            door.submit(record)
            assert door.counts().pending <= capacity
        door.settle(len(taken), 0)
        assert is_balanced(door)


async def test_the_last_tenth_is_for_errors() -> None:
    """INFO is turned away when nine tenths are taken, ERROR only when everything is."""
    door = new_door(20)
    door.bind(running_loop())
    for record in records(30):
        door.submit(record)
    assert door.counts().pending == 18
    for record in records(30, "ERROR"):
        door.submit(record)
    assert door.counts().pending == 20
    assert door.counts().dropped == {"door full": 12 + 28}


async def test_errors_that_wait_are_not_overtaken_by_later_errors() -> None:
    """Waiting callers of the same right are served first come, first served."""
    door = new_door(20)
    door.bind(running_loop())
    for record in records(20, "ERROR"):
        door.submit(record)
    normal, first, second = records(1)[0], *records(2, "ERROR")
    came: list[str] = []

    async def enter(record: Record, name: str) -> None:
        await door.asubmit(record)
        came.append(name)

    async with anyio.create_task_group() as tasks:
        for record, name in ((normal, "normal"), (first, "first")):
            tasks.start_soon(enter, record, name)
            await anyio.wait_all_tasks_blocked()
        taken = door.take()
        door.settle(1, 0)  # one has gone on: a place of the reserve is free
        assert door._put(second) is False, "there is no room before the first one's"
        await anyio.wait_all_tasks_blocked()
        assert came == ["first"]
        door.settle(len(taken) - 1, 0)
    assert came == ["first", "normal"]


async def test_a_loss_inside_lets_those_who_wait_in() -> None:
    """When the records in hand are lost, their room goes to those who wait for it."""
    door = new_door(1)
    door.bind(running_loop())
    door.submit(records(1)[0])
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(door.asubmit, records(1)[0])
        await anyio.wait_all_tasks_blocked()
        door.take()
        door.lose(1, "error")
    assert door.counts().pending == 1
    assert is_balanced(door)


async def test_a_sync_call_under_a_shut_gate_goes_in_while_there_is_room() -> None:
    """The gate asks those to wait who can; nothing is dropped for it."""
    door = new_door(100)
    door.bind(running_loop())
    door.gate(True)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(door.asubmit, records(1)[0])
        await anyio.wait_all_tasks_blocked()
        door.submit(records(1)[0])
        assert door.counts().dropped == {}
        assert door.counts().pending == 1
        door.gate(False)
    assert door.counts().pending == 2


async def test_nothing_slips_in_between_the_last_look_and_closing() -> None:
    """When `sleep` says that the end has come, the door is closed: no record is left inside."""
    door = new_door()
    door.bind(running_loop())
    door.submit(records(1)[0])
    door.end()
    assert await door.sleep() is True
    door.settle(len(door.take()), 0)
    assert await door.sleep() is False
    door.submit(records(1)[0])
    assert door.counts().pending == 0
    assert door.counts().dropped == {"closed": 1}


async def test_closing_tells_those_who_still_wait() -> None:
    """Callers in line return when the door closes, counted as turned away."""
    door = new_door(1)
    door.bind(running_loop())
    door.submit(records(1)[0])
    async with anyio.create_task_group() as tasks:
        for record in [*records(2), *records(1, "ERROR")]:
            tasks.start_soon(door.asubmit, record)
        await anyio.wait_all_tasks_blocked()
        door.close()
    assert door.counts().dropped == {"closed": 3}
    assert is_balanced(door)


async def test_waiting_callers_are_served_in_order() -> None:
    """`ainfo` callers that wait for room get it in the order in which they came."""
    release = anyio.Event()
    sink = Collect()

    async def hold(record: Record) -> Record:
        await release.wait()
        return record

    async with Pipeline(sink, capacity=3, processors=[hold]) as pipeline:
        async with anyio.create_task_group() as tasks:
            for n in range(12):
                tasks.start_soon(log.ainfo, str(n))
                await anyio.wait_all_tasks_blocked()
            assert pipeline.stats().door.pending == 3
            release.set()
        await pipeline.flush()
    assert sink.messages == [str(n) for n in range(12)]


async def test_a_cancelled_waiter_is_not_accepted() -> None:
    """A call that is cancelled while it waits leaves no record, and is counted."""
    door = new_door(1)
    door.bind(running_loop())
    door.submit(records(1)[0])
    with anyio.CancelScope() as scope:
        scope.cancel()
        await door.asubmit(records(1)[0])
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(door.asubmit, records(1)[0])
        await anyio.wait_all_tasks_blocked()
        tasks.cancel_scope.cancel()
    door.settle(len(door.take()), 0)
    assert door.take() == []
    assert door.counts().dropped == {"cancelled": 2}
    assert is_balanced(door)


async def test_a_foreign_thread_wakes_an_idle_loop() -> None:
    """A record from another thread is delivered though nothing else happens on the loop."""
    sink = Collect()
    async with Pipeline(sink):
        await anyio.wait_all_tasks_blocked()
        for n in range(3):
            thread = threading.Thread(target=log.info, args=("from afar",))
            thread.start()
            await sink.until(n + 1)
            with may_block():
                thread.join()


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no interval timers here")
async def test_a_signal_handler_wakes_an_idle_loop() -> None:
    """A record from a signal handler, on the loop's thread but in no task, is delivered."""
    sink = Collect()
    kept = signal.signal(signal.SIGALRM, lambda *_: log.info("a signal"))
    try:
        async with Pipeline(sink):
            await anyio.wait_all_tasks_blocked()
            signal.setitimer(signal.ITIMER_REAL, 0.05)
            await sink.until(1)
    finally:
        signal.signal(signal.SIGALRM, kept)


async def test_a_callback_of_the_loop_may_log() -> None:
    """A record from a plain callback of the loop, outside any task, is delivered."""
    sink = Collect()
    async with Pipeline(sink):
        await anyio.wait_all_tasks_blocked()
        running_loop().post(lambda: log.info("a callback"))
        await sink.until(1)


async def test_a_burst_on_the_loops_thread_is_dropped_exactly() -> None:
    """200,000 sync calls without a turn of the loop neither block nor raise; all are counted."""
    sink = Collect()
    total, capacity = 200_000, 1_000
    async with Pipeline(sink, capacity=capacity) as pipeline:
        for n in range(total):
            log.info("burst", n=n)
        door = pipeline.stats().door
        assert door.received == total
        assert door.pending == capacity - capacity // 10
        assert door.dropped == {"door full": total - door.pending}
        assert (await pipeline.flush()).complete
        own = [r for r in sink.records if r.logger == log.name]
        assert [r.fields["n"] for r in own] == list(range(door.pending))


@pytest.mark.parametrize("capacity", [1, 2, 5, 10, 20, 40])
async def test_a_small_door_is_emptied_before_it_is_full(capacity: int) -> None:
    """Letting records gather, as routes that wait for full batches allow, costs none of them."""
    sink = Collect()
    async with Pipeline(Route(sink, batch=Batch(max_age=30.0)), capacity=capacity) as pipeline:
        for n in range(60):
            log.info("one by one", n=n)
            await anyio.wait_all_tasks_blocked()
        assert pipeline.stats().door.dropped == {}
    assert len(sink.records) == 60


async def test_nothing_is_lost_from_a_thread_that_may_wait() -> None:
    """A thread without a loop waits for room: everything it logs arrives, in order."""
    sink = Collect()
    total = 5_000

    def burst() -> None:
        for n in range(total):
            log.info("from afar", n=n)

    async with Pipeline(sink, capacity=20, block_timeout=30.0) as pipeline:
        await anyio.to_thread.run_sync(burst)
        await pipeline.flush()
        door = pipeline.stats().door
    assert door.dropped == {}
    assert [r.fields["n"] for r in sink.records] == list(range(total))


async def test_a_thread_waits_no_longer_than_it_may() -> None:
    """After `block_timeout` without room the record is dropped and counted; the call returns."""
    release = anyio.Event()

    async def hold(record: Record) -> Record:
        await release.wait()
        return record

    sink = Collect()
    async with Pipeline(sink, capacity=1, block_timeout=0.05, processors=[hold]) as pipeline:
        await log.ainfo("in")
        await anyio.to_thread.run_sync(log.info, "turned away")
        assert pipeline.stats().door.dropped == {"door full": 1}
        release.set()


async def test_a_waiting_thread_gets_in_when_there_is_room() -> None:
    """A thread that waits is woken by the room that is made, not by its timeout."""
    release = anyio.Event()

    async def hold(record: Record) -> Record:
        await release.wait()
        return record

    sink = Collect()
    async with Pipeline(sink, capacity=1, block_timeout=60.0, processors=[hold]) as pipeline:
        await log.ainfo("first")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(anyio.to_thread.run_sync, log.info, "second")
            while not pipeline.door._waiters:
                await anyio.sleep(0.001)
            release.set()
            await sink.until(2)
    assert sink.messages == ["first", "second"]


async def test_a_foreign_loop_never_blocks() -> None:
    """A sync call on another thread's loop drops at once when there is no room."""
    release = anyio.Event()

    async def hold(record: Record) -> Record:
        await release.wait()
        return record

    def other_loop() -> None:
        async def calls() -> None:
            log.info("on a loop")

        anyio.run(calls)

    async with Pipeline(capacity=1, block_timeout=60.0, processors=[hold]) as pipeline:
        await log.ainfo("in")
        await anyio.to_thread.run_sync(other_loop)
        assert pipeline.stats().door.dropped == {"door full": 1}
        release.set()


async def test_a_foreign_loop_waits_its_turn() -> None:
    """`await log.ainfo` on another thread's loop waits for room, and loses nothing."""
    sink = Collect()
    total = 2_000

    def other_loop() -> None:
        async def calls() -> None:
            for n in range(total):
                await log.ainfo("from a loop", n=n)

        anyio.run(calls)

    async with Pipeline(sink, capacity=10) as pipeline:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(anyio.to_thread.run_sync, other_loop)
            for n in range(total):
                await log.ainfo("from here", n=n)
        await pipeline.flush()
        assert pipeline.stats().door.dropped == {}
    for message in ("from here", "from a loop"):
        own = [r.fields["n"] for r in sink.records if r.message == message]
        assert own == list(range(total))


async def test_a_long_run_of_ainfo_lets_the_loop_turn() -> None:
    """A task that only awaits `ainfo` cannot starve the others."""
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await checkpoint()

    async with Pipeline(Collect()), anyio.create_task_group() as tasks:
        tasks.start_soon(count)
        for _ in range(20_000):
            await log.ainfo("again")
        assert turns > 5
        tasks.cancel_scope.cancel()


async def test_ainfo_loses_nothing_with_a_tiny_door() -> None:
    """With room for one, two or three records, waiting callers get all theirs through."""
    for capacity in (1, 2, 3):
        sink = Collect()
        async with Pipeline(sink, capacity=capacity) as pipeline:
            async with anyio.create_task_group() as tasks:
                for n in range(10):
                    tasks.start_soon(log.ainfo, str(n))
            await pipeline.flush()
            assert pipeline.stats().door.dropped == {}
        assert sorted(sink.messages, key=int) == [str(n) for n in range(10)]


async def test_the_gate_holds_callers_until_the_sink_moves() -> None:
    """A route with overflow="wait" makes `ainfo` wait and drops nothing."""
    sink = Gate()
    route = Route(
        sink, overflow="wait", buffer_records=4, batch=Batch(max_records=2), patience=60.0
    )
    sent = 0

    async def send() -> None:
        nonlocal sent
        for n in range(500):
            await log.ainfo(str(n))
            sent += 1

    async with Pipeline(route, capacity=10) as pipeline, anyio.create_task_group() as tasks:
        tasks.start_soon(send)
        await sink.entered.wait()
        await anyio.wait_all_tasks_blocked()
        assert sent < 100
        sink.let_through()
        await sink.until(500)
        assert pipeline.stats().routes["gate"].dropped == {}
    assert sink.messages == [str(n) for n in range(500)]

"""The door, driven in any order: after every step the ledger adds up and the rules hold."""

from __future__ import annotations

import random

import anyio
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from logflume import Record, get_logger
from logflume.engine.backend import Loop, running_loop
from logflume.engine.door import Door
from logflume.engine.ledger import News
from tests.intake import captured

log = get_logger("tests.property")
PRODUCERS = ("a", "b", "c")


class HandTurned(RuleBasedStateMachine):
    """One door without a loop: the pump's steps are rules of the machine, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: dict[str, int] = dict.fromkeys(PRODUCERS, 0)
        self.taken: list[tuple[str, int]] = []
        self.in_hand: list[Record] = []
        self.offered = 0
        self.ended = False

    @initialize(capacity=st.integers(1, 40))
    def open(self, capacity: int) -> None:
        self.capacity = capacity
        self.room = capacity - capacity // 10
        self.door = Door(capacity, 0.0, lambda no: True, News(lambda: None))
        post, task_of = (lambda callback: callback()), (lambda key: self)
        self.door.bind(Loop(None, post, task_of, None, tasks_have_names=False))

    def record(self, producer: str, level: str) -> Record:
        with captured() as taken:
            log.log(level, "x", producer=producer, n=self.sent[producer])
        self.sent[producer] += 1
        self.offered += 1
        return taken.last

    def lost(self) -> int:
        return self.door.counts().lost

    @rule(producer=st.sampled_from(PRODUCERS), level=st.sampled_from(["INFO", "ERROR"]))
    def submit(self, producer: str, level: str) -> None:
        before, room = self.lost(), self.door.counts().pending
        record = self.record(producer, level)
        self.door.submit(record)
        limit = self.capacity if level == "ERROR" else self.room
        if room >= limit:
            assert self.lost() == before + 1
        elif not self.ended:
            assert self.lost() == before, "dropped though there was room"

    @rule(producer=st.sampled_from(PRODUCERS), level=st.sampled_from(["INFO", "ERROR"]))
    def submit_from_a_thread_that_may_not_wait(self, producer: str, level: str) -> None:
        self.door.submit_from_afar(self.record(producer, level))

    @rule(short=st.integers(1, 60))
    def the_short_way(self, short: int) -> None:
        """The logger's own comparison: append while the queue is shorter than the mark."""
        for _ in range(short):
            if len(self.door.queue) < self.door.mark:
                self.door.queue.append(self.record("a", "INFO"))

    @rule()
    def take(self) -> None:
        if not self.in_hand:
            self.in_hand = self.door.take()
            self.taken += [(r.fields["producer"], r.fields["n"]) for r in self.in_hand]

    @rule(filtered=st.integers(0, 5))
    def settle(self, filtered: int) -> None:
        filtered = min(filtered, len(self.in_hand))
        self.door.settle(len(self.in_hand) - filtered, filtered)
        self.in_hand = []

    @rule()
    def lose(self) -> None:
        self.door.lose(len(self.in_hand), "error")
        self.in_hand = []

    @rule(shut=st.booleans())
    def gate(self, shut: bool) -> None:
        self.door.gate(shut)

    @precondition(lambda self: not self.ended)
    @rule(close=st.booleans())
    def end(self, close: bool) -> None:
        self.door.end()
        self.ended = True
        if close:
            self.door.close()

    @invariant()
    def the_ledger_adds_up(self) -> None:
        if hasattr(self, "door"):
            counts = self.door.counts()
            assert counts.balanced, counts
            assert counts.received == self.offered, counts
            assert counts.pending == len(self.door.queue) + len(self.in_hand)
            assert min(counts.pending, counts.delivered, counts.filtered) >= 0

    @invariant()
    def it_is_bounded(self) -> None:
        if hasattr(self, "door"):
            assert self.door.counts().pending <= self.capacity

    @invariant()
    def order_is_kept_per_producer(self) -> None:
        for producer in PRODUCERS:
            own = [n for name, n in self.taken if name == producer]
            assert own == sorted(own)

    def teardown(self) -> None:
        if hasattr(self, "door"):
            self.door.close()
            self.door.abandon("shutdown")
            assert self.door.counts().pending == 0
            assert self.door.counts().balanced


def test_any_order_of_calls_keeps_the_rules() -> None:
    """Sync callers, the pump, the gate and closing, in any order: nothing is lost uncounted."""
    run_state_machine_as_test(
        HandTurned,
        settings=settings(
            max_examples=150,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


@pytest.mark.parametrize("seed", range(12))
async def test_waiters_are_served_in_order_whoever_is_cancelled(seed: int) -> None:
    """Callers of one right get in in the order of their calls; the cancelled ones never do."""
    rng = random.Random(seed)
    capacity = rng.randint(1, 15)
    door = Door(capacity, 0.0, lambda no: True, News(lambda: None))
    door.bind(running_loop())
    offered: list[Record] = []
    cancelled: list[Record] = []
    scopes: dict[int, anyio.CancelScope] = {}
    inside: list[Record] = []

    def record(level: str) -> Record:
        with captured() as taken:
            log.log(level, "x", n=len(offered))
        offered.append(taken.last)
        return taken.last

    async def enter(entering: Record) -> None:
        with anyio.CancelScope() as scope:
            scopes[entering.fields["n"]] = scope
            await door.asubmit(entering)
            return
        cancelled.append(entering)

    def pump() -> None:
        taken = door.take()
        inside.extend(taken)
        door.settle(len(taken), 0)

    async with anyio.create_task_group() as tasks:
        for _ in range(40):
            step = rng.choice(["wait", "wait", "wait", "cancel", "pump", "gate"])
            if step == "wait":
                tasks.start_soon(enter, record(rng.choice(["INFO", "INFO", "ERROR"])))
            elif step == "cancel" and scopes:
                scopes[rng.choice(list(scopes))].cancel()
            elif step == "gate":
                door.gate(rng.random() < 0.3)
            else:
                pump()
            await anyio.wait_all_tasks_blocked()
            assert door.counts().balanced
            assert door.counts().pending <= capacity
        door.gate(False)
        while door.counts().pending or door._waiters or door._urgent:
            pump()
            await anyio.wait_all_tasks_blocked()
    numbers = {
        level: [r.fields["n"] for r in inside if r.level.name == level]
        for level in ("INFO", "ERROR")
    }
    assert all(own == sorted(own) for own in numbers.values()), numbers
    gone = {r.fields["n"] for r in cancelled}
    assert gone.isdisjoint(n for own in numbers.values() for n in own)
    assert len(inside) + len(gone) == len(offered) == door.counts().received
    assert door.counts().dropped.get("cancelled", 0) == len(gone)

"""Processors that keep back, limit and sample, driven in any order: each record at most once.

What a processor said has come out, is kept, or was filtered adds up to what came in, after every
step, and nothing is made up. Each record carries the number of its arrival, by which it is known
again in whatever copy comes out: it stands where the time of the call would.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from logflume import Record
from logflume.processors import Dedupe, FingersCrossed, RateLimit, Sample
from tests.processors.given import Clock, out_of, said

LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
OUT_OF_COUNT = {"sample_rate", "suppressed", "repeated"}

step = settings(
    max_examples=120,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)


class Driven(RuleBasedStateMachine):
    """One processor; the steps are records of a few keys, time that passes, and releases."""

    processor: Any

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.came: dict[int, Record] = {}
        self.out: list[Record] = []
        self.alike: Callable[[Record], Any] = lambda record: record.fields.get("key")

    def kept(self) -> list[Record]:
        """What may still come out."""
        return []

    def given_out(self, records: Sequence[Record]) -> None:
        self.out += records

    @rule(
        key=st.sampled_from(["a", "b", "c", None]),
        level=st.sampled_from(LEVELS),
        message=st.sampled_from(["x", "y"]),
    )
    def record(self, key: str | None, level: str, message: str) -> None:
        record = said(message, level=level, **({} if key is None else {"key": key}))
        record.time_ns = len(self.came)
        self.came[record.time_ns] = record
        passes = hasattr(self.processor, "passes") and self.processor.passes([record])
        returned = self.processor(record)
        assert returned is record or not passes
        self.given_out(out_of(returned))
        self.check(record)

    @rule(seconds=st.sampled_from([0.1, 1.0, 3.0, 10.0]))
    def time_passes(self, seconds: float) -> None:
        self.clock.now += seconds

    @rule()
    def release(self) -> None:
        if hasattr(self.processor, "due"):
            due = self.processor.due()
            released = self.processor.release()
            assert due is not None or not released, "gave out what was not due"
            self.given_out(released)
            assert not self.processor.release(), "gave out the same again"

    def check(self, record: Record) -> None:
        """What else holds after a record."""

    @invariant()
    def each_record_is_in_one_place(self) -> None:
        out = [record.time_ns for record in self.out]
        kept = [record.time_ns for record in self.kept()]
        assert len(set(out)) == len(out), "came out twice"
        assert set(out).isdisjoint(kept), "came out, and is kept"
        assert len(set(kept)) == len(kept)
        filtered = self.came.keys() - {*out, *kept}
        assert len(out) + len(kept) + len(filtered) == len(self.came), "made up"

    @invariant()
    def what_comes_out_is_what_came_in(self) -> None:
        for record in self.out[-3:]:
            came = self.came[record.time_ns]
            own = {k: v for k, v in record.fields.items() if k not in OUT_OF_COUNT}
            assert own == came.fields
            assert record.level == came.level
            assert record.message.startswith(came.message)

    @invariant()
    def order_is_kept_per_key(self) -> None:
        last: dict[Any, int] = {}
        for record in self.out:
            key = self.alike(self.came[record.time_ns])
            assert last.get(key, -1) < record.time_ns
            last[key] = record.time_ns


class Sampled(Driven):
    @initialize(
        settings=st.sampled_from(
            [
                {"rate": 0.5},
                {"rate": 0.5, "key": "key"},
                {"rates": {"DEBUG": 0.1, "INFO": 0.5}},
                {"per_second": 1, "max_keys": 2},
                {"per_second": 1, "max_keys": 2, "key": "key", "always": None},
            ]
        ),
        rng=st.randoms(use_true_random=False),
    )
    def open(self, settings: dict[str, Any], rng: Any) -> None:
        self.processor = Sample(**settings, random=rng.random, clock=self.clock)
        self.alike = lambda record: None  # the order of all is kept


class Limited(Driven):
    @initialize(
        per_second=st.sampled_from([0.5, 1, 4]),
        key=st.sampled_from([None, "key"]),
        max_keys=st.integers(1, 6),
    )
    def open(self, per_second: float, key: str | None, max_keys: int) -> None:
        self.processor = RateLimit(per_second, key=key, max_keys=max_keys, clock=self.clock)
        self.alike = lambda record: None
        self.max_keys = max_keys

    @invariant()
    def the_suppressed_are_counted_at_most_once(self) -> None:
        told = sum(record.fields.get("suppressed", 0) for record in self.out)
        assert told <= len(self.came) - len(self.out)


class Deduped(Driven):
    @initialize(key=st.sampled_from([None, "key"]), max_keys=st.integers(1, 6))
    def open(self, key: str | None, max_keys: int) -> None:
        self.processor = Dedupe(5.0, key=key, max_keys=max_keys, clock=self.clock)
        self.max_keys = max_keys
        if key is None:
            self.alike = lambda r: (r.level.no, r.message, r.fields.get("key"))

    def kept(self) -> list[Record]:
        return [record for record, _ in self.processor._kept.values()]

    def check(self, record: Record) -> None:
        assert len(self.kept()) <= len(self.processor._seen) <= self.max_keys

    @invariant()
    def all_are_accounted_for(self) -> None:
        """A record without a count stands for itself, one with a count for so many."""
        told = sum(record.fields.get("repeated", 1) for record in self.out)
        assert told + sum(n for _, n in self.processor._kept.values()) == len(self.came)

    @invariant()
    def it_is_due_at_the_end_of_the_window(self) -> None:
        due = self.processor.due()
        assert (due is None) == (not self.kept())
        assert due is None or due <= self.clock.now + 5.0


class Crossed(Driven):
    @initialize(
        pass_level=st.sampled_from([None, "WARNING"]),
        keep=st.integers(1, 4),
        max_keys=st.integers(1, 4),
        stay_open=st.sampled_from([None, 0.0, 2.0]),
    )
    def open(self, **settings: Any) -> None:
        self.settings = settings
        self.processor = FingersCrossed("key", max_age=5.0, clock=self.clock, **settings)
        passes = settings["pass_level"] is not None
        # A warning that passes at once overtakes what is kept: it is a sequence of its own.
        self.alike = lambda r: (r.fields.get("key"), passes and r.level.name == "WARNING")

    def kept(self) -> list[Record]:
        return [r for ring in self.processor._kept.values() for _, r in ring]

    def check(self, record: Record) -> None:
        if record.level.name == "ERROR":
            assert self.out[-1] is record
        assert len(self.kept()) <= self.settings["keep"] * self.settings["max_keys"]
        assert len(self.processor._open) <= self.settings["max_keys"]
        assert self.processor.due() is None


def test_sampling_filters_or_passes_each_record() -> None:
    """Whatever the rule; the order of all that pass is that in which they came."""
    run_state_machine_as_test(Sampled, settings=step)


def test_a_limit_filters_or_passes_each_record() -> None:
    """And never tells more to be suppressed than are."""
    run_state_machine_as_test(Limited, settings=step)


def test_deduping_accounts_for_each_record() -> None:
    """Those that came out stand for all that came and are not kept."""
    run_state_machine_as_test(Deduped, settings=step)


def test_fingers_crossed_gives_each_record_out_once_or_never() -> None:
    """In the order of its key, before the error, bounded in memory."""
    run_state_machine_as_test(Crossed, settings=step)

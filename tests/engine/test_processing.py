"""Processors in a pipeline: stages, records kept back, and what the ledger says of them."""

from __future__ import annotations

import math
import os
import time
import warnings
from collections.abc import Sequence
from typing import Any

import anyio
import pytest

from logflume import ConfigurationError, Pipeline, Record, Route, encoders, log, processors
from tests.fakes import Collect


class Keep:
    """Keeps all records back until `at`, and gives them out in order."""

    inline = True

    def __init__(self, at: float = math.inf) -> None:
        self.at: float | None = at
        self.kept: list[Record] = []

    def __call__(self, record: Record) -> None:
        self.kept.append(record)

    def due(self) -> float | None:
        return self.at if self.kept else None

    def release(self) -> list[Record]:
        kept, self.kept = self.kept, []
        return kept


class Pass:
    """Lets batches pass at one look, and counts how it was asked."""

    inline = True

    def __init__(self, answer: Any = True) -> None:
        self.answer = answer
        self.looks = 0
        self.calls = 0

    def passes(self, records: Sequence[Record]) -> Any:
        self.looks += 1
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def __call__(self, record: Record) -> Record:
        self.calls += 1
        return record


async def test_kept_records_count_as_filtered_until_they_are_given_out() -> None:
    """What a processor keeps is filtered; a flush gives it out, and then it is delivered."""
    sink, keep = Collect(), Keep()
    async with Pipeline(sink, processors=[keep]) as pipeline:
        for n in range(3):
            await log.ainfo("kept {n}", n=n)
        while len(keep.kept) < 3:
            await anyio.lowlevel.checkpoint()
        await anyio.wait_all_tasks_blocked()
        door = pipeline.stats().door
        assert (door.received, door.delivered, door.filtered, door.pending) == (3, 0, 3, 0)
        assert (await pipeline.flush(5)).complete
        door = pipeline.stats().door
        assert (door.received, door.delivered, door.filtered, door.pending) == (3, 3, 0, 0)
    assert sink.messages == ["kept 0", "kept 1", "kept 2"]


async def test_kept_records_are_given_out_when_they_are_due() -> None:
    """Nobody has to log or flush for that."""
    sink = Collect()
    async with Pipeline(sink, processors=[Keep(at=time.monotonic())]):
        await log.ainfo("soon")
        await sink.until(1)


async def test_kept_records_are_given_out_at_the_end() -> None:
    """Before the routes close, through the processors that come behind."""
    sink = Collect()

    async def mark(record: Record) -> Record:
        await anyio.lowlevel.checkpoint()
        return record.replace(fields={"marked": True})

    async with Pipeline(sink, processors=[Keep(), Keep(), mark]) as pipeline:
        await log.ainfo("late")
    assert [r.fields for r in sink.records] == [{"marked": True}]
    door = pipeline.stats().door
    assert (door.received, door.delivered, door.filtered) == (1, 1, 0)


async def test_a_processor_that_has_nothing_to_give_out_keeps_its_records_filtered() -> None:
    """`due()` of None means that neither a flush nor the end asks for them."""
    sink, keep = Collect(), Keep()
    keep.at = None
    async with Pipeline(sink, processors=[keep]) as pipeline:
        await log.ainfo("never")
        assert (await pipeline.flush(5)).complete
    assert sink.messages == []
    assert pipeline.stats().door.filtered == 1


async def test_several_records_may_come_out_for_one() -> None:
    """In their order; those a processor made up were received from it."""
    sink = Collect()

    def thrice(record: Record) -> list[Record]:
        return [record.replace(message=f"{record.message} {n}") for n in range(3)]

    async with Pipeline(sink, processors=[thrice]) as pipeline:
        await log.ainfo("m")
    assert sink.messages == ["m 0", "m 1", "m 2"]
    door = pipeline.stats().door
    assert (door.received, door.delivered, door.filtered, door.pending) == (3, 3, 0, 0)


@pytest.mark.parametrize("result", [["no record"], 5, "text"], ids=repr)
async def test_a_result_that_is_no_record_is_a_failure(result: Any) -> None:
    """The record goes on without that step."""
    sink = Collect()
    async with Pipeline(sink, processors=[lambda record: result]):
        await log.ainfo("m")
    assert sink.records[0].fields["logflume.error"] == "TypeError"


async def test_a_release_that_fails_harms_nothing() -> None:
    """What was kept stays filtered, and the pipeline goes on and ends."""

    class Broken(Keep):
        def release(self) -> list[Record]:
            raise ValueError

    sink, broken = Collect(), Broken(at=0.0)
    async with Pipeline(sink, processors=[broken]) as pipeline:
        await log.ainfo("m")
        assert (await pipeline.flush(5)).complete
    assert pipeline.stats().door.filtered == 1


async def test_a_batch_that_passes_is_not_processed_one_by_one() -> None:
    """`passes` is asked first, and only True counts."""
    sink, quick = Collect(), Pass()
    async with Pipeline(sink, processors=[quick]):
        for _ in range(1_000):
            await log.ainfo("m")
    assert quick.calls == 0
    assert 0 < quick.looks < 500
    assert len(sink.records) == 1_000


@pytest.mark.parametrize("answer", [False, None, 1, ValueError()], ids=repr)
async def test_a_batch_that_may_not_pass_is_processed(answer: Any) -> None:
    """Also if `passes` fails: what it cannot say, the processor says for each record."""
    sink, slow = Collect(), Pass(answer)
    async with Pipeline(sink, processors=[slow]):
        for _ in range(600):
            await log.ainfo("m")
    assert slow.calls == len(sink.records) == 600


async def test_an_inline_processor_that_returns_an_awaitable_fails() -> None:
    """It said that it never does; the record says that it did."""
    sink = Collect()

    class Liar:
        inline = True

        async def __call__(self, record: Record) -> Record:
            return record

    async with Pipeline(sink, processors=[Liar()]):
        for _ in range(600):
            await log.ainfo("m")
    assert len(sink.records) == 600
    assert all(r.fields["logflume.error"] == "TypeError" for r in sink.records)


async def test_a_processor_that_hangs_costs_its_timeout_once_per_chunk() -> None:
    """The records that were taken along with it go without it, and say so."""
    sink = Collect()
    calls = 0

    async def hang(record: Record) -> Record:
        nonlocal calls
        calls += 1
        await anyio.sleep_forever()
        return record

    async with Pipeline(sink, processors=[hang], processor_timeout=0.05):
        for _ in range(50):
            log.info("m")
        await sink.until(50)
    assert calls <= 2
    assert all(r.fields["logflume.error"] == "TimeoutError" for r in sink.records)


# Redaction.


async def test_redaction_is_the_first_stage_and_on_by_default() -> None:
    """Neither processors nor sinks see what it takes out; a list of processors changes nothing."""
    seen: list[str] = []
    sink = Collect()

    def look(record: Record) -> Record:
        seen.append(str(record.fields))
        return record

    async with Pipeline(Route(sink, encoder=encoders.Json()), processors=[look]):
        await log.ainfo("login", password="hunter2")
    assert "hunter2" not in f"{seen} {sink.records[0].to_dict()} {sink.encoded}"


@pytest.mark.parametrize("off", [None, False])
async def test_redaction_can_be_turned_off(off: Any) -> None:
    """Then what was logged is what is seen."""
    sink = Collect()
    async with Pipeline(sink, redact=off):
        await log.ainfo("login", password="hunter2")
    assert sink.records[0].fields == {"password": "hunter2"}


async def test_a_redaction_of_ones_own_takes_its_place() -> None:
    """Any processor will do."""
    sink = Collect()
    async with Pipeline(sink, redact=lambda r: r.replace(fields={"mine": 1})):
        await log.ainfo("login", password="hunter2")
    assert sink.records[0].fields == {"mine": 1}


@pytest.mark.parametrize("redact", [5, "password", ["password"]], ids=repr)
def test_a_redaction_that_is_none_is_refused(redact: Any) -> None:
    """At once, naming the setting."""
    with pytest.raises(ConfigurationError, match=r"Pipeline\.redact: got .*; accepted: "):
        Pipeline(redact=redact)


async def test_what_processors_log_is_redacted() -> None:
    """They are bypassed by it, but redaction is not."""
    sink = Collect()

    def talkative(record: Record) -> Record:
        log.info("processing", password="hunter2")
        return record

    async with Pipeline(sink, processors=[talkative]) as pipeline:
        await log.ainfo("one")
        for _ in range(3):
            await pipeline.flush(5)
    assert sink.messages == ["one", "processing"]
    assert "hunter2" not in str([r.fields for r in sink.records])


async def test_a_redaction_that_logs_does_not_loop() -> None:
    """What it logs goes past it."""
    sink = Collect()

    class Talkative(processors.Redact):
        def passes(self, records: Sequence[Record]) -> bool:
            return False

        def __call__(self, record: Record) -> Record:
            log.info("redacting")
            return super().__call__(record)

    async with Pipeline(sink, redact=Talkative()) as pipeline:
        await log.ainfo("one")
        for _ in range(3):
            await pipeline.flush(5)
    assert sink.messages == ["one", "redacting"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
@pytest.mark.blocking
def test_what_is_kept_stays_with_the_parent_after_a_fork() -> None:
    """The child's pipeline begins with nothing; the parent gives it out."""
    sink = Collect()

    class Forgetful(Keep):
        def forget(self) -> None:
            self.kept.clear()

    keep = Forgetful()
    with Pipeline(sink, processors=[keep]):
        log.info("kept")
        while not keep.kept:
            time.sleep(0.001)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # 3.12: it has threads
            child = os.fork()
        if not child:
            os._exit(len(keep.kept))
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert sink.messages == ["kept"]


@pytest.mark.parametrize("at", ["passes", "__call__"])
async def test_what_a_finalizer_says_during_redaction_is_redacted(
    at: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or the handler of a signal: whatever runs on the loop's thread just then."""
    redact = getattr(processors.Redact, at)

    def interrupted(self: Any, given: Any) -> Any:
        if not said:
            said.append("once")
            log.info("closed", password="hunter2")
        return redact(self, given)

    said: list[str] = []
    monkeypatch.setattr(processors.Redact, at, interrupted)
    sink = Collect()
    async with Pipeline(sink):
        for _ in range(3):
            await log.ainfo("opened", password="hunter2")
            await sink.until(1)
        await sink.until(4)
    assert sorted(sink.messages) == ["closed", "opened", "opened", "opened"]
    assert {record.fields["password"] for record in sink.records} == {"[redacted]"}


async def test_lazy_values_have_a_time_limit() -> None:
    """One that never comes is a marker after the processors' timeout; so are all of its burst."""
    sink = Collect()

    async def never() -> None:
        await anyio.sleep_forever()

    async with Pipeline(sink, processor_timeout=0.05) as pipeline:
        for _ in range(100):
            log.opt(lazy=True).info("{x}", x=never)
        log.info("after")
        assert (await pipeline.flush(20)).complete
    assert sink.messages == ["<lazy value failed: TimeoutError>"] * 100 + ["after"]


async def test_lazy_values_cannot_end_the_pipeline() -> None:
    """Not by what they raise, and not by a cancellation that is theirs."""
    sink = Collect()

    async def leave() -> None:
        raise SystemExit(1)

    async with Pipeline(sink) as pipeline:
        log.opt(lazy=True).info("{x}", x=leave)
        log.info("after")
        assert (await pipeline.flush(20)).complete
    assert sink.messages == ["<lazy value failed: SystemExit>", "after"]


@pytest.mark.parametrize("due", ["soon", math.nan, SystemExit(), ValueError()], ids=repr)
async def test_a_time_that_is_none_is_no_end_of_the_pipeline(due: Any) -> None:
    """A processor that cannot say when it wants to be asked is not asked."""

    class Odd(Keep):
        def due(self) -> Any:
            if isinstance(due, BaseException):
                raise due
            return due

    sink = Collect()
    async with Pipeline(sink, processors=[Odd()]) as pipeline:
        log.info("kept")
        assert (await pipeline.flush(20)).complete
    assert pipeline.stats().door.filtered == 1


async def test_what_giving_out_raises_is_no_end_of_the_pipeline() -> None:
    """What the processor keeps stays filtered then."""

    class Leaves(Keep):
        def release(self) -> list[Record]:
            raise SystemExit

    sink = Collect()
    async with Pipeline(sink, processors=[Leaves()]) as pipeline:
        log.info("kept")
        assert (await pipeline.flush(20)).complete
    assert pipeline.stats().door.filtered == 1


async def test_a_processor_that_is_always_due_does_not_stop_the_loop() -> None:
    """It is asked again now and then, whether it gives out something or nothing."""

    class Always(Keep):
        asked = 0

        def due(self) -> float:
            return 0.0

        def release(self) -> list[Record]:
            self.asked += 1
            return super().release()

    sink, always = Collect(), Always()
    with anyio.fail_after(5):
        async with Pipeline(sink, processors=[always]) as pipeline:
            log.info("kept")
            assert (await pipeline.flush(20)).complete
            await anyio.wait_all_tasks_blocked()
    assert sink.messages == ["kept"]
    assert always.asked < 50


@pytest.mark.parametrize(
    "given", [5, "add", [processors.Redact], [None], processors.Otel], ids=repr
)
def test_what_are_no_processors_is_refused(given: Any) -> None:
    """A list of callables is asked for; a class makes objects, not records."""
    with pytest.raises(ConfigurationError, match=r"Pipeline\.processors"):
        Pipeline(processors=given)


def test_redaction_is_no_class() -> None:
    """The class itself would fail for each record."""
    with pytest.raises(ConfigurationError, match=r"Redact\(\), not its class"):
        Pipeline(redact=processors.Redact)


async def test_any_callable_that_redacts_fails_closed() -> None:
    """What a function given as `redact` could not look at does not pass."""
    sink = Collect()

    def own(record: Record) -> Record:
        raise ValueError

    async with Pipeline(sink, redact=own):
        log.info("token {t}", t="hunter2")
    assert sink.messages == ["<withheld: own failed>"]
    assert "hunter2" not in str(sink.records[0].to_dict())


async def test_any_callable_that_redacts_sees_what_processors_log() -> None:
    """Just as the built-in one does."""
    sink = Collect()

    def chatty(record: Record) -> Record:
        log.info("hunter2")
        return record

    async with Pipeline(
        sink,
        redact=lambda record: record.replace(message=record.message.replace("hunter2", "***")),
        processors=[chatty],
    ) as pipeline:
        log.info("hello hunter2")
        for _ in range(2):
            await pipeline.flush(5)
    assert sink.messages == ["hello ***", "***"]


async def test_a_level_may_be_changed_by_its_name() -> None:
    """A processor says `level="ERROR"`, as everywhere; what is no level fails in there."""
    sink = Collect()

    def up(record: Record) -> Record:
        return record.replace(level=record.fields["to"])

    async with Pipeline(sink, processors=[up]):
        log.info("a", to="error")
        log.info("b", to="nonsense")
        log.info("c", to=30)
    assert [r.level.name for r in sink.records] == ["ERROR", "INFO", "WARNING"]
    assert sink.records[1].fields["logflume.error"] == "ConfigurationError"


@pytest.mark.parametrize(
    "wrong", [{"message": 5}, {"fields": [1]}, {"logger": 5}, {"exception": ValueError()}], ids=repr
)
async def test_a_part_of_the_wrong_type_fails_in_the_processor(wrong: dict[str, Any]) -> None:
    """The record goes on without that step, and no other is lost with it."""
    sink = Collect()
    async with Pipeline(sink, processors=[lambda record: record.replace(**wrong)]):
        log.info("hello")
    assert sink.messages == ["hello"]
    assert sink.records[0].fields["logflume.error"] == "TypeError"

"""The sinks for tests: they behave and misbehave as they say."""

from __future__ import annotations

from collections.abc import Callable

import anyio
import pytest

from logflume import ConfigurationError, Pipeline, Retry, Route, Sink, encoders, get_logger
from logflume.testing import (
    Collect,
    Flaky,
    Gate,
    Hang,
    ManualClock,
    Raising,
    Rejecting,
    Slow,
    Unopenable,
)

log = get_logger("tests.sinks")

NEVER = Retry(attempts=1)


@pytest.mark.parametrize(
    "sink",
    [Collect(), Gate(), Hang(), Slow(1), Flaky(1), Rejecting(bool), Raising(), Unopenable()],
    ids=lambda sink: sink.name,
)
def test_each_is_a_sink_with_a_name(sink: Collect) -> None:
    """As a pipeline takes it."""
    assert isinstance(sink, Sink)
    assert Route(sink).name == sink.name


async def test_collect_keeps_what_it_is_sent() -> None:
    """Records, their bytes, their batches, and how often it was called."""
    sink = Collect()
    async with Pipeline(Route(sink, encoder=encoders.Template("{message}"))):
        await log.ainfo("one")
        await sink.until(1)
    assert (sink.messages, sink.encoded) == (["one"], [b"one\n"])
    assert (sink.opened, sink.sends, sink.closed) == (1, 1, 1)


def test_collect_is_waited_for_by_threads() -> None:
    """And says how many came, if not enough did."""
    sink = Collect()
    with Pipeline(sink):
        log.info("one")
        sink.wait(1)
        with pytest.raises(AssertionError, match="collect: 1 records came, not 2"):
            sink.wait(2, 0.01)


async def test_slow_takes_its_time_by_a_manual_clock() -> None:
    """So that a test of a slow sink is not slow itself."""
    clock = ManualClock()
    sink = Slow(60.0, clock=clock)
    async with Pipeline(sink) as pipeline:
        await log.ainfo("one")
        await anyio.wait_all_tasks_blocked()
        assert (clock.sleeping, sink.messages) == (1, [])
        clock.advance(60.0)
        assert (await pipeline.flush(timeout=5)).complete
    assert sink.messages == ["one"]


def test_slow_in_no_time_is_refused() -> None:
    """A negative number is a mistake."""
    with pytest.raises(ConfigurationError, match=r"Slow\.seconds: got -1"):
        Slow(-1)


async def test_each_misbehaves_as_it_says() -> None:
    """The ledger tells."""
    flaky, hang = Flaky(2), Hang()
    raising = Raising(ValueError("by peer"))
    picky = Rejecting(lambda record: record.message == "bad")
    async with Pipeline(
        Route(flaky, retry=Retry(initial=0.001)),
        Route(hang, timeout=0.01, retry=NEVER),
        Route(raising, retry=NEVER),
        picky,
        level="INFO",
    ) as pipeline:
        await log.ainfo("good")
        await log.ainfo("bad")
    routes = pipeline.stats().routes
    assert (flaky.messages[:2], routes["flaky"].retries) == (["good", "bad"], 2)
    assert routes["hang"].dropped.keys() == {"timeout"}
    assert "by peer" in str(routes["raising"].last_error)
    assert routes["rejecting"].dropped == {"refused": 1}
    assert "good" in picky.messages
    assert "bad" not in picky.messages


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: Flaky("x"), "Flaky.times: got 'x'"),  # type: ignore[arg-type]
        (lambda: Flaky(-1), "Flaky.times: got -1"),
        (lambda: Rejecting(5), "Rejecting.refuses: got 5"),  # type: ignore[arg-type]
    ],
)
def test_settings_that_mean_nothing_are_refused(make: Callable[[], Collect], told: str) -> None:
    """When the sink is made, not by its first send."""
    with pytest.raises(ConfigurationError, match=told):
        make()


async def test_who_waits_in_vain_is_told_how_many_came() -> None:
    """In tasks as in threads."""
    with pytest.raises(TimeoutError, match="collect: 0 records came, not 1"):
        await Collect().until(1, seconds=0.01)

"""The contract of processors."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

import pytest

from ...encoders import Json
from ...engine.pipeline import Pipeline
from ...protocols import Processor
from ...record import Record
from ..made import record_of
from ..odd import odd_records
from ._shared import BACKENDS, fail_for, look, run

__all__ = ["ProcessorContract"]


class ProcessorContract:
    """What a pipeline expects of a processor. Say how to `make` one; it may be async.

    The tests run on each loop that is installed. `within` is how many seconds each of them may
    take there.
    """

    within: float = 10.0

    def make(self) -> Processor:
        """Return a processor that has seen nothing yet. Called on a running loop."""
        raise NotImplementedError(f"{type(self).__name__}.make: how is the processor made?")

    def _run(self, test: Callable[[], Awaitable[None]]) -> None:
        for backend in BACKENDS:
            try:
                run(backend, test, self.within)
            except Exception as error:
                error.add_note(f"(on {backend})")
                raise

    def _check_each(self, check: Callable[[Record], Awaitable[None]]) -> None:
        async def test() -> None:
            failed: dict[str, str] = {}
            for odd, record in odd_records().items():
                try:
                    await check(record)
                except Exception as error:
                    failed[odd] = f"{type(error).__name__}: {error}"
            fail_for(failed)

        self._run(test)

    def test_it_returns_records_and_changes_none(self) -> None:
        """A record, several or None, whatever is in it; changes are made in copies."""

        async def check(record: Record) -> None:
            before = look(record)
            await out_of(self.make(), record)
            assert look(record) == before, "the record that it was given is another one now"

        self._check_each(check)

    def test_what_it_returns_can_be_written(self) -> None:
        """By `encoders.Json`, and as the dict that callbacks get."""

        async def check(record: Record) -> None:
            for returned in await out_of(self.make(), record):
                returned.to_dict()
                assert Json().encode(returned).endswith(b"\n")

        self._check_each(check)

    def test_inline_ones_return_nothing_to_await(self) -> None:
        """`inline = True` promises that."""

        async def test() -> None:
            processor = self.make()
            if not getattr(processor, "inline", False):
                pytest.skip("it is not inline")
            result = processor(record_of("said"))
            if inspect.iscoroutine(result):
                result.close()
            assert not inspect.isawaitable(result), "inline = True, and it is to be awaited"

        self._run(test)

    def test_what_passes_comes_out_as_it_went_in(self) -> None:
        """Where `passes` says so, the processor is not called at all."""

        async def test() -> None:
            passes = getattr(self.make(), "passes", None)
            if passes is None:
                pytest.skip("it has no passes")
            for odd, record in odd_records().items():
                if self.make().passes([record]):  # type: ignore[attr-defined]
                    before = look(record)
                    out = await out_of(self.make(), record)
                    unchanged = [look(it) for it in out] == [before]
                    assert unchanged, f"passes says that {odd!r} is left as it is; it is not"

        self._run(test)

    def test_what_it_keeps_back_it_gives_out_or_forgets(self) -> None:
        """`release` gives out records until `due` says None; after `forget`, there are none."""

        async def test() -> None:
            if getattr(self.make(), "due", None) is None:
                pytest.skip("it keeps nothing back")
            await self._check_that_it_leaves("release")
            await self._check_that_it_leaves("forget")

        self._run(test)

    async def _check_that_it_leaves(self, how: str) -> None:
        processor: Any = self.make()
        for _ in range(10):
            await out_of(processor, record_of("said"))
        due = processor.due()
        assert due is None or isinstance(due, int | float), f"due() gives {due!r}"
        leave = getattr(processor, how, None)
        assert leave is not None, f"it has a due(), and no {how}()"
        left = leave()
        assert all(isinstance(it, Record) for it in left or ()), f"{how}() is to return Records"
        assert processor.due() is None, f"after {how}(), due() is to say None"

    def test_a_span_is_two_numbers(self) -> None:
        """`current_span`, if it has that, returns a trace id and a span id, or None."""

        async def test() -> None:
            current_span = getattr(self.make(), "current_span", None)
            if current_span is None:
                pytest.skip("it has no current_span")
            match current_span():
                case None | (int(), int()):
                    pass
                case other:
                    raise AssertionError(f"current_span() gives {other!r}, not two ints or None")

        self._run(test)

    def test_it_runs_in_a_pipeline(self) -> None:
        """Which fails for none of its records."""

        async def test() -> None:
            taken: list[dict[str, Any]] = []
            if hasattr(self.make(), "due"):  # or the pipeline would ask it for ever
                await self._check_that_it_leaves("release")

            async def keep(record: dict[str, Any]) -> None:
                taken.append(record)

            async with Pipeline(keep, processors=[self.make()], level="INFO") as pipeline:
                for n in range(3):
                    await pipeline.door.asubmit(record_of("record {n}", n=n))
            assert pipeline.stats().door.balanced
            failed = [it for it in taken if "logflume.failed_processor" in it["fields"]]
            assert not failed, "the pipeline went on without it: it failed"

        self._run(test)


async def out_of(processor: Processor, record: Record) -> list[Record]:
    """Return what a processor, sync or async, makes of a record: none, one or several."""
    result: Any = processor(record)
    if inspect.isawaitable(result):
        result = await result
    if result is None:
        return []
    if isinstance(result, Record):
        return [result]
    several = isinstance(result, Iterable) and not isinstance(result, Mapping | str | bytes)
    records: list[Any] = list(result) if several else [result]
    for it in records:
        assert isinstance(it, Record), f"it returned {type(it).__name__}, not a Record"
    return records

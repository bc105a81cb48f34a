"""What processors do to records between the door and the routes: in order, a stage at a time.

Each stage takes all records of a chunk before the next one begins, so that a processor can pass a
whole chunk with one look (`passes`). Redaction is the first stage, and the only one that also sees
what the others log.
"""

from __future__ import annotations

import inspect
import math
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import anyio

from ..context import enter_origins
from ..errors import ConfigurationError
from ..protocols import Processor
from ..record import Record
from .backend import survivable

__all__ = ["PROCESSORS", "Processing", "adopt_redaction", "redaction", "stages_of"]

PROCESSORS = "processors"
"""The origin of what processors log."""

PAUSE = 0.1
"""Seconds for which one that was due, but gave out nothing, is not asked again."""

REDACTION = "redaction"
"""The origin of what those log that guard secrets."""


_make_redaction: Callable[[], Processor]


def adopt_redaction(make: Callable[[], Processor]) -> None:
    """Say what `redact=True` stands for: called by the package of processors, which the engine
    does not know."""
    global _make_redaction
    _make_redaction = make


def redaction() -> Processor:
    """Return what `redact=True` stands for."""
    return _make_redaction()


def stages_of(redact: Processor | bool | None, processors: Iterable[Processor]) -> list[Processor]:
    """Return the processors in the order in which they run.

    Raises:
        ConfigurationError: one of them is none.
    """
    if not isinstance(processors, Iterable):
        raise ConfigurationError.of("Pipeline.processors", processors, "a list of callables")
    stages = list(processors)
    for processor in stages:
        _check("Pipeline.processors", processor, "callables")
    if redact is True:
        return [redaction(), *stages]
    if not redact and not callable(redact):
        return stages
    _check("Pipeline.redact", redact, "a processor, True or None")
    guard: Any = redact
    return [guard if hasattr(guard, "fail_closed") else _Guard(guard), *stages]


def _check(setting: str, given: object, accepted: str) -> None:
    if isinstance(given, type):  # which would make an object of each record
        raise ConfigurationError.of(
            setting, given, f"{accepted}: {given.__name__}(), not its class"
        )
    if not callable(given):
        raise ConfigurationError.of(setting, given, accepted)


class _Guard:
    """A callable that redacts and does not say what shall happen if it fails: nothing passes."""

    fail_closed = True

    def __init__(self, redact: Any) -> None:
        self._redact = redact
        self.__name__ = getattr(redact, "__name__", type(redact).__name__)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._redact, name)

    def __call__(self, record: Record) -> Any:
        return self._redact(record)


class Processing:
    """The processors of a pipeline, called on its loop only.

    `timeout` is the most seconds that an async one may take for a record. After one that took
    longer, the rest of the chunk goes without it: it would take as long for each.
    """

    def __init__(self, processors: Sequence[Processor], timeout: float) -> None:
        self.timeout = timeout
        self._stages = [_Stage(processor, timeout) for processor in processors]
        self.inline = all(stage.inline for stage in self._stages)
        """Whether all of them can be run by a caller on the loop, without a turn of it."""
        spans = [getattr(processor, "current_span", None) for processor in processors]
        self.current_span: Callable[[], tuple[int, int] | None] | None = next(
            filter(None, spans), None
        )

    def run_now(self, records: list[Record]) -> list[Record]:
        """Return what comes out, if `inline`; the same list if nothing is changed."""
        for stage in self._stages:
            if records and not stage.passes(records):
                records = _result_now(stage.run(records))
        return records

    async def run(self, records: list[Record]) -> list[Record]:
        """Return what comes out; the same list if nothing is changed."""
        return await self._run(records, self._stages)

    async def _run(self, records: list[Record], stages: Sequence[_Stage]) -> list[Record]:
        for stage in stages:
            if records and not stage.passes(records):
                records = await stage.run(records)
        return records

    def due(self) -> float | None:
        """Return the `time.monotonic()` at which one of them wants to give out what it keeps."""
        times = [due for stage in self._stages if (due := stage.due()) is not None]
        return min(times, default=None)

    def forget(self) -> None:
        """Let all forget what they keep: after a fork, it is the parent's to give out."""
        for stage in self._stages:
            stage.forget()

    async def release(self, *, everything: bool = False) -> list[Record]:
        """Return what those give out that are due, or all that keep something."""
        released: list[Record] = []
        for position, stage in enumerate(self._stages):
            due = stage.due()
            if due is not None and (everything or due <= time.monotonic()):
                behind = self._stages[position + 1 :]
                released += await self._run(stage.release(), behind)
        return released


class _Stage:
    """One processor, what it can do, and what happens when it fails."""

    def __init__(self, processor: Processor, timeout: float) -> None:
        self._processor = processor
        self._timeout = timeout
        self._fail_closed: bool = getattr(processor, "fail_closed", False)
        self._passes: Callable[[Sequence[Record]], bool] | None = getattr(processor, "passes", None)
        self._due: Callable[[], float | None] | None = getattr(processor, "due", None)
        self._origin = REDACTION if self._fail_closed else PROCESSORS
        # What they log themselves goes past them, or it would go round in circles.
        self._past = {REDACTION} if self._fail_closed else {REDACTION, PROCESSORS}
        # Of the class itself: one made from it may log. Whatever is said while one runs that does
        # not, a finalizer or the handler of a signal says.
        if self._fail_closed and vars(type(processor)).get("logs_nothing", False):
            self._origin, self._past = PROCESSORS, set()
        self._not_before = -math.inf
        self.inline: bool = getattr(processor, "inline", False)

    def passes(self, records: Sequence[Record]) -> bool:
        """Whether all of these would come out as they went in. False if it cannot say."""
        if self._passes is None:
            return False
        try:
            return self._passes(records) is True
        except BaseException as error:
            if not survivable(error):
                raise
            return False  # the failure will show, record by record

    async def run(self, records: Sequence[Record]) -> list[Record]:
        """Process records one after the other."""
        enter_origins(frozenset((self._origin,)))
        processed: list[Record] = []
        late: BaseException | None = None
        for record in records:
            if record.extra is not None and not self._past.isdisjoint(record.extra.origins):
                processed.append(record)
                continue
            try:
                if late is not None:
                    raise late
                result: Any = self._processor(record)
                if inspect.isawaitable(result):
                    result = await self._settle(result)
                if type(result) is Record:
                    processed.append(result)
                elif result is not None:
                    processed += _several(result)
            except BaseException as error:
                if not survivable(error):
                    raise
                if isinstance(error, TimeoutError) and not self.inline:
                    late = error
                processed.append(self._without(record, error))
        return processed

    async def _settle(self, result: Any) -> Any:
        if self.inline:
            if inspect.iscoroutine(result):
                result.close()
            raise TypeError("a processor with inline = True returned an awaitable")
        with anyio.fail_after(self._timeout):
            return await result

    def due(self) -> float | None:
        """Return when this wants to give out what it keeps; None if it keeps nothing."""
        if self._due is None:
            return None
        try:
            due = self._due()
            # What is no number is no time either: nobody can wait for that.
            return None if due is None or due != due else max(float(due), self._not_before)
        except BaseException as error:
            if not survivable(error):
                raise
            return None

    def release(self) -> list[Record]:
        """Return what this gives out now."""
        enter_origins(frozenset((self._origin,)))
        try:
            released = _several(self._processor.release())  # type: ignore[attr-defined]
            if not released:
                self._not_before = time.monotonic() + PAUSE
            return released
        except BaseException as error:
            if not survivable(error):
                raise
            # What it keeps stays filtered; it must not be asked for ever.
            self._due = None
            return []

    def forget(self) -> None:
        """Forget what this keeps."""
        try:
            getattr(self._processor, "forget", _nothing)()
        except Exception:
            pass  # in a child that has just begun: nobody to tell yet

    def _without(self, record: Record, error: BaseException) -> Record:
        """Return the record as it goes on without this step, and saying so.

        If this guards secrets, nothing that it did not see may pass.
        """
        name = getattr(self._processor, "__name__", type(self._processor).__name__)
        note = {"logflume.failed_processor": name, "logflume.error": type(error).__name__}
        if self._fail_closed:
            return record.replace(message=f"<withheld: {name} failed>", fields=note).bare()
        fields = record.fields
        if note.keys() <= fields.keys():  # another one before this
            note = {key: f"{fields[key]}, {what}" for key, what in note.items()}
        return record.replace(fields={**fields, **note})


def _nothing() -> None:
    """Most processors keep nothing."""


def _several(result: Any) -> list[Record]:
    records = [result] if isinstance(result, Record) else list(result)
    for record in records:
        if not isinstance(record, Record):
            raise TypeError(f"a processor returned {type(record).__name__}, not a Record")
    return records


def _result_now(work: Any) -> Any:
    """Run a coroutine that never waits, and return its result."""
    try:
        work.send(None)
    except StopIteration as done:
        return done.value
    raise AssertionError("it waited")  # pragma: no cover - `_settle` refuses before that

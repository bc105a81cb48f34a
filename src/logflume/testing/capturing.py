"""`capture()`: takes what loggers say in a block, there and then, before any pipeline.

Captures stand between the loggers and the current pipeline (`logflume.capture.intercept`), so they
do not care whether one runs, starts or ends meanwhile, and there is no loop or thread of theirs to
wait for: a record is there when the call returns. Several may be open at once:

- a capture takes what is said in its block, in the captures within it as well (unlike pipelines,
  an inner one takes nothing away from the outer ones);
- what a task or thread says that is in a capture of its own does not count for others beside it.
  A context variable tells: tasks inherit it from whoever started them. What is said where it does
  not reach (in plain threads, in tasks that were there before) counts for every open capture.
"""

from __future__ import annotations

import contextlib
import contextvars
import inspect
import threading
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator
from typing import Any

import anyio

from ..capture import DONE, Connection, intercept, threshold_here
from ..engine import current
from ..engine.backend import in_loop, whereabouts
from ..engine.processing import PROCESSORS, REDACTION, Processing, stages_of
from ..errors import ConfigurationError
from ..lazy import abandon_lazy, is_unsettled, settle_lazy
from ..level import TRACE, Level, Thresholds, parse_level
from ..protocols import Processor
from ..record import Record
from ._forks import renew_in_children
from .clock import ManualClock
from .logs import Logs

__all__ = ["capture"]

_PROCESSOR_TIMEOUT = 5.0

_open: tuple[_Block, ...] = ()
_inside: contextvars.ContextVar[tuple[_Block, ...]] = contextvars.ContextVar(
    "logflume.captures", default=()
)


@contextlib.contextmanager
def capture(
    *,
    level: str | int | Level | None = TRACE,
    redact: Processor | bool | None = None,
    processors: Iterable[Processor] = (),
    pass_on: bool = False,
    clock: ManualClock | None = None,
) -> Iterator[Logs]:
    """Take what loggers say in this block, in sync and async code, with or without a pipeline.

        with capture() as logs:
            log.info("User {user} logged in", user="alice")
        logs.assert_logged("User alice logged in", level="INFO", user="alice")

    What is taken reaches no sink, unless `pass_on` lets it go on to where it would have gone.
    `level` is the lowest that is taken, of all loggers; None for the levels of the current
    pipeline. Nothing is redacted, and no processor runs, unless asked for: `redact` and
    `processors` are as a Pipeline's. They run in the caller: records are there when the call
    returns. Only if they are async, and the call is a plain one on a loop, `await logs.settle()`
    is to be waited for; so it is with async callables of `opt(lazy=True)`. `clock` says when
    records were logged, instead of the time of day.

    Captures may be nested (the outer one has the records of the inner one, too) and opened in
    concurrent tasks and threads, each of which has its own. Loggers that are switched off by
    `logflume.disable` stay so. The result stays readable after the block. What child processes log
    is not taken: those that are forked have a capture like it for themselves.

    Raises:
        ConfigurationError: a setting means nothing.
    """
    block = _Block(level, stages_of(redact, processors), pass_on, clock)
    block.enter()
    try:
        yield block.logs
    finally:
        block.leave()


class _Block:
    """One open capture: what it takes, and what happens to it on the way."""

    def __init__(
        self,
        level: str | int | Level | None,
        stages: list[Processor],
        pass_on: bool,
        clock: ManualClock | None,
    ) -> None:
        self.thresholds = None if level is None else Thresholds(parse_level(level, "capture.level"))
        self.pass_on = pass_on
        self.logs = Logs()
        self.logs._settle = self.settle
        self.processing = Processing(stages, _PROCESSOR_TIMEOUT) if stages else None
        self.within: tuple[_Block, ...] = ()
        self.home = -1
        """The thread that runs this block and nothing else, until it is over."""
        if clock is not None and not callable(getattr(clock, "time_ns", None)):
            raise ConfigurationError.of("capture.clock", clock, "a ManualClock, or None")
        self.clock = clock
        self._waits = any(map(_is_async, stages))
        self._redacts = any([getattr(stage, "fail_closed", False) for stage in stages])
        self._late: deque[tuple[Record, list[Record]]] = deque()
        renew_in_children(self)

    def _renew(self) -> None:
        self._settling = False
        self._lock = threading.RLock()  # processors are called one at a time

    # Which records are its own.

    def enter(self) -> None:
        global _open
        inside = [block for block in _inside.get() if block in _open]
        with current._lock:
            # Outside of a loop, all that this thread does until the block is over is within it:
            # also loops that it runs, which may have contexts of their own (those of pytest do).
            here = threading.get_ident()
            self.within = tuple([b for b in _open if b in inside or b.home == here])
            self.home = -1 if in_loop() else here
            _open = (*_open, self)
            intercept(_between)
            current._lock.tell_later()
        _inside.set((*inside, self))

    def leave(self) -> None:
        global _open
        with current._lock:
            _open = tuple([block for block in _open if block is not self])
            intercept(_between if _open else None)
            current._lock.tell_later()
        _inside.set(tuple([block for block in _inside.get() if block is not self]))
        self._end()

    # Taking them.

    def take(self, record: Record, behind: Connection) -> bool:
        """Take a record; whether something is still to be awaited for it."""
        if self.thresholds is not None:
            least = self.thresholds.of(record.logger)
        else:
            least = threshold_here(behind.thresholds, record.logger)
        if record.level.no < least:
            return False
        slot: list[Record] = []
        if self._passing(record):
            slot.append(record)
            late = False
        else:
            with self._lock:
                late = is_unsettled(record) or not self._process_now(record, slot)
                if late:
                    self._late.append((record, slot))
        self.logs._put(slot)
        if late and not in_loop():
            anyio.run(self.settle_late)
            return False
        return late

    def _passing(self, record: Record) -> bool:
        """Whether no processor has a say in it. Those that are said by one mostly are: no lock is
        taken for them, since their thread holds that of another capture, whose turn may be next."""
        if is_unsettled(record):
            return False
        origins = record.origins
        if self.processing is None or REDACTION in origins:
            return True
        return PROCESSORS in origins and not self._redacts

    def _process_now(self, record: Record, slot: list[Record]) -> bool:
        """Put what the processors make of a record into its slot, if they need not be awaited."""
        assert self.processing is not None
        if self._waits and _SAID_INSIDE.isdisjoint(record.origins):
            return False
        if self._waits:  # said by a processor, which would have to wait for itself
            slot.append(record)
        else:
            # In a context of its own, since it becomes the processors': what they log themselves
            # passes them, and only them.
            made = contextvars.copy_context().run(_run_now, self.processing.run([record]))
            if made is None:  # a plain function that returned something to be awaited
                self._waits = True
                return False
            slot += made
        return True

    async def settle(self, sinks: bool) -> bool:
        """Await what is still to be awaited; whether there was anything. With `sinks`, also until
        those have what was passed on: they may log something, too."""
        if self.pass_on and (sinks or self._late):
            # The pipeline has the same records, and settles them by itself.
            await current.current_pipeline().flush()
        had = await self.settle_late()
        return await self._release() or had

    async def settle_late(self) -> bool:
        """Await what is still to be awaited of calls; whether there was anything."""
        with self._lock:
            if self._settling or not self._late:  # one at a time, as processors expect it
                return self._settling
            self._settling = True
        try:
            while (job := self._next_late()) is not None:
                record, slot = job
                made = [record]
                try:
                    if is_unsettled(record):
                        await settle_lazy(record)
                    if self.processing is not None:
                        made = await _in_a_task(self.processing.run, made)
                finally:  # also if it is cancelled
                    slot += made
        finally:
            self._settling = False
            self.logs._tell()
        return True

    def _next_late(self) -> tuple[Record, list[Record]] | None:
        with self._lock:
            if self._late:
                return self._late.popleft()
            self._settling = False  # what comes from now on, somebody else has to see to
            return None

    async def _release(self) -> bool:
        if self.processing is None or self._settling:
            return False
        if self._waits:
            released = await _in_a_task(self.processing.release, everything=True)
            if released:
                self.logs._put(released)
            return bool(released)
        return self._release_now()

    def _release_now(self) -> bool:
        assert self.processing is not None
        with self._lock:
            work = self.processing.release(everything=True)
            released = contextvars.copy_context().run(_run_now, work)
        if released:
            self.logs._put(released)
        return bool(released)

    def _end(self) -> None:
        """Take what processors kept back; leave what nobody awaited."""
        if self.processing is not None:
            if self._waits and not in_loop():
                anyio.run(self._release)
            else:
                self._release_now()
        while self._late:
            record, slot = self._late.popleft()
            if not self.pass_on:
                abandon_lazy(record)
            slot.append(record)


_SAID_INSIDE = frozenset({PROCESSORS, REDACTION})


def _is_async(processor: Processor) -> bool:
    return inspect.iscoroutinefunction(processor) or inspect.iscoroutinefunction(
        getattr(processor, "__call__", None)  # noqa: B004 - whether it can be called is known
    )


def _run_now(work: Coroutine[Any, Any, list[Record]]) -> list[Record] | None:
    """Run what most often does not wait; None if it would."""
    try:
        work.send(None)
    except StopIteration as done:
        result: list[Record] = done.value
        return result
    work.close()
    return None


async def _in_a_task(
    function: Callable[..., Awaitable[list[Record]]], *args: Any, **options: Any
) -> list[Record]:
    """Call it in a context of its own: see `_process_now`."""
    made: list[Record] = []

    async def work() -> None:
        made.extend(await function(*args, **options))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(work)
    return made


def _takers() -> list[_Block]:
    """Return the open captures for which what is said here and now counts."""
    is_open = _open
    inside = [block for block in _inside.get() if block in is_open]
    if not inside:
        return list(is_open)
    mine = inside[-1]
    return [b for b in is_open if b is mine or b in mine.within or mine in b.within]


def _between(behind: Connection) -> Connection:
    """Return what loggers are to see: the captures, and behind them what they would see else."""
    blocks = _open
    thresholds = [block.thresholds or behind.thresholds for block in blocks]
    if any(block.pass_on for block in blocks):
        thresholds.append(behind.thresholds)
    spans = [block.processing.current_span for block in blocks if block.processing is not None]
    span = next(filter(None, [behind.current_span, *spans]), None)
    return Connection(_Between(behind), _Lowest(thresholds), whereabouts, span)


class _Lowest(Thresholds):
    """The lowest of several thresholds: each of them looks again for itself."""

    __slots__ = ("_each",)

    def __init__(self, each: list[Thresholds]) -> None:
        super().__init__(TRACE)
        self._each = each

    @property
    def highest(self) -> int:
        return max(thresholds.highest for thresholds in self._each)

    def of(self, name: str) -> int:
        return min(thresholds.of(name) for thresholds in self._each)


class _Between:
    """An `Intake` that no thread is at home at, so that every record comes by the long way."""

    ident = -1
    thread = ""
    task_key: Any = None
    tasks_have_names = False
    mark = 0

    def __init__(self, behind: Connection) -> None:
        self.queue: deque[Record] = deque()
        self._behind = behind

    def task_of(self, key: Any) -> None:
        return None

    def wants(self, level_no: int) -> bool:
        return True

    def submit_from_afar(self, record: Record) -> None:
        """Take a record, on any thread."""
        on, _ = self._take(record)
        if on:
            self._pass_on(record, waits=False)

    def asubmit_from_afar(self, record: Record) -> Coroutine[Any, Any, None]:
        on, late = self._take(record)
        if late:
            return self._settle_and_pass_on(record, late, on)
        return self._pass_on(record, waits=True) if on else DONE

    submit = submit_from_afar
    asubmit = asubmit_from_afar

    def _take(self, record: Record) -> tuple[bool, list[_Block]]:
        """Give it to those it counts for; whether it goes on, and who has to be waited for."""
        blocks = _takers()
        for block in blocks:
            if block.clock is not None:  # that of the innermost one
                record.time_ns = block.clock.time_ns()
        late = [block for block in blocks if block.take(record, self._behind)]
        on = all([block.pass_on for block in blocks])
        on = on and record.level.no >= threshold_here(self._behind.thresholds, record.logger)
        return on, late

    async def _settle_and_pass_on(self, record: Record, late: list[_Block], on: bool) -> None:
        for block in late:
            await block.settle_late()
        if on:
            await self._pass_on(record, waits=True)

    def _pass_on(self, record: Record, *, waits: bool) -> Any:
        intake = self._behind.intake
        if threading.get_ident() == intake.ident:
            return intake.asubmit(record) if waits else intake.submit(record)
        return intake.asubmit_from_afar(record) if waits else intake.submit_from_afar(record)

"""Giving a pipeline another configuration while it runs, without losing a record.

    read, make what is new (in a thread) -> open new sinks -> swap -> old routes end by themselves

Until the swap nothing has changed, so whatever fails before leaves all as it was. The swap is one
step of the loop between two bursts: each record goes to the old set of routes or to the new one.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import anyio

from ..errors import ConfigurationError, PipelineError
from ..protocols import Processor
from ..source import refresh_thresholds
from .backend import Worker, in_loop, running_loop
from .plan import Part, Plan, Source, read_plan
from .processing import Processing, stages_of
from .route import Route
from .run import Run

if TYPE_CHECKING:
    from .pipeline import Pipeline

__all__ = ["Configured"]

T = TypeVar("T")

SHUTDOWN_TIMEOUT = 5.0
PROCESSOR_TIMEOUT = 5.0

LOOK = 1.0
"""Seconds after which whoever waits looks whether somebody will answer."""

_FIXED = ("capacity", "block_timeout")
"""The settings that the door has taken for good."""


class _Changes(NamedTuple):
    """What a plan comes to for one pipeline: everything made, nothing opened."""

    plan: Plan
    routes: list[tuple[object, Route]]
    processors: list[tuple[object, Processor]]
    processing: Processing
    new: list[Route]
    leaving: list[Route]


class Configured:
    """What of a pipeline came from its configuration, and how the next one replaces it.

    The routes given to its constructor count as such; those that were added later stay.
    """

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline
        self.source: Source = None
        """Where the configuration is read again from."""
        self.text = b""
        """What was there the last time."""
        self._routes: list[tuple[object, Route]] = [(object(), r) for r in pipeline._routes]
        self._processors: list[tuple[object, Processor]] = []
        self._run: Run | None = None

    def install(self, plan: Plan) -> None:
        """Become what a plan says, before the pipeline is opened."""
        changes = self._work_out(plan)
        self._promise(changes)
        self._swap(changes)

    async def reload(self, source: Source) -> None:
        """See `Pipeline.reload`."""
        run = self._pipeline._run
        while self._pipeline.runs_in_thread and not run.ready.is_set():  # noqa: ASYNC110
            await anyio.sleep(0.001)
        done = anyio.Event()
        here = running_loop()
        outcome: list[BaseException] = []
        self._ask(run, source, outcome, lambda: here.post(done.set))
        while not done.is_set():
            with anyio.move_on_after(LOOK):
                await done.wait()
            self._give_up(run, outcome)
        for error in outcome:
            raise error

    def reload_and_wait(self, source: Source) -> None:
        """See `Pipeline.reload_and_wait`."""
        if in_loop():
            raise PipelineError("reload_and_wait() would block the loop: use `await reload()`")
        run = self._pipeline._run
        if self._pipeline.runs_in_thread:
            run.ready.wait()
        done = threading.Event()
        outcome: list[BaseException] = []
        self._ask(run, source, outcome, done.set)
        while not done.wait(LOOK):
            self._give_up(run, outcome)
        for error in outcome:
            raise error

    def _give_up(self, run: Run, outcome: list[BaseException]) -> None:
        """Raise if nobody is left to answer: a loop may be torn down before its tasks begin."""
        if run.finished.is_set() and not outcome:
            raise _closed()

    def _ask(
        self,
        run: Run,
        source: Source,
        outcome: list[BaseException],
        done: Callable[[], object],
    ) -> None:
        """Do it in the pipeline's own tasks, which it outlives neither here nor there."""

        async def reload_there() -> None:
            try:
                await self._reload(run, source)
            except Exception as error:
                outcome.append(error)
            except BaseException:
                outcome.append(_closed())
                raise
            finally:
                done()

        def answer() -> None:
            outcome.append(_closed())
            done()

        if run.errands is None or run.finished.is_set():
            raise _closed()
        run.errands.ask(reload_there, otherwise=answer)

    async def _reload(self, run: Run, source: Source) -> None:
        if self._run is not run:  # the first one, or the first after a fork
            self._run, self._lock = run, anyio.Lock()
        async with self._lock:
            worker = Worker("logflume reload")
            try:
                changes = await worker.run(self._work_out, source)
            finally:
                worker.shutdown()
            self._promise(changes)
            try:
                await run.open_routes(changes.new)
            except BaseException:
                self._pipeline._routes.break_promises()
                raise
            self._swap(changes)
            for route in changes.leaving:
                run.stop(route)

    def _work_out(self, source: Source | Plan) -> _Changes:
        """Read a configuration and make what is new in it. Blocks."""
        if isinstance(source, Plan):
            plan = source
        else:
            plan = read_plan(self.source if source is None else source)
        self._check(plan)
        kept = [(key, route) for key, route in self._routes if route in self._pipeline._routes]
        old = [route for _, route in kept]
        routes = _matched(plan.routes, kept)
        used = [route for _, route in routes]
        redact = plan.redact
        parts = plan.processors if isinstance(redact, bool) else (redact, *plan.processors)
        processors = _matched(parts, list(self._processors))
        stages = [processor for _, processor in processors]
        timeout = plan.settings.get("processor_timeout", PROCESSOR_TIMEOUT)
        return _Changes(
            plan,
            routes,
            processors,
            Processing(stages_of(redact is True, stages), timeout),
            new=[route for route in used if route not in old],
            leaving=[route for route in old if route not in used],
        )

    def _check(self, plan: Plan) -> None:
        for name in _FIXED:
            now = getattr(self._pipeline, f"_{name}")
            given = plan.settings.get(name, now)
            if given != now:
                raise ConfigurationError.of(name, given, f"{now}, as long as the pipeline runs")

    def _promise(self, changes: _Changes) -> None:
        pipeline = self._pipeline
        pipeline._routes.promise(changes.new, pipeline._run.attach, changes.leaving)

    def _swap(self, changes: _Changes) -> None:
        """Let the new take the place of the old. In one step: on the loop, if it runs."""
        plan, pipeline = changes.plan, self._pipeline
        pipeline._routes.swap([r for _, r in changes.routes], changes.new, changes.leaving)
        pipeline._processing = changes.processing
        pipeline._run.use(changes.processing)
        pipeline._shutdown_timeout = plan.settings.get("shutdown_timeout", SHUTDOWN_TIMEOUT)
        pipeline.thresholds.replace(plan.level, plan.levels)
        refresh_thresholds()
        self.source, self.text = plan.source, plan.text
        self._routes = changes.routes
        self._processors = changes.processors


def _matched(parts: tuple[Part[T], ...], have: list[tuple[object, T]]) -> list[tuple[object, T]]:
    """Return every part with what is made of it, or what is there of an equal one."""
    made: list[tuple[object, T]] = []
    for part in parts:
        found = next((one for one in have if one[0] == part.key), None)
        if found is None:
            found = (part.key, part.make())
        else:
            have.remove(found)
        made.append(found)
    return made


def _closed() -> PipelineError:
    return PipelineError("only a pipeline that is open can be given another configuration")

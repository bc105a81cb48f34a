"""One run of a pipeline: all there is from its opening to its end.

A pipeline has one run; after a fork, the child's begins another with empty hands.
"""

from __future__ import annotations

import contextlib
import threading
import time
import weakref
from collections.abc import Callable, Sequence

import anyio
from anyio.abc import TaskGroup
from anyio.lowlevel import checkpoint

from ..errors import PipelineError
from ..level import Thresholds
from ..stats import Counts, FlushReport, RouteCounts
from . import invocations
from .backend import (
    Loop,
    cancellations_of_task,
    protect_from_interrupts,
    running_loop,
    within,
)
from .delivery import SHUTDOWN
from .door import DOOR, Door
from .errands import Errands
from .gate import Gate
from .news import Announcer
from .processing import Processing
from .progress import Progress
from .pump import Pump
from .route import Route
from .routes import Routes

__all__ = ["Run"]


class Run:
    """The door, the pump, and the tasks around them, on one loop.

    `finished` and `ready` may be waited for by threads: `ready` is set when records are taken, or
    when that failed.
    """

    def __init__(
        self,
        routes: Routes,
        thresholds: Thresholds,
        processing: Processing,
        *,
        capacity: int,
        block_timeout: float,
    ) -> None:
        self._routes = routes
        self._capacity = capacity
        self._announcer = Announcer(routes)
        news = self._announcer.news
        self.progress = Progress()
        self.door = Door(capacity, block_timeout, routes.wants_level, news)
        self._gate = Gate(self.door)
        self._pump = Pump(self.door, routes, thresholds, processing, news, self.progress)
        self.here: Loop | None = None
        self.errands: Errands | None = None
        self.closing: anyio.Event | None = None
        self.ready = threading.Event()
        self.finished = threading.Event()
        self._close_requested = False
        self._tasks: TaskGroup | None = None
        self._cancellations: Callable[[], int] = int
        self._opened: anyio.Event | None = None
        self._serving: set[Route] = set()
        self._begun: weakref.WeakSet[Route] = weakref.WeakSet()

    @property
    def is_here(self) -> bool:
        """Whether the current thread is the one whose loop this runs on."""
        return self.here is not None and threading.get_ident() == self.here.ident

    async def open_in(
        self, host: TaskGroup, on_open: Callable[[], None], on_close: Callable[[], float]
    ) -> None:
        """Start all tasks, whatever happens to the current one meanwhile.

        Not `host.start`: when cancelled, that waits for a task which waits to be closed.
        """
        opened = self._opened = anyio.Event()
        host.start_soon(protect_from_interrupts(self.work), on_open, on_close)
        try:
            with anyio.CancelScope(shield=True):
                await opened.wait()
        except BaseException:  # asyncio's own cancellation heeds no shield
            self.request_close()
            raise

    def request_close(self) -> None:
        """Let it come to its end; from any thread, at any time."""
        self._close_requested = True
        if self.here is not None and self.closing is not None:
            self.here.call(self.closing.set)

    async def work(self, on_open: Callable[[], None], on_close: Callable[[], float]) -> None:
        """Do all there is to do between opening and closed.

        `on_open` is called when records can be taken; `on_close` when no more shall come, and
        returns the most seconds that what was accepted may still take.
        """
        with anyio.CancelScope(shield=True):
            here = self.here = running_loop()
            self._cancellations = cancellations_of_task()
            self.closing = anyio.Event()
            errands = self.errands = Errands(here)
            self._announcer.bind(here)
            self.door.bind(here)
            try:
                async with anyio.create_task_group() as tasks:
                    self._tasks = tasks
                    self._gate.watch_in(tasks)
                    for route in self._routes.everyone:
                        self._begin(route)
                    for route in self._routes.leaving:
                        self.stop(route)
                    tasks.start_soon(protect_from_interrupts(self._pump_on))
                    tasks.start_soon(protect_from_interrupts(self._announcer.run))
                    tasks.start_soon(protect_from_interrupts(errands.run), tasks)
                    if invocations.needs_reminder():
                        remind = protect_from_interrupts(invocations.remind)
                        tasks.start_soon(remind, self._announcer.say)
                    on_open()
                    self.ready.set()
                    if self._opened is not None:
                        self._opened.set()
                    if not self._close_requested:
                        await self.closing.wait()
                    await self._end(tasks, on_close())
            finally:
                on_close()
                self._write_off()
                self._pump.close()
                self.finished.set()
                if self._opened is not None:
                    self._opened.set()
                errands.give_up()
                self.progress.tell()

    async def _end(self, tasks: TaskGroup, shutdown_timeout: float) -> None:
        """Settle what was accepted, in time; then stop everything."""
        self.door.end()
        with anyio.move_on_after(shutdown_timeout):
            await self.progress.until(lambda: self._pump.is_done)
            self._announcer.tell()
            for route in self._routes.everyone:
                self._begin(route)  # one added a moment ago may not have begun
                route.close()
            await self.progress.until(lambda: not self._serving)
        tasks.cancel_scope.cancel()
        with anyio.CancelScope(shield=True):
            await self.progress.until(lambda: not self._serving)

    def _write_off(self) -> None:
        """Count and tell what is left, however it came to that.

        `asyncio.run` cancels every task by itself when its main one is over, ours too if the
        pipeline was opened in a task that nobody waited for: no shield holds against that.
        """
        self.door.close()
        for route in self._routes.everyone:
            route.lose_rest()
        lost = self.door.abandon(SHUTDOWN)
        if lost:
            self._announcer.news.add(DOOR, SHUTDOWN, lost)
        self._announcer.tell_on_stderr()

    def tell_lost(self) -> None:
        """Tell on stderr what is lost with a loop that does not answer, when the process ends.

        From another thread. Nothing is counted: a loop that comes back after all does that itself.
        """
        if not self.finished.is_set():
            for name, count in self.report().pending.items():
                self._announcer.news.add(name, SHUTDOWN, count, "the loop does not answer")
            self._announcer.tell_on_stderr()

    # Routes.

    def attach(self, route: Route) -> None:
        """Connect a route with this run."""
        route.attach(
            self._announcer.news, self._gate.hold, self.progress.tell, slack=self._capacity
        )

    def serve(self, route: Route) -> None:
        """Start the task of a route that was added, from any thread; at opening, if that is yet
        to come."""
        if self.errands is not None:
            self.errands.ask(self._serve_new, (route,))

    def stop(self, route: Route) -> None:
        """Let a route that was removed have what was logged before, settle it, and end; from any
        thread."""
        goal = self.door.accepted
        if self.door.settled < goal:
            if self.errands is not None:  # else when it opens
                self.errands.ask(self._let_go, (route, goal), lambda: self._routes.forget(route))
            return
        if self.here is None or not self.here.call(lambda: self._part_with(route)):
            self._routes.forget(route)

    async def _let_go(self, route: Route, goal: int) -> None:
        self.door.hurry()
        await self.progress.until(lambda: self.door.settled >= goal or self._pump.is_done)
        self._part_with(route)

    def _part_with(self, route: Route) -> None:
        """Offer a route nothing more. A flush finds it among those that serve from now on."""
        if route.account.pending:
            self._start(route)
        self._routes.forget(route)
        route.close()

    def _begin(self, route: Route) -> None:
        # Also one that was removed meanwhile, if it was offered records before.
        if route in self._routes or route.account.pending:
            self._start(route)

    def _start(self, route: Route) -> None:
        if self._tasks is not None and route not in self._begun:
            self._begun.add(route)
            self._serving.add(route)
            self._tasks.start_soon(protect_from_interrupts(self._serve), route)

    async def _serve_new(self, route: Route) -> None:
        self._begin(route)

    async def _serve(self, route: Route) -> None:
        try:
            await route.serve()
        except anyio.get_cancelled_exc_class() as error:
            if self._is_ending:
                raise
            route.give_up(error)
        finally:
            self._serving.discard(route)
            self.progress.tell()
        await _outlive_cancellation()

    async def _pump_on(self) -> None:
        while not self._pump.is_done:
            try:
                await self._pump.run()
            except anyio.get_cancelled_exc_class() as error:
                if self._is_ending:
                    raise
                self._pump.lose_hand(error)
        await _outlive_cancellation()

    @property
    def _is_ending(self) -> bool:
        """Whether all tasks are cancelled; else, one that is was cancelled by what it calls, as in
        `asyncio.current_task().cancel()`, and that shall end no other."""
        ends = self._tasks is None or self._tasks.cancel_scope.cancel_called
        return ends or self._cancellations() > 0

    def use(self, processing: Processing) -> None:
        """Run other processors, as soon as the burst at hand is done. On the loop."""
        self._pump.use(processing)

    async def open_routes(self, routes: Sequence[Route]) -> None:
        """Start routes that get no records yet, and wait until their sinks are open.

        Raises:
            PipelineError: one does not open, or the end has come. All of them are closed again.
        """
        for route in routes:
            route.on_trial = True
            self._start(route)
        try:
            await self.progress.until(
                lambda: all([r.is_open or r not in self._serving for r in routes])
            )
            for route in routes:
                if not route.is_open:
                    raise PipelineError(
                        f"route {route.name!r}: sink does not open: {route.failure}"
                    )
            if self._close_requested:
                raise PipelineError("the pipeline is closing")
        except BaseException:
            for route in routes:
                route.close()
            raise

    # Flushing.

    async def flush(self, timeout: float | None) -> FlushReport:
        """Wait until what was accepted before is settled on every route. On this loop."""
        door = self.door
        goal = door.accepted
        door.hurry()
        goals: dict[Route, int] | None = None
        with anyio.move_on_after(timeout):
            await self.progress.until(lambda: door.settled >= goal)
            await self._pump.release()
            goals = offered = self._received()
            for route in offered:
                route.hurry()
            await self.progress.until(
                lambda: all(r.account.settled >= n for r, n in offered.items())
            )
        if goals is None:  # there was no time for more than the door
            goals = self._received()
        pending = {DOOR: goal - door.settled}
        for route, received in goals.items():  # one may have the name of one that was removed
            left = received - route.account.settled
            pending[route.name] = pending.get(route.name, 0) + left
        pending = {name: n for name, n in pending.items() if n > 0}
        return FlushReport(not pending, pending)

    def _received(self) -> dict[Route, int]:
        """Return how much each route was offered; those that were removed, too, while they have
        what was logged before."""
        routes = {*self._routes.everyone, *self._serving}
        return {route: route.account.received for route in routes}

    async def flush_from_loop(self, timeout: float | None, *, starts: bool) -> FlushReport:
        """Flush for any loop, in time. `starts`: a thread may just be starting this run."""
        began = time.monotonic()
        with anyio.move_on_after(timeout):
            while starts and not self.ready.is_set():  # noqa: ASYNC110 - what a thread sets
                await anyio.sleep(0.001)
        if self.here is None or self.finished.is_set():
            return self.report()
        left = _left_of(timeout, began)
        if self.is_here:
            return await self.flush(left)
        done = anyio.Event()
        there = running_loop()
        reports: list[FlushReport] = []
        self._flush_from_afar(left, reports, lambda: there.post(done.set))
        with anyio.move_on_after(left):  # this loop may be blocked
            await done.wait()
        return reports[0] if reports else self.report()

    def flush_from_thread(self, timeout: float | None, *, starts: bool) -> FlushReport:
        """Flush for a thread without a loop, which is blocked meanwhile; else as above."""
        began = time.monotonic()
        if starts:
            self.ready.wait(within(timeout))
        if self.here is None or self.finished.is_set():
            return self.report()
        left = _left_of(timeout, began)
        done = threading.Event()
        reports: list[FlushReport] = []
        self._flush_from_afar(left, reports, done.set)
        done.wait(within(left))
        return reports[0] if reports else self.report()

    def _flush_from_afar(
        self, timeout: float | None, reports: list[FlushReport], done: Callable[[], object]
    ) -> None:
        """Put a report into the list, then call `done`, on this loop."""

        async def flush_there() -> None:
            try:
                reports.append(await self.flush(timeout))
            finally:
                answer()

        def answer() -> None:
            if not reports:
                reports.append(self.report())
            done()

        assert self.errands is not None
        self.errands.ask(flush_there, otherwise=answer)

    def counts(self) -> dict[str, RouteCounts]:
        """Return every route's ledger, until its end also that of one that was removed."""
        counts = self._routes.counts()
        for route in (*self._routes.leaving, *self._serving.copy()):
            if route.account.received:  # else it is one on trial
                counts.setdefault(route.name, route.account.counts())
        return counts

    def report(self) -> FlushReport:
        """Say what is pending now, when there is nothing left to wait for."""
        counts: dict[str, Counts] = {DOOR: self.door.counts(), **self.counts()}
        pending = {name: c.pending for name, c in counts.items() if c.pending}
        return FlushReport(not pending, pending)


async def _outlive_cancellation() -> None:
    """Let one that is still due come now: of a task that ends, it would end the whole group."""
    with contextlib.suppress(anyio.get_cancelled_exc_class()):
        await checkpoint()


def _left_of(timeout: float | None, began: float) -> float | None:
    return None if timeout is None else max(timeout - (time.monotonic() - began), 0.0)

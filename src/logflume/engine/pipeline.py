"""The pipeline: the task group that takes records from the door through processors to routes.

The pump is one task, each route another, and so are those who tell of losses and start what
other threads ask for. All are shielded from the cancellation of whoever opened the pipeline: they end when it is closed,
after what was accepted is settled or the shutdown timeout is over.
"""

from __future__ import annotations

import inspect
import os
import threading
import weakref
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any, Self

import anyio
from anyio.abc import TaskGroup, TaskStatus

from ..errors import ConfigurationError, PipelineError
from ..level import INFO, Level, Thresholds, parse_level, parse_spec
from ..logger import refresh_thresholds
from ..protocols import Processor
from ..stats import Counts, FlushReport, Stats
from . import current
from .backend import Loop, in_loop, protect_from_interrupts, running_loop
from .batch import positive
from .door import DOOR, Door
from .errands import Errands
from .gate import Gate
from .ledger import describe
from .news import Announcer, tell_on_stderr
from .progress import Progress
from .pump import Pump
from .route import SHUTDOWN, Route
from .routes import Routes

__all__ = ["Pipeline"]

_NEW, _OPEN, _CLOSING, _CLOSED = "new", "open", "closing", "closed"


class Pipeline:
    """Takes what loggers say, from the moment it is opened until it is closed.

    Open it in one of three ways, once: `async with Pipeline(...)` on asyncio, uvloop or trio;
    `await tg.start(pipeline.run)` in a task group of yours; or `with Pipeline(...)` in a script,
    where a background thread runs the loop. While it is open, all loggers write to it; a pipeline
    that is opened later takes over until it is closed.

    `sinks` are sinks, routes, paths, streams or callables; `processors` run in this order on
    every record. `level` is that of all logger names without one of their own; left out, it is
    `LOGFLUME_LEVEL`'s, or INFO. `capacity` is how many records the door holds. `shutdown_timeout`
    is the most seconds that closing takes to deliver what was accepted. `block_timeout` is the
    most seconds that a plain log call on a thread without a loop waits for room.
    `processor_timeout` is the most seconds that an async processor may take for a record.

    Closing (also by an exception, cancellation or Ctrl-C) delivers what was accepted, shielded
    from cancellation; what cannot be delivered in time is counted, and told on stderr.

    Raises:
        ConfigurationError: a setting means nothing.
    """

    def __init__(
        self,
        *sinks: object,
        processors: Iterable[Processor] = (),
        level: str | int | Level | None = None,
        capacity: int = 65_536,
        shutdown_timeout: float = 5.0,
        block_timeout: float = 1.0,
        processor_timeout: float = 5.0,
    ) -> None:
        positive("Pipeline.capacity", capacity, whole=True)
        positive("Pipeline.shutdown_timeout", shutdown_timeout, zero=True)
        positive("Pipeline.block_timeout", block_timeout, zero=True)
        positive("Pipeline.processor_timeout", processor_timeout)
        self._capacity = capacity
        self._shutdown_timeout = shutdown_timeout
        self._block_timeout = block_timeout
        self._processor_timeout = processor_timeout
        self._processors = tuple(processors)
        for processor in self._processors:
            if not callable(processor):
                raise ConfigurationError.of("Pipeline.processors", processor, "callables")
        root, named = parse_spec(os.environ.get("LOGFLUME_LEVEL", ""))
        if level is not None:
            root = parse_level(level, "Pipeline.level")
        self.thresholds = Thresholds(root or INFO, named)
        self._lock = threading.Lock()
        self._routes = Routes()
        self._state = _NEW
        self._thread: threading.Thread | None = None
        self._start_over()
        for sink in sinks:
            self.add(sink)

    @property
    def is_closed(self) -> bool:
        """Whether it was open once and no longer is."""
        return self._state == _CLOSED

    @property
    def is_dormant(self) -> bool:
        """Whether its thread is still to be started, by the first record."""
        return self._state == _NEW

    @property
    def shutdown_timeout(self) -> float:
        """The most seconds that closing takes to deliver what was accepted."""
        return self._shutdown_timeout

    def spend(self, seconds: float) -> None:
        """Take what was waited already off the shutdown timeout; a moment is left for the rest."""
        left = self._shutdown_timeout - seconds
        self._shutdown_timeout = max(left, min(0.2, self._shutdown_timeout))

    def __repr__(self) -> str:
        return f"<Pipeline {self._state}: {', '.join(self._routes.names)}>"

    def _start_over(self) -> None:
        self._announcer = Announcer(self._routes)
        news = self._announcer.news
        self._progress = Progress()
        self.door = Door(self._capacity, self._block_timeout, self._routes.wants_level, news)
        self._gate = Gate(self.door)
        self._pump = Pump(
            self.door,
            self._routes,
            self.thresholds,
            self._processors,
            self._processor_timeout,
            news,
            self._progress,
        )
        self._here: Loop | None = None
        self._errands: Errands | None = None
        self._tasks: TaskGroup | None = None
        self._opened: anyio.Event | None = None
        self._closing: anyio.Event | None = None
        self._serving: set[Route] = set()
        self._begun: weakref.WeakSet[Route] = weakref.WeakSet()
        self._ready = threading.Event()
        self._finished = threading.Event()
        self._error: BaseException | None = None
        self._host: TaskGroup | None = None

    # Opening and closing.

    async def __aenter__(self) -> Self:
        self._claim()
        self._host = anyio.create_task_group()
        await self._host.__aenter__()
        try:
            await self._open_in(self._host)
        except BaseException:
            await self._host.__aexit__(None, None, None)
            raise
        return self

    async def _open_in(self, host: TaskGroup) -> None:
        """Start all tasks, whatever happens to the current one meanwhile.

        Not `host.start`: when cancelled, that waits for a task which waits to be closed.
        """
        opened = self._opened = anyio.Event()
        host.start_soon(protect_from_interrupts(self._work))
        try:
            with anyio.CancelScope(shield=True):
                await opened.wait()
        except BaseException:  # asyncio's own cancellation heeds no shield
            self._request_close()
            raise

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._host is not None
        # The body's own exception or cancellation is not the task group's affair: it goes on by
        # itself once all is settled, and not wrapped in a group.
        self._host.cancel_scope.shield = True
        self._request_close()
        await self._host.__aexit__(None, None, None)

    async def run(self, *, task_status: TaskStatus[Pipeline] = anyio.TASK_STATUS_IGNORED) -> None:
        """Run the pipeline in a task group of yours until `aclose` or cancellation.

            pipeline = await tg.start(Pipeline(sinks.Console()).run)

        `tg.start` returns once records are taken. Cancelling the group closes the pipeline in an
        orderly way first.
        """
        self._claim()
        async with anyio.create_task_group() as host:
            await self._open_in(host)
            task_status.started(self)
            assert self._closing is not None
            try:
                await self._closing.wait()
            finally:
                self._request_close()

    def __enter__(self) -> Self:
        self._claim()
        self.start_thread()
        self._ready.wait()
        if self._error is not None:
            raise PipelineError(f"the pipeline did not start: {self._error}") from self._error
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the pipeline and wait until it has ended; from a thread other than its loop's.

        Raises:
            PipelineError: this is its loop's thread; use `await pipeline.aclose()`.
        """
        here, thread = self._here, self._thread
        if thread is None and here is not None and threading.get_ident() == here.ident:
            raise PipelineError("close() would block the pipeline's loop: use `await aclose()`")
        self._request_close()
        if here is None and thread is None:  # not started yet, after a fork
            self.leave_behind()
        elif thread is None:
            self._finished.wait(self._shutdown_timeout + 2.0)
        elif thread is not threading.current_thread():
            # The sinks' own closing comes after the shutdown timeout.
            thread.join(self._shutdown_timeout + 2.0)

    async def aclose(self) -> None:
        """Close the pipeline and wait until what was accepted is settled; from any loop."""
        if self._state in (_NEW, _CLOSED):
            return
        self._request_close()
        if self._here is not None and threading.get_ident() == self._here.ident:
            await self._progress.until(self._finished.is_set)
        while not self._finished.is_set():
            await anyio.sleep(0.005)

    def _claim(self) -> None:
        with self._lock:
            if self._state != _NEW:
                raise PipelineError(
                    f"this pipeline is {self._state}: each is opened once; make another one"
                )
            self._state = _OPEN

    def start_thread(self) -> None:
        """Run the pipeline in a daemon thread; records are taken at once, before it is up.

        Raises:
            RuntimeError: the interpreter is exiting.
        """
        self._state = _OPEN
        thread = threading.Thread(target=self._run_in_thread, name="logflume", daemon=True)
        current.opened(self)
        try:
            thread.start()
        except BaseException:
            current.closed(self)
            raise
        self._thread = thread

    def wait_until_up(self, timeout: float) -> None:
        """Wait until a thread that was started runs its loop; returns at once for any other."""
        if self._thread not in (None, threading.current_thread()):
            self._ready.wait(timeout)

    def restart_after_fork(self) -> None:
        """In the child of a fork: begin with nothing, in a thread of its own."""
        self._lock = threading.Lock()
        self._state = _NEW
        self._thread = None
        self._routes.start_over()
        self._start_over()
        for route in self._routes:
            route.start_over()
            self._attach(route)

    def leave_behind(self) -> None:
        """Be closed without having run: in the child of a fork, this loop is the parent's."""
        self._state = _CLOSED
        self._finished.set()
        self._ready.set()
        current.closed(self)

    def _run_in_thread(self) -> None:
        try:
            anyio.run(self._work)
        except BaseException as error:
            self._error = error
            current.closed(self)
            tell_on_stderr(f"the pipeline ended: {describe(error)}")
        finally:
            self._state = _CLOSED
            self._finished.set()
            self._ready.set()

    @property
    def runs_in_thread(self) -> bool:
        """Whether a background thread of its own runs the loop."""
        return self._thread is not None

    def _request_close(self) -> None:
        with self._lock:
            if self._state == _OPEN:
                self._state = _CLOSING
        here, closing = self._here, self._closing
        if here is not None and closing is not None:
            here.call(closing.set)

    async def _work(self) -> None:
        """Do all there is to do between opening and closed."""
        with anyio.CancelScope(shield=True):
            self._here = running_loop()
            self._closing = anyio.Event()
            self._errands = Errands(self._here)
            self._announcer.bind(self._here)
            self.door.bind(self._here)
            try:
                async with anyio.create_task_group() as tasks:
                    self._tasks = tasks
                    self._gate.watch_in(tasks)
                    for route in self._routes:
                        self._begin(route)
                    tasks.start_soon(protect_from_interrupts(self._pump.run))
                    tasks.start_soon(protect_from_interrupts(self._announcer.run))
                    tasks.start_soon(protect_from_interrupts(self._errands.run), tasks)
                    current.opened(self)
                    self._ready.set()
                    if self._opened is not None:
                        self._opened.set()
                    if self._state == _CLOSING:
                        self._closing.set()
                    await self._closing.wait()
                    await self._end(tasks)
            finally:
                self._state = _CLOSED
                current.closed(self)
                self._write_off()
                self._pump.close()
                self._finished.set()
                if self._opened is not None:
                    self._opened.set()
                self._errands.give_up()
                self._progress.tell()

    async def _end(self, tasks: TaskGroup) -> None:
        """Settle what was accepted, in time; then stop everything."""
        current.closed(self)
        self.door.end()
        with anyio.move_on_after(self._shutdown_timeout):
            await self._progress.until(lambda: self.door.is_closed)
            self._announcer.tell()
            for route in self._routes:
                route.close()
            await self._progress.until(lambda: not self._serving)
        tasks.cancel_scope.cancel()
        with anyio.CancelScope(shield=True):
            await self._progress.until(lambda: not self._serving)

    def _write_off(self) -> None:
        """Count and tell what is left, however it came to that.

        `asyncio.run` cancels every task by itself when its main one is over, ours too if the
        pipeline was opened in a task that nobody waited for: no shield holds against that.
        """
        self.door.close()
        for route in self._routes:
            route.lose_rest()
        lost = self.door.abandon(SHUTDOWN)
        if lost:
            self._announcer.news.add(DOOR, SHUTDOWN, lost)
        self._announcer.tell_on_stderr()

    # Routes.

    def add(self, sink: object, /, **route_options: Any) -> str:
        """Add a route and return its id; from any thread, before or while the pipeline is open.

        `sink` is a Sink, a Route, a path, a stream or a callable; `route_options` are those of
        `Route`. What is logged after this returns goes to it.

        Raises:
            ConfigurationError: an option is unknown or means nothing.
        """
        if isinstance(sink, Route):
            if route_options:
                raise ConfigurationError.of(
                    "add", ", ".join(route_options), "no options beside a Route: give them to it"
                )
            return self._adopt(sink, strict=False)
        unknown = route_options.keys() - inspect.signature(Route).parameters.keys()
        if unknown:
            known = ", ".join(
                name for name in inspect.signature(Route).parameters if name != "sink"
            )
            raise ConfigurationError.of("route option", ", ".join(sorted(unknown)), known)
        return self._adopt(Route(sink, **route_options), strict="name" in route_options)

    def _adopt(self, route: Route, *, strict: bool) -> str:
        self._routes.adopt(route, self._attach, strict=strict)
        if self._errands is not None:
            self._errands.ask(self._serve_new, (route,))
        return route.name

    def _attach(self, route: Route) -> None:
        route.attach(
            self._announcer.news, self._gate.hold, self._progress.tell, slack=self._capacity
        )

    def _begin(self, route: Route) -> None:
        # Also one that was removed meanwhile, if it was offered records before.
        if route not in self._routes and not route.account.pending:
            return
        if self._tasks is not None and route not in self._begun:
            self._begun.add(route)
            self._serving.add(route)
            self._tasks.start_soon(protect_from_interrupts(self._serve), route)

    async def _serve_new(self, route: Route) -> None:
        self._begin(route)

    async def _serve(self, route: Route) -> None:
        try:
            await route.serve()
        finally:
            self._serving.discard(route)
            self._progress.tell()

    def remove(self, route_id: str, /) -> None:
        """Remove a route; what it holds is still delivered. From any thread.

        Raises:
            ConfigurationError: there is no such route.
        """
        if not self._discard(route_id):
            known = ", ".join(self._routes.names) or "none, there is no route"
            raise ConfigurationError.of("route id", route_id, known)

    def _discard(self, route_id: str) -> bool:
        route = self._routes.discard(route_id)
        if route is not None and self._here is not None:
            self._here.call(route.close)
        return route is not None

    def add_callback(
        self, function: Callable[[dict[str, Any]], Any], name: str | None = None
    ) -> str:
        """Call a function with every record, as `record.to_dict()`: see `sinks.Callback`.

        Returns the id under which it is counted and removed.
        """
        if not callable(function):
            raise ConfigurationError.of("add_callback", function, "a callable")
        return self.add(function, name=name) if name else self.add(function)

    def remove_callback(self, callback_id: str, /) -> None:
        """Stop calling a callback; an unknown id is no error."""
        self._discard(callback_id)

    # Levels.

    def set_level(self, name: str | None, level: str | int | Level) -> None:
        """Set the level of a logger name and all below it, at once; None or "" is the root."""
        parsed = parse_level(level)
        self.thresholds.set(name, parsed)
        refresh_thresholds()

    def configure(
        self,
        *,
        level: str | int | Level | None = None,
        json: bool | None = None,
        color: bool | None = None,
    ) -> None:
        """Set the root level, and whether console routes write JSON or colours."""
        if level is not None:
            self.set_level(None, level)
        if json is not None or color is not None:
            self._routes.configure_consoles(json=json, color=color)

    # What became of the records.

    def stats(self) -> Stats:
        """Return a look at the ledger; any thread, any time."""
        return Stats(door=self.door.counts(), routes=self._routes.counts())

    async def flush(self, timeout: float | None = None) -> FlushReport:
        """Wait until what was accepted before is settled on every route; from any loop.

        Settled is delivered, filtered, or dropped and counted. Batches go out at once. Returns a
        report, also when `timeout` seconds were not enough. Cancelling it changes nothing.
        """
        while self._thread is not None and not self._ready.is_set():
            await anyio.sleep(0.001)
        here = self._here
        if here is None or self._finished.is_set():
            return FlushReport(True)
        if threading.get_ident() == here.ident:
            return await self._flush(timeout)
        done = anyio.Event()
        mine = running_loop()
        reports: list[FlushReport] = []
        self._flush_from_afar(timeout, reports, lambda: mine.post(done.set))
        with anyio.move_on_after(timeout):  # the other loop may be blocked
            await done.wait()
        return reports[0] if reports else self._report()

    def complete(self, timeout: float | None = None) -> FlushReport:
        """Block until what was accepted before is settled on every route.

        Raises:
            PipelineError: this thread runs an event loop, which it would block.
        """
        if in_loop():
            raise PipelineError("complete() would block the event loop: use `await acomplete()`")
        if self._thread is not None:
            self._ready.wait(timeout)
        if self._here is None or self._finished.is_set():
            return FlushReport(True)
        done = threading.Event()
        reports: list[FlushReport] = []
        self._flush_from_afar(timeout, reports, done.set)
        done.wait(timeout)
        return reports[0] if reports else self._report()

    def _flush_from_afar(
        self, timeout: float | None, reports: list[FlushReport], done: Callable[[], object]
    ) -> None:
        async def flush_there() -> None:
            try:
                reports.append(await self._flush(timeout))
            finally:
                answer()

        def answer() -> None:
            if not reports:
                reports.append(self._report())
            done()

        assert self._errands is not None
        self._errands.ask(flush_there, otherwise=answer)

    def _report(self) -> FlushReport:
        """Say what is pending now, when there is nothing left to wait for."""
        stats = self.stats()
        counts: dict[str, Counts] = {DOOR: stats.door, **stats.routes}
        pending = {name: c.pending for name, c in counts.items() if c.pending}
        return FlushReport(not pending, pending)

    async def _flush(self, timeout: float | None) -> FlushReport:
        door = self.door
        goal = door.accepted
        goals: dict[Route, int] = {}
        with anyio.move_on_after(timeout):
            await self._progress.until(lambda: door.settled >= goal)
            goals = {route: route.account.received for route in self._routes}
            for route in goals:
                route.hurry()
            await self._progress.until(
                lambda: all(r.account.settled >= n for r, n in goals.items())
            )
        pending = {r.name: n - r.account.settled for r, n in goals.items()}
        pending[DOOR] = goal - door.settled
        pending = {name: n for name, n in pending.items() if n > 0}
        return FlushReport(not pending, pending)

"""The pipeline: the task group that takes records from the door through processors to routes.

The pump is one task, each route another, and so are those who tell of losses and start what
other threads ask for. All are shielded from the cancellation of whoever opened the pipeline: they
end when it is closed, after what was accepted is settled or the shutdown timeout is over.
"""

from __future__ import annotations

import inspect
import os
import threading
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any, Self

import anyio
from anyio.abc import TaskGroup, TaskStatus

from ..errors import ConfigurationError, PipelineError
from ..level import INFO, Level, Thresholds, parse_level, parse_spec
from ..protocols import Processor
from ..setting import known_options, positive
from ..source import refresh_thresholds
from ..stats import FlushReport, Stats
from . import current
from . import route as routing
from .backend import in_loop, load_asyncio, within
from .door import Door
from .ledger import describe
from .news import tell_on_stderr
from .plan import Source
from .processing import Processing, stages_of
from .reload import PROCESSOR_TIMEOUT, SHUTDOWN_TIMEOUT, Configured
from .route import Route
from .routes import Routes
from .run import Run

__all__ = ["Pipeline"]

_NEW, _OPEN, _CLOSING = "new", "open", "closing"


class Pipeline:
    """Takes what loggers say, from the moment it is opened until it is closed.

    Open it in one of three ways, once: `async with Pipeline(...)` on asyncio, uvloop or trio;
    `await tg.start(pipeline.run)` in a task group of yours; or `with Pipeline(...)` in a script,
    where a background thread runs the loop. While it is open, all loggers write to it; a pipeline
    that is opened later takes over until it is closed.

    `sinks` are sinks, routes, paths, streams or callables. `redact` keeps secrets out of all of
    them; True is `processors.Redact()`, None turns it off. `processors` run after it, in this
    order, on every record. `level` is that of all logger names without one of their own; left out,
    it is `LOGFLUME_LEVEL`'s, or INFO. `capacity` is how many records the door holds.
    `shutdown_timeout` is the most seconds that closing takes to deliver what was accepted.
    `block_timeout` is the most seconds that a plain log call on a thread without a loop waits for
    room. `processor_timeout` is the most seconds that an async processor, or an
    async value of `opt(lazy=True)`, may take for a record.

    Closing (also by an exception, cancellation or Ctrl-C) delivers what was accepted, shielded
    from cancellation; what cannot be delivered in time is counted, and told on stderr.

    Raises:
        ConfigurationError: a setting means nothing.
    """

    @known_options("Pipeline option")
    def __init__(
        self,
        *sinks: object,
        processors: Iterable[Processor] = (),
        redact: Processor | bool | None = True,
        level: str | int | Level | None = None,
        capacity: int = 65_536,
        shutdown_timeout: float = SHUTDOWN_TIMEOUT,
        block_timeout: float = 1.0,
        processor_timeout: float = PROCESSOR_TIMEOUT,
    ) -> None:
        positive("Pipeline.capacity", capacity, whole=True)
        positive("Pipeline.shutdown_timeout", shutdown_timeout, zero=True)
        positive("Pipeline.block_timeout", block_timeout, zero=True)
        positive("Pipeline.processor_timeout", processor_timeout)
        self._capacity = capacity
        self._shutdown_timeout = shutdown_timeout
        self._block_timeout = block_timeout
        self._processing = Processing(stages_of(redact, processors), processor_timeout)
        root, named = self._levels_around()
        if level is not None:
            root = parse_level(level, "Pipeline.level")
        self.thresholds = Thresholds(root or INFO, named)
        self._lock = threading.Lock()
        self._routes = Routes()
        self._state = _NEW
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None
        self._host: TaskGroup | None = None
        self._run = self._new_run()
        for sink in sinks:
            self.add(sink)
        self.configured = Configured(self)

    def _levels_around(self) -> tuple[Level | None, dict[str, Level]]:
        """Return what the environment says of levels."""
        return parse_spec(os.environ.get("LOGFLUME_LEVEL", ""))

    @property
    def _phase(self) -> str:
        return "closed" if self.is_closed else self._state

    @property
    def current_span(self) -> Callable[[], tuple[int, int] | None] | None:
        """What tells callers the span they are in, if their records shall have it."""
        return self._processing.current_span

    @property
    def is_closed(self) -> bool:
        """Whether it was open once and no longer is."""
        return self._run.finished.is_set()

    @property
    def is_dormant(self) -> bool:
        """Whether its thread is still to be started, by the first record."""
        return self._state == _NEW and not self.is_closed

    @property
    def shutdown_timeout(self) -> float:
        """The most seconds that closing takes to deliver what was accepted."""
        return self._shutdown_timeout

    def spend(self, seconds: float) -> None:
        """Take what was waited already off the shutdown timeout; a moment is left for the rest."""
        left = self._shutdown_timeout - seconds
        self._shutdown_timeout = max(left, min(0.2, self._shutdown_timeout))

    def __repr__(self) -> str:
        return f"<Pipeline {self._phase}: {', '.join(self._routes.names)}>"

    # Opening and closing.

    def _new_run(self) -> Run:
        return Run(
            self._routes,
            self.thresholds,
            self._processing,
            capacity=self._capacity,
            block_timeout=self._block_timeout,
        )

    @property
    def door(self) -> Door:
        """Where records come in."""
        return self._run.door

    async def __aenter__(self) -> Self:
        self._claim()
        self._host = anyio.create_task_group()
        await self._host.__aenter__()
        try:
            await self._run.open_in(self._host, self._on_open, self._on_close)
        except BaseException:
            await self._host.__aexit__(None, None, None)
            raise
        return self

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
            await self._run.open_in(host, self._on_open, self._on_close)
            task_status.started(self)
            assert self._run.closing is not None
            try:
                await self._run.closing.wait()
            finally:
                self._request_close()

    def __enter__(self) -> Self:
        self._claim()
        self.start_thread()
        self._run.ready.wait()
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
        here, thread = self._run.here, self._thread
        if thread is None and here is not None and threading.get_ident() == here.ident:
            raise PipelineError("close() would block the pipeline's loop: use `await aclose()`")
        self._request_close()
        if here is None and thread is None:  # not started yet, after a fork
            self.leave_behind()
        elif thread is None:
            self._run.finished.wait(within(self._shutdown_timeout + 2.0))
        elif thread is not threading.current_thread():
            # The sinks' own closing comes after the shutdown timeout. Not by `join` alone: up to
            # Python 3.12, one that was interrupted takes the thread for ended.
            self._run.finished.wait(within(self._shutdown_timeout + 2.0))
            thread.join(0.5)

    def tell_lost(self) -> None:
        """Tell what is lost if it has not ended by now; the process is about to."""
        self._run.tell_lost()

    async def aclose(self) -> None:
        """Close the pipeline and wait until what was accepted is settled; from any loop."""
        if self.is_dormant or self.is_closed:
            return
        self._request_close()
        if self._run.is_here:
            await self._run.progress.until(self._run.finished.is_set)
        while not self._run.finished.is_set():
            await anyio.sleep(0.005)

    def _claim(self) -> None:
        with self._lock:
            if self._state != _NEW:
                raise PipelineError(f"this pipeline is {self._phase}: it opens once; make another")
            self._state = _OPEN

    def start_thread(self) -> None:
        """Run the pipeline in a daemon thread; records are taken at once, before it is up.

        Raises:
            RuntimeError: the interpreter is exiting.
        """
        load_asyncio()
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
            self._run.ready.wait(timeout)

    def start_over(self) -> None:
        """Begin with nothing: in the child of a fork, if at all then in a thread of its own."""
        self._lock = threading.Lock()
        self._state = _NEW
        self._thread = None
        self._error = None
        self._routes.start_over()
        self._processing.forget()
        self._run = self._new_run()
        for route in self._routes:
            route.start_over()
            self._run.attach(route)

    def leave_behind(self) -> None:
        """Be closed without having run: in the child of a fork, this loop is the parent's."""
        self._state = _CLOSING
        self._run.finished.set()
        self._run.ready.set()
        current.closed(self)

    def _run_in_thread(self) -> None:
        run = self._run
        try:
            anyio.run(run.work, self._on_open, self._on_close)
        except BaseException as error:
            self._error = error
            current.closed(self)
            tell_on_stderr(f"the pipeline ended: {describe(error)}")
        finally:
            run.finished.set()
            run.ready.set()

    @property
    def runs_in_thread(self) -> bool:
        """Whether a background thread of its own runs the loop."""
        return self._thread is not None

    def _request_close(self) -> None:
        with self._lock:
            if self._state == _OPEN:
                self._state = _CLOSING
        self._run.request_close()

    def _on_open(self) -> None:
        current.opened(self)

    def _on_close(self) -> float:
        current.closed(self)
        return self._shutdown_timeout

    # Routes.

    def add(self, sink: object, /, **route_options: Any) -> str:
        """Add a route and return its id; from any thread, before or while the pipeline is open.

        `sink` is a Sink, a Route, a path, a stream or a callable; `route_options` are those of
        `Route`, and for paths, streams and callables also those of the sink that is made of them:
        `add("app.jsonl", rotation="100 MB", level="DEBUG")`. What is logged after this returns goes
        to it.

        Raises:
            ConfigurationError: an option is unknown or means nothing.
        """
        if isinstance(sink, Route):
            if route_options:
                raise ConfigurationError.of(
                    "add", ", ".join(route_options), "no options beside a Route: give them to it"
                )
            return self._adopt(sink, strict=False)
        known = inspect.signature(Route).parameters
        of_sink = {name: option for name, option in route_options.items() if name not in known}
        if of_sink:
            sink = routing.coerce(sink, **of_sink)
            route_options = {k: v for k, v in route_options.items() if k not in of_sink}
        return self._adopt(Route(sink, **route_options), strict="name" in route_options)

    def _adopt(self, route: Route, *, strict: bool) -> str:
        self._routes.adopt(route, self._run.attach, strict=strict)
        self._run.serve(route)
        return route.name

    def remove(self, route_id: str, /) -> None:
        """Remove a route; what was logged before is still delivered to it. From any thread.

        Raises:
            ConfigurationError: there is no such route.
        """
        if not self._discard(route_id):
            known = ", ".join(self._routes.names) or "none, there is no route"
            raise ConfigurationError.of("route id", route_id, known)

    def _discard(self, route_id: str) -> bool:
        route = self._routes.discard(route_id)
        if route is not None:
            self._run.stop(route)
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

    # Configurations.

    async def reload(self, source: Source = None) -> None:
        """Take on another configuration without losing a record; from any loop.

        `source` is as in `logflume.configure_from`; None reads the last one again. See there what
        stays and what is replaced. If it fails, nothing has changed.

        Raises:
            ConfigurationError: a setting means nothing, or cannot change while this runs.
            PipelineError: a new sink does not open, or this pipeline is not open.
        """
        await self.configured.reload(source)

    def reload_and_wait(self, source: Source = None) -> None:
        """Do as `reload` does, from a thread without a loop."""
        self.configured.reload_and_wait(source)

    # What became of the records.

    def stats(self) -> Stats:
        """Return a look at the ledger; any thread, any time."""
        return Stats(door=self.door.counts(), routes=self._run.counts())

    async def flush(self, timeout: float | None = None) -> FlushReport:
        """Wait until what was accepted before is settled on every route; from any loop.

        Settled is delivered, filtered, or dropped and counted. Batches go out at once. Returns a
        report, also when `timeout` seconds were not enough; without one it waits as long as that
        takes: where a handler of `logging` hangs, for ever. Cancelling it changes nothing.
        """
        return await self._run.flush_from_loop(timeout, starts=self._thread is not None)

    def complete(self, timeout: float | None = None) -> FlushReport:
        """Block until what was accepted before is settled on every route.

        Raises:
            PipelineError: this thread runs an event loop, which it would block.
        """
        if in_loop():
            raise PipelineError("complete() would block the event loop: use `await acomplete()`")
        return self._run.flush_from_thread(timeout, starts=self._thread is not None)

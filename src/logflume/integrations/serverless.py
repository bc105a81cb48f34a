"""Functions on AWS Lambda, Google Cloud Functions, Azure Functions and their like.

Between invocations their platform stops or throttles the process, pipelines included: whatever
is logged has to be delivered before an invocation ends.
"""

from __future__ import annotations

import functools
import inspect
import threading
import time
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, ParamSpec, TypeVar, cast

import anyio

from ..engine.backend import in_loop, within
from ..engine.current import current_pipeline
from ..engine.invocations import announce_flushes
from ..engine.ledger import describe
from ..engine.news import tell_on_stderr
from ..engine.pipeline import Pipeline
from ..errors import ConfigurationError
from ..setting import positive
from ..stats import FlushReport

__all__ = ["flush_after_invocation"]

P = ParamSpec("P")
T = TypeVar("T")

MARGIN = 0.25
"""Seconds of an invocation that are left for its answer, if its platform says how many it has."""

_begun: ContextVar[frozenset[_Flush]] = ContextVar("logflume.begun", default=frozenset())
"""Of functions that have begun: one that calls itself is flushed once, at its very end."""


def flush_after_invocation(
    *pipelines: Pipeline, timeout: float = 5.0
) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Decorate a function, sync or async, so that it ends when what was logged is delivered.

    Flushes the pipelines, or without any the one that is current at the end, however the function
    ends: also by an exception, or by a cancellation, from which the flush is shielded. asyncio's
    own (`task.cancel()`, `wait_for`), if it comes meanwhile, goes on when the flush is over. Takes
    at most `timeout` seconds; on AWS Lambda never more than what is left of the invocation, by its
    context's `get_remaining_time_in_millis`. What is still pending then stays, for the next
    invocation, and is told on stderr. The function's result or exception is what it was.

    A sync function's thread is blocked meanwhile; if it runs an event loop, it is not flushed,
    and that is told. Pipelines may run on any loop, or in threads.

        with Pipeline("events.jsonl") as pipeline:
            @flush_after_invocation(pipeline)
            def charge(event, context):
                log.info("Charged {amount}", amount=event["amount"])

    Raises:
        ConfigurationError: a setting means nothing, or what is decorated is no function, or one
            whose call returns before it has run: a generator.
    """
    for pipeline in pipelines:
        if not isinstance(pipeline, Pipeline):
            raise ConfigurationError.of(
                "flush_after_invocation.pipelines",
                pipeline,
                "Pipelines, or none: `@flush_after_invocation()`",
            )
    positive("flush_after_invocation.timeout", timeout, zero=True)

    def decorate(function: Callable[P, T]) -> Callable[P, T]:
        decorated = _decorated(function, _Flush(pipelines, timeout))
        announce_flushes()
        return decorated

    return decorate


def _decorated(function: Callable[P, T], flush: _Flush) -> Callable[P, T]:
    # What is called may be an object: then it is its `__call__` that is async, or a generator.
    given: Any = function
    forms = (given, given.__call__) if callable(given) else ()
    refused = (inspect.isclass, inspect.isgeneratorfunction, inspect.isasyncgenfunction)
    if not forms or any(is_(form) for form in forms for is_ in refused):
        raise ConfigurationError.of(
            "flush_after_invocation", function, "a function or an async function"
        )
    if any(inspect.iscoroutinefunction(form) for form in forms):

        @functools.wraps(function)
        async def awaited(*args: P.args, **kwargs: P.kwargs) -> Any:
            if flush in _begun.get():
                return await given(*args, **kwargs)
            return await flush.after(lambda: given(*args, **kwargs), (*args, *kwargs.values()))

        return cast("Callable[P, T]", awaited)

    @functools.wraps(function)
    def called_and_flushed(*args: P.args, **kwargs: P.kwargs) -> Any:
        if flush in _begun.get():
            return function(*args, **kwargs)
        result: Any = None
        outside = _begun.set(_begun.get() | {flush})
        try:
            result = function(*args, **kwargs)
        finally:
            _begun.reset(outside)
            if not inspect.isawaitable(result):
                flush.block((*args, *kwargs.values()))
        # Another decorator may have hidden that the function is async: it has not run yet.
        if inspect.isawaitable(result):
            return flush.after(lambda: result, (*args, *kwargs.values()))
        return result

    return called_and_flushed


class _Flush:
    """Flushes some pipelines at once, in time. Raises nothing."""

    def __init__(self, pipelines: tuple[Pipeline, ...], timeout: float) -> None:
        self._given = pipelines
        self._timeout = timeout
        self._told = False

    async def after(self, begin: Callable[[], Any], arguments: tuple[object, ...]) -> Any:
        """Await what is begun, then flush."""
        outside = _begun.set(_begun.get() | {self})
        try:
            result = await begin()
        except GeneratorExit:  # its loop has ended without it: nothing can be awaited any more
            raise
        except BaseException:
            _begun.reset(outside)
            await self.wait(arguments)
            raise
        _begun.reset(outside)
        await self.wait(arguments)
        return result

    async def wait(self, arguments: tuple[object, ...]) -> None:
        """Flush at the end of an async function, shielded from its cancellation."""
        budget = self._budget(arguments)
        until = time.monotonic() + budget
        pipelines = self._pipelines()
        reports: list[FlushReport] = []
        cancelled: BaseException | None = None
        while cancelled is None or time.monotonic() < until:
            try:
                with anyio.CancelScope(shield=True):
                    reports = await _flush(pipelines, max(until - time.monotonic(), 0.0))
                break
            except anyio.get_cancelled_exc_class() as error:
                # asyncio's own, which heeds no shield. The records are still on their way.
                cancelled = error
        _tell_pending(reports, budget)
        if cancelled is not None:
            raise cancelled

    def block(self, arguments: tuple[object, ...]) -> None:
        """Flush at the end of a sync function."""
        if in_loop():
            if not self._told:
                self._told = True
                tell_on_stderr(
                    "flush_after_invocation: this function runs on an event loop, which a flush "
                    "would block: make it an async function"
                )
            return
        budget = self._budget(arguments)
        until = time.monotonic() + budget
        reports: list[FlushReport] = []

        def flush(pipeline: Pipeline) -> None:
            try:
                reports.append(pipeline.complete(max(until - time.monotonic(), 0.0)))
            except Exception as error:
                _tell_failure(error)

        first, *others = self._pipelines()
        here, threads = [first], []
        for other in others:
            thread = threading.Thread(target=flush, args=(other,), daemon=True)
            try:
                thread.start()
            except RuntimeError:  # the system has no more threads
                here.append(other)
            else:
                threads.append(thread)
        for pipeline in here:
            flush(pipeline)
        for thread in threads:
            thread.join(within(max(until - time.monotonic(), 0.1)))
        _tell_pending(reports, budget)

    def _pipelines(self) -> tuple[Pipeline, ...]:
        return self._given or (current_pipeline(),)

    def _budget(self, arguments: tuple[object, ...]) -> float:
        """Return the seconds a flush may take: what is left of the invocation, at most."""
        for argument in arguments:
            try:
                left = argument.get_remaining_time_in_millis() / 1000  # type: ignore[attr-defined]
            except Exception:  # it is not the context
                continue
            if isinstance(left, float):
                return max(min(self._timeout, left - MARGIN), 0.0)
        return self._timeout


async def _flush(pipelines: tuple[Pipeline, ...], timeout: float) -> list[FlushReport]:
    reports: list[FlushReport] = []

    async def flush(pipeline: Pipeline) -> None:
        try:
            reports.append(await pipeline.flush(timeout))
        except Exception as error:
            _tell_failure(error)

    async with anyio.create_task_group() as tasks:
        for pipeline in pipelines:
            tasks.start_soon(flush, pipeline)
    return reports


def _tell_pending(reports: list[FlushReport], budget: float) -> None:
    pending: dict[str, int] = {}
    for report in reports:
        for name, count in report.pending.items():
            pending[name] = pending.get(name, 0) + count
    if pending:
        at = ", ".join(f"{count:,} at {name!r}" for name, count in pending.items())
        tell_on_stderr(f"records still pending {budget:g} s after an invocation: {at}")


def _tell_failure(error: Exception) -> None:
    tell_on_stderr(f"flush_after_invocation: {describe(error)}")

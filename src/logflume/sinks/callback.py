"""Any callable as a sink: called with each record as a dict."""

from __future__ import annotations

import functools
import inspect
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from ..engine.backend import Worker
from ..engine.batch import Batch
from ..protocols import SinkBatch
from ..record import Record

__all__ = ["Callback"]

HOP = 0.05
"""Seconds that the worker thread goes on with a batch before it reports what it has done."""


class Callback:
    """Call a function with `record.to_dict()` for every record, one after the other.

    A coroutine function is awaited on the pipeline's loop; any other runs in a worker thread of
    its own, and what it returns is awaited if it can be. An exception, or a call that takes longer
    than the route's `timeout`, counts for its record alone. A record that the function logs never
    comes back to it. When a call in the thread is given up, the thread goes on with it, and the
    next records get another thread.

        async def page(record: dict) -> None: ...
        log.add_callback(page)
    """

    one_by_one = True

    def __init__(self, function: Callable[[dict[str, Any]], Any]) -> None:
        self.name = str(getattr(function, "__name__", type(function).__name__)).strip("<>")
        self.route_defaults: dict[str, Any] = {"batch": Batch(max_records=256)}
        self._function = function
        self._is_async = is_async(function)
        self._worker: Worker | None = None

    async def open(self) -> None:
        """Start the worker thread, if one is needed."""
        if not self._is_async:
            self._worker = self._new_worker()

    async def send(self, batch: SinkBatch, /) -> None:
        """Call the function for each record; raises what it raises."""
        if self._worker is not None:
            await self._send_in_thread(batch)
            return
        for record in batch.records:
            await self._function(record.to_dict())
            batch.advance(1)

    async def aclose(self) -> None:
        """Let the worker thread end after the call it is at."""
        if self._worker is not None:
            self._worker.shutdown()

    def _new_worker(self) -> Worker:
        return Worker(f"logflume callback {self.name}")

    async def _send_in_thread(self, batch: SinkBatch) -> None:
        assert self._worker is not None
        at = 0
        while at < len(batch):
            try:
                done, problem, answer = await self._worker.run(self._call, batch.records, at)
            except BaseException:
                self._worker.shutdown()
                self._worker = self._new_worker()
                raise
            if done:
                batch.advance(done)
            if problem is not None:
                raise problem
            if answer is not None:
                await answer
                batch.advance(1)
                done += 1
            at += done

    def _call(
        self, records: Sequence[Record], at: int
    ) -> tuple[int, Exception | None, Awaitable[Any] | None]:
        """Call the function for some records: how many went well, and what stopped it."""
        until = time.monotonic() + HOP
        done = 0
        for record in records[at:]:
            try:
                answer = self._function(record.to_dict())
            except Exception as error:
                return done, error, None
            except BaseException as error:  # `sys.exit()` ends no more than its own call
                return done, _as_failure(error), None
            if inspect.isawaitable(answer):
                return done, None, answer
            done += 1
            if time.monotonic() > until:
                break
        return done, None, None


def _as_failure(error: BaseException) -> Exception:
    failure = RuntimeError(f"callback raised {type(error).__name__}")
    failure.__cause__ = error
    return failure


def is_async(function: Any) -> bool:
    """Whether calling this gives a coroutine: a coroutine function, a partial or object of one."""
    while isinstance(function, functools.partial):
        function = function.func
    call = getattr(type(function), "__call__", None)  # noqa: B004 - an object's, to be inspected
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(call)

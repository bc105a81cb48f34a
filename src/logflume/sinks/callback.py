"""Any callable as a sink: called with each record as a dict."""

from __future__ import annotations

import functools
import inspect
import time
from collections.abc import Callable
from typing import Any

from anyio.lowlevel import checkpoint

from ..engine.batch import Batch
from ..errors import ConfigurationError
from ..protocols import SinkBatch
from ..record import Record
from ._one_by_one import Answer, OneByOne, as_exception

__all__ = ["Callback"]

TURN = 0.001
"""Seconds after which all else on the loop has its turn, whether the function waits or not."""


class Callback:
    """Call a function with `record.to_dict()` for every record, one after the other.

    A coroutine function is awaited on the pipeline's loop; any other runs in a worker thread of
    its own, and what it returns is awaited if it can be. A coroutine function that waits for
    nothing lets all else on the loop go on every millisecond; what blocks belongs in a thread. A
    record that the function logs never comes back to it.

    An exception, or a call that takes longer than the route's `timeout`, counts for its record
    alone; so do `Retryable`, after which the function is called with that record again, as the
    route's `Retry` says, and `Rejected`. When a call in the thread is given up, the thread goes on
    with it, and the next records get another one; but no more than four calls go on so: then the
    next records wait in the route's buffer until one of these ends.

        async def page(record: dict) -> None: ...
        log.add_callback(page)

    Raises:
        ConfigurationError: the function is a generator, whose call returns before it has run.
    """

    one_by_one = True

    def __init__(self, function: Callable[[dict[str, Any]], Any]) -> None:
        if _is_generator(function):
            accepted = "a function or an async function, without `yield`"
            raise ConfigurationError.of("callback", function, accepted)
        self.name = str(getattr(function, "__name__", type(function).__name__)).strip("<>")
        self.route_defaults: dict[str, Any] = {"batch": Batch(max_records=256)}
        self._function = function
        self._is_async = is_async(function)
        self._thread = OneByOne(f"logflume callback {self.name}", self._give)

    async def open(self) -> None:
        """Start the worker thread, if one is needed."""
        if not self._is_async:
            self._thread.start()

    async def send(self, batch: SinkBatch, /) -> None:
        """Call the function for each record that there is time for; raises what it raises."""
        if not self._is_async:
            await self._thread.send(batch)
            return
        until = time.monotonic() + TURN
        for record in batch.records:
            await self._function(record.to_dict())
            if not batch.advance(1):
                return
            if time.monotonic() > until:
                await checkpoint()
                if not batch.advance(0):  # whose turns these were is nothing to the next call
                    return
                until = time.monotonic() + TURN

    async def aclose(self) -> None:
        """Let the worker thread end after the call it is at."""
        await self._thread.end()

    def _give(self, record: Record) -> Answer:
        """Call the function: what it failed with, or what is to be awaited."""
        try:
            answer = self._function(record.to_dict())
        except BaseException as error:
            return as_exception(error, "callback")
        return answer if inspect.isawaitable(answer) else None


def is_async(function: Any) -> bool:
    """Whether calling this gives a coroutine: a coroutine function, a partial or object of one."""
    return any(map(inspect.iscoroutinefunction, _forms_of(function)))


def _is_generator(function: Any) -> bool:
    forms = _forms_of(function)
    return any(inspect.isgeneratorfunction(f) or inspect.isasyncgenfunction(f) for f in forms)


def _forms_of(function: Any) -> tuple[Any, Any]:
    """Return what may say of which kind it is: itself, and what an object does when called."""
    while isinstance(function, functools.partial):
        function = function.func
    call = getattr(type(function), "__call__", None)  # noqa: B004 - an object's, to be inspected
    return function, call

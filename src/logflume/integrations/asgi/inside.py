"""The calls that are in an app, and an app's shutdown that waits for them.

Every server waits for responses when it shuts down; granian does not wait for what an app does
after them. Its background tasks would log to a pipeline that is closed. Nor does it tell of the
shutdown by a websocket that the app is not listening to at that moment: its call never ends.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import anyio

from ...logger import Logger
from ...setting import positive
from .call import Call

__all__ = ["Inside"]

_INTERVAL_S = 0.005


class Inside:
    """The calls that have begun and are not over.

    A shutdown waits for them at most `timeout` seconds. It tells `log` of those that are left, and
    logs the record of each as it is then.
    """

    def __init__(self, timeout: float, log: Logger) -> None:
        positive("LoggingMiddleware.shutdown_timeout", timeout, zero=True)
        self._timeout = timeout
        self._log = log
        self._calls: set[Call] = set()
        self.enter = self._calls.add
        self.leave = self._calls.discard

    def before_shutdown(self, receive: Callable[[], Awaitable[Any]]) -> Callable[[], Any]:
        """Return a lifespan's `receive` which hands the shutdown on when all calls are over."""

        async def patient() -> Any:
            message = await receive()
            if message["type"] == "lifespan.shutdown":
                await self._wait()
            return message

        return patient

    async def _wait(self) -> None:
        # A call may end on another loop, or by the collection of its coroutine: an event would
        # not be told. Mostly, there is nothing to wait for.
        with anyio.move_on_after(self._timeout):
            while self._calls:  # noqa: ASYNC110
                await anyio.sleep(_INTERVAL_S)
        left = tuple(self._calls)
        if left:
            self._log.warning("Calls that are not over at shutdown: {count}", count=len(left))
        for call in left:
            call.give_up()

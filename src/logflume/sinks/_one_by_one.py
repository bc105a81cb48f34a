"""Records given one after the other to something that may block, in a thread of its own."""

from __future__ import annotations

import inspect
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeAlias

import anyio

from ..engine.backend import Worker
from ..protocols import SinkBatch
from ..record import Record

__all__ = ["OneByOne", "as_exception"]

HOP = 0.005
"""Seconds that the worker thread goes on with a batch before it reports what it has done.

The time limit is for each call, but starts anew only with a report: so much of it may be over when
a call begins. A report costs less than 0.1 ms."""

MOST_CALLS = 4
"""How many calls that nobody waits for any more may go on, each in a thread, before the next."""

PAUSE = 0.01
"""Seconds between two looks at whether one of them has ended. Far less than a time limit, which
starts anew with each look."""

Answer: TypeAlias = Exception | Awaitable[Any] | None
"""What giving a record came to: a failure; something to be awaited on the loop; or nothing."""


class _Call:
    """Some records that are given in one go, which ends when nobody waits for it any more."""

    given_up = False
    ended = False
    done = 0
    """How many went well; the next one may be being given."""
    answer: Answer = None
    """What stopped it. It is not returned: trio takes functions that return coroutines for async
    ones."""

    def drop_coroutine(self) -> None:
        """See that nothing warns of a coroutine which nobody is there to await. Both threads call
        this when the call is given up: one of them comes after the answer."""
        if inspect.iscoroutine(self.answer):
            self.answer.close()


class OneByOne:
    """Calls `give` for each record: it returns what it failed with, if it did, and never raises.
    If it returns an awaitable, the record is given when that is done.

    A call that is given up goes on, and the next records get another thread, unless there are
    `most_calls` of these already: then they wait, as long as it takes. Where calls wait for each
    other anyway, as those of a handler with a lock do, that is 1: a record that waits for the lock
    would seem to hang, too.
    """

    def __init__(
        self, name: str, give: Callable[[Record], Answer], most_calls: int = MOST_CALLS
    ) -> None:
        self._name = name
        self._give = give
        self._most_calls = most_calls
        self._worker: Worker | None = None
        self._calls: set[_Call] = set()

    @property
    def goes_on(self) -> bool:
        """Whether a call is still going on, though nobody may wait for it any more."""
        return bool(self._calls)

    def start(self) -> None:
        """Start the worker thread."""
        self._calls.clear()
        self._renew()

    def _renew(self) -> None:
        self._worker = Worker(self._name)

    async def send(self, batch: SinkBatch) -> None:
        """Give all records, or those that there was time for; raises what one failed with."""
        assert self._worker is not None
        at = 0
        while at < len(batch):
            while len(self._calls) >= self._most_calls:
                await anyio.sleep(PAUSE)
                if not batch.advance(0):
                    return
            call = _Call()
            try:
                await self._worker.run(self._some, call, batch.records, at)
            except BaseException:
                ended = call.ended  # asked first: what it has done is final then
                call.given_up = not ended
                in_time = batch.advance(call.done)  # or the first would count as what hangs
                self._worker.shutdown()
                self._renew()
                if in_time or not ended:
                    call.drop_coroutine()
                    raise
                # Nothing hangs: the loop stood still, and heard of the time limit first.
            else:
                in_time = batch.advance(call.done)
            at += call.done
            if isinstance(call.answer, Exception):
                raise call.answer
            if call.answer is not None:
                await call.answer
                in_time = batch.advance(1)
                at += 1
            if not in_time:
                return

    async def end(self, last: Callable[[], None] | None = None) -> None:
        """Let the worker thread end after one more call; raises what that raises."""
        if self._worker is None:
            return
        try:
            if last is not None:
                await self._worker.run(last)
        finally:
            self._worker.shutdown()

    def _some(self, call: _Call, records: Sequence[Record], at: int) -> None:
        """Give some records."""
        self._calls.add(call)
        try:
            call.answer = self._given(call, records, at)
        finally:
            self._calls.discard(call)
            call.ended = True
        if call.given_up:
            call.drop_coroutine()

    def _given(self, call: _Call, records: Sequence[Record], at: int) -> Answer:
        until = time.monotonic() + HOP
        for record in records[at:]:
            if call.given_up:  # another one goes on with the rest
                break
            answer = self._give(record)
            if answer is not None:
                return answer
            call.done += 1
            if time.monotonic() > until:
                break
        return None


def as_exception(error: BaseException, raised_by: str) -> Exception:
    """Return a failure as one that ends no more than its own call, also for `sys.exit()`."""
    if isinstance(error, Exception):
        return error
    failure = RuntimeError(f"{raised_by} raised {type(error).__name__}")
    failure.__cause__ = error
    return failure

"""Sending batches to one sink: in time, again where that may help, and every record counted."""

from __future__ import annotations

import time
from collections.abc import Callable

import anyio
from anyio.lowlevel import checkpoint

from ..errors import Rejected, Retryable
from ..protocols import Sink, SinkBatch
from ..snapshot import safe_str
from .backend import survivable
from .ledger import Account, News, describe
from .retry import Retry

__all__ = ["SHUTDOWN", "Delivery"]

# The reasons under which the ledger counts what is dropped here.
TIMEOUT = "timeout"
ERROR = "error"
EXHAUSTED = "retries exhausted"
SHUTDOWN = "shutdown"

TURN = 0.001
"""Seconds of sending after which everything else on the loop has its turn."""


class Delivery:
    """Hands batches to a sink, one at a time, on behalf of the route of this name."""

    def __init__(
        self,
        name: str,
        sink: Sink,
        retry: Retry,
        timeout: float,
        account: Account,
        news: News,
        progress: Callable[[], None],
    ) -> None:
        self.moved_at = time.monotonic()
        """When the sink last took something, by the monotonic clock."""
        self.abandoned = False
        """Whether a send did not come to its end, so that a thread may still use its batch."""
        self._name = name
        self._sink = sink
        self._one_by_one: bool = getattr(sink, "one_by_one", False)
        self._retry = retry
        self._timeout = timeout
        self._account = account
        self._news = news
        self._progress = progress
        self._unbroken = 0.0
        self._last_call = anyio.Event()

    def last_call(self) -> None:
        """Cut short the pause before a repeat: the route is closing."""
        self._last_call.set()

    async def deliver(self, batch: SinkBatch) -> None:
        """Send a batch, again if that may help, and count what became of each record.

        To a sink that takes them one by one, each record is a batch of its own: it has all its
        repeats, whatever became of those before it.
        """
        self.abandoned = False
        began, received = time.monotonic(), self._account.received
        repeats = 0
        elapsed = 0.0
        try:
            while len(batch):
                started = time.monotonic()
                problem = await self._send(batch)
                if self._one_by_one and batch.advanced:  # it is another record's turn
                    repeats, elapsed, started = 0, 0.0, self.moved_at
                # What a send or pause took longer than it may, the process stood still: a machine
                # that slept, or a serverless platform between two invocations.
                elapsed += min(time.monotonic() - started, self._timeout)
                self._progress()
                batch = batch.rest()
                if problem is None or not len(batch):
                    repeats, elapsed = 0, 0.0
                    continue
                repeats += 1
                pause = self._retry.pause(repeats, problem.retry_after)
                elapsed += pause
                if repeats >= self._retry.attempts or elapsed > self._retry.max_elapsed:
                    self.drop(self._failed_part(batch), EXHAUSTED, problem)
                    self._progress()
                    repeats, elapsed, batch = 0, 0.0, batch.rest()
                    continue
                self._account.retry(describe(problem))
                await self._pause(pause)
            await self._give_turn(began, received)
        except Exception as error:  # what the sink raised makes no sense, as in Rejected(records=3)
            self.drop(len(batch.rest()), ERROR, error)
            self._progress()
        except BaseException:
            self.drop(len(batch.rest()), SHUTDOWN)
            raise

    async def _give_turn(self, began: float, received: int) -> None:
        """Let the loop go on with all else, unless it did while records were sent: not every sink
        waits for something."""
        if self._account.received != received:  # the pump had its turn, so everybody had
            self._unbroken = 0.0
            return
        self._unbroken += time.monotonic() - began
        if self._unbroken > TURN:
            self._unbroken = 0.0
            await checkpoint()

    async def _pause(self, seconds: float) -> None:
        if self._last_call.is_set():
            await anyio.sleep(seconds)
            return
        with anyio.move_on_after(seconds):
            await self._last_call.wait()

    async def _send(self, batch: SinkBatch) -> Retryable | None:
        """Send once and settle what that decides; return the problem if sending again may help."""
        scope = anyio.CancelScope(deadline=anyio.current_time() + self._timeout)
        knows_it_is_late = False

        def advanced(count: int, nbytes: int) -> bool:
            nonlocal knows_it_is_late
            if count:
                self._account.deliver(count, nbytes)
                self.moved_at = time.monotonic()
            # In this order: on trio, to ask a scope after its deadline cancels it.
            scope.deadline = anyio.current_time() + self._timeout
            knows_it_is_late = scope.cancel_called
            return not knows_it_is_late

        batch.on_advance = advanced
        try:
            with scope:
                await self._sink.send(batch)
        except Retryable as problem:
            self.abandoned = True  # the sink may have given up waiting for its thread
            return problem
        except Rejected as problem:
            self._reject(batch, problem)
        except BaseException as error:
            if not survivable(error):
                raise
            self.abandoned = True
            self.drop(self._failed_part(batch), ERROR, error)
        else:
            if scope.cancelled_caught:
                self.abandoned = True
                late = TimeoutError(f"no answer within {self._timeout:g} s")
                self.drop(self._failed_part(batch), TIMEOUT, late)
            elif not (self._one_by_one and knows_it_is_late):  # else it has left the rest
                rest = batch.rest()
                batch.advanced = len(batch)
                self._settle(rest)
        return None

    def _reject(self, batch: SinkBatch, problem: Rejected) -> None:
        """Count what was rejected, and the rest as delivered: that of a sink which takes records
        one by one is yet to be sent."""
        reason, cause = safe_str(problem.reason), problem.__cause__ or problem
        if self._one_by_one:
            self.drop(self._failed_part(batch), reason, cause)
            return
        rest = batch.rest()
        kept = rest.without(problem.records, batch.advanced)
        batch.advanced = len(batch)
        self._settle(kept)
        self.drop(len(rest) - len(kept), reason, cause)

    def _failed_part(self, batch: SinkBatch) -> int:
        """Take off what a failure concerns: the whole rest, or the first record of it."""
        count = len(batch.rest())
        if self._one_by_one:
            count = min(count, 1)
        batch.advanced += count
        return count

    def _settle(self, delivered: SinkBatch) -> None:
        nbytes = delivered.nbytes if delivered.is_encoded else 0  # else it is an estimate
        self._account.deliver(len(delivered), nbytes)
        self.moved_at = time.monotonic()

    def drop(self, count: int, reason: str, error: BaseException | None = None) -> None:
        """Count and tell records as lost."""
        if count:
            text = None if error is None else describe(error)
            self._account.drop(count, reason, text)
            self._news.add(self._name, reason, count, text)

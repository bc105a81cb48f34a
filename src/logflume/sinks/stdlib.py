"""Any handler of `logging` as a sink: the standard library's own, and vendors'."""

from __future__ import annotations

import contextlib
import sys
import threading
import weakref
from typing import TYPE_CHECKING, Any

from ..context import Inside, get_context
from ..engine.batch import Batch
from ..engine.current import is_exiting
from ..errors import ConfigurationError
from ..protocols import SinkBatch
from ..record import Record
from ._log_records import LogRecords
from ._one_by_one import MOST_CALLS, OneByOne, as_exception
from ._spans import in_span_of

if TYPE_CHECKING:
    import logging

__all__ = ["Stdlib"]


class Stdlib:
    """Hand each record, as a `logging.LogRecord`, to a handler of `logging`.

    In a worker thread of its own, one record after the other, as `logging` does: below the
    handler's level it is left out, then its filters are asked, and its formatter has all that it
    knows. Fields are attributes, as with `extra`; those named like one of a LogRecord's own get a
    `_` behind their name. The message, also of records whose values were redacted, is the record's;
    `msg` and `args` are template and arguments where `%` makes the message of them. An exception is
    there as text (`exc_text`) and as an `exc_info` whose class is a stand-in, and whose traceback
    has no variables. A record that has a trace and span id (`processors.Otel`) is handed over in
    that span: handlers of OpenTelemetry find it as the current one.

        Pipeline(sinks.Stdlib(logging.handlers.SysLogHandler("/dev/log")))

    What the handler raises, or would print to stderr (`handleError`), counts as a failure of that
    record alone; so does a call that takes longer than the route's `timeout`: it goes on, and the
    next records wait in the route's buffer until it ends, since it has the handler's lock. Those of
    a handler without one get another thread, until four such calls go on. If one goes on when the
    pipeline has closed, `logging` does not flush the handler at the exit, which would wait for it.
    Some handlers say nothing of their failures: `SocketHandler` tries again later, `QueueHandler`
    and `MemoryHandler` are done when they have kept a record.

    Args:
        handler: the handler; not a Handler of logflume's own, which would go round in circles.
        escape: show control characters as escapes, so that no value can forge lines. Turn it off
            for a handler whose formatter does that, one for JSON, say.
        close: close the handler with the pipeline; it is flushed in any case. Leave it open if
            loggers of `logging` use it as well.

    Raises:
        ConfigurationError: it is no handler.
    """

    one_by_one = True

    def __init__(
        self, handler: logging.Handler, *, escape: bool = True, close: bool = True
    ) -> None:
        import logging

        if not isinstance(handler, logging.Handler):
            raise ConfigurationError.of("Stdlib.handler", handler, "a logging.Handler")
        if any(kind.__module__.startswith("logflume.") for kind in type(handler).__mro__):
            accepted = "a handler that does not lead back to logflume"
            raise ConfigurationError.of("Stdlib.handler", handler, accepted)
        self.name = handler.name or type(handler).__name__
        self.route_defaults: dict[str, Any] = {"batch": Batch(max_records=256)}
        self._handler = handler
        self._close = close
        self._records = LogRecords(escape=escape)
        most_calls = 1 if isinstance(handler.lock, type(threading.RLock())) else MOST_CALLS
        self._thread = OneByOne(f"logflume {self.name}", self._give, most_calls)
        self._calls = threading.local()  # some may go on that nobody waits for any more
        self._ending = False
        self._handle_error: Any = None
        self._does_more = type(handler).handleError is not logging.Handler.handleError

    async def open(self) -> None:
        """Start the worker thread, and hear of the handler's failures."""
        self._thread.start()
        if self._handler.handleError != self._on_error:  # after a fork, it is opened again
            self._handle_error = self._handler.handleError
            vars(self._handler)["handleError"] = self._on_error

    async def send(self, batch: SinkBatch, /) -> None:
        """Hand over each record; raises what the handler fails with."""
        await self._thread.send(batch)

    async def aclose(self) -> None:
        """Flush the handler, and close it unless it is to stay open."""
        try:
            await self._thread.end(self._end)
        finally:
            if self._thread.goes_on or self._ending:
                _leave_out_of_exit(self._handler)
            if self._handler.handleError == self._on_error:
                vars(self._handler).pop("handleError")
                if self._handler.handleError != self._handle_error:  # it had one of its own
                    vars(self._handler)["handleError"] = self._handle_error

    def _give(self, record: Record) -> Exception | None:
        """Hand over a record: what the handler failed with, if it did."""
        if record.level.no < self._handler.level:
            return None
        here = get_context()
        self._records.origins = here.origins if isinstance(here, Inside) else frozenset()
        failures: list[BaseException] = []
        self._calls.failures = failures
        # The interpreter gives no new threads then: this may hang on the loop, which ends with it.
        left_out = _leave_out_of_exit(self._handler) if is_exiting() else []
        try:
            with in_span_of(record):
                self._handler.handle(self._records.made_from(record))
        except BaseException as error:
            failures.append(error)
        finally:
            del self._calls.failures
            if left_out:
                _exits().extend(left_out)
        return as_exception(failures[-1], "handler") if failures else None

    def _on_error(self, given: logging.LogRecord) -> None:
        """Keep what the handler failed with; that of other users of it goes where it went."""
        failures: list[BaseException] | None = getattr(self._calls, "failures", None)
        if failures is not None:
            failures.append(sys.exc_info()[1] or RuntimeError("the handler failed"))
            if not self._does_more:
                return
        self._handle_error(given)

    def _end(self) -> None:
        self._ending = True
        try:
            self._handler.flush()
            if self._close:
                self._handler.close()
        finally:
            self._ending = False


def _leave_out_of_exit(handler: logging.Handler) -> list[Any]:
    """Let `logging` not flush a handler at the interpreter's exit, where it would wait for ever for
    the lock that a call holds which has hung; nor what that hands its records on to.

    Returns what was taken out of the list of exits.
    """
    exits, left_out = _exits(), []
    hung = (handler, getattr(handler, "target", handler))
    for reference in exits.copy():
        if isinstance(reference, weakref.ref) and reference() in hung:
            # Not `_removeHandlerRef`, which takes a lock of `logging` on the loop.
            with contextlib.suppress(ValueError):
                exits.remove(reference)
                left_out.append(reference)
    return left_out


def _exits() -> list[Any]:
    """Return the weak references to all handlers, the last one first to be flushed; other versions
    may keep none."""
    import logging

    exits = getattr(logging, "_handlerList", None)
    return exits if isinstance(exits, list) else []

"""What is on its way when SIGTERM ends the process: by itself, that leaves no time to deliver it.

uvicorn takes the signal, ends all it does, and then sends it to the process once more, for whoever
took it before: as a rule nobody, so the process ends there and then. Its last lines were logged a
moment ago.
"""

from __future__ import annotations

import _thread
import signal
import threading
from collections.abc import Iterable
from types import FrameType

from ...engine.current import current_pipeline
from .handler import Handler

__all__ = ["deliver_before_sigterm", "parting_handler"]


def parting_handler(*, exclude_loggers: Iterable[str] = ()) -> Handler:
    """Return a `Handler`, and let SIGTERM wait for what that is given.

    For `dictConfig`: reading the configuration is all that happens in each of a server's processes.
    """
    deliver_before_sigterm()
    return Handler(exclude_loggers=exclude_loggers)


def deliver_before_sigterm() -> None:
    """Have what was logged delivered before SIGTERM ends the process, if nobody else takes it.

    Of the current pipeline, if that runs in a thread of its own (the default one, or one that
    `with Pipeline(...)` opened), within its `shutdown_timeout`. The process then ends as it would
    have: by the signal. Only the main thread may ask for it; elsewhere nothing happens.

    `uvicorn_config` asks for it. Elsewhere a program does so itself: uvicorn's workers under
    gunicorn, for example, in gunicorn.conf.py:

        def post_worker_init(worker):
            deliver_before_sigterm()
    """
    if threading.current_thread() is not threading.main_thread():
        return
    if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, _deliver_and_end)


def _deliver_and_end(number: int, frame: FrameType | None) -> None:
    pipeline = current_pipeline()
    if pipeline.runs_in_thread:
        settled = _thread.allocate_lock()
        settled.acquire()

        def settle() -> None:
            try:
                pipeline.complete(pipeline.shutdown_timeout)
            finally:
                settled.release()

        # A loop may run in this thread, where `complete` refuses to block; it has had its last
        # turn. Not with `threading`, one of whose locks this thread may have been holding.
        _thread.start_new_thread(settle, ())
        settled.acquire(timeout=pipeline.shutdown_timeout)
    signal.signal(number, signal.SIG_DFL)
    signal.raise_signal(number)

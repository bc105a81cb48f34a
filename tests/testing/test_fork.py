"""Children of a fork: no lock of a thread that stayed behind keeps them."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable

import pytest

from logflume import Pipeline, Record, get_logger
from logflume.testing import Collect, Logs, ManualClock, capture

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")

log = get_logger("tests.fork")


def in_child(work: Callable[[], bool], within: float = 5.0) -> bool:
    """Whether this is true in a child; a child that hangs is ended."""
    child = os.fork()
    if not child:
        ok = False
        try:
            ok = work()
        finally:
            os._exit(0 if ok else 1)
    ends = time.monotonic() + within
    while time.monotonic() < ends:
        gone, status = os.waitpid(child, os.WNOHANG)
        if gone:
            return status == 0
        time.sleep(0.002)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return False


class Stuck:
    """Something that a thread is in the midst of, until it is let go."""

    def __init__(self, work: Callable[[], object]) -> None:
        self._inside, self._go = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=work)

    def __call__(self) -> None:
        if threading.current_thread() is self._thread:
            self._inside.set()
            self._go.wait()

    def __enter__(self) -> None:
        self._thread.start()
        self._inside.wait()

    def __exit__(self, *_: object) -> None:
        self._go.set()
        self._thread.join()


def said(logs: Logs) -> bool:
    log.info("child")
    return logs.one("child").message == "child"


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_child_logs_while_a_thread_runs_a_processor() -> None:
    """It has a capture of its own, like its parent's."""

    def stay(record: Record) -> Record:
        stuck()
        return record

    stuck = Stuck(lambda: log.info("parent"))
    with capture(processors=[stay]) as logs, stuck:
        assert in_child(lambda: said(logs))
    assert logs.messages == ["parent"]


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_child_logs_while_a_thread_waits_for_a_record() -> None:
    """Whatever that is about to look at."""

    def asked(text: str) -> bool:
        stuck()
        return True

    stuck = Stuck(lambda: logs.wait(asked))
    with capture() as logs:
        log.info("parent")
        with stuck:
            assert in_child(lambda: said(logs))
    assert logs.messages == ["parent"]


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_child_moves_a_clock_and_fills_a_sink() -> None:
    """Also if their locks were taken at that moment."""
    clock, sink = ManualClock(), Collect()

    def hold() -> None:
        with clock._lock, sink._arrived:
            stuck()

    def work() -> bool:
        clock.advance(1.0)
        log.info("child")
        sink.wait(1)
        return sink.messages == ["child"]

    stuck = Stuck(hold)
    with Pipeline(sink), stuck:
        assert in_child(work)

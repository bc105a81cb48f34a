"""What every test gets: the backends, a watch for blocking calls, and a clean logging state.

Async tests run on every backend by themselves (`anyio_mode`). Fakes: `from tests.fakes import ...`.
"""

from __future__ import annotations

import asyncio
import importlib.util
import signal
import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import blockbuster.blockbuster as guard
import pytest
import trio
from blockbuster import blockbuster_ctx

from logflume.context import _context
from logflume.engine import current

NO_UVLOOP = pytest.mark.skipif(
    importlib.util.find_spec("uvloop") is None, reason="uvloop is not installed"
)
BACKENDS = [
    pytest.param(("asyncio", {"use_uvloop": False}), id="asyncio"),
    pytest.param(("asyncio", {"use_uvloop": True}), id="uvloop", marks=NO_UVLOOP),
    pytest.param(("trio", {}), id="trio"),
]


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "blocking: this test blocks an event loop, and may.")
    # A shell has what it runs in the background ignore Ctrl-C, and so would all programs of tests.
    if (
        signal.getsignal(signal.SIGINT) is signal.SIG_IGN
        and threading.current_thread() is threading.main_thread()
    ):
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="module", params=BACKENDS)
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    """Run the test on asyncio, on uvloop and on trio."""
    return request.param


def _running_loop() -> object:
    """Tell the guard of trio too: it asks only asyncio whether this thread may block.

    Of its tasks only: anyio's test runner is trio's host, and waits for it in between.
    """
    return "trio" if trio.lowlevel.in_trio_task() else asyncio.get_running_loop()


@pytest.fixture(autouse=True)
def no_blocking_calls(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """Fail the test if anything blocks an event loop, also where the error itself is caught.

    `@pytest.mark.blocking` turns it off for a test, `fakes.may_block()` for a block.
    """
    if request.node.get_closest_marker("blocking"):
        yield
        return
    caught: list[str] = []

    class BlockingError(guard.BlockingError):
        def __init__(self, func: str) -> None:
            super().__init__(func)
            caught.append(func)

    monkeypatch.setattr(guard, "BlockingError", BlockingError)
    monkeypatch.setattr(guard, "asyncio", SimpleNamespace(get_running_loop=_running_loop))
    with blockbuster_ctx() as watch:
        # What the tools of the tests themselves do: pytest on a failed assertion, hypothesis.
        for function in watch.functions.values():
            function.can_block_in("_pytest/_code/code.py", {"getstatementrange_ast", "getsource"})
            function.can_block_in("hypothesis/core.py", {"execute_once", "wrapped_test"})
            function.can_block_in("coverage/collector.py", {"lock_data"})
        yield
    if caught:
        pytest.fail(f"blocked the event loop: {', '.join(caught)}")


@pytest.fixture(autouse=True)
def clean_logging(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Begin with no pipeline, default levels and an empty context; end so, or fail the test."""
    for name in ("LOGFLUME_LEVEL", "NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    _forget_default()
    _context.set({})
    yield
    _context.set({})
    _forget_default()
    left_open = list(current._open)
    for pipeline in left_open:
        if pipeline.runs_in_thread:
            pipeline.close()
        current.closed(pipeline)
    if left_open:
        pytest.fail(f"left open: {left_open}")


def _forget_default() -> None:
    """Close the default pipeline, if it runs, and let the next record start a new one."""
    default = current._default
    if default is not None and default.runs_in_thread:
        default.close()
    with current._lock:
        current._default = None
        current._reconnect()

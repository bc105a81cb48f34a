"""The pytest plugin: a fixture on every backend, beside `caplog`, that costs nobody anything."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SRC = Path(__file__).parents[2] / "src"


def run_pytest(folder: Path, test: str, *options: str) -> str:
    """Run a test module with the plugin alone, and return what pytest says."""
    (folder / "test_it.py").write_text(test, encoding="utf-8")
    (folder / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "pytest", "-q", "-p", "_logflume_pytest", *options],
        cwd=folder,
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=False,
        env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONPATH": str(SRC)},
    )
    return done.stdout + done.stderr


def test_the_fixture_works_in_sync_and_async_tests_on_every_backend(tmp_path: Path) -> None:
    """Alone and with a pipeline; what one test logs is not in the next."""
    said = run_pytest(
        tmp_path,
        """
import anyio, pytest, threading
from logflume import Pipeline, get_logger
from logflume.testing import Collect, capture

log = get_logger("app")
pytestmark = pytest.mark.anyio

@pytest.fixture(params=[("asyncio", {}), ("asyncio", {"use_uvloop": True}), ("trio", {})])
def anyio_backend(request):
    return request.param

def test_sync(logs):
    log.debug("Hello {name}", name="you")
    assert logs.one("Hello you", level="DEBUG", name="you")

@pytest.fixture
async def app(logs):
    async with Pipeline(Collect()), anyio.create_task_group() as tasks:
        log.info("started")
        yield tasks

async def test_async(logs, app):
    app.start_soon(log.ainfo, "from a task")
    thread = threading.Thread(target=log.info, args=("from a thread",))
    thread.start()
    thread.join()
    with capture() as inner:
        await logs.until("from a thread")
        await log.ainfo("inner")
    assert logs.messages == ["started", "from a task", "from a thread", "inner"]
    assert inner.messages[-1] == "inner"

def test_nothing_is_left(logs):
    assert not len(logs)
""",
        "-p",
        "anyio.pytest_plugin",
    )
    assert "5 passed" in said, said


def test_caplog_keeps_working_beside_it(tmp_path: Path) -> None:
    """The standard library's logging is not touched: each has its own."""
    said = run_pytest(
        tmp_path,
        """
import logging
import logflume

def test_both(logs, caplog):
    handlers = list(logging.getLogger().handlers)
    with caplog.at_level("INFO"):
        logging.getLogger("app").info("standard")
        logflume.get_logger("app").info("ours")
    assert caplog.messages == ["standard"]
    assert logs.messages == ["ours"]
    assert logging.getLogger().handlers == handlers
""",
    )
    assert "1 passed" in said, said


def test_a_failing_test_shows_what_was_logged(tmp_path: Path) -> None:
    """And the failure is shown where the test asked, not within logflume."""
    said = run_pytest(
        tmp_path,
        """
import logflume

def test_it(logs):
    logflume.get_logger("app").info("User {user} logged in", user="alice")
    logs.assert_logged("User {user} logged in", user="bob")
""",
    )
    assert "no record with message 'User {user} logged in', user='bob'; nearest of 1:" in said
    assert "user: 'alice', not 'bob'" in said
    assert "Captured logs teardown" in said
    assert "INFO     app 'User alice logged in' user='alice' [test_it.py:5]" in said
    assert ">       logs.assert_logged(" in said
    assert "src/logflume" not in said


def test_the_plugin_loads_nothing_of_logflume(tmp_path: Path) -> None:
    """Not before a test asks for the fixture: every run of pytest imports the plugin."""
    said = run_pytest(
        tmp_path,
        """
import sys

def test_it():
    assert "_logflume_pytest" in sys.modules
    assert not [name for name in sys.modules if name.partition(".")[0] in ("logflume", "anyio")]
""",
    )
    assert "1 passed" in said, said


def test_contracts_explain_their_assertions(tmp_path: Path) -> None:
    """As those of a test module do, with the values: pytest rewrites them, too."""
    said = run_pytest(
        tmp_path,
        """
from logflume.testing.contracts import EncoderContract

class TestIt(EncoderContract):
    def make(self):
        class It:
            def encode(self, record):
                return b"constant"
        return It()
""",
        "-k",
        "test_it_encodes_what_was_logged",
    )
    assert "assert b'constant' != b'constant'" in said, said


def test_the_testing_package_needs_no_pytest() -> None:
    """`capture` and the sinks are for other runners, too."""
    code = "import sys; sys.modules['pytest'] = None; from logflume.testing import capture, Collect"
    subprocess.run([sys.executable, "-c", code], timeout=60, check=True)


@pytest.mark.parametrize("name", ["capture", "Collect", "ManualClock", "record_of"])
def test_public_names_have_docstrings(name: str) -> None:
    """Each says what it is for."""
    from logflume import testing

    assert getattr(testing, name).__doc__

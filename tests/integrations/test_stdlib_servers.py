"""Web servers whose records go to logflume: with their own configurations of `logging`."""

from __future__ import annotations

import json
import logging
import logging.config
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from logflume import ConfigurationError
from logflume.integrations.stdlib import (
    AccessFields,
    Handler,
    gunicorn_config,
    hypercorn_config,
    uvicorn_config,
)
from tests.intake import captured

CONFIGS = {"uvicorn": uvicorn_config, "gunicorn": gunicorn_config, "hypercorn": hypercorn_config}


SERVERS = ("uvicorn", "gunicorn.error", "gunicorn.access", "hypercorn.error", "hypercorn.access")


def forget_servers() -> None:
    """Undo what servers that ran in this process have done to their loggers."""
    for logger in map(logging.getLogger, SERVERS):
        logger.handlers.clear()
        logger.propagate = True
        logger.disabled = False
        logger.setLevel(logging.NOTSET)


@pytest.fixture
def quiet() -> Iterator[None]:
    """Put `logging` back after a test that configured it."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    sigterm = signal.getsignal(signal.SIGTERM)
    forget_servers()
    yield
    signal.signal(signal.SIGTERM, sigterm)
    root.handlers[:] = handlers
    root.setLevel(level)
    forget_servers()


@pytest.mark.parametrize("server", CONFIGS)
@pytest.mark.usefixtures("quiet")
def test_each_record_comes_once(server: str) -> None:
    """The server's loggers, and those of the program, lead to logflume once each."""
    config = CONFIGS[server](exclude_loggers=["noisy"])
    assert json.loads(json.dumps(config)) == config
    logging.config.dictConfig(config)
    names = [f"{server}.error", f"{server}.access", "app"]
    with captured() as taken:
        for name in [*names, "noisy"]:
            logging.getLogger(name).info("said")
    assert [record.logger for record in taken.records] == names


@pytest.mark.parametrize("make", CONFIGS.values(), ids=CONFIGS)
def test_settings_that_mean_nothing_are_refused(make: Callable[..., dict[str, Any]]) -> None:
    """As everywhere, when they are given."""
    with pytest.raises(ConfigurationError, match="level: got 'LOUD'; accepted: "):
        make(level="LOUD")
    with pytest.raises(ConfigurationError, match="exclude_loggers: got 'x'; accepted: "):
        make(exclude_loggers="x")


def test_access_records_have_fields() -> None:
    """Who asked what, and the answer, from the arguments of each server's access log."""
    handler = Handler()
    handler.addFilter(AccessFields())
    atoms = {"h": "::1", "m": "GET", "U": "/x", "H": "HTTP/1.1", "s": "200", "D": 1500, "B": "-"}
    with captured() as taken:
        for name, template, args in (
            ("uvicorn.access", '%s - "%s %s HTTP/%s" %d', ("::1:5", "GET", "/x?y", "1.1", 200)),
            ("gunicorn.access", "%(h)s %(s)s", (atoms,)),
            ("hypercorn.access", "%(h)s %(s)s", (atoms,)),
            ("uvicorn.access", "odd %s", (1,)),
            ("app", "%(s)s", (atoms,)),
        ):
            handler.handle(logging.LogRecord(name, 20, "f.py", 1, template, args, None))
    shown = [record.fields for record in taken.records]
    assert shown[0] == {
        "client": "::1:5",
        "method": "GET",
        "path": "/x?y",
        "http_version": "1.1",
        "status": 200,
    }
    assert (
        shown[1]
        == shown[2]
        == {
            "client": "::1",
            "method": "GET",
            "path": "/x",
            "http_version": "HTTP/1.1",
            "status": 200,
            "duration_us": 1500,
        }
    )
    assert shown[3:] == [{}, {}]
    assert [record.message for record in taken.records][1] == "::1 200"


ASGI = """
import logging, warnings
import logflume
warnings.simplefilter("ignore")
logflume.log.configure(json=True)

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return
    logging.getLogger("app").info("asked for %s", scope["path"])
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"ok"})

def wsgi(environ, start_response):
    logging.getLogger("app").info("asked for %s", environ["PATH_INFO"])
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]
"""

UVICORN = """
import sys, uvicorn
from program import app
from logflume.integrations.stdlib import uvicorn_config
uvicorn.run(app, port=int(sys.argv[1]), log_config=uvicorn_config())
"""

HYPERCORN = """
import asyncio, signal, sys
from hypercorn.asyncio import serve
from hypercorn.config import Config
from program import app
from logflume.integrations.stdlib import hypercorn_config

async def main():
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    config = Config()
    config.bind = ["127.0.0.1:" + sys.argv[1]]
    config.accesslog = "-"
    config.logconfig_dict = hypercorn_config()
    await serve(app, config, shutdown_trigger=stop.wait)

asyncio.run(main())
"""

GUNICORN = """
from logflume.integrations.stdlib import gunicorn_config
logconfig_dict = gunicorn_config()
accesslog = "-"
preload_app = True
workers = 2
control_socket_disable = True

def post_worker_init(worker):
    open(f"serves-{worker.pid}", "x").close()
"""


@pytest.mark.real
@pytest.mark.parametrize("server", CONFIGS)
def test_a_real_server_s_records_are_logflume_s(server: str, tmp_path: Path) -> None:
    """Start, request and end of a real server: all that it prints are records, once each."""
    pytest.importorskip(server)
    (tmp_path / "program.py").write_text(ASGI)
    (tmp_path / "run.py").write_text({"uvicorn": UVICORN, "hypercorn": HYPERCORN}.get(server, ""))
    (tmp_path / "gunicorn.conf.py").write_text(GUNICORN)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "run.py", str(port)]
    if server == "gunicorn":
        command = [sys.executable, "-m", "gunicorn", "-b", f"127.0.0.1:{port}", "program:wsgi"]
    server_process = subprocess.Popen(
        command,
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PYTHONWARNINGS": "ignore", "TOKEN_OF_THE_ENVIRONMENT": "hunter2"},
    )
    timer = threading.Timer(30, server_process.kill)
    timer.start()
    try:
        assert answer(f"http://127.0.0.1:{port}/path") == b"ok"
        # gunicorn loses a signal that comes while a worker starts, and waits for it for long.
        while server == "gunicorn" and len(list(tmp_path.glob("serves-*"))) < 2:
            assert server_process.poll() is None
            time.sleep(0.01)
    finally:
        server_process.send_signal(signal.SIGTERM)
        printed, _ = server_process.communicate(timeout=30)
        timer.cancel()
    records = [json.loads(line) for line in printed.splitlines()]
    loggers = [record["logger"] for record in records]
    [asked] = [record for record in records if record["logger"] == "app"]
    assert asked["message"] == "asked for /path"
    [access] = [record for record in records if record["logger"] == f"{server}.access"]
    assert (access["fields"]["method"], access["fields"]["status"]) == ("GET", 200)
    assert f"{server}.error" in loggers
    assert "hunter2" not in printed


def answer(url: str) -> bytes:
    """Return what a server answers once it is up."""
    for _ in range(200):
        try:
            with urllib.request.urlopen(url, timeout=5) as response:
                body: bytes = response.read()
                return body
        except OSError:
            time.sleep(0.05)  # there is no telling from outside when it listens
    raise AssertionError("the server does not answer")

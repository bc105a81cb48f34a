"""Functions run by the platforms' own runtimes: AWS's client, Google's framework, Azure's types."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from logflume import Pipeline, get_logger
from logflume.integrations.serverless import flush_after_invocation
from tests.fakes import Collect

log = get_logger("tests.serverless")

PROGRAM = """
import sys
from logflume import Batch, Pipeline, Route, get_logger
from logflume.integrations.serverless import flush_after_invocation

log = get_logger("app")
pipeline = Pipeline(Route("out.jsonl", batch=Batch(max_records=1_000, max_age=60.0))).__enter__()


@flush_after_invocation()
def function(event, context):
    log.info("called {n}", n=event["n"])
    return 1 // event["n"]


@flush_after_invocation()
def http(request):
    log.info("called {path}", path=request.path)
    return "ok"


@flush_after_invocation(timeout=1.5)
def stuck(event, context):
    if event["n"] == 2:
        pipeline.add(hang, name="hang", timeout=30.0)
    log.info("called {n}", n=event["n"])


async def hang(record):
    import anyio
    await anyio.sleep_forever()


def slow(event, context):
    import time
    log.info("called")
    time.sleep(0.8)
"""


def messages(folder: Path) -> list[str]:
    lines = (folder / "out.jsonl").read_text().splitlines()
    return [json.loads(line)["message"] for line in lines]


class RuntimeApi(ThreadingHTTPServer):
    """The Runtime API of AWS Lambda, version 2018-06-01: hands out events, takes the answers."""

    daemon_threads = True

    def __init__(self, events: list[dict[str, int]], answered: Callable[[], None]) -> None:
        super().__init__(("127.0.0.1", 0), _Runtime)
        self.events = iter(events)
        self.answered = answered
        self.answers: list[tuple[str, Any]] = []
        self.over = threading.Event()


class _Runtime(BaseHTTPRequestHandler):
    server: RuntimeApi

    def do_GET(self) -> None:
        assert self.path == "/2018-06-01/runtime/invocation/next"
        event = next(self.server.events, None)
        if event is None:  # the process stands still until there is another
            self.server.over.set()
            threading.Event().wait(30)
            return
        body = json.dumps(event).encode()
        self.send_response(200)
        self.send_header("Lambda-Runtime-Aws-Request-Id", f"id-{event['n']}")
        self.send_header("Lambda-Runtime-Deadline-Ms", str(int(time.time() * 1000) + 10_000))
        self.send_header("Lambda-Runtime-Invoked-Function-Arn", "arn:aws:lambda:x:1:function:f")
        self.send_header("Lambda-Runtime-Trace-Id", "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700")
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        said = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.answered()
        self.server.answers.append((self.path.rpartition("/")[2], json.loads(said)))
        self.send_response(202)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args: object) -> None: ...


def on_lambda(
    folder: Path,
    function: str,
    events: list[dict[str, int]],
    answered: Callable[[int], None],
    program: str = PROGRAM,
) -> tuple[list[tuple[str, Any]], str]:
    """Run a function of a program by AWS's own runtime client; return its answers, and stderr.

    `answered` is called with its process id whenever it answers, before the next event.
    """
    pytest.importorskip("awslambdaric")
    (folder / "program.py").write_text(program)
    with RuntimeApi(events, lambda: answered(process.pid)) as api:
        threading.Thread(target=api.serve_forever, daemon=True).start()
        process = subprocess.Popen(
            [sys.executable, "-m", "awslambdaric", f"program.{function}"],
            cwd=folder,
            stderr=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join([*sys.path, str(folder)]),
                "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{api.server_address[1]}",
                "AWS_LAMBDA_FUNCTION_NAME": "f",
                "LAMBDA_TASK_ROOT": str(folder),
            },
        )
        try:
            assert api.over.wait(20)
        finally:
            process.kill()
            _, told = process.communicate(timeout=10)
            api.shutdown()
    return api.answers, told


@pytest.mark.real
def test_on_aws_lambda_each_answer_comes_after_its_records(tmp_path: Path) -> None:
    """Also that of a function which raised, and after the process stood still."""
    seen: list[int] = []

    def look(process: int) -> None:
        seen.append(len(messages(tmp_path)))
        os.kill(process, signal.SIGSTOP)
        threading.Timer(0.2, os.kill, (process, signal.SIGCONT)).start()

    answers, told = on_lambda(tmp_path, "function", [{"n": 1}, {"n": 0}, {"n": 2}], look)
    assert [kind for kind, _ in answers] == ["response", "error", "response"]
    assert answers[0][1] == 1
    assert answers[1][1]["errorType"] == "ZeroDivisionError"
    assert seen == [1, 2, 3]
    assert messages(tmp_path) == ["called 1", "called 0", "called 2"]
    assert "stand still" not in told


@pytest.mark.real
def test_on_aws_lambda_a_dead_sink_does_not_hold_up_answers(tmp_path: Path) -> None:
    """What it did not take is told, and the other routes have theirs."""
    seen: list[int] = []
    answers, told = on_lambda(
        tmp_path,
        "stuck",
        [{"n": 1}, {"n": 2}, {"n": 3}],
        lambda _: seen.append(len(messages(tmp_path))),
    )
    assert [kind for kind, _ in answers] == ["response"] * 3
    assert seen == [1, 2, 3]
    assert "records still pending 1.5 s after an invocation: 1 at 'hang'" in told


@pytest.mark.real
def test_on_aws_lambda_who_forgets_to_flush_is_reminded(tmp_path: Path) -> None:
    """By one record, in band."""
    program = PROGRAM.replace("@flush", "# @flush").replace("max_age=60.0", "max_age=0.0")
    answers, told = on_lambda(tmp_path, "slow", [{"n": 1}, {"n": 2}], lambda _: None, program)
    assert len(answers) == 2, told
    [reminder] = [text for text in messages(tmp_path) if "stand still" in text]
    assert reminder.startswith("AWS Lambda")


@pytest.mark.real
def test_on_google_s_framework_each_answer_comes_after_its_records(tmp_path: Path) -> None:
    """functions-framework, as in the cloud: gunicorn with threads."""
    pytest.importorskip("functions_framework")
    (tmp_path / "program.py").write_text(PROGRAM)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "functions_framework", f"--port={port}", "--host=127.0.0.1"],
        cwd=tmp_path,
        stderr=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join(sys.path),
            "K_SERVICE": "http",
            "FUNCTION_TARGET": "http",
            "FUNCTION_SOURCE": "program.py",
        },
    )
    try:
        for n in range(1, 4):
            assert answer(f"http://127.0.0.1:{port}/{n}") == b"ok"
            assert messages(tmp_path) == [f"called /{m}" for m in range(1, n + 1)]
    finally:
        process.terminate()
        process.wait(10)


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


@pytest.mark.real
async def test_on_azure_s_decorators_a_function_keeps_its_name_and_bindings() -> None:
    """The programming model v2 of azure-functions, sync and async."""
    azure = pytest.importorskip("azure.functions")
    app = azure.FunctionApp()

    @app.route(route="charge")
    @flush_after_invocation()
    async def charge(req: azure.HttpRequest, context: azure.Context) -> str:
        await log.ainfo("called {url}", url=req.url)
        return "ok"

    [function] = app.get_functions()
    assert function.get_function_name() == "charge"
    assert [binding.name for binding in function.get_bindings()] == ["req", "$return"]
    request = azure.HttpRequest("GET", "http://test/", body=b"")
    async with Pipeline(sink := Collect()):
        assert await function.get_user_function()(request, context=azure.Context) == "ok"
        assert sink.messages == ["called http://test/"]

"""Children, however they come about: ledgers at zero, nothing of the parent twice, nothing lost."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
import urllib.request
from collections import Counter
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")


def run_program(folder: Path, source: str, *args: str) -> str:
    """Run a program that logs to out.jsonl in a folder; return what it says on stderr."""
    (folder / "program.py").write_text(textwrap.dedent(source))
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-W", "ignore", "program.py", *args],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.returncode == 0, done.stderr
    return done.stderr


def messages(folder: Path) -> Counter[str]:
    """Return how often each message was written."""
    lines = (folder / "out.jsonl").read_text().splitlines()
    return Counter(json.loads(line)["message"] for line in lines)


def test_a_fork_with_a_full_door_splits_no_record_and_doubles_none(tmp_path: Path) -> None:
    """10,000 records wait for a slow sink when children and a grandchild are forked."""
    run_program(
        tmp_path,
        """
        import os, sys
        import anyio
        from logflume import Batch, Pipeline, Route, log

        class Slow:
            name = "slow"
            async def open(self): ...
            async def send(self, batch): await anyio.sleep(0.02)
            async def aclose(self): ...

        def child(name):
            stats = pipeline.stats()
            assert all(c.received == 0 for c in [stats.door, *stats.routes.values()]), stats
            for n in range(500): log.info(f"{name} {n}")
            if name == "child 2":
                fork("grandchild")
            pipeline.close()
            stats = pipeline.stats()
            assert all(c.delivered == 500 for c in [stats.door, *stats.routes.values()]), stats

        def fork(*names):
            pids = []
            for name in names:
                pid = os.fork()
                if not pid:
                    try:
                        child(name)
                    except BaseException:
                        sys.excepthook(*sys.exc_info())
                        os._exit(1)
                    os._exit(0)
                pids.append(pid)
            assert [os.waitpid(pid, 0)[1] for pid in pids] == [0] * len(pids)

        file = Route("out.jsonl", batch=Batch(max_records=20_000, max_age=60.0))
        slow = Route(Slow(), batch=Batch(max_records=500))
        with Pipeline(slow, file, shutdown_timeout=20.0) as pipeline:
            for n in range(10_000): log.info(f"parent {n}")
            assert pipeline.stats().routes["slow"].delivered < 10_000
            fork("child 1", "child 2", "child 3")
        stats = pipeline.stats()
        assert all(c.delivered == 10_000 for c in [stats.door, *stats.routes.values()]), stats
        """,
    )
    seen = messages(tmp_path)
    assert set(seen.values()) == {1}
    whose = Counter(message.rpartition(" ")[0] for message in seen)
    assert whose == {
        "parent": 10_000,
        "child 1": 500,
        "child 2": 500,
        "child 3": 500,
        "grandchild": 500,
    }


def test_a_fork_amid_the_work_of_the_pump_costs_the_child_nothing(tmp_path: Path) -> None:
    """Memory that the pipeline's thread was encoding into belongs to nobody in the child."""
    run_program(
        tmp_path,
        """
        import os, threading
        from logflume import Pipeline, Route, encoders, log

        held, go, parent = threading.Event(), threading.Event(), os.getpid()

        def hold(record):
            if os.getpid() == parent:
                held.set()
                go.wait(20)
            return True

        encoder = encoders.Json()
        first = Route("out.jsonl", encoder=encoder)
        second = Route("second.jsonl", encoder=encoder, filter=hold)
        with Pipeline(first, second) as pipeline:
            log.info("parent")
            assert held.wait(20)
            pid = os.fork()
            if not pid:
                log.info("child")
                pipeline.close()
                counts = pipeline.stats().routes.values()
                os._exit([c.delivered for c in counts] != [1, 1])
            status = os.waitpid(pid, 0)[1]
            go.set()
        assert not status
        """,
    )
    assert messages(tmp_path) == {"parent": 1, "child": 1}


def test_forks_amid_threads_that_log_hang_nowhere(tmp_path: Path) -> None:
    """No lock that another thread holds at a fork is waited for in the child."""
    run_program(
        tmp_path,
        """
        import os, signal, threading, time
        from logflume import Pipeline, log

        def chatter(name):
            n = 0
            while not stop.wait(0.0005):
                for _ in range(20):
                    log.info(f"{name} {n}")
                    n += 1

        def look():
            while not stop.is_set():
                pipeline.stats()
                pipeline.complete(1)

        stop = threading.Event()
        with Pipeline("out.jsonl") as pipeline:
            threads = [threading.Thread(target=chatter, args=(f"thread {n}",)) for n in range(3)]
            threads.append(threading.Thread(target=look))
            for thread in threads: thread.start()
            for n in range(30):
                pid = os.fork()
                if not pid:
                    signal.alarm(10)
                    for m in range(10): log.info(f"child {n} {m}")
                    pipeline.close()
                    os._exit(0 if pipeline.stats().door.delivered == 10 else 1)
                assert os.waitpid(pid, 0)[1] == 0, n
            stop.set()
            for thread in threads: thread.join()
        """,
    )
    seen = messages(tmp_path)
    assert set(seen.values()) == {1}
    assert len([message for message in seen if message.startswith("child")]) == 300


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_child_forked_on_a_loop_is_not_on_it(backend: str, tmp_path: Path) -> None:
    """The loop is the parent's: the child may block, and delivers when it ends."""
    run_program(
        tmp_path,
        """
        import multiprocessing, os, sys
        import anyio
        from logflume import Pipeline, log

        def work(name):
            log.add("out.jsonl")
            log.info(name)

        async def main():
            async with Pipeline(lambda record: None):
                child = multiprocessing.get_context("fork").Process(target=work, args=("first",))
                child.start()
                child.join()
                assert child.exitcode == 0
                pid = os.fork()
                if not pid:
                    work("second")
                    os._exit(0 if log.complete(10).complete else 1)
                assert os.waitpid(pid, 0)[1] == 0

        anyio.run(main, backend=sys.argv[1])
        """,
        backend,
    )
    assert messages(tmp_path) == {"first": 1, "second": 1}


IMPORTS = """
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from logflume import Batch, Pipeline, Route, log
from logflume.integrations.processes import exit_on_signals

method = {!r}
"""


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_the_children_of_multiprocessing_deliver_what_they_log(method: str, tmp_path: Path) -> None:
    """Processes, pools and executors: none of their children gets to its `atexit` functions."""
    program = """
    def start():
        if method != "fork":  # a forked child has the parent's
            log_to_file()

    def work(n, fresh=False):
        if fresh:
            start()
        log.info(f"child {n}")

    def log_to_file():
        Pipeline(Route("out.jsonl", batch=Batch(max_records=1_000, max_age=60.0))).__enter__()

    if __name__ == "__main__":
        log_to_file()
        for n in range(100): log.info(f"parent {n}")
        context = multiprocessing.get_context(method)
        processes = [context.Process(target=work, args=(n, True)) for n in range(2)]
        for process in processes: process.start()
        for process in processes: process.join()
        assert [process.exitcode for process in processes] == [0, 0]
        with context.Pool(2, initializer=start) as pool:
            pool.map(work, range(2, 12))
            pool.close()
            pool.join()
        with ProcessPoolExecutor(2, mp_context=context, initializer=start) as executor:
            list(executor.map(work, range(12, 22)))
    """
    run_program(tmp_path, IMPORTS.format(method) + textwrap.dedent(program))
    expected = [f"parent {n}" for n in range(100)] + [f"child {n}" for n in range(22)]
    assert messages(tmp_path) == Counter(expected)


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_pool_that_is_terminated_delivers_if_its_children_exit_in_order(
    method: str, tmp_path: Path
) -> None:
    """`with Pool()` sends SIGTERM to its children at the end of the block: also in the moment in
    which they deliver their last records, having ended by themselves."""
    program = """
    exits = ExitStack()

    def start():
        exits.enter_context(exit_on_signals())
        Pipeline(Route("out.jsonl", batch=Batch(max_records=1_000, max_age=60.0))).__enter__()

    def work(n):
        log.info(f"child {n}")

    if __name__ == "__main__":
        with multiprocessing.get_context(method).Pool(2, initializer=start) as pool:
            pool.map(work, range(20))
    """
    for times in range(1, 4 if method == "fork" else 2):
        run_program(tmp_path, IMPORTS.format(method) + textwrap.dedent(program))
        assert messages(tmp_path) == Counter([f"child {n}" for n in range(20)] * times)


# Servers that load the program, then fork.

SERVED = """
import os
from logflume import Batch, Pipeline, Route, get_logger

log = get_logger("app")
pipeline = Pipeline(Route("out.jsonl", batch=Batch(max_records=1_000, max_age=60.0))).__enter__()
for n in range(100):
    log.info(f"parent {n}")


def wsgi(environ, start_response):
    path = environ["PATH_INFO"]
    log.info(f"child {path}", before=pipeline.stats().door.received)
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]
"""

GUNICORN = """
control_socket_disable = True
graceful_timeout = 5

def post_worker_init(worker):
    open(f"serves-{worker.pid}", "x").close()
"""


@pytest.mark.real
def test_gunicorn_may_load_the_program_before_it_forks(tmp_path: Path) -> None:
    """`--preload`, two workers: the master's records once, and every request's."""
    pytest.importorskip("gunicorn")
    (tmp_path / "program.py").write_text(SERVED)
    (tmp_path / "gunicorn.conf.py").write_text(GUNICORN)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    command = [sys.executable, "-m", "gunicorn", "--preload", "-w", "2", "-b", address]
    server = subprocess.Popen(
        [*command, "program:wsgi"],
        cwd=tmp_path,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    try:
        for n in range(20):
            ask(f"http://{address}/{n}")
        # gunicorn loses a signal that comes while a worker starts, and waits for it for long.
        while len(list(tmp_path.glob("serves-*"))) < 2:
            assert server.poll() is None
            time.sleep(0.01)
    finally:
        server.send_signal(signal.SIGTERM)
        end(server)
    assert messages(tmp_path) == Counter(
        [f"parent {n}" for n in range(100)] + [f"child /{n}" for n in range(20)]
    )
    assert_counted_from_zero(tmp_path)


def end(server: subprocess.Popen[bytes]) -> None:
    """Wait for the end of a server, which is to leave nothing behind if it does not come."""
    try:
        server.wait(20)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()
        raise


def ask(url: str) -> None:
    for _ in range(200):
        try:
            urllib.request.urlopen(url, timeout=5).close()
            return
        except OSError:
            time.sleep(0.05)  # there is no telling from outside when it listens
    raise AssertionError("the server does not answer")


def assert_counted_from_zero(folder: Path) -> None:
    """Each child's ledger had only what the child itself had logged before."""
    before: dict[int, list[int]] = {}
    for line in (folder / "out.jsonl").read_text().splitlines():
        record = json.loads(line)
        if record["message"].startswith("child"):
            before.setdefault(record["process"], []).append(record["fields"]["before"])
    assert before
    for counts in before.values():
        assert counts == list(range(len(counts)))


CELERY = """
from celery import Celery, signals

app = Celery("program", broker="filesystem://", backend="file://{folder}/results")
app.conf.update(
    broker_transport_options={{
        "data_folder_in": "{folder}/queue",
        "data_folder_out": "{folder}/queue",
        "control_folder": "{folder}/control",
    }},
    worker_hijack_root_logger=False,
    broker_connection_retry_on_startup=True,
)


@signals.worker_process_shutdown.connect
def deliver(**_):
    log.complete(5)


@app.task
def work(n):
    log.info(f"child /{{n}}", before=pipeline.stats().door.received)
"""

SEND = """
import program
for result in [program.work.delay(n) for n in range(20)]:
    result.get(timeout=20)
"""


@pytest.mark.real
@pytest.mark.slow
def test_celery_s_prefork_pool_delivers(tmp_path: Path) -> None:
    """Its children end by `os._exit`, after a signal of celery's own that is there for this."""
    pytest.importorskip("celery")
    for name in ("queue", "control", "results", "client"):
        (tmp_path / name).mkdir()
    program = SERVED + CELERY.format(folder=tmp_path)
    (tmp_path / "program.py").write_text(program)
    (tmp_path / "client" / "program.py").write_text(program)
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONWARNINGS": "ignore"}
    command = [
        sys.executable,
        "-m",
        "celery",
        "-A",
        "program",
        "worker",
        "-P",
        "prefork",
        "-c",
        "2",
    ]
    worker = subprocess.Popen(
        [*command, "--without-gossip", "--without-mingle", "--without-heartbeat"],
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=environ,
    )
    timer = threading.Timer(50, worker.kill)
    timer.start()
    try:
        subprocess.run(
            [sys.executable, "-c", SEND],
            cwd=tmp_path / "client",
            env=environ,
            timeout=40,
            check=True,
        )
    finally:
        worker.send_signal(signal.SIGTERM)
        worker.wait(50)
        timer.cancel()
    assert messages(tmp_path) == Counter(
        [f"parent {n}" for n in range(100)] + [f"child /{n}" for n in range(20)]
    )
    assert_counted_from_zero(tmp_path)


def test_a_fork_amid_threads_that_share_a_scope_hangs_nowhere(tmp_path: Path) -> None:
    """The child adds to the scope it was forked in, though a thread was just doing so."""
    run_program(
        tmp_path,
        """
        import os, signal, threading
        from logflume import Pipeline, scope

        over = threading.Event()

        def add():
            while not over.is_set():
                shared.add(x=1)

        with Pipeline("out.jsonl"), scope("Shared") as shared:
            threads = [threading.Thread(target=add) for _ in range(4)]
            for thread in threads: thread.start()
            statuses = []
            for n in range(20):
                child = os.fork()
                if not child:
                    signal.alarm(5)
                    shared.add(y=1)
                    os._exit(0)
                statuses.append(os.waitpid(child, 0)[1])
                if any(statuses): break
            over.set()
            for thread in threads: thread.join()
        assert not any(statuses), statuses
        """,
    )

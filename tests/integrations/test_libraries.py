"""Programs that nobody here wrote log into logflume: all their lines come, as they are.

Beside ours there is a plain `logging.Handler` that counts. What comes out of the pipeline must be
what it saw: one to one, in the order of each thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import http.server
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import urllib.request
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from logflume import Pipeline, Record
from logflume.integrations.stdlib import Handler, capture
from tests.fakes import Collect

pytestmark = pytest.mark.blocking  # what other people's code does on its loop is their affair


class Line(NamedTuple):
    """What must be the same on both sides."""

    logger: str
    level: str
    message: str
    path: str
    line: int
    function: str
    time_us: int
    error: tuple[str, str] | None


class Beside(logging.Handler):
    """Keep what `logging` hands to those that stand beside our Handler."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: dict[str, list[Line]] = defaultdict(list)

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        line = Line(
            record.name,
            record.levelname,
            record.getMessage(),
            record.pathname,
            record.lineno,
            record.funcName or "",
            round(record.created * 1e6),
            None if error is None else (type(error).__name__, str(error)),
        )
        self.lines[str(record.threadName)].append(line)

    def stand(self) -> None:
        """Stand beside our Handler, wherever that is."""
        known = [logging.getLogger(), *map(logging.getLogger, logging.Logger.manager.loggerDict)]
        for logger in known:
            if any(isinstance(handler, Handler) for handler in logger.handlers):
                logger.addHandler(self)  # again is no harm


def line_of(record: Record) -> Line:
    error = record.exception
    return Line(
        record.logger,
        record.level.name,
        record.message,
        record.site.file,
        record.site.line,
        record.site.function,
        record.time_ns // 1_000,
        None if error is None else (error.type.rpartition(".")[2], error.message),
    )


def lines_of(records: list[Record]) -> dict[str, list[Line]]:
    lines: dict[str, list[Line]] = defaultdict(list)
    for record in records:
        lines[record.thread].append(line_of(record))
    return lines


class Watch:
    """A pipeline that everything in `logging` is sent to, and the one who counts beside it."""

    def __init__(self) -> None:
        self.sink = Collect()
        self.beside = Beside()
        self.pipeline = Pipeline(self.sink, level="DEBUG", redact=None)
        self.capture = capture()

    def __iter__(self) -> Iterator[Line]:
        """All lines that came, in order."""
        return map(line_of, self.sink.records)

    def count(self) -> Counter[tuple[str, str]]:
        """How many lines came of each logger and level."""
        return Counter((line.logger, line.level) for line in self)


@pytest.fixture
def loggers_as_before() -> Iterator[None]:
    """Put all loggers back: libraries set levels and add handlers, each in a way of its own."""
    known = [logging.getLogger(), *map(logging.getLogger, logging.Logger.manager.loggerDict)]
    before = [(log, log.level, log.handlers[:], log.propagate) for log in known]
    yield
    for name in list(logging.Logger.manager.loggerDict):
        logger = logging.getLogger(name)
        logger.handlers[:], logger.propagate = [], True
        logger.setLevel(logging.NOTSET)
    for logger, level, handlers, propagates in before:
        logger.handlers[:], logger.propagate = handlers, propagates
        logger.setLevel(level)


@pytest.fixture
def watch(loggers_as_before: None) -> Iterator[Watch]:
    """Watch the test; afterwards each line must have come, once, and as it is."""
    watch = Watch()
    with watch.pipeline, watch.capture:
        watch.beside.stand()
        yield watch
        watch.pipeline.complete(10)
        seen = {thread: lines[:] for thread, lines in watch.beside.lines.items()}
    # A thread of the libraries may have gone on meanwhile; there is none in these tests.
    assert lines_of(watch.sink.records) == seen
    door = watch.pipeline.stats().door
    assert door.received == door.delivered == sum(map(len, seen.values())) > 0


# SQLAlchemy.


def use_a_database(engine: Any) -> None:
    """Create a table, write and read, fail, and close the pool."""
    import sqlalchemy as sa

    table = sa.Table(
        "users",
        sa.MetaData(),
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("name", sa.String),
    )
    table.metadata.create_all(engine)
    with engine.begin() as connection:
        connection.execute(table.insert(), [{"name": "a {name}"}, {"name": "100% %s"}])
        assert len(connection.execute(sa.select(table)).all()) == 2
    with pytest.raises(sa.exc.OperationalError), engine.begin() as connection:
        connection.execute(sa.text("select * from nowhere where x = :x"), {"x": "{}"})
    engine.dispose()


@pytest.mark.parametrize("level", ["INFO", "DEBUG"])
def test_sqlalchemy_s_statements_rows_and_pool_events_come(watch: Watch, level: str) -> None:
    """Asked for by logflume's levels: statements at INFO, with DEBUG rows and the pool's events."""
    sa = pytest.importorskip("sqlalchemy")
    watch.pipeline.set_level("sqlalchemy", level)
    use_a_database(sa.create_engine("sqlite://"))
    watch.pipeline.complete(5)
    messages = [line.message for line in watch]
    assert "INSERT INTO users (name) VALUES (?)" in messages
    assert any("[('a {name}',), ('100% %s',)]" in message for message in messages)
    levels = {line.level for line in watch}
    pools = [line for line in watch if line.logger.startswith("sqlalchemy.pool")]
    if level == "INFO":
        assert levels == {"INFO"}
    else:
        assert levels == {"INFO", "DEBUG"}
        assert any("checked out from pool" in line.message for line in pools)
        assert "Row (1, 'a {name}')" in messages


@pytest.mark.parametrize(("echo", "least"), [(True, "INFO"), ("debug", "DEBUG")])
def test_with_echo_each_line_comes_once(
    watch: Watch, capsys: pytest.CaptureFixture[str], echo: Any, least: str
) -> None:
    """`echo` makes SQLAlchemy print as well; to logflume each of its lines comes once."""
    sa = pytest.importorskip("sqlalchemy")
    use_a_database(sa.create_engine("sqlite://", echo=echo))
    watch.pipeline.complete(5)
    commits = [line for line in watch if line.message == "COMMIT"]
    assert len(commits) == 2
    assert least in {line.level for line in watch}
    assert capsys.readouterr().out.count(" COMMIT\n") == 2


def test_sqlalchemy_follows_a_level_that_changes(watch: Watch) -> None:
    """SQLAlchemy asks for the level once for each connection: the next one follows."""
    sa = pytest.importorskip("sqlalchemy")
    engine = sa.create_engine("sqlite://")
    logging.getLogger("test").info("begin")
    for level, expected in (("WARNING", 0), ("INFO", 1), ("WARNING", 0), ("INFO", 1)):
        watch.pipeline.set_level("sqlalchemy.engine", level)
        before = len(list(watch))
        with engine.connect() as connection:
            connection.execute(sa.text("select 1"))
        watch.pipeline.complete(5)
        assert sum(line.message == "select 1" for line in list(watch)[before:]) == expected
    engine.dispose()


def test_sqlalchemy_s_lines_of_many_threads_keep_their_order(watch: Watch, tmp_path: Path) -> None:
    """Four threads share a pool of connections; each one's lines are in its order."""
    sa = pytest.importorskip("sqlalchemy")
    watch.pipeline.set_level("sqlalchemy", "DEBUG")
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'shop.db'}", pool_size=2)

    def ask() -> None:
        for n in range(20):
            with engine.connect() as connection:
                connection.execute(sa.text("select :n"), {"n": n})

    threads = [threading.Thread(target=ask, name=f"asks-{n}") for n in range(4)]
    run_all(threads)
    engine.dispose()
    watch.pipeline.complete(5)
    asked = [line for line in watch if line.message == "select ?"]
    assert len(asked) == 80
    assert {thread.name for thread in threads} <= set(lines_of(watch.sink.records))


def test_sqlalchemy_async_comes_too(watch: Watch, tmp_path: Path) -> None:
    """With aiosqlite: its thread and SQLAlchemy's greenlets belong to the task that waits."""
    pytest.importorskip("aiosqlite")
    sa = pytest.importorskip("sqlalchemy")
    make: Any = pytest.importorskip("sqlalchemy.ext.asyncio").create_async_engine
    watch.pipeline.set_level("sqlalchemy", "DEBUG")

    async def main() -> None:
        engine = make(f"sqlite+aiosqlite:///{tmp_path / 'shop.db'}")

        async def ask(n: int) -> None:
            async with engine.connect() as connection:
                await connection.execute(sa.text("select :n"), {"n": n})

        async with asyncio.TaskGroup() as tasks:
            for n in range(5):
                tasks.create_task(ask(n), name=f"asks-{n}")
        await engine.dispose()

    asyncio.run(main())
    watch.pipeline.complete(5)
    assert {("aiosqlite", "DEBUG"), ("sqlalchemy.engine.Engine", "INFO")} <= set(watch.count())
    asked = {r.task for r in watch.sink.records if r.message == "select ?"}
    assert asked == {f"asks-{n}" for n in range(5)}


# httpx and uvicorn.


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Answer; but fail at /boom."""
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return
    if scope["path"] == "/boom":
        raise LookupError("boom {user} 100% %s")
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"ok"})


@contextlib.contextmanager
def uvicorn_runs(application: Any = app, **settings: Any) -> Iterator[str]:
    """Run uvicorn in a thread; return its address."""
    uvicorn = pytest.importorskip("uvicorn")
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = uvicorn.Server(uvicorn.Config(application, ws="none", loop="asyncio", **settings))
        thread = threading.Thread(target=server.run, args=([listening],), name="uvicorn")
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(20)
            assert not thread.is_alive()


def run_all(threads: list[threading.Thread]) -> None:
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_httpx_and_uvicorn_talk_to_each_other(watch: Watch) -> None:
    """Start, access, failure and end of the server; requests, connections of clients; a refusal."""
    httpx = pytest.importorskip("httpx")

    with uvicorn_runs(log_config=None) as url:

        def ask() -> None:
            with httpx.Client() as client:
                for n in range(5):
                    assert client.get(f"{url}/a", params={"q": f"{n} %s {{x}}"}).text == "ok"

        run_all([threading.Thread(target=ask, name=f"asks-{n}") for n in range(3)])
        assert httpx.get(f"{url}/boom").status_code == 500
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{url}/gone")

    watch.pipeline.complete(5)
    counted = watch.count()
    assert counted["httpx", "INFO"] == counted["uvicorn.access", "INFO"] == 16
    assert counted["uvicorn.error", "ERROR"] == 1
    assert counted["httpcore.connection", "DEBUG"] > 0 < counted["httpcore.http11", "DEBUG"]
    errors = [r for r in watch.sink.records if r.logger == "uvicorn.error"]
    messages = [record.message for record in errors]
    assert "Application startup complete." in messages
    assert "Application shutdown complete." in messages
    [failure] = [record for record in errors if record.exception]
    assert failure.exception is not None
    assert failure.exception.message == "boom {user} 100% %s"
    [first, *_] = [r for r in watch.sink.records if r.logger == "uvicorn.access"]
    assert (first.fields["method"], first.fields["status"]) == ("GET", 200)


def test_async_httpx_comes_with_its_task(watch: Watch) -> None:
    """Each of the client's lines has the name of the task that asked."""
    httpx = pytest.importorskip("httpx")

    async def main(url: str) -> None:
        async with httpx.AsyncClient() as client, asyncio.TaskGroup() as tasks:
            for n in range(8):
                tasks.create_task(client.get(f"{url}/{n}"), name=f"asks-{n}")

    with uvicorn_runs(log_config=None) as url:
        asyncio.run(main(url))
    watch.pipeline.complete(5)
    asked = [record for record in watch.sink.records if record.logger == "httpx"]
    assert len(asked) == 8
    assert all(f"/{str(record.task)[-1]} " in record.message for record in asked)


def test_uvicorn_with_its_own_configuration_is_taken_over(watch: Watch) -> None:
    """Its loggers do not propagate: `install()` in the lifespan takes them over."""
    httpx = pytest.importorskip("httpx")

    async def application(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            watch.capture.install()
            watch.beside.stand()
        await app(scope, receive, send)

    with uvicorn_runs(application) as url:
        for _ in range(5):
            httpx.get(url)
    watch.pipeline.complete(5)
    assert watch.count()["uvicorn.access", "INFO"] == 5
    messages = [line.message for line in watch if line.logger == "uvicorn.error"]
    assert messages[0] == "Application startup complete."
    assert messages[-1].startswith("Finished server process")


class Silent(http.server.BaseHTTPRequestHandler):
    """An intake of logs."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *args: object) -> None:
        """Say nothing."""


class Posts(Collect):
    """A sink that sends with httpx, and says so itself."""

    def __init__(self, url: str) -> None:
        super().__init__("posts")
        self.url = url

    async def open(self) -> None:
        import httpx

        self.client = httpx.AsyncClient()

    async def send(self, batch: Any, /) -> None:
        await super().send(batch)
        (await self.client.post(self.url, content=b"x")).raise_for_status()

    async def aclose(self) -> None:
        await self.client.aclose()


@pytest.mark.usefixtures("loggers_as_before")
def test_what_the_client_of_a_sink_logs_is_left_out() -> None:
    """A sink's own requests make no records, or they would make others; the program's do."""
    httpx = pytest.importorskip("httpx")
    beside = Beside()
    with http.server.HTTPServer(("127.0.0.1", 0), Silent) as server:
        thread = threading.Thread(target=server.serve_forever, name="server")
        thread.start()
        url = f"http://127.0.0.1:{server.server_port}"
        sink = Collect()
        try:
            with Pipeline(sink, Posts(url), level="DEBUG", redact=None) as pipeline, capture():
                beside.stand()
                for _ in range(3):
                    httpx.post(url, content=b"y")
                    pipeline.complete(5)
        finally:
            server.shutdown()
            thread.join()
    sinks_own = beside.lines.pop("logflume")
    assert any(line.logger == "httpx" for line in sinks_own)
    assert any(line.logger.startswith("httpcore.") for line in sinks_own)
    assert lines_of(sink.records) == beside.lines
    assert sum(record.logger == "httpx" for record in sink.records) == 3


# aiokafka.


def test_aiokafka_tells_of_brokers_that_are_not_there(watch: Watch) -> None:
    """Producer and consumer: each refused connection is an ERROR, each step a DEBUG line."""
    aiokafka: Any = pytest.importorskip("aiokafka")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        broker = f"127.0.0.1:{free.getsockname()[1]}"

    async def main() -> None:
        for client in (
            aiokafka.AIOKafkaProducer(bootstrap_servers=broker),
            aiokafka.AIOKafkaConsumer("orders", bootstrap_servers=[broker, broker]),
        ):
            with pytest.raises(aiokafka.errors.KafkaConnectionError):
                await client.start()
            await client.stop()

    asyncio.run(main())
    watch.pipeline.complete(5)
    assert watch.count()["aiokafka", "ERROR"] >= 2
    assert all(broker in line.message for line in watch if line.level == "ERROR")


# Other processes.

BESIDE = '''
import json, logging, os


class Beside(logging.Handler):
    """Writes one line for each record, at once, so that no kill can take it away."""

    def emit(self, record):
        error = record.exc_info[1] if record.exc_info else None
        line = [
            os.getpid(), record.threadName, record.name, record.levelname, record.getMessage(),
            record.lineno, type(error).__name__ if error else None,
        ]
        append("beside.jsonl", json.dumps(line))


def append(path, line):
    file = os.open(path, os.O_CREAT | os.O_APPEND | os.O_WRONLY)
    os.write(file, line.encode() + b"\\n")
    os.close(file)
'''

UVICORN = """
import logging, sys

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

if __name__ == "__main__":
    import uvicorn
    from logflume.integrations.stdlib import uvicorn_config

    config = uvicorn_config()
    config["handlers"]["beside"] = {"class": "beside.Beside"}
    config["root"]["handlers"] = ["logflume", "beside"]
    config["loggers"]["uvicorn"]["handlers"] = ["logflume", "beside"]
    port, workers = map(int, sys.argv[1:])
    uvicorn.run("program:app", port=port, workers=workers, log_config=config)
"""

CONFIGURATION = """
[[routes]]
sink = { type = "file", path = "ours.jsonl", shared = true }
"""


GUNICORN = """
from logflume.integrations.processes import deliver_before_sigterm
from logflume.integrations.stdlib import gunicorn_config

logconfig_dict = gunicorn_config()
logconfig_dict["handlers"]["beside"] = {"class": "beside.Beside"}
for logger in [logconfig_dict["root"], *logconfig_dict["loggers"].values()]:
    logger["handlers"] = ["logflume", "beside"]
accesslog = "-"
control_socket_disable = True
worker_class = "uvicorn_worker.UvicornWorker"
workers = 2

def post_worker_init(worker):
    deliver_before_sigterm()
"""


def starts_in(path: Path) -> int:
    """How many workers serve by now."""
    return sum("Application startup complete" in line for line in lines_in(path))


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as response:
            return bool(response.read() == b"ok")
    except OSError:
        return False


@pytest.mark.real
@pytest.mark.parametrize(("starter", "workers"), [("uvicorn", 1), ("uvicorn", 2), ("gunicorn", 2)])
def test_uvicorn_s_last_lines_come_though_sigterm_ends_it(
    starter: str, workers: int, tmp_path: Path
) -> None:
    """It sends the signal to itself once more when all is done: its last lines are just logged."""
    pytest.importorskip("uvicorn")
    if starter == "gunicorn":
        pytest.importorskip("gunicorn")
        pytest.importorskip("uvicorn_worker")
    (tmp_path / "beside.py").write_text(BESIDE)
    (tmp_path / "program.py").write_text(UVICORN)
    (tmp_path / "logflume.toml").write_text(CONFIGURATION)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "program.py", str(port), str(workers)]
    if starter == "gunicorn":
        (tmp_path / "gunicorn.conf.py").write_text(GUNICORN)
        command = [sys.executable, "-m", "gunicorn", "-b", f"127.0.0.1:{port}", "program:app"]
    server = subprocess.Popen(
        command,
        cwd=tmp_path,
        env={**os.environ, "LOGFLUME_CONFIG": "logflume.toml"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    watchdog = threading.Timer(60, server.kill)
    watchdog.start()
    try:
        for n in range(10):
            wait_until(lambda n=n: answers(f"http://127.0.0.1:{port}/{n}"))  # type: ignore[misc]
        # gunicorn loses a signal that comes while a worker starts, and waits for it for long.
        wait_until(lambda: starts_in(tmp_path / "beside.jsonl") == workers)
        server.send_signal(signal.SIGTERM)
        printed, _ = server.communicate()
    finally:
        watchdog.cancel()
    assert server.returncode == (-signal.SIGTERM if workers == 1 else 0), printed
    lines = [line for of_thread in accounted(tmp_path).values() for line in of_thread]
    assert sum(logger == "app" for logger, *_ in lines) >= 10
    assert any(message.startswith("Finished server") for _, _, message, *_ in lines)


WORKER = """
import logging
from celery import Celery
from celery.signals import setup_logging, worker_process_shutdown, worker_ready
from celery.utils.log import get_task_logger
from logflume import get_logger, log, sinks
from logflume.integrations.stdlib import capture
from beside import Beside, append

MOST = 20
app = Celery("worker", broker="filesystem://")
app.conf.update(
    broker_connection_retry_on_startup=True,
    broker_transport_options={
        "data_folder_in": "queue", "data_folder_out": "queue", "control_folder": "queue",
        "polling_interval": 0.02,
    },
    task_ignore_result=True,
)
tasks = get_task_logger(__name__)


@setup_logging.connect
def send_to_logflume(loglevel=None, **settings):
    log.configure(level=loglevel)
    log.add(sinks.File("ours.jsonl", shared=True))
    capture().install()
    logging.getLogger().addHandler(Beside())


@worker_process_shutdown.connect
def deliver(**settings):
    log.complete(5)


@app.task
def work(n):
    tasks.info("task %d of %s", n, MOST)
    logging.getLogger("library").warning("odd {n} 100%% %s", n, extra={"n": n})
    append("done", str(n))
    if n % 4 == 3:
        raise ValueError(f"no {n}")


@worker_ready.connect
def begin(**settings):
    for n in range(MOST):
        work.delay(n)
"""

POOLS = {
    "solo": ["--pool", "solo"],
    "threads": ["--pool", "threads", "--concurrency", "3"],
    "prefork": ["--pool", "prefork", "--concurrency", "2", "--loglevel", "DEBUG"],
    "prefork, children replaced": ["--concurrency", "2", "--max-tasks-per-child", "3"],
}


@pytest.mark.real
@pytest.mark.slow
@pytest.mark.parametrize("options", POOLS.values(), ids=POOLS)
def test_a_celery_worker_loses_nothing_and_says_nothing_twice(
    options: list[str], tmp_path: Path
) -> None:
    """From its start to SIGTERM: the worker's lines, those of each child, and of the tasks."""
    pytest.importorskip("celery")
    (tmp_path / "beside.py").write_text(BESIDE)
    (tmp_path / "worker.py").write_text(WORKER)
    (tmp_path / "queue").mkdir()
    worker = subprocess.Popen(
        [
            *(sys.executable, "-m", "celery", "-A", "worker", "worker", "--loglevel", "INFO"),
            *("--without-gossip", "--without-mingle", "--without-heartbeat", *options),
        ],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    watchdog = threading.Timer(60, worker.kill)
    watchdog.start()
    try:
        # In the midst of the last tasks: what they log then must come as well.
        wait_until(lambda: len(lines_in(tmp_path / "done")) >= 20 or worker.poll() is not None)
        worker.send_signal(signal.SIGTERM)
        printed, _ = worker.communicate()
    finally:
        watchdog.cancel()
    assert worker.returncode == 0, printed

    theirs = accounted(tmp_path)
    lines = [line for of_thread in theirs.values() for line in of_thread]
    counted = Counter((logger, level) for logger, level, *_ in lines)
    assert counted["worker", "INFO"] == counted["library", "WARNING"] == 20
    assert counted["celery.app.trace", "ERROR"] == 5
    assert counted["celery.app.trace", "INFO"] == 15
    children = {process for process, _ in theirs} - {worker.pid}
    least = 7 if "--max-tasks-per-child" in options else 1 if "prefork" in options else 0
    assert len(children) >= least


def accounted(folder: Path) -> dict[Any, list[Any]]:
    """Compare what came of several processes; return it, by process and thread."""
    theirs: dict[Any, list[Any]] = defaultdict(list)
    for line in lines_in(folder / "beside.jsonl"):
        process, thread, *rest = json.loads(line)
        theirs[process, thread].append(unredacted(rest))
    ours: dict[Any, list[Any]] = defaultdict(list)
    for line in lines_in(folder / "ours.jsonl"):
        given = json.loads(line)
        error = given["exception"]["type"] if "exception" in given else None
        rest = [*(given[key] for key in ("logger", "level", "message", "line")), error]
        ours[given["process"], given["thread"]].append(unredacted(rest))
    assert ours == theirs
    return theirs


def unredacted(line: list[Any]) -> list[Any]:
    """Celery hides the password of a broker by itself, and then logflume what is hidden there."""
    logger, level, message, *rest = line
    return [logger, level, message.replace(":[redacted]@", ":**@"), *rest]


def lines_in(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines() if path.exists() else []


def wait_until(holds: Callable[[], bool], seconds: float = 40.0) -> None:
    """Wait for what another process does."""
    came = threading.Event()
    for _ in range(int(seconds / 0.05)):
        if holds():
            return
        came.wait(0.05)
    raise AssertionError("it does not come to that")

"""All of `logging`, warnings and uncaught exceptions, sent to logflume for a block."""

from __future__ import annotations

import asyncio
import gc
import logging
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator
from typing import Any

import pytest

from logflume import ConfigurationError, Pipeline
from logflume.integrations.stdlib import Handler, capture
from tests.fakes import Collect


@pytest.fixture(autouse=True)
def bare_logging(monkeypatch: pytest.MonkeyPatch) -> None:
    """Begin with a `logging` that nobody has set up, and Python's own hooks."""
    root = logging.RootLogger(logging.WARNING)
    monkeypatch.setattr(logging.getLogger("asyncio"), "parent", root)
    monkeypatch.setattr(logging, "root", root)
    monkeypatch.setattr(logging.Logger, "root", root)
    monkeypatch.setattr(logging.Logger, "manager", logging.Manager(root))
    monkeypatch.setattr(sys, "excepthook", sys.__excepthook__)
    monkeypatch.setattr(sys, "unraisablehook", sys.__unraisablehook__)
    monkeypatch.setattr(threading, "excepthook", threading.__excepthook__)
    monkeypatch.setattr(warnings, "showwarning", warnings._showwarning_orig)  # type: ignore[attr-defined]


@pytest.fixture
def sink() -> Iterator[Collect]:
    """Return what the records of a pipeline come to."""
    sink = Collect()
    with Pipeline(sink) as pipeline:
        sink.pipeline = pipeline  # type: ignore[attr-defined]
        yield sink


def came(sink: Collect) -> list[str]:
    sink.pipeline.complete(5)  # type: ignore[attr-defined]
    return sink.messages


def test_root_and_loggers_that_do_not_propagate_come_once_each(sink: Collect) -> None:
    """Whatever the tree of loggers looks like, each record comes, and comes once."""
    names = ["app", "uvicorn", "uvicorn.error", "uvicorn.access", "gunicorn.error", "deep.a.b"]
    for name in ("uvicorn", "uvicorn.access", "gunicorn.error"):
        logging.getLogger(name).propagate = False
        logging.getLogger(name).addHandler(logging.StreamHandler())
    with capture():
        logging.info("root")
        for name in names:
            logging.getLogger(name).info(name)
    assert came(sink) == ["root", *names]


def test_access_records_of_servers_have_fields(sink: Collect) -> None:
    """Uvicorn, set up by itself, is taken over with the fields of its access log."""
    access = logging.getLogger("uvicorn.access")
    access.propagate = False
    with capture():
        access.info('%s - "%s %s HTTP/%s" %d', "::1:5", "GET", "/x", "1.1", 200)
    assert came(sink) == ['::1:5 - "GET /x HTTP/1.1" 200']
    assert sink.records[0].fields["status"] == 200


def test_everything_is_put_back(sink: Collect) -> None:
    """Handlers, levels and hooks are what they were; so is `propagate`."""
    root, server = logging.getLogger(), logging.getLogger("server")
    stream = logging.StreamHandler()
    root.addHandler(stream)
    server.addHandler(stream)
    server.propagate = False
    server.setLevel("ERROR")
    pipeline: Pipeline = sink.pipeline  # type: ignore[attr-defined]

    def state() -> list[Any]:
        hooks = [sys.excepthook, sys.unraisablehook, threading.excepthook, warnings.showwarning]
        loggers = [root, server, logging.getLogger("other")]
        return [*hooks, *[(log.handlers[:], log.level, log.propagate) for log in loggers]]

    before = state()
    with capture():
        pipeline.set_level("other", "DEBUG")
        pipeline.set_level(None, "DEBUG")
        assert [type(logger.handlers[-1]) for logger in (root, server)] == [Handler, Handler]
        assert stream not in root.handlers + server.handlers
        assert (root.level, server.level, logging.getLogger("other").level) == (10, 10, 10)
    assert state() == before


def test_what_others_change_meanwhile_stays(sink: Collect) -> None:
    """Leaving takes away what is ours, and no more."""
    root = logging.getLogger()
    before, late = root.handlers[:], logging.NullHandler()
    with capture() as captured:
        root.addHandler(late)
        root.setLevel("CRITICAL")
        sys.excepthook = hook = lambda *args: None
    captured.undo()
    assert root.handlers == [*before, late]
    assert root.level == logging.CRITICAL
    assert sys.excepthook is hook


def test_handlers_can_be_kept(sink: Collect) -> None:
    """With `keep_handlers`, those that are there go on as well."""
    kept: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: kept.append(record.getMessage())  # type: ignore[method-assign]
    logging.getLogger().addHandler(handler)
    with capture(keep_handlers=True):
        logging.warning("both")
    with capture():
        logging.warning("one")
    assert kept == ["both"]
    assert came(sink) == ["both", "one"]


def test_levels_follow_logflume_while_they_change(sink: Collect) -> None:
    """`set_level` reaches `logging` itself, so that what is below costs what it costs there."""
    pipeline: Pipeline = sink.pipeline  # type: ignore[attr-defined]
    logger = logging.getLogger("app.db")
    with capture():
        logger.debug("no")
        assert not logger.isEnabledFor(logging.DEBUG)
        pipeline.set_level("app", "DEBUG")
        logger.debug("yes")
        logging.debug("no")
        pipeline.set_level("app.db", "ERROR")
        logger.warning("no")
        assert not logger.isEnabledFor(logging.WARNING)
        pipeline.set_level(None, "TRACE")
        logging.log(5, "trace")
    assert came(sink) == ["yes", "trace"]


def test_a_level_of_its_own_is_a_floor(sink: Collect) -> None:
    """`level` says what is taken from `logging` at least, whatever logflume's levels are."""
    pipeline: Pipeline = sink.pipeline  # type: ignore[attr-defined]
    with capture(level="WARNING"):
        logging.info("no")
        pipeline.set_level("app", "DEBUG")
        logging.getLogger("app").info("no")
        logging.getLogger("app").warning("yes")
    assert came(sink) == ["yes"]


def test_only_the_loggers_named_are_routed(sink: Collect) -> None:
    """With `loggers`, those and what is below them come, once each; others do not."""
    with capture(loggers=["uvicorn", "uvicorn.access", "lone"]):
        for name in ("uvicorn", "uvicorn.access", "uvicorn.error", "lone.child", "other"):
            logging.getLogger(name).error(name)
    assert came(sink) == ["uvicorn", "uvicorn.access", "uvicorn.error", "lone.child"]


def test_it_can_take_over_again(sink: Collect) -> None:
    """`install` again routes loggers that were set up since; nothing comes twice."""
    captured = capture()
    captured.install()
    late = logging.getLogger("late")
    late.propagate = False
    late.addHandler(logging.NullHandler())
    late.warning("not seen")
    captured.install()
    late.warning("seen")
    logging.warning("once")
    captured.undo()
    captured.undo()
    assert came(sink) == ["seen", "once"]


def test_what_is_below_a_logger_named_comes_though_it_does_not_propagate(sink: Collect) -> None:
    """As `uvicorn.access` of uvicorn's own configuration, which has a handler itself."""
    access = logging.getLogger("uvicorn.access")
    access.propagate = False
    access.addHandler(logging.NullHandler())
    with capture(loggers=["uvicorn"]):
        access.error("access")
        logging.getLogger("uvicorn.error").error("error")
    assert came(sink) == ["access", "error"]


def test_levels_of_loggers_that_are_not_routed_stay(sink: Collect) -> None:
    """With `loggers`, what goes to handlers of others is none of logflume's business."""
    pipeline: Pipeline = sink.pipeline  # type: ignore[attr-defined]
    with capture(loggers=["uvicorn"]):
        pipeline.set_level("app", "ERROR")
        pipeline.set_level("uvicorn.access", "ERROR")
        assert logging.getLogger("app").level == logging.NOTSET
        assert logging.getLogger("uvicorn.access").level == logging.ERROR


def test_a_level_for_the_name_root_is_that_of_no_other(sink: Collect) -> None:
    """In `logging`, all loggers inherit the root's level; in logflume, "root" is a name."""
    pipeline: Pipeline = sink.pipeline  # type: ignore[attr-defined]
    with capture():
        pipeline.set_level("root", "ERROR")
        logging.warning("no")
        logging.getLogger("app").warning("yes")
        pipeline.set_level("root", "DEBUG")
        logging.debug("yes, too")
        logging.getLogger("app").debug("no")
    assert came(sink) == ["yes", "yes, too"]


def hooks_now() -> list[Any]:
    return [sys.excepthook, sys.unraisablehook, threading.excepthook, warnings.showwarning]


def test_one_in_another_takes_over(sink: Collect) -> None:
    """Records, warnings and exceptions come once, however many are entered."""
    hooks, root = hooks_now(), logging.getLogger()
    handlers = root.handlers[:]
    with warnings.catch_warnings(), capture(exclude_loggers=["app"]):
        warnings.simplefilter("always")
        with capture(keep_handlers=True):
            logging.getLogger("app").warning("logged")
            warnings.warn("warned", stacklevel=1)
            thread = threading.Thread(target=fails, name="t")
            thread.start()
            thread.join()
        logging.getLogger("app").warning("no")
        warnings.warn("warned again", stacklevel=1)
        hooks[-1] = warnings.showwarning
    assert came(sink) == ["logged", "warned", "Uncaught exception in thread t", "warned again"]
    assert root.handlers == handlers
    assert hooks_now()[:-1] == hooks[:-1]


def test_they_can_be_left_in_any_order(sink: Collect) -> None:
    """Each goes on until it is left itself, and what was there first is put back by the last."""
    pipeline: Pipeline = sink.pipeline  # type: ignore[attr-defined]
    hooks, root = hooks_now(), logging.getLogger()
    handlers = root.handlers[:]
    captures = [capture(), capture("WARNING"), capture()]
    for captured in captures:
        captured.install()
    pipeline.set_level("app", "DEBUG")
    for at in (1, 0, 2):
        logging.info("info")
        captures[at].undo()
    logging.info("no")
    assert came(sink) == ["info"] * 3
    assert (root.handlers, root.level) == (handlers, logging.WARNING)
    assert logging.getLogger("app").level == logging.NOTSET
    assert hooks_now() == hooks


def test_levels_that_changed_in_an_inner_one_hold_in_the_outer(sink: Collect) -> None:
    """Leaving one brings the levels of the other, as they are then."""
    pipeline: Pipeline = sink.pipeline  # type: ignore[attr-defined]
    with capture():
        with capture("ERROR"):
            pipeline.set_level(None, "DEBUG")
            logging.debug("no")
        logging.debug("yes")
    assert came(sink) == ["yes"]
    assert logging.getLogger().level == logging.WARNING


def test_it_comes_and_goes_while_others_log(sink: Collect) -> None:
    """Each record comes to what is there or to what was there, and to one of them."""
    own: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: own.append(record.getMessage())  # type: ignore[method-assign]
    root = logging.getLogger()
    root.addHandler(handler)
    done = threading.Event()
    said: list[str] = []

    def talk() -> None:
        while not done.is_set():
            said.append(str(len(said)))
            root.warning(said[-1])

    thread = threading.Thread(target=talk)
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        thread.start()
        for _ in range(200):
            with capture():
                pass
    finally:
        sys.setswitchinterval(before)
        done.set()
        thread.join()
    assert sorted(came(sink) + own, key=int) == said


def test_pytest_s_caplog_goes_on(sink: Collect, caplog: pytest.LogCaptureFixture) -> None:
    """A test of a program that captures sees what is logged in both places."""
    with capture():
        logging.warning("both")
    assert came(sink) == caplog.messages == ["both"]


def test_a_fork_while_the_pipeline_starts_is_not_held_up(tmp_path: Any) -> None:
    """Also where logflume was imported before `logging`, which holds its lock for the fork."""
    program = tmp_path / "program.py"
    program.write_text(
        "import logflume, logging, os, time\n"
        "from logflume.integrations.stdlib import capture\n"
        "capture().install()\n"
        "logging.warning('first')\n"
        "started = time.monotonic()\n"
        "if (child := os.fork()) == 0:\n"
        "    logging.warning('child')\n"
        "    logflume.log.complete()\n"
        "    os._exit(0)\n"
        "took = time.monotonic() - started\n"
        "assert os.waitpid(child, 0)[1] == 0\n"
        "assert took < 4, took\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", program],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert sorted(line.split()[-1] for line in done.stderr.splitlines()) == ["child", "first"]


def test_who_holds_the_lock_of_logging_may_log_while_pipelines_open(tmp_path: Any) -> None:
    """As `dictConfig` does, for a warning: opening tells `logging` of levels, without a lock."""
    program = tmp_path / "program.py"
    program.write_text(
        "import faulthandler, logging, threading, time\n"
        "faulthandler.dump_traceback_later(20, exit=True)\n"
        "from logflume import Pipeline\n"
        "from logflume.integrations.stdlib import capture\n"
        "capture().install()\n"
        "def opens():\n"
        "    for _ in range(50):\n"
        "        with Pipeline(): pass\n"
        "thread = threading.Thread(target=opens)\n"
        "thread.start()\n"
        "while thread.is_alive():\n"
        "    logging._lock.acquire()\n"
        "    time.sleep(0.001)\n"
        "    logging.warning('inside')\n"
        "    logging._lock.release()\n"
        "    time.sleep(0.0005)\n"
    )
    done = subprocess.run(
        [sys.executable, program], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr


def test_excluded_loggers_stay_out(sink: Collect) -> None:
    """`exclude_loggers` holds for what hooks tell, too."""
    with capture(exclude_loggers=["noisy", "py.warnings"]), warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.getLogger("noisy.deep").error("no")
        warnings.warn("no", stacklevel=1)
        logging.error("yes")
    assert came(sink) == ["yes"]


def test_warnings_come_with_their_place(sink: Collect) -> None:
    """A warning is a record at WARNING, of the place that it is about."""
    with capture(), warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("{old} is old", DeprecationWarning, stacklevel=1)
        line = sys._getframe().f_lineno - 1
    assert came(sink) == ["{old} is old"]
    record = sink.records[0]
    assert (record.logger, record.level.name) == ("py.warnings", "WARNING")
    assert record.fields == {"category": "DeprecationWarning"}
    assert (record.site.file, record.site.line) == (__file__, line)


def fails() -> None:
    raise ValueError("wrong")


def test_exceptions_of_threads_come(sink: Collect, capsys: pytest.CaptureFixture[str]) -> None:
    """What ends a thread is a record, and is not printed besides; SystemExit ends it silently."""
    with capture():
        for target in (fails, sys.exit):
            thread = threading.Thread(target=target, name="worker-1")
            thread.start()
            thread.join()
    assert came(sink) == ["Uncaught exception in thread worker-1"]
    record = sink.records[0]
    assert record.exception is not None
    assert record.exception.type == "ValueError"
    assert (record.site.file, record.site.function) == (__file__, "fails")
    assert record.level.name == "ERROR"
    assert capsys.readouterr().err == ""


def test_exceptions_of_finalizers_come(sink: Collect) -> None:
    """What `__del__` raises is a record that says where."""

    class Broken:
        def __del__(self) -> None:
            fails()

    with capture():
        Broken()
        gc.collect()
    [message] = came(sink)
    assert message.startswith("Exception ignored in: <function ")
    assert sink.records[0].exception is not None


def test_the_exception_that_ends_a_program_comes_first(tmp_path: Any) -> None:
    """Installed for a program, it records the end of it; Ctrl-C is no failure."""
    program = tmp_path / "program.py"
    program.write_text(
        "import logflume, sys\n"
        "from logflume.integrations.stdlib import capture\n"
        "from logflume import encoders\n"
        "logflume.log.configure(json=True)\n"
        "capture().install()\n"
        "raise KeyboardInterrupt if sys.argv[1:] else ValueError('the end')\n"
    )
    done = subprocess.run(
        [sys.executable, program], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1
    assert '"message":"Uncaught exception"' in done.stderr
    assert '"level":"CRITICAL"' in done.stderr
    assert '"message":"the end"' in done.stderr
    assert done.stderr.count("\n") == 1
    done = subprocess.run(
        [sys.executable, program, "x"], capture_output=True, text=True, timeout=60, check=False
    )
    assert "KeyboardInterrupt" in done.stderr
    assert "Uncaught" not in done.stderr


def test_hooks_of_others_are_called_too(sink: Collect, monkeypatch: pytest.MonkeyPatch) -> None:
    """What an error tracker has set before still hears of everything."""
    heard: list[str] = []
    for owner, name in (
        (sys, "excepthook"),
        (sys, "unraisablehook"),
        (threading, "excepthook"),
        (warnings, "showwarning"),
    ):
        monkeypatch.setattr(owner, name, lambda *args, name=name, **kw: heard.append(name))
    with capture():
        kept = threading.excepthook
        try:
            fails()
        except ValueError as error:
            sys.excepthook(ValueError, error, error.__traceback__)
            given = threading.ExceptHookArgs((ValueError, error, error.__traceback__, None))
            threading.excepthook(given)
        warnings.showwarning("old", UserWarning, "f.py", 1)
    assert heard == ["excepthook", "excepthook", "showwarning"]
    assert len(came(sink)) == 3
    kept(given)  # somebody still has ours: it passes on what it is told, and no more
    assert len(heard) == 4
    assert len(came(sink)) == 3


def test_failures_of_asyncio_s_callbacks_come(sink: Collect) -> None:
    """What the loop's exception handler is told is one record; that of others is called, too."""
    heard: list[str] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        with capture():
            loop.call_soon(fails)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        assert loop.get_exception_handler() is None
        loop.set_exception_handler(hook := lambda loop, context: heard.append(context["message"]))
        with capture():
            loop.call_exception_handler({"message": "odd", "transport": object()})
        assert loop.get_exception_handler() is hook

    asyncio.run(main())
    first, second = came(sink)
    assert first.startswith("Exception in callback fails()")
    assert second == "odd"
    assert heard == ["odd"]
    record = sink.records[0]
    assert (record.logger, record.level.name) == ("asyncio", "ERROR")
    assert (record.exception and record.exception.type) == "ValueError"
    assert record.site.function == "fails"
    assert record.fields["handle"].startswith("<Handle fails()")


def test_an_asyncio_loop_that_begins_later_is_heard(sink: Collect) -> None:
    """Outside of a loop, asyncio's own handler logs with `logging`: that comes as well, once."""

    async def main() -> None:
        asyncio.get_running_loop().call_soon(fails)
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    with capture():
        asyncio.run(main())
    [message] = came(sink)
    assert "Exception in callback fails()" in message


async def test_it_works_in_a_pipeline_on_any_loop() -> None:
    """In a coroutine, on every backend: entered, used and left."""
    sink = Collect()
    async with Pipeline(sink):
        with capture():
            logging.getLogger("lib").warning("said")
    assert sink.messages == ["said"]


@pytest.mark.parametrize(
    "settings",
    [
        {"level": "LOUD"},
        {"loggers": "uvicorn"},
        {"loggers": []},
        {"loggers": [None]},
    ],
    ids=str,
)
def test_settings_that_mean_nothing_are_refused(settings: dict[str, Any]) -> None:
    """The setting is named, and what is accepted."""
    [name] = settings
    with pytest.raises(ConfigurationError, match=rf"capture\.{name}: got .*; accepted: "):
        capture(**settings)

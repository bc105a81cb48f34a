"""Opening and closing: in every way, at every moment, and always in time."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
import textwrap
import threading
import time
from typing import Any

import anyio
import pytest

from logflume import Batch, Pipeline, PipelineError, Route, SinkBatch, get_logger
from logflume import log as default_log
from logflume.engine import current
from logflume.engine.progress import Progress
from tests.fakes import Collect, Flaky, Gate, Hang, may_block

log = get_logger("tests.lifecycle")


async def test_leaving_the_block_drains() -> None:
    """Everything accepted inside `async with` is delivered when it is left."""
    sink = Collect()
    async with Pipeline(sink) as pipeline:
        for n in range(1_000):
            await log.ainfo(str(n))
    assert len(sink.records) == 1_000
    assert (sink.opened, sink.closed) == (1, 1)
    assert pipeline.is_closed
    assert pipeline.stats().door.pending == 0


async def test_an_exception_in_the_body_goes_on_as_it_is() -> None:
    """The body's exception is not wrapped in a group, and what it logged is delivered."""
    sink = Collect()

    async def body() -> None:
        async with Pipeline(sink):
            log.info("before")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError) as caught:
        await body()
    assert caught.value.__context__ is None
    assert sink.messages == ["before"]


async def test_cancellation_drains() -> None:
    """When the body is cancelled, what it logged is delivered before the scope is left."""
    sink = Collect()
    with anyio.CancelScope() as scope:
        async with Pipeline(sink):
            log.info("before")
            scope.cancel()
            await anyio.sleep_forever()
    assert scope.cancelled_caught
    assert sink.messages == ["before"]
    assert sink.closed == 1


async def test_a_pipeline_in_a_cancelled_task_group_drains() -> None:
    """`tg.start(pipeline.run)` closes in an orderly way when the group is cancelled."""
    sink = Collect()
    async with anyio.create_task_group() as tasks:
        pipeline = await tasks.start(Pipeline(sink).run)
        assert isinstance(pipeline, Pipeline)
        await log.ainfo("before")
        tasks.cancel_scope.cancel()
    assert sink.messages == ["before"]
    assert pipeline.is_closed


@pytest.mark.parametrize("anyio_backend", ["asyncio"], indirect=False)
async def test_a_native_cancellation_drains(anyio_backend: str) -> None:
    """Asyncio's own `task.cancel()` drains too, and is not swallowed."""
    sink = Collect()
    entered = asyncio.Event()

    async def service() -> None:
        async with Pipeline(sink):
            log.info("before")
            entered.set()
            await asyncio.sleep(3600)

    task = asyncio.create_task(service())
    await entered.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert sink.messages == ["before"]


async def test_a_pipeline_opened_in_a_cancelled_scope_never_opens() -> None:
    """Cancelled at the door step: nothing runs, nothing is left open, aclose returns."""
    sink = Collect()
    pipeline = Pipeline(sink)
    with anyio.CancelScope() as scope:
        scope.cancel()
        async with pipeline:
            await anyio.lowlevel.checkpoint()
    assert scope.cancelled_caught
    assert pipeline.is_closed
    with anyio.fail_after(5):
        await pipeline.aclose()
    assert pipeline not in current._open


async def test_a_hung_sink_holds_up_no_longer_than_the_timeout() -> None:
    """Closing takes at most `shutdown_timeout`; what was stuck is counted, and told."""
    sink, good = Hang(), Collect("good")
    started = time.monotonic()
    async with Pipeline(sink, good, shutdown_timeout=1.0) as pipeline:
        await log.ainfo("one")
    assert time.monotonic() - started < 20.0
    assert pipeline.stats().routes["hang"].dropped == {"shutdown": 1}
    assert good.messages == ["one"]


@pytest.mark.parametrize("waits", [False, True])
async def test_a_sink_that_moves_all_the_time_holds_up_no_longer_either(waits: bool) -> None:
    """Neither a flush nor the closing, whether the sink ever lets go of the loop or not."""
    calls = 0

    class Busy(Collect):
        async def before(self, batch: SinkBatch) -> None:
            nonlocal calls
            calls += 1
            if waits:
                await anyio.lowlevel.checkpoint()
            until = time.perf_counter() + 0.005
            while time.perf_counter() < until:
                pass

    async with Pipeline(
        Route(Busy(), batch=Batch(max_records=1), buffer_records=5_000), shutdown_timeout=0.1
    ) as pipeline:
        for _ in range(4_000):  # more than 20 s of work
            log.info("one of many")
        started = time.monotonic()
        report = await pipeline.flush(0.1)
        assert time.monotonic() - started < 10.0
        assert not report.complete
        started = time.monotonic()
    assert time.monotonic() - started < 10.0
    counts = pipeline.stats().routes["collect"]
    assert counts.delivered <= calls < 4_000
    assert counts.balanced
    assert counts.pending == 0


async def test_who_waits_can_be_cancelled_though_there_is_always_news() -> None:
    """One who looks again in every turn of the loop, too."""
    progress = Progress()
    until = time.monotonic() + 20.0

    async def tell() -> None:
        while time.monotonic() < until:
            progress.tell()
            await anyio.lowlevel.checkpoint()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(tell)
        with anyio.move_on_after(0.05):
            await progress.until(lambda: time.monotonic() >= until)
        assert time.monotonic() < until
        tasks.cancel_scope.cancel()


async def test_a_retry_does_not_hold_up_the_shutdown() -> None:
    """A pause between two sends ends with the shutdown timeout; its batch is counted."""
    sink = Flaky(100, retry_after=60.0)
    with anyio.fail_after(5):
        async with Pipeline(sink, shutdown_timeout=0.1) as pipeline:
            await log.ainfo("one")
            while not pipeline.stats().routes["flaky"].retries:
                await anyio.lowlevel.checkpoint()
    assert pipeline.stats().routes["flaky"].dropped == {"shutdown": 1}


async def test_a_sink_that_hangs_when_closed_is_left() -> None:
    """Closing a sink is bounded too."""

    class HangsClosing(Collect):
        async def aclose(self) -> None:
            await anyio.sleep_forever()

    sink = HangsClosing()
    with anyio.fail_after(5):
        async with Pipeline(sink, shutdown_timeout=1.0):
            await log.ainfo("one")
    assert sink.messages == ["one"]


async def test_a_shutdown_timeout_of_zero_returns() -> None:
    """Nothing is waited for, and nothing is left pending."""
    with anyio.fail_after(5):
        async with Pipeline(Hang(), shutdown_timeout=0.0) as pipeline:
            await log.ainfo("one")
    stats = pipeline.stats()
    assert stats.door.pending + stats.routes["hang"].pending == 0
    assert stats.door.balanced


async def test_opened_twice_says_so() -> None:
    """A pipeline is opened once: not again while open, and not after."""
    pipeline = Pipeline(Collect())
    async with pipeline:
        with pytest.raises(PipelineError, match="this pipeline is open"):
            await pipeline.__aenter__()
        with pytest.raises(PipelineError, match="this pipeline is open"):
            await pipeline.run()
        with pytest.raises(PipelineError, match="this pipeline is open"):
            pipeline.__enter__()
    with pytest.raises(PipelineError, match="this pipeline is closed"):
        await pipeline.__aenter__()


async def test_a_pipeline_cannot_run_in_two_loops() -> None:
    """Opening it in another thread's loop while it is open is refused there."""
    pipeline = Pipeline(Collect())

    async def open_again() -> None:
        async with pipeline:
            pass

    async with pipeline:
        with pytest.raises(PipelineError, match="this pipeline is open"):
            await anyio.to_thread.run_sync(anyio.run, open_again)


async def test_nested_pipelines_take_over_in_turn() -> None:
    """The pipeline opened last gets what is logged; the one before gets it again after."""
    outer, inner = Collect("outer"), Collect("inner")
    async with Pipeline(outer):
        log.info("1")
        async with Pipeline(inner):
            log.info("2")
        log.info("3")
    assert (outer.messages, inner.messages) == (["1", "3"], ["2"])


async def test_successive_pipelines() -> None:
    """One after the other, each gets what was logged while it was open."""
    for n in range(3):
        sink = Collect()
        async with Pipeline(sink):
            log.info(str(n))
        assert sink.messages == [str(n)]


async def test_levels_are_those_of_the_current_pipeline() -> None:
    """Nested pipelines bring their own levels, and take them away again."""
    async with Pipeline(level="ERROR"):
        assert not log.is_enabled_for("INFO")
        async with Pipeline(level="DEBUG"):
            assert log.is_enabled_for("DEBUG")
        assert not log.is_enabled_for("INFO")
    assert log.is_enabled_for("INFO")


def test_before_and_after_any_pipeline_stderr_gets_it(capsys: pytest.CaptureFixture[str]) -> None:
    """Records logged before the first pipeline and after the last go to the default one."""
    sink = Collect()
    log.info("before")
    default_log.complete(5)
    with Pipeline(sink):
        log.info("inside")
    log.info("after")
    default_log.complete(5)
    shown = capsys.readouterr().err
    assert "before" in shown
    assert "after" in shown
    assert "inside" not in shown
    assert sink.messages == ["inside"]


async def test_the_default_pipeline_serves_a_loop_too(capsys: pytest.CaptureFixture[str]) -> None:
    """`await log.ainfo` with nothing configured reaches stderr."""
    await log.ainfo("nothing configured")
    report = await default_log.acomplete(5)
    assert report.complete
    assert "nothing configured" in capsys.readouterr().err


async def test_aclose_waits_and_may_be_called_again() -> None:
    """`aclose` returns once everything is settled; again, it returns at once."""
    sink = Gate()
    async with anyio.create_task_group() as tasks:
        pipeline = await tasks.start(Pipeline(sink).run)
        await log.ainfo("one")
        await sink.entered.wait()
        async with anyio.create_task_group() as closers:
            closers.start_soon(pipeline.aclose)
            closers.start_soon(pipeline.aclose)
            await anyio.wait_all_tasks_blocked()
            sink.let_through()
        assert sink.messages == ["one"]
        await pipeline.aclose()
    assert pipeline.is_closed


async def test_aclose_inside_the_block() -> None:
    """Closing early is fine: the block is left without a word."""
    sink = Collect()
    async with Pipeline(sink) as pipeline:
        await log.ainfo("one")
        await pipeline.aclose()
        assert sink.messages == ["one"]


async def test_aclose_from_another_loop() -> None:
    """Any loop may close a pipeline, and waits until it has ended."""
    sink = Collect()
    async with anyio.create_task_group() as tasks:
        pipeline = await tasks.start(Pipeline(sink).run)
        await log.ainfo("one")
        await anyio.to_thread.run_sync(anyio.run, pipeline.aclose)
        assert pipeline.is_closed
    assert sink.messages == ["one"]


async def test_aclose_of_a_pipeline_never_opened() -> None:
    """There is nothing to wait for."""
    with anyio.fail_after(5):
        await Pipeline(Collect()).aclose()


async def test_close_on_the_pipelines_own_loop_is_refused() -> None:
    """It would wait for itself; from another thread it closes and waits."""
    sink = Collect()
    async with anyio.create_task_group() as tasks:
        pipeline = await tasks.start(Pipeline(sink).run)
        await log.ainfo("one")
        with pytest.raises(PipelineError, match="aclose"):
            pipeline.close()
        assert not pipeline.is_closed
        await anyio.to_thread.run_sync(pipeline.close)
        assert pipeline.is_closed
    assert sink.messages == ["one"]


async def test_closing_from_inside_a_sink_ends() -> None:
    """A sink or async callback that closes its own pipeline is bounded by the timeout."""
    done = anyio.Event()

    async def closer(record: dict[str, Any]) -> None:
        done.set()
        await pipeline.aclose()

    with anyio.fail_after(5):
        async with Pipeline(shutdown_timeout=0.1) as pipeline:
            pipeline.add_callback(closer)
            await log.ainfo("close yourself")
            await done.wait()
    assert pipeline.is_closed


def test_close_from_inside_a_sync_callback_ends() -> None:
    """The worker thread of a callback may close the pipeline."""
    with Pipeline(shutdown_timeout=0.1) as pipeline:
        called = threading.Event()

        def closer(record: dict[str, Any]) -> None:
            called.set()
            pipeline.close()

        pipeline.add_callback(closer)
        log.info("close yourself")
        assert called.wait(5)
    assert pipeline.is_closed


async def test_logging_while_closing_loses_nothing_silently() -> None:
    """Whatever threads log while the pipeline closes is delivered or counted somewhere."""
    sink, after = Collect("inner"), Collect("outer")
    stop = threading.Event()
    sent = 0

    def keep_logging() -> None:
        nonlocal sent
        while not stop.is_set():
            log.info("on and on")
            sent += 1

    async with Pipeline(after) as outer:
        async with Pipeline(sink) as inner:
            thread = threading.Thread(target=keep_logging)
            thread.start()
            await sink.until(10)
        stop.set()
        with may_block():
            thread.join()
        await outer.flush(5)
    counts = [inner.stats().door, outer.stats().door]
    assert sum(c.received for c in counts) == sent
    assert all(c.balanced and not c.pending for c in counts)
    # A call turned away in the last moment is told in band, by a record that passes no door.
    assert inner.stats().door.delivered == sink.messages.count("on and on")


async def test_a_shared_sync_pipeline_serves_many_loops_and_threads() -> None:
    """Threads with and without loops, on any backend, write to one pipeline at once."""
    sink = Collect()

    def plain(name: str) -> None:
        for n in range(100):
            log.info("{name} {n}", name=name, n=n)

    def looped(name: str, backend: str) -> None:
        async def calls() -> None:
            for n in range(100):
                await log.ainfo("{name} {n}", name=name, n=n)

        anyio.run(calls, backend=backend)

    async with Pipeline(sink) as pipeline:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(anyio.to_thread.run_sync, plain, "a")
            tasks.start_soon(anyio.to_thread.run_sync, looped, "b", "asyncio")
            tasks.start_soon(anyio.to_thread.run_sync, looped, "c", "trio")
        await pipeline.flush(5)
    for name in "abc":
        own = [r.fields["n"] for r in sink.records if r.fields["name"] == name]
        assert own == list(range(100))


def test_asyncios_last_cancellation_leaves_nothing_uncounted() -> None:
    """A task that nobody waited for takes its pipeline down at once: counted, and told."""
    done = run_script("""
        import anyio, asyncio
        from logflume import Pipeline, log
        pipeline = Pipeline(lambda record: print("got one"))
        async def service():
            async with pipeline:
                for n in range(100):
                    await log.ainfo(str(n))
                await asyncio.sleep(100)
        async def main():
            task = asyncio.create_task(service())
            while not pipeline.stats().door.received:
                await asyncio.sleep(0)
        asyncio.run(main())
        stats = pipeline.stats()
        counts = [stats.door, *stats.routes.values()]
        assert all(c.balanced and not c.pending for c in counts), stats
        assert stats.door.received == 100, stats
        print(stats.door.lost + stats.routes["lambda"].lost)
    """)
    assert done.returncode == 0, done.stderr
    *got, lost = done.stdout.splitlines()
    assert len(got) + int(lost) == 100
    assert int(lost) == 0 or "dropped" in done.stderr
    assert "task was cancelled" not in done.stderr  # which no callback has done


def run_script(source: str, *args: str, timeout: float = 30.0) -> subprocess.CompletedProcess[str]:
    """Run a program of its own, with the Python and logflume of this one."""
    return subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c", textwrap.dedent(source), *args],
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def test_the_default_pipeline_drains_at_exit() -> None:
    """What a script logged last is on stderr when it has ended."""
    done = run_script("""
        from logflume import log
        for n in range(500):
            log.info("line {n}", n=n)
    """)
    assert done.returncode == 0
    assert sum("line " in line for line in done.stderr.splitlines()) == 500
    assert "line 499" in done.stderr


def test_the_default_pipeline_drains_when_the_script_fails() -> None:
    """An exception that ends the script does not take the records with it."""
    done = run_script("""
        from logflume import log
        log.info("before")
        raise SystemExit(3)
    """)
    assert done.returncode == 3
    assert "before" in done.stderr


def test_what_is_written_at_the_very_end_is_redacted_each_time() -> None:
    """And the context of who logs is as it was."""
    done = run_script("""
        import atexit
        def bye():
            with context(user="alice"):
                for n in range(3): log.info("bye", n=n, password="hunter2")
        atexit.register(bye)
        from logflume import context, log
    """)
    assert done.stderr.count("password=[redacted]") == 3, done.stderr
    assert done.stderr.count("user=alice") == 3
    assert "hunter2" not in done.stderr


def test_a_hung_sink_does_not_hold_up_the_exit() -> None:
    """The interpreter ends within the shutdown timeout, hung sink or not."""
    done = run_script("""
        import anyio, time
        from logflume import Pipeline, log, Route
        class Hang:
            async def open(self): ...
            async def send(self, batch): await anyio.sleep_forever()
            async def aclose(self): ...
        Pipeline(Hang(), shutdown_timeout=1.5).__enter__()
        log.info("stuck")
        print(time.monotonic(), flush=True)
    """)
    assert time.monotonic() - float(done.stdout) < 20.0
    assert done.returncode == 0, done.stderr
    assert "1 record dropped by route 'hang': shutdown" in done.stderr


@pytest.mark.parametrize("where", ["atexit.register(end)", "threading.Thread(target=last).start()"])
def test_logflume_may_be_imported_while_the_interpreter_exits(where: str) -> None:
    """By an `atexit` function, or in a thread that outlives the main one."""
    source = f"""
import atexit, threading

def last():
    threading.main_thread().join()
    end()

def end():
    from logflume import log
    log.info("Ending")

{where}
"""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", source],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert done.stderr.count("\n") == 1
    assert "Ending" in done.stderr


def test_atexit_functions_may_log() -> None:
    """Also those that run after the pipeline has ended: stderr gets it there and then."""
    done = run_script("""
        import atexit
        atexit.register(lambda: log.info("late"))
        from logflume import log
        atexit.register(lambda: log.info("early"))
        log.info("now")
    """)
    assert done.returncode == 0, done.stderr
    for word in ("now", "early", "late"):
        assert word in done.stderr


class Late(Pipeline):
    """A pipeline whose thread takes its time to start."""

    may_start = threading.Event()

    def _run_in_thread(self) -> None:
        self.may_start.wait(10)
        super()._run_in_thread()


def test_a_flush_is_in_time_though_the_thread_is_not_up_yet() -> None:
    """And says what is pending."""
    pipeline = Late(Collect())
    pipeline.start_thread()
    default_log.info("early")
    report = pipeline.complete(0.05)
    assert (report.complete, report.pending) == (False, {"door": 1})
    report = anyio.run(pipeline.flush, 0.05)
    assert (report.complete, report.pending) == (False, {"door": 1})
    pipeline.may_start.set()
    assert pipeline.complete(10).complete
    pipeline.close()


@pytest.mark.parametrize("backend", ["asyncio", "uvloop", "trio"])
def test_ctrl_c_drains(backend: str) -> None:
    """After SIGINT what was logged is delivered, within the timeout, and the program ends so."""
    done = run_script(
        """
        import os, signal, sys, anyio
        from logflume import Pipeline, log
        class Print:
            async def open(self): ...
            async def send(self, batch):
                for record in batch.records: print(record.message, flush=True)
            async def aclose(self): print("closed", flush=True)
        class Hang(Print):
            async def send(self, batch): await anyio.sleep_forever()
            async def aclose(self): ...
        async def main():
            async with Pipeline(Print(), Hang(), shutdown_timeout=1.5):
                for n in range(50): await log.ainfo("before")
                os.kill(os.getpid(), signal.SIGINT)
                await anyio.sleep(30)
        name = sys.argv[1]
        options = {"use_uvloop": True} if name == "uvloop" else {}
        anyio.run(main, backend="trio" if name == "trio" else "asyncio", backend_options=options)
        """,
        backend,
    )
    assert done.stdout.count("before") == 50, done.stderr
    assert "closed" in done.stdout
    assert "KeyboardInterrupt" in done.stderr
    assert done.returncode != 0


def test_ctrl_c_drains_a_script() -> None:
    """`with Pipeline(...)` in a script drains when Ctrl-C ends its block."""
    done = run_script("""
        import os, signal, time
        from logflume import Pipeline, log
        with Pipeline(lambda record: print(record["message"], flush=True)):
            log.info("before")
            os.kill(os.getpid(), signal.SIGINT)
            for _ in range(2000):  # a signal that comes just before a long sleep does not end it
                time.sleep(0.01)
    """)
    assert done.stdout == "before\n"
    assert "KeyboardInterrupt" in done.stderr


def test_an_interrupted_close_is_made_up_for_at_exit() -> None:
    """Ctrl-C while the block waits for its pipeline takes the wait away, not the records."""
    done = run_script("""
        import os, signal, threading, anyio
        from logflume import Pipeline, log
        async def slow(record):
            closing.wait(10)
            await anyio.sleep(0.3)
            print(record["message"], flush=True)
        closing = threading.Event()
        class Interrupted(Pipeline):
            def _on_close(self):
                timeout = super()._on_close()
                if not closing.is_set():
                    os.kill(os.getpid(), signal.SIGINT)
                    closing.set()
                return timeout
        with Interrupted(slow):
            log.info("before")
    """)
    assert "KeyboardInterrupt" in done.stderr
    assert done.stdout == "before\n"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_fork_gives_the_child_a_clean_start(tmp_path: Any) -> None:
    """The child has an empty ledger and its own threads; nothing is sent twice."""
    path = tmp_path / "out.jsonl"
    done = run_script(
        """
        import os, sys, json
        from logflume import Pipeline, Batch, Route, log
        with Pipeline(Route(sys.argv[1], batch=Batch(max_age=60.0))) as pipeline:
            for n in range(10): log.info("parent before")
            pid = os.fork()
            if not pid:
                assert pipeline.stats().door.received == 0, pipeline.stats()
                log.info("child")
                log.complete(5)
                assert pipeline.stats().door.received == 1, pipeline.stats()
                pipeline.close()
                os._exit(0)
            assert os.waitpid(pid, 0)[1] == 0
            log.info("parent after")
        """,
        str(path),
    )
    assert done.returncode == 0, done.stderr
    text = path.read_text()
    assert text.count('"parent before"') == 10
    assert text.count('"child"') == 1
    assert text.count('"parent after"') == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_fork_inside_a_loop_leaves_the_pipeline_behind() -> None:
    """In the child the loop's pipeline is the parent's, and its ledger begins at zero; what is
    logged goes to the default one."""
    done = run_script("""
        import os, anyio
        from logflume import Pipeline, log
        async def main():
            async with Pipeline(lambda record: print(record["message"], flush=True)) as pipeline:
                await log.ainfo("parent")
                await pipeline.flush(5)
                log.info("parent's")
                pid = os.fork()
                if not pid:
                    try:
                        stats = pipeline.stats()
                        counts = [stats.door, *stats.routes.values()]
                        assert [count.received for count in counts] == [0, 0]
                        log.info("child")
                    finally:
                        import threading
                        t = threading.Thread(target=log.complete, args=(5,)); t.start(); t.join()
                        os._exit(0)
                assert os.waitpid(pid, 0)[1] == 0
        anyio.run(main)
    """)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "parent\nparent's\n"
    assert "child" in done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="no fork here")
def test_a_forked_process_of_multiprocessing_delivers() -> None:
    """Its `atexit` functions never run: what it logged is delivered nevertheless."""
    done = run_script("""
        import multiprocessing
        from logflume import log
        def work(): log.info("child")
        if __name__ == "__main__":
            log.info("parent")
            p = multiprocessing.get_context("fork").Process(target=work)
            p.start(); p.join()
            assert p.exitcode == 0
    """)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("child") == 1
    assert done.stderr.count("parent") == 1


def test_records_logged_at_the_end_of_the_stack_hold_up_no_others() -> None:
    """A RecursionError where the pump is woken leaves it to the next record to do so."""
    import sys

    from logflume import Pipeline, get_logger

    log = get_logger("tests.deep")

    def deep(n: int) -> None:
        if n:
            deep(n - 1)
        else:
            log.info("edge")

    with Pipeline(lambda record: None) as pipeline:
        for left in range(1, 60):
            with contextlib.suppress(RecursionError):
                deep(sys.getrecursionlimit() - left)
            log.info("next")
            assert pipeline.complete(5).complete


def frames() -> int:
    """Return how deep the stack is."""
    frame, count = sys._getframe(), 0
    while frame.f_back is not None:
        frame, count = frame.f_back, count + 1
    return count


async def test_nor_do_they_on_the_loop_while_the_pump_sleeps() -> None:
    """What wakes it is not begun where it could not be ended: it would be asleep for ever."""

    def deep(n: int) -> None:
        if n:
            deep(n - 1)
        else:
            default_log.info("edge")

    sink = Collect()
    async with Pipeline(sink) as pipeline:
        for left in range(2, 70):
            await anyio.wait_all_tasks_blocked()
            with contextlib.suppress(RecursionError):
                deep(sys.getrecursionlimit() - frames() - left)
            default_log.info("next")
            assert (await pipeline.flush(20)).complete, left
        door = pipeline.stats().door
    assert door.received == door.delivered == len(sink.messages)
    assert sink.messages.count("next") == 68
    assert 50 < sink.messages.count("edge") <= 68  # none twice; very near the end there is none


BLOCKED = """
import threading
from logflume import Pipeline, Route, log

class Blocks:
    name = "blocks"
    async def open(self): pass
    async def send(self, batch): threading.Event().wait()
    async def aclose(self): pass

Pipeline(Route(Blocks()), shutdown_timeout=0.1).__enter__()
log.info("one")
log.info("two")
"""


def test_what_a_blocked_loop_has_at_the_exit_is_told() -> None:
    """Nobody else could tell: the process ends all the same."""
    done = subprocess.run(
        [sys.executable, "-c", BLOCKED], capture_output=True, text=True, timeout=30, check=False
    )
    assert (done.returncode, done.stdout) == (0, "")
    told = [line for line in done.stderr.splitlines() if "the loop does not answer" in line]
    assert told == done.stderr.splitlines()
    assert sum([int(line.split()[1]) for line in told]) == 2

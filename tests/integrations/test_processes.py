"""Programs that end by a signal: in order, in time, and with the status that says so."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from typing import Any

import pytest

from logflume import ConfigurationError, PipelineError
from logflume.integrations.processes import exit_on_signals

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")

PRELUDE = """
import os, signal, sys, threading, time
import anyio
from logflume import Pipeline, log
from logflume.integrations.processes import exit_on_signals

class Print:
    async def open(self): ...
    async def send(self, batch):
        await anyio.sleep(0.05)
        for record in batch.records: print(record.message, flush=True)
    async def aclose(self): print("closed", flush=True)

class Hang(Print):
    async def send(self, batch): await anyio.sleep_forever()
    async def aclose(self): ...

def kill(number=signal.SIGTERM): os.kill(os.getpid(), number)

def wait_for_signal():
    # In short sleeps: one that comes just before a long one does not interrupt it.
    for _ in range(2000): time.sleep(0.01)

def run(main, backend):
    options = {"use_uvloop": True} if backend == "uvloop" else {}
    name = "trio" if backend == "trio" else "asyncio"
    anyio.run(main, backend=name, backend_options=options)
"""


def run_program(source: str, *args: str) -> subprocess.CompletedProcess[str]:
    """Run a program of its own, which has the names of the prelude."""
    return subprocess.run(
        [sys.executable, "-c", PRELUDE + textwrap.dedent(source), *args],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


# Scripts.


def test_a_script_ends_in_order() -> None:
    """`finally` blocks run, and the pipeline is drained; then the status is that of a shell."""
    done = run_program("""
        with exit_on_signals(), Pipeline(Print()):
            try:
                log.info("before")
                kill()
                wait_for_signal()
            finally:
                log.info("last words")
    """)
    assert done.stdout == "before\nlast words\nclosed\n"
    assert (done.returncode, done.stderr) == (128 + signal.SIGTERM, "")


def test_the_default_pipeline_is_drained() -> None:
    """As at any other exit."""
    done = run_program("""
        with exit_on_signals():
            for n in range(100): log.info("line")
            kill()
    """)
    assert done.stderr.count("line") == 100
    assert done.returncode == 143


def test_the_shutdown_timeout_is_the_most_it_takes() -> None:
    """A sink that hangs holds up the end no longer than at any other."""
    done = run_program("""
        with exit_on_signals():
            Pipeline(Hang(), shutdown_timeout=0.3).__enter__()
            log.info("stuck")
            print(time.monotonic(), flush=True)
            kill()
    """)
    assert time.monotonic() - float(done.stdout) < 20.0
    assert "1 record dropped by route 'hang': shutdown" in done.stderr
    assert done.returncode == 143


def test_a_signal_that_comes_while_the_pipeline_closes_loses_nothing() -> None:
    """What had begun goes on to its end."""
    done = run_program("""
        class Closing(Pipeline):
            def _on_close(self):
                if not self.is_closed and not told: told.append(1); kill()
                return super()._on_close()
        told = []
        with exit_on_signals():
            with Closing(Print()):
                log.info("before")
    """)
    assert (done.stdout, done.returncode) == ("before\nclosed\n", 143)


def test_a_signal_that_comes_while_the_program_exits_loses_nothing() -> None:
    """The exit is under way, and goes on in its order; an exception would cut it short."""
    done = run_program("""
        import contextlib
        exits = contextlib.ExitStack()
        exits.enter_context(exit_on_signals())
        class Exiting(Pipeline):
            def complete(self, timeout=None):
                kill()
                return super().complete(timeout)
        Exiting(Print()).__enter__()
        log.info("before")
    """)
    assert (done.stdout, done.returncode, done.stderr) == ("before\nclosed\n", 0, "")


# Loops.


@pytest.mark.parametrize("backend", ["asyncio", "uvloop", "trio"])
@pytest.mark.parametrize("where", ["inside", "around"])
def test_an_async_program_ends_in_order(backend: str, where: str) -> None:
    """Its main task is cancelled, whether the block is in it or around the whole loop."""
    assert_ends_in_order("SIGTERM", backend, where)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("where", ["inside", "around"])
def test_ctrl_c_can_be_one_of_the_signals(backend: str, where: str) -> None:
    """Then it is no KeyboardInterrupt, but a status like that of the others."""
    assert_ends_in_order("SIGINT", backend, where)


def assert_ends_in_order(name: str, backend: str, where: str) -> None:
    number = signal.Signals[name]
    done = run_program(
        """
        number = signal.Signals[sys.argv[3]]
        async def work():
            async with Pipeline(Print()):
                try:
                    for n in range(50): await log.ainfo("before")
                    kill(number)
                    await anyio.sleep(30)
                finally:
                    log.info("last words")
        async def main():
            with exit_on_signals(number):
                await work()
        if sys.argv[2] == "inside":
            run(main, sys.argv[1])
        else:
            with exit_on_signals(number):
                run(work, sys.argv[1])
        """,
        backend,
        where,
        name,
    )
    assert done.stdout.splitlines() == ["before"] * 50 + ["last words", "closed"]
    assert (done.returncode, done.stderr) == (128 + number, "")


@pytest.mark.parametrize("backend", ["asyncio", "uvloop", "trio"])
def test_a_program_that_ignores_ctrl_c_ends_in_order(backend: str) -> None:
    """As those that a shell starts in the background do."""
    done = run_program(
        """
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        async def main():
            with exit_on_signals():
                async with Pipeline(Print()):
                    await log.ainfo("before")
                    kill()
                    await anyio.sleep(30)
        run(main, sys.argv[1])
        """,
        backend,
    )
    assert (done.stdout, done.returncode) == ("before\nclosed\n", 143), done.stderr


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_tasks_and_pipelines_around_the_block_end_in_order(backend: str) -> None:
    """Whatever is started in the block is cancelled; a pipeline around it is drained."""
    done = run_program(
        """
        async def serve():
            try:
                await anyio.sleep(30)
            finally:
                log.info("served")
        async def main():
            async with Pipeline(Print()):
                with exit_on_signals():
                    async with anyio.create_task_group() as tasks:
                        tasks.start_soon(serve)
                        await anyio.wait_all_tasks_blocked()
                        kill()
        run(main, sys.argv[1])
        """,
        backend,
    )
    assert (done.stdout, done.returncode) == ("served\nclosed\n", 143), done.stderr


# The same signal again.


def test_a_second_signal_kills_at_once() -> None:
    """Whoever asks twice does not want to wait for the shutdown timeout."""
    done = run_program("""
        def again():
            time.sleep(1)
            kill()
        with exit_on_signals():
            with Pipeline(Hang(), shutdown_timeout=20.0):
                log.info("stuck")
                threading.Thread(target=again, daemon=True).start()
                kill()
    """)
    assert done.returncode == -signal.SIGTERM


def test_a_signal_that_is_sent_twice_is_one() -> None:
    """To the process and to its group, as the `timeout` command does."""
    done = run_program("""
        with exit_on_signals():
            with Pipeline(Print()):
                try:
                    log.info("before")
                    kill()
                    wait_for_signal()
                finally:
                    kill()
    """)
    assert (done.stdout, done.returncode) == ("before\nclosed\n", 143)


@pytest.mark.parametrize("backend", ["asyncio", "uvloop", "trio"])
def test_a_signal_that_another_thread_gets_wakes_the_loop(backend: str) -> None:
    """The system may give it to any thread, and Python handles it in the main one."""
    done = run_program(
        """
        def elsewhere(): signal.pthread_kill(threading.get_ident(), signal.SIGTERM)
        async def main():
            with exit_on_signals():
                threading.Timer(0.3, elsewhere).start()
                await anyio.sleep(3600)
        run(main, sys.argv[1])
        """,
        backend,
    )
    assert done.returncode == 143, done.stderr


def test_the_fd_that_signals_wake_is_left_as_it_was() -> None:
    """Whether the loop had one, or got one meanwhile, or had none."""

    async def main(add: bool) -> int:
        loop = asyncio.get_running_loop()
        with exit_on_signals():
            if add:
                loop.add_signal_handler(signal.SIGUSR1, print)
                during = woken()
        after = woken()
        if add:
            assert after == during != -1
            loop.remove_signal_handler(signal.SIGUSR1)
        return after

    def woken() -> int:
        signal.set_wakeup_fd(fd := signal.set_wakeup_fd(-1))
        return fd

    assert asyncio.run(main(add=False)) == -1
    asyncio.run(main(add=True))
    assert woken() == -1


# What it leaves alone.


def send_to_self(number: int = signal.SIGTERM) -> None:
    os.kill(os.getpid(), number)


def test_a_handler_of_the_program_is_called_first_and_set_again() -> None:
    """The block adds to what the program does on the signal, while it lasts."""
    called: list[int] = []

    def before(number: int, frame: Any) -> None:
        called.append(number)

    old = signal.signal(signal.SIGTERM, before)
    try:
        with pytest.raises(SystemExit) as caught, exit_on_signals():
            send_to_self()
        assert caught.value.code == 143
        assert called == [signal.SIGTERM]
        assert signal.getsignal(signal.SIGTERM) is before
    finally:
        signal.signal(signal.SIGTERM, old)


@pytest.mark.parametrize("backend", ["asyncio", "uvloop", "trio"])
@pytest.mark.parametrize("asked", ["before", "within"])
def test_what_a_server_s_program_asks_for_does_not_cut_it_short(backend: str, asked: str) -> None:
    """`deliver_before_sigterm`, before or after: the block ends in order all the same."""
    done = run_program(
        """
        from logflume.integrations.processes import deliver_before_sigterm
        async def main():
            with exit_on_signals():
                if sys.argv[2] == "within": deliver_before_sigterm()
                async with Pipeline(Print()):
                    try:
                        await log.ainfo("before")
                        kill()
                        await anyio.sleep(30)
                    finally:
                        log.info("last words")
        if sys.argv[2] == "before": deliver_before_sigterm()
        run(main, sys.argv[1])
        """,
        backend,
        asked,
    )
    assert done.stdout == "before\nlast words\nclosed\n"
    assert (done.returncode, done.stderr) == (143, "")


@pytest.mark.parametrize("backend", ["asyncio", "uvloop", "trio"])
@pytest.mark.parametrize("where", ["inside", "around"])
def test_blocks_within_each_other_end_in_order(backend: str, where: str) -> None:
    """The inner one first, wherever the loop begins."""
    done = run_program(
        """
        async def main():
            with exit_on_signals():
                async with Pipeline(Print()):
                    with exit_on_signals():
                        try:
                            await log.ainfo("before")
                            kill()
                            await anyio.sleep(30)
                        finally:
                            log.info("last words")
        if sys.argv[2] == "inside":
            run(main, sys.argv[1])
        else:
            with exit_on_signals():
                run(main, sys.argv[1])
        """,
        backend,
        where,
    )
    assert done.stdout == "before\nlast words\nclosed\n"
    assert (done.returncode, done.stderr) == (143, "")


def test_a_handler_set_within_the_block_stays() -> None:
    """It is no longer this block's affair."""
    old = signal.getsignal(signal.SIGTERM)
    try:
        with exit_on_signals():
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            send_to_self()
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGTERM, old)


def test_without_a_signal_nothing_happens() -> None:
    """The body's exceptions and its end are its own."""
    with exit_on_signals():
        pass
    with pytest.raises(ZeroDivisionError), exit_on_signals():
        raise ZeroDivisionError
    with pytest.raises(KeyboardInterrupt), exit_on_signals():
        raise KeyboardInterrupt
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_an_error_on_the_way_out_is_not_replaced() -> None:
    """It says more than the signal; and so does a status that the program chose."""

    def body(error: BaseException) -> None:
        with exit_on_signals():
            try:
                send_to_self()
            finally:
                raise error

    for error in (ZeroDivisionError(), SystemExit(3)):
        with pytest.raises(type(error)) as caught:
            body(error)
        assert caught.value is error


def test_a_body_that_swallows_the_exit_ends_all_the_same() -> None:
    """At the end of the block."""

    def body() -> None:
        with exit_on_signals(), contextlib.suppress(SystemExit):
            send_to_self()

    with pytest.raises(SystemExit) as caught:
        body()
    assert caught.value.code == 143


def test_other_signals_can_be_chosen() -> None:
    """Instead of SIGTERM; also that of Ctrl-C."""

    def body(number: int) -> None:
        with exit_on_signals(signal.SIGHUP, signal.SIGINT):
            assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
            send_to_self(number)

    for number in (signal.SIGHUP, signal.SIGINT):
        before = signal.getsignal(number)
        with pytest.raises(SystemExit) as caught:
            body(number)
        assert caught.value.code == 128 + number
        assert signal.getsignal(number) is before


@pytest.mark.parametrize("given", [signal.SIGKILL, signal.SIGSTOP, 0, 1_000, "SIGTERM", True, None])
def test_what_is_no_signal_or_cannot_be_caught_is_refused(given: Any) -> None:
    """By name, before any handler is set."""
    with (
        pytest.raises(ConfigurationError, match="accepted: signals that can be caught"),
        exit_on_signals(signal.SIGTERM, given),
    ):
        pass
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_only_the_main_thread_may_set_handlers() -> None:
    """Elsewhere, Python cannot."""
    errors: list[BaseException] = []

    def elsewhere() -> None:
        try:
            with exit_on_signals():
                pass
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    [error] = errors
    assert isinstance(error, PipelineError)
    assert "main thread only" in str(error)


# Children.


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_child_forked_within_the_block_ends_in_order() -> None:
    """Though the loop of the block is its parent's; the parent goes on."""
    done = run_program("""
        import multiprocessing
        fork = multiprocessing.get_context("fork")
        def work(ready):
            log.info("child")
            ready.set()
            wait_for_signal()
        async def main():
            with exit_on_signals():
                async with Pipeline(Print()):
                    ready = fork.Event()
                    child = fork.Process(target=work, args=(ready,))
                    child.start()
                    await anyio.to_thread.run_sync(ready.wait, 10)
                    child.terminate()
                    await anyio.to_thread.run_sync(child.join)
                    await log.ainfo("parent: {code}", code=child.exitcode)
        run(main, "asyncio")
    """)
    assert done.stdout == "parent: 143\nclosed\n"
    assert done.stderr.count("child") == 1, done.stderr
    assert done.returncode == 0


LOST_AND_FOUND = """
import multiprocessing
class Swallows:
    def __del__(self):
        kill()
        for _ in range(100): pass
def swallow():
    Swallows()
    wait_for_signal()
def block():
    # Another thread gets it, and this one goes on waiting.
    def elsewhere(): signal.pthread_kill(threading.get_ident(), signal.SIGTERM)
    threading.Timer(0.1, elsewhere).start()
    multiprocessing.Semaphore(0).acquire()
def clean_up():
    try:
        kill()
        wait_for_signal()
    finally:  # for longer than it takes to insist
        for n in range(4):
            time.sleep(0.1)
            try: {}[n]
            except KeyError: time.sleep(0.01)
        print("cleaned up", flush=True)
def catch():
    # A program's own way to end: what it does then is not interrupted.
    try:
        kill()
        wait_for_signal()
    except SystemExit:
        time.sleep(0.4)
        print("caught", flush=True)
        raise
def nest():
    with exit_on_signals(): swallow()
def work(how):
    with exit_on_signals():
        try: globals()[how]()
        finally: print("left", flush=True)
    print("not reached", flush=True)
fork = multiprocessing.get_context("fork")
def run_child(target, *args):
    child = fork.Process(target=target, args=args)
    child.start()
    child.join()
    return child.exitcode
"""


def run_with_children(source: str, *args: str) -> subprocess.CompletedProcess[str]:
    """Run a program that also has the names above."""
    return run_program(LOST_AND_FOUND + textwrap.dedent(source), *args)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("swallow", "left"),
        ("nest", "left"),
        ("block", "left"),
        ("clean_up", "cleaned up\nleft"),
        ("catch", "caught\nleft"),
    ],
)
def test_a_child_of_multiprocessing_ends_whatever_became_of_the_signal(how: str, said: str) -> None:
    """Its parent waits for it without end. What has begun to end is not interrupted again."""
    done = run_with_children(
        """
    print(run_child(work, sys.argv[1]))
""",
        how,
    )
    assert done.stdout == f"{said}\n143\n", done.stderr


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_signal_for_a_grandchild_is_not_taken_for_the_child_s() -> None:
    """Though the one has what the other had open."""
    done = run_with_children(
        """
    def beget():
        with exit_on_signals():
            begun = fork.Event()
            grandchild = fork.Process(target=lambda: (begun.set(), wait_for_signal()))
            grandchild.start()
            begun.wait()
            grandchild.terminate()
            grandchild.join()
            time.sleep(0.5)
            print(grandchild.exitcode, signal.set_wakeup_fd(-1) != -1, flush=True)
        signal.set_wakeup_fd(-1)
    print(run_child(beget))
"""
    )
    assert done.stdout == "143 True\n0\n", done.stderr


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_child_of_multiprocessing_is_left_as_it_was() -> None:
    """After the block, signals wake nobody, its thread is over, and trio does not complain."""
    done = run_with_children(
        """
    def visit():
        ours, others = os.pipe()
        os.set_blocking(others, False)
        signal.set_wakeup_fd(others)
        with exit_on_signals():
            anyio.run(anyio.sleep, 0, backend="trio")
            threads = [t for t in threading.enumerate() if t.name == "logflume signals"]
        print(signal.set_wakeup_fd(-1) == others)
        [thread] = threads
        thread.join()
        print("over", flush=True)
    print(run_child(visit))
"""
    )
    assert (done.stdout, done.stderr) == ("True\nover\n0\n", "")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_handler_of_the_program_s_own_is_called_once() -> None:
    """One that it sets within the block: nobody insists on what it does."""
    done = run_with_children(
        """
    def own():
        with exit_on_signals():
            signal.signal(signal.SIGTERM, lambda number, frame: print("mine", flush=True))
            kill()
            time.sleep(0.5)
    print(run_child(own))
"""
    )
    assert (done.stdout, done.stderr) == ("mine\n0\n", "")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_block_left_when_the_signal_would_be_repeated_is_left_in_order() -> None:
    """What is sent is sent before the handler is taken back, or not at all."""
    done = run_with_children(
        """
    def leave(busy):
        with exit_on_signals():
            try: kill()
            finally:
                until = time.monotonic() + busy
                while time.monotonic() < until: pass
    print({run_child(leave, 0.098 + n / 10_000) for n in range(40)})
"""
    )
    assert (done.stdout, done.stderr) == ("{143}\n", "")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_child_without_threads_left_ends_all_the_same() -> None:
    """It does without."""
    done = run_with_children(
        """
    def no_more(self): raise RuntimeError("can't start new thread")
    def work_alone():
        threading.Thread.start = no_more
        before = os.listdir("/proc/self/fd") if os.path.exists("/proc/self/fd") else []
        with exit_on_signals():
            print(signal.set_wakeup_fd(-1), flush=True)
            if before: assert len(os.listdir("/proc/self/fd")) == len(before)
            kill()
            wait_for_signal()
    print(run_child(work_alone))
"""
    )
    assert (done.stdout, done.stderr) == ("-1\n143\n", "")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_leaves_the_parent_s_loop_alone() -> None:
    """What the loop watches for the block, they have in common."""
    done = run_program("""
        parent = os.getpid()
        async def main():
            try:
                await block()
            finally:
                if os.getpid() != parent: os._exit(7)
        async def block():
            with exit_on_signals():
                child = os.fork()
                if child == 0: return
                _, status = await anyio.to_thread.run_sync(os.waitpid, child, 0)
                def elsewhere(): signal.pthread_kill(threading.get_ident(), signal.SIGTERM)
                threading.Timer(0.1, elsewhere).start()
                await anyio.sleep(3600)
        run(main, "asyncio")
    """)
    assert done.returncode == 143, done.stderr


def test_a_loop_that_is_a_guest_is_left_to_its_host() -> None:
    """In trio's guest mode: it has no way to watch a file, and its host may wake on no signal."""
    done = run_program("""
        import asyncio, trio
        async def guest():
            with exit_on_signals():
                await trio.sleep(0)
            return "over"
        async def host():
            loop = asyncio.get_running_loop()
            over = loop.create_future()
            trio.lowlevel.start_guest_run(
                guest,
                run_sync_soon_threadsafe=loop.call_soon_threadsafe,
                done_callback=over.set_result,
                host_uses_signal_set_wakeup_fd=True,
            )
            return (await over).unwrap()
        print(asyncio.run(host()))
    """)
    assert (done.stdout, done.stderr) == ("over\n", "")

"""Threads found by the names that records have: always the one that has the name now."""

from __future__ import annotations

import contextlib
import gc
import threading
import weakref
from collections.abc import Iterator

import pytest

from logflume.sinks import _threads
from logflume.sinks._threads import Threads


@contextlib.contextmanager
def running(name: str) -> Iterator[threading.Thread]:
    """Let a thread of this name run."""
    over = threading.Event()
    thread = threading.Thread(target=over.wait, name=name)
    thread.start()
    try:
        yield thread
    finally:
        over.set()
        thread.join()


def test_a_thread_is_known_by_its_name() -> None:
    """The current one, and any other that runs."""
    threads = Threads()
    assert threads.ident_of(threading.current_thread().name) == threading.get_ident()
    with running("poller") as poller:
        assert threads.ident_of("poller") == poller.ident
        assert threads.ident_of("poller") == poller.ident


def test_a_name_may_be_used_again() -> None:
    """By a thread whose number is another: nothing of the first one is left."""
    threads = Threads()
    with running("poller") as first:
        assert threads.ident_of("poller") == first.ident
    with running("takes the first one's number"), running("poller") as second:
        assert threads.ident_of("poller") == second.ident


def test_one_that_had_ended_is_no_reason_not_to_look_again() -> None:
    """Unknown when it was first asked for; found as soon as there is one."""
    threads = Threads()
    assert threads.ident_of("short") == 0
    with running("short") as thread:
        assert threads.ident_of("short") == thread.ident


def test_one_that_has_ended_keeps_its_number() -> None:
    """Some of its records may still be on their way; the thread itself is not kept."""
    threads = Threads()
    with running("poller") as thread:
        ident = threads.ident_of("poller")
    assert threads.ident_of("poller") == ident
    gone = weakref.ref(thread)
    del thread
    gc.collect()
    assert gone() is None
    assert threads.ident_of("poller") == ident


def test_a_thread_may_take_another_name() -> None:
    """The one that has the old name then is found under it."""
    threads = Threads()
    with running("a") as one:
        assert threads.ident_of("a") == one.ident
        one.name = "b"
        assert threads.ident_of("b") == one.ident
        with running("a") as other:
            assert threads.ident_of("a") == other.ident


def test_not_all_names_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of threads that are made for each job would be ever more."""
    monkeypatch.setattr(_threads, "_MOST_KEPT", 2)
    threads = Threads()
    for n in range(5):
        with running(f"job {n}") as thread:
            assert threads.ident_of(f"job {n}") == thread.ident
        assert len(threads._known) <= 2

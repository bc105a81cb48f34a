"""A fake intake: keeps what loggers say, so that capture is tested without an engine."""

from __future__ import annotations

import contextlib
import datetime
import sys
from _thread import get_ident
from collections import deque
from collections.abc import Coroutine, Iterator
from typing import Any

from logflume import Level, Record
from logflume.capture import DONE, connect
from logflume.engine import current
from logflume.engine.backend import whereabouts
from logflume.level import TRACE, Thresholds

__all__ = ["Taken", "captured", "record_of"]


class Taken:
    """An `Intake` that takes everything, at home on this thread or on none."""

    def __init__(self, *, at_home: bool) -> None:
        self.ident = get_ident() if at_home else -1
        self.thread = "MainThread"
        self.task_key: Any = None
        self.tasks_have_names = False
        self.records: deque[Record] = deque()
        self.queue = self.records
        self.mark = sys.maxsize if at_home else 0
        self.wanted = True

    def task_of(self, key: Any) -> None:
        return None

    def submit(self, record: Record) -> None:
        self.records.append(record)

    def asubmit(self, record: Record) -> Coroutine[Any, Any, None]:
        self.records.append(record)
        return DONE

    submit_from_afar = submit
    asubmit_from_afar = asubmit

    def wants(self, level_no: int) -> bool:
        return self.wanted

    @property
    def last(self) -> Record:
        """The record that came last."""
        return self.records[-1]


@contextlib.contextmanager
def captured(*, at_home: bool = True, level: Level = TRACE) -> Iterator[Taken]:
    """Take what loggers say in this block, down to a level."""
    taken = Taken(at_home=at_home)
    connect(taken, Thresholds(level), whereabouts)
    try:
        yield taken
    finally:
        current._reconnect()


def record_of(message: Any = "said", /, *args: Any, **fields: Any) -> Record:
    """Capture one record as a log call does."""
    from logflume import get_logger

    with captured() as taken:
        get_logger("tests.record").info(message, *args, **fields)
    return taken.last


WHEN = datetime.datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=datetime.UTC)
WHEN_NS = int(WHEN.timestamp()) * 1_000_000_000 + 678_901_234

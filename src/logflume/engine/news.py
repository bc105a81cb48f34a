"""Telling of losses: in band, rate-limited, and on stderr where no route would take the news."""

from __future__ import annotations

import sys
import threading
import time
from typing import Any

import anyio

from ..escape import escape
from ..level import WARNING
from ..record import Extra, Record
from .backend import Loop
from .door import DOOR, FULL
from .ledger import News
from .routes import Routes

__all__ = ["Announcer", "tell_on_stderr"]

SOON = 0.1
"""Seconds in which more of the same may come before it is told."""

INTERVAL = 5.0
"""Seconds between two announcements."""


class Announcer:
    """Turns news of losses into records of the logger "logflume", offered to the routes.

    They do not pass the door, whose ledger counts what callers offered.
    """

    def __init__(self, routes: Routes) -> None:
        self.news = News(self._on_first)
        self._routes = routes
        self._here: Loop | None = None
        self._alarm: anyio.Event | None = None

    def bind(self, here: Loop) -> None:
        """Say on which loop `run` will be."""
        self._here = here

    def _on_first(self) -> None:
        here, alarm = self._here, self._alarm
        if here is not None and alarm is not None:
            here.call(alarm.set)

    async def run(self) -> None:
        """Tell of losses soon after the first, then at most every few seconds."""
        while True:
            alarm = self._alarm = anyio.Event()
            if not self.news:
                await alarm.wait()
            await anyio.sleep(SOON)
            self.tell()
            await anyio.sleep(INTERVAL)

    def tell(self) -> None:
        """Tell in band of what was not told yet."""
        for where, reason, count, error in self.news.take():
            message = _message(where, reason, count, error)
            # A route that fails is not told of it, or telling would go round in circles.
            origins = frozenset((where,)) if reason != FULL else frozenset[str]()
            self.say(message, {"route": where, "reason": reason, "count": count}, origins)

    def say(
        self, message: str, fields: dict[str, Any], origins: frozenset[str] = frozenset()
    ) -> None:
        """Tell something in band, but not to the routes named `origins`; on the loop only."""
        record = _own_record(message, fields, origins)
        if self._routes.want(record):
            self._routes.offer([record])
        else:
            tell_on_stderr(message)

    def tell_on_stderr(self) -> None:
        """Tell on stderr of what was not told yet: there is no band any more."""
        for where, reason, count, error in self.news.take():
            tell_on_stderr(_message(where, reason, count, error))


def tell_on_stderr(message: str) -> None:
    """Write a diagnostic where it may be seen, if at all possible."""
    try:
        sys.stderr.write(f"logflume: {escape(message)}\n")
    except Exception:
        pass


def _own_record(message: str, fields: dict[str, Any], origins: frozenset[str]) -> Record:
    code = _own_record.__code__
    return Record(
        time.time_ns(), WARNING, message, (), fields, {}, {}, "logflume", code, 0,
        threading.current_thread().name, None, Extra(origins=origins), fields, message,
    )  # fmt: skip


def _message(where: str, reason: str, count: int, error: str | None) -> str:
    at = "at the door" if where == DOOR else f"by route {where!r}"
    if not count:
        return f"route {where!r}: {reason}"
    records = "record" if count == 1 else "records"
    return f"{count:,} {records} dropped {at}: {reason}" + (f" ({error})" if error else "")

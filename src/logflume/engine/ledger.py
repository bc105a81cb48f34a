"""Who counts: the account of one route, and the news about losses.

All numbers of an account change together under its lock, a few times per batch, so that a look
from any thread finds a sum that holds.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable

from ..mask import Mask
from ..secrets import Finder, Names
from ..snapshot import safe_str
from ..stats import RouteCounts

__all__ = ["Account", "News", "describe"]

_LOOKED_AT = 2_000
_SHOWN = 200

_names = Names()
_mask = Mask(_names, Finder(_names, cards=True, emails=False), "[redacted]")


def describe(error: BaseException) -> str:
    """Say what an error is, in one short line, without what looks like a secret in it.

    It goes to `stats`, stderr and routes, all of them past the pipeline's processors.
    """
    # What is cut off is looked at, too: a URL's password is one because of what comes behind it.
    text = _mask.text(safe_str(error)[:_LOOKED_AT]).replace("\n", " ")[:_SHOWN]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


class News:
    """What has gone wrong and was not told yet: (route, reason) -> how many, with an example."""

    def __init__(self, on_first: Callable[[], None]) -> None:
        self._lock = threading.RLock()
        self._on_first = on_first
        self._untold: Counter[tuple[str, str]] = Counter()
        self._errors: dict[tuple[str, str], str] = {}

    def add(self, where: str, reason: str, count: int, error: str | None = None) -> None:
        """Note a loss; any thread."""
        with self._lock:
            first = not self._untold
            self._untold[where, reason] += count
            if error is not None:
                self._errors[where, reason] = error
        if first:
            self._on_first()

    def __bool__(self) -> bool:
        return bool(self._untold)

    def take(self) -> list[tuple[str, str, int, str | None]]:
        """Return what was not told yet, once: where, reason, count, last error."""
        with self._lock:
            taken = [
                (where, reason, count, self._errors.get((where, reason)))
                for (where, reason), count in self._untold.items()
            ]
            self._untold.clear()
            self._errors.clear()
        return taken


class Account:
    """The counters of one route."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._received = 0
        self._delivered = 0
        self._filtered = 0
        self._pending = 0
        self._retries = 0
        self._bytes = 0
        self._dropped: Counter[str] = Counter()
        self._last_error: str | None = None

    @property
    def received(self) -> int:
        """How many records were offered so far."""
        return self._received

    @property
    def settled(self) -> int:
        """How many records were offered and are no longer pending."""
        with self._lock:
            return self._received - self._pending

    @property
    def pending(self) -> int:
        """How many records are on their way."""
        return self._pending

    def offer(
        self,
        received: int,
        *,
        filtered: int = 0,
        pending: int = 0,
        dropped: dict[str, int] | None = None,
    ) -> None:
        """Count a chunk from the door: the parts make up what was received."""
        with self._lock:
            self._received += received
            self._filtered += filtered
            self._pending += pending
            if dropped:
                self._dropped.update(dropped)

    def deliver(self, count: int, nbytes: int) -> None:
        """Count pending records as delivered."""
        with self._lock:
            self._pending -= count
            self._delivered += count
            self._bytes += nbytes

    def drop(self, count: int, reason: str, error: str | None = None) -> None:
        """Count pending records as dropped."""
        with self._lock:
            self._pending -= count
            self._dropped[reason] += count
            if error is not None:
                self._last_error = error

    def retry(self, error: str) -> None:
        """Count one repeated send."""
        with self._lock:
            self._retries += 1
            self._last_error = error

    def fail(self, error: str) -> None:
        """Note an error that loses nothing by itself."""
        with self._lock:
            self._last_error = error

    def counts(self) -> RouteCounts:
        """Return the numbers as they are at one moment."""
        with self._lock:
            return RouteCounts(
                received=self._received,
                delivered=self._delivered,
                filtered=self._filtered,
                dropped={reason: n for reason, n in self._dropped.items() if n},
                pending=self._pending,
                retries=self._retries,
                bytes=self._bytes,
                last_error=self._last_error,
            )

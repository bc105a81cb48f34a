"""The routes of a pipeline: found by name, offered every chunk, added and removed while it runs."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

from ..errors import ConfigurationError
from ..protocols import Encoder
from ..record import Record
from ..stats import RouteCounts
from .chunk import Chunk, Scratch
from .door import DOOR
from .route import Route

__all__ = ["Routes"]


class Routes:
    """A set of routes with names of their own. Any thread may look and change: a change replaces
    the tuple, so whoever goes through it sees the old or the new one, whole."""

    def __init__(self) -> None:
        self._all: tuple[Route, ...] = ()
        self._shared: frozenset[Encoder] = frozenset()
        self.rest = 0.0
        """Seconds for which the pump may let records gather."""
        self._scratch = Scratch()
        self.start_over()

    def start_over(self) -> None:
        """Take another lock: after a fork, the old one may be held by a thread that is gone."""
        self._lock = threading.Lock()

    def __iter__(self) -> Iterator[Route]:
        return iter(self._all)

    def __contains__(self, route: Route) -> bool:
        return route in self._all

    @property
    def names(self) -> list[str]:
        """The names of all routes, in the order in which they came."""
        return [route.name for route in self._all]

    def adopt(self, route: Route, attach: Callable[[Route], None], *, strict: bool) -> None:
        """Take a route in, under a name that no other has; with `strict`, under its own.

        Raises:
            ConfigurationError: another route has the name.
            PipelineError: the route is some pipeline's already.
        """
        with self._lock:
            taken = {DOOR, *self.names}
            name, number = route.name, 1
            while name in taken:
                if strict:
                    raise ConfigurationError.of("Route.name", name, "a name that no route has yet")
                number += 1
                name = f"{route.name}-{number}"
            route.claim(name)
            attach(route)
            self._all = (*self._all, route)
            self._count_encoders()

    def discard(self, name: str) -> Route | None:
        """Take a route out and return it; None if there is none of this name."""
        with self._lock:
            found = next((route for route in self._all if route.name == name), None)
            self._all = tuple(route for route in self._all if route is not found)
            self._count_encoders()
        return found

    def configure_consoles(self, *, json: bool | None, color: bool | None) -> None:
        """Change the encoder of the routes whose sinks know one for this."""
        with self._lock:
            for route in self._all:
                encoder_for = getattr(route.sink, "encoder_for", None)
                if encoder_for is not None:
                    route.encoder = encoder_for(json=json, color=color)
            self._count_encoders()

    def _count_encoders(self) -> None:
        encoders = [route.encoder for route in self._all if route.encoder is not None]
        self._shared = frozenset(e for e in encoders if encoders.count(e) > 1)
        # A quarter of what the records may wait for in the route that is most in a hurry.
        self.rest = min([0.05, *(route.batch.max_age / 4 for route in self._all)])

    def wants_level(self, level_no: int) -> bool:
        """Whether any route may take a record of this level."""
        return any(route.level.no <= level_no for route in self._all)

    def want(self, record: Record) -> bool:
        """Whether any route takes this record."""
        return any(route.wants(record) for route in self._all)

    def offer(self, records: list[Record], lowest: int = 0, *, special: bool = True) -> None:
        """Offer records to every route. On the loop only; never waits. See `Chunk`."""
        chunk = Chunk(records, self._scratch, lowest, special, self._shared)
        try:
            for route in self._all:
                route.offer(chunk)
        finally:
            chunk.release()

    def counts(self) -> dict[str, RouteCounts]:
        """Return every route's ledger."""
        return {route.name: route.account.counts() for route in self._all}

"""The routes of a pipeline: found by name, offered every chunk, added and removed while it runs."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator, Sequence

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
        self._promised: frozenset[str] = frozenset()
        self._shared: frozenset[Encoder] = frozenset()
        self.rest = 0.0
        """Seconds for which the pump may let records gather."""
        self.start_over()

    def start_over(self) -> None:
        """Take another lock and other memory: after a fork, a thread that is gone may hold them."""
        self._lock = threading.Lock()
        self._scratch = Scratch()
        self._leaving: tuple[Route, ...] = ()

    def __iter__(self) -> Iterator[Route]:
        return iter(self._all)

    def __contains__(self, route: Route) -> bool:
        return route in self.everyone

    @property
    def everyone(self) -> tuple[Route, ...]:
        """All routes, and those that are leaving."""
        return (*self._all, *self._leaving)

    @property
    def leaving(self) -> tuple[Route, ...]:
        """Routes that were taken out, but are still offered what was logged before that."""
        return self._leaving

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
            taken = {DOOR, *self.names, *self._promised}
            if strict and route.name in taken:
                raise ConfigurationError.of(
                    "Route.name", route.name, "a name that no route has yet"
                )
            route.claim(_free_name(route.name, taken))
            attach(route)
            self._all = (*self._all, route)
            self._count_encoders()

    def discard(self, name: str) -> Route | None:
        """Take a route out and return it; None if there is none of this name.

        It is leaving from now on: its name is free, and it is offered no more than what was logged
        so far, until `forget`.
        """
        with self._lock:
            found = next((route for route in self._all if route.name == name), None)
            if found is not None:
                found.leave()
                self._all = tuple(route for route in self._all if route is not found)
                self._leaving = (*self._leaving, found)
        return found

    def forget(self, route: Route) -> None:
        """Offer a route that is leaving nothing more."""
        with self._lock:
            self._leaving = tuple(other for other in self._leaving if other is not route)
            self._count_encoders()

    def promise(
        self, new: Sequence[Route], attach: Callable[[Route], None], leaving: Sequence[Route]
    ) -> None:
        """Give routes their names that are to come with the next `swap`, when others leave.

        Raises:
            PipelineError: one of them is some pipeline's already.
        """
        with self._lock:
            taken = {DOOR, *[route.name for route in self._all if route not in leaving]}
            for route in new:
                route.claim(_free_name(route.name, taken))
                taken.add(route.name)
                attach(route)
            self._promised = frozenset([route.name for route in new])

    def break_promises(self) -> None:
        """Let others have the names: there will be no `swap`."""
        self._promised = frozenset()

    def swap(self, wanted: Sequence[Route], new: Sequence[Route], leaving: Sequence[Route]) -> None:
        """Take routes in and out, all at once. Those that are `wanted` come first, in their order,
        but for any that was discarded meanwhile."""
        with self._lock:
            first = [route for route in wanted if route in new or route in self._all]
            others = [r for r in self._all if r not in first and r not in leaving]
            self._all = (*first, *others)
            self._promised = frozenset()
            self._count_encoders()

    def configure_consoles(self, *, json: bool | None, color: bool | None) -> None:
        """Change the encoder of the routes whose sinks know one for this."""
        with self._lock:
            for route in self._all:
                encoder_for = getattr(route.sink, "encoder_for", None)
                if encoder_for is not None:
                    route.encoder = encoder_for(json=json, color=color)
            self._count_encoders()

    def _count_encoders(self) -> None:
        encoders = [route.encoder for route in self.everyone if route.encoder is not None]
        self._shared = frozenset(e for e in encoders if encoders.count(e) > 1)
        # A quarter of what the records may wait for in the route that is most in a hurry.
        self.rest = min([0.05, *(route.batch.max_age / 4 for route in self._all)])

    def wants_level(self, level_no: int) -> bool:
        """Whether any route may take a record of this level."""
        return any(route.level.no <= level_no for route in self.everyone)

    def want(self, record: Record) -> bool:
        """Whether any route takes this record."""
        return any(route.wants(record) for route in self.everyone)

    def offer(self, records: list[Record], lowest: int = 0, *, special: bool = True) -> None:
        """Offer records to every route. On the loop only; never waits. See `Chunk`."""
        chunk = Chunk(records, self._scratch, lowest, special, self._shared)
        try:
            for route in self.everyone if self._leaving else self._all:
                route.offer(chunk)
        finally:
            chunk.release()

    def counts(self) -> dict[str, RouteCounts]:
        """Return every route's ledger."""
        return {route.name: route.account.counts() for route in self._all}


def _free_name(name: str, taken: Collection[str]) -> str:
    """Return a name that is not taken: with a number, if there has to be one."""
    free, number = name, 1
    while free in taken:
        number += 1
        free = f"{name}-{number}"
    return free

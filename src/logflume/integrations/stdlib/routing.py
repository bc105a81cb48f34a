"""Everything that is logged with `logging`, sent to logflume for a while."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import NamedTuple, Self

from ...engine.current import wait_until_up
from ...errors import ConfigurationError
from ...level import Lowered, Thresholds
from ...source import watch_levels
from .handler import Handler, is_within, names_in, number_of
from .hooks import Hooks
from .servers import AccessFields

__all__ = ["capture"]


class capture:  # noqa: N801 - reads as a statement: `with capture(): ...`
    """Send what is logged with `logging` to logflume for a block: `with capture(): ...`.

    The handlers of the root logger, and of all loggers that do not propagate to it, are replaced
    by one `Handler`: each record comes once. The handlers of other loggers stay. Levels follow
    logflume's (`Pipeline.set_level`, `LOGFLUME_LEVEL`, `log.configure`) while they change: those of
    the loggers routed here, and of all names that have a level in logflume. What is below is
    turned away by `logging` itself, as cheaply as ever. Access records of web servers have fields:
    see `AccessFields`.

    Warnings, and exceptions that nobody caught, are taken as well: what reaches `sys.excepthook`,
    `threading.excepthook`, `sys.unraisablehook` and the exception handler of the asyncio loop that
    the thread runs. Hooks that others set before are called, too; Python's own, which only print,
    are not.

        async with Pipeline(sinks.Console()):
            with capture():
                await serve()

    Leaving the block puts everything back, except what somebody else changed meanwhile. Blocks may
    be nested, and left in any order: what is logged comes once, to the innermost. For a
    whole program, `install()` it once, and never `undo()` it: then it sees the exception that ends
    the program, too. Loggers that a framework sets up afterwards, so that they do not propagate,
    are not seen before `install()` is called again.

    Args:
        level: the least level, besides logflume's, that is taken from `logging`.
        loggers: names of the only loggers to route, with all below them; "root" is all that
            propagates. A logger whose records reach another one of these is left as it is.
        exclude_loggers: see `Handler`.
        keep_handlers: let the handlers that are there go on as well.
        warnings: take warnings.
        exceptions: take exceptions that nobody caught.

    Raises:
        ConfigurationError: a setting means nothing.
    """

    def __init__(
        self,
        level: int | str = logging.NOTSET,
        loggers: Iterable[str] | None = None,
        *,
        exclude_loggers: Iterable[str] = (),
        keep_handlers: bool = False,
        warnings: bool = True,
        exceptions: bool = True,
    ) -> None:
        self._level = number_of(level, "capture.level")
        self._names = None if loggers is None else names_in("capture.loggers", loggers)
        if self._names is not None and not self._names:
            raise ConfigurationError.of("capture.loggers", loggers, "at least one name, or None")
        self._handler = Handler(self._level, exclude_loggers=exclude_loggers)
        self._handler.addFilter(AccessFields())
        self._keeps_handlers = keep_handlers
        self._warnings = warnings
        self._exceptions = exceptions
        self._routed: dict[logging.Logger, _Routed] = {}
        self._levels: dict[logging.Logger, int] = {}
        self._levels_before: dict[logging.Logger, int] = {}
        self._hooks = Hooks(self._handler.handle)
        self._unwatch: Callable[[], None] | None = None
        self._thresholds: Thresholds | None = None

    def __enter__(self) -> Self:
        self.install()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.undo()

    def install(self) -> None:
        """Take over; again, take over what was set up since."""
        with _lock:
            again = self in _active
            if again:
                _active.remove(self)
            _active.append(self)
            chosen = self._chosen()
            for logger in [logger for logger in self._routed if logger not in chosen]:
                self._give_back(logger)
            for logger in chosen:
                self._take(logger)
        self._stop_watching()
        self._unwatch = watch_levels(self._follow)
        if not again and self._warnings:
            self._hooks.set_warnings()
        if not again and self._exceptions:
            self._hooks.set_exceptions()

    def undo(self) -> None:
        """Put everything back; again is no harm."""
        self._hooks.unset()
        self._stop_watching()
        with _lock:
            above = _active[_active.index(self) + 1 :] if self in _active else []
            for logger in list(self._routed):
                self._give_back(logger)
            for logger in list(self._levels_before):
                self._restore_level(logger, above)
            if self in _active:
                _active.remove(self)
            remaining = _active.copy()
        for other in remaining:  # what was changed for this one may be theirs, too
            if other._thresholds is not None:
                other._follow(other._thresholds)

    def _chosen(self) -> list[logging.Logger]:
        """Return the loggers that need the handler so that each record comes to it once."""
        if self._names is None:
            return [logging.getLogger(), *(log for log in _loggers() if not log.propagate)]
        named = {logging.getLogger(name) for name in sorted(self._names)}
        named |= {log for log in _loggers() if not log.propagate and self._is_below(log.name)}
        return [logger for logger in named if not _reaches(logger, named)]

    def _is_below(self, name: str) -> bool:
        return any(is_within(name, above) for above in self._names or ())

    def _routes(self, name: str) -> bool:
        """Whether the records of a name come to the handler, as far as levels are concerned."""
        return self._names is None or "root" in self._names or self._is_below(name)

    def _stop_watching(self) -> None:
        if self._unwatch is not None:
            self._unwatch()
            self._unwatch = None

    def _take(self, logger: logging.Logger) -> None:
        before = self._without_ours(logger)
        # Of two handlers that lead to logflume, one is enough; pytest's `caplog` goes on.
        kept = [
            handler
            for handler in before
            if not isinstance(handler, Handler)
            and (self._keeps_handlers or type(handler).__module__.startswith("_pytest."))
        ]
        self._routed[logger] = _Routed(before, kept)
        # At one blow, unlike `addHandler`: what other threads log meanwhile comes once.
        logger.handlers = [*kept, self._handler]

    def _give_back(self, logger: logging.Logger) -> None:
        if self._handler in logger.handlers:
            logger.handlers = self._without_ours(logger)
        routed = self._routed.pop(logger)
        for other in _active:  # one that was entered later, and is left later
            below = other._routed.get(logger)
            if below is not None and self._handler in below.before:
                at = below.before.index(self._handler)
                below.before[at : at + 1] = [
                    handler for handler in routed.before if handler not in below.before
                ]

    def _without_ours(self, logger: logging.Logger) -> list[logging.Handler]:
        """Return the handlers that a logger would have without this."""
        now, routed = logger.handlers, self._routed.get(logger)
        if routed is None or self._handler not in now:
            return now[:]
        before = [h for h in routed.before if h in now or h not in routed.kept]
        return [*before, *(h for h in now if h is not self._handler and h not in before)]

    def _follow(self, thresholds: Thresholds) -> None:
        """Give `logging` the levels of logflume.

        In any thread, several at once, also after a fork: so there is no lock. What a level was
        before is kept before it is changed, and only the first time.
        """
        self._thresholds = thresholds
        if self._keeps_handlers and isinstance(thresholds, Lowered):
            # Those would be told what is meant for a few tasks only by all others, too.
            thresholds = thresholds.ordinary
        levels = {logger: thresholds.of(_name_of(logger)) for logger in list(self._routed)}
        for name in filter(self._routes, thresholds.names):
            logger, level = logging.getLogger(name), thresholds.of(name)
            if logger is logging.getLogger():  # "root", while all others inherit its level
                level = min(level, thresholds.of(""))
            levels[logger] = level
        for logger in [logger for logger in list(self._levels_before) if logger not in levels]:
            self._restore_level(logger, ())
        for logger, level in levels.items():
            self._levels_before.setdefault(logger, logger.level)
            self._levels[logger] = max(level, self._level, 1)  # 0 would say: as the one above
            logger.setLevel(self._levels[logger])

    def _restore_level(self, logger: logging.Logger, above: Iterable[capture]) -> None:
        before = self._levels_before.pop(logger, logger.level)
        own = self._levels.pop(logger, None)
        for other in above:
            if logger in other._levels_before:
                other._levels_before[logger] = before
                return
        if logger.level == own:
            logger.setLevel(before)


class _Routed(NamedTuple):
    """The handlers that a logger had, and those of them that go on."""

    before: list[logging.Handler]
    kept: list[logging.Handler]


_active: list[capture] = []
"""Those that are installed, the innermost last."""

_lock = threading.RLock()


def _renew_lock() -> None:
    global _lock
    _lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    # Asked before the module `logging`, which was imported earlier, holds its lock for the fork:
    # a pipeline that is just starting needs that to say its levels.
    os.register_at_fork(before=wait_until_up, after_in_child=_renew_lock)


def _loggers() -> list[logging.Logger]:
    known = list(logging.Logger.manager.loggerDict.values())
    return [logger for logger in known if isinstance(logger, logging.Logger)]


def _name_of(logger: logging.Logger) -> str:
    return "" if logger is logging.getLogger() else logger.name


def _reaches(logger: logging.Logger, others: set[logging.Logger]) -> bool:
    """Whether the records of a logger come to the handlers of another one of these."""
    at = logger
    while at.propagate and at.parent is not None:
        at = at.parent
        if at in others:
            return True
    return False

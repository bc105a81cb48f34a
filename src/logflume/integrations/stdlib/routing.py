"""Everything that is logged with `logging`, sent to logflume for a while."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Self

from ...errors import ConfigurationError
from ...level import Lowered, Thresholds
from ...source import watch_levels
from .handler import Handler, names_in, number_of
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

    Leaving the block puts everything back, except what somebody else changed meanwhile. For a
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
        self._routed: dict[logging.Logger, list[logging.Handler]] = {}
        self._levels: dict[logging.Logger, int] = {}
        self._levels_before: dict[logging.Logger, int] = {}
        self._hooks = Hooks(self._handler.handle)
        self._unwatch: Callable[[], None] | None = None

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
        again = self._unwatch is not None
        self._stop_watching()
        self._restore_handlers()
        for logger in self._chosen():
            before = logger.handlers[:]
            self._routed[logger] = before
            _set_handlers(logger, [*(before if self._keeps_handlers else ()), self._handler])
        self._unwatch = watch_levels(self._follow)
        if not again and self._warnings:
            self._hooks.set_warnings()
        if not again and self._exceptions:
            self._hooks.set_exceptions()

    def undo(self) -> None:
        """Put everything back; again is no harm."""
        self._hooks.unset()
        self._stop_watching()
        self._restore_handlers()
        for logger in list(self._levels_before):
            self._restore_level(logger)

    def _chosen(self) -> list[logging.Logger]:
        """Return the loggers that need the handler so that each record comes to it once."""
        if self._names is None:
            return [logging.getLogger(), *(log for log in _loggers() if not log.propagate)]
        named = {logging.getLogger(name) for name in sorted(self._names)}
        return [logger for logger in named if not _reaches(logger, named)]

    def _stop_watching(self) -> None:
        if self._unwatch is not None:
            self._unwatch()
            self._unwatch = None

    def _restore_handlers(self) -> None:
        for logger, before in self._routed.items():
            if self._handler in logger.handlers:
                since = [h for h in logger.handlers if h is not self._handler and h not in before]
                _set_handlers(logger, [*before, *since])
        self._routed.clear()

    def _follow(self, thresholds: Thresholds) -> None:
        """Give `logging` the levels of logflume.

        In any thread, several at once, also after a fork: so there is no lock. What a level was
        before is kept before it is changed, and only the first time.
        """
        if self._keeps_handlers and isinstance(thresholds, Lowered):
            # Those would be told what is meant for a few tasks only by all others, too.
            thresholds = thresholds.ordinary
        levels = {logger: thresholds.of(_name_of(logger)) for logger in list(self._routed)}
        levels |= {logging.getLogger(name): thresholds.of(name) for name in thresholds.names}
        for logger in [logger for logger in list(self._levels_before) if logger not in levels]:
            self._restore_level(logger)
        for logger, level in levels.items():
            self._levels_before.setdefault(logger, logger.level)
            self._levels[logger] = max(level, self._level, 1)  # 0 would say: as the one above
            logger.setLevel(self._levels[logger])

    def _restore_level(self, logger: logging.Logger) -> None:
        before = self._levels_before.pop(logger, logger.level)
        if logger.level == self._levels.pop(logger, None):
            logger.setLevel(before)


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


def _set_handlers(logger: logging.Logger, handlers: list[logging.Handler]) -> None:
    for handler in logger.handlers[:]:
        logger.removeHandler(handler)
    for handler in handlers:
        logger.addHandler(handler)

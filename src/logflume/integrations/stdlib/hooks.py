"""What Python tells of by calling a hook: warnings, and exceptions that nobody caught.

Each becomes a LogRecord of the logger where one would look for it. A hook that was set before is
called as well, unless it is Python's own, which writes to stderr what the record says already.
"""

from __future__ import annotations

import logging
import sys
import threading
import warnings
from collections.abc import Callable
from types import TracebackType
from typing import Any, TypeAlias

from ...engine.backend import in_loop, in_trio, running_loop
from ...snapshot import safe_repr, safe_str

__all__ = ["Hooks"]

Take: TypeAlias = Callable[[logging.LogRecord], object]
Undo: TypeAlias = Callable[[], None]


class Hooks:
    """Python's hooks, set from `set` to `unset`; what they are told goes to `take`."""

    def __init__(self, take: Take) -> None:
        self._take = take
        self._undo: list[Undo] = []

    def set_warnings(self) -> None:
        """Take warnings; those that somebody wants in a file of his own go there."""
        self._replace(warnings, "showwarning", _own_showwarning, _show_warning)

    def set_exceptions(self) -> None:
        """Take the exceptions that nobody caught: in the main thread, in others, in finalizers,
        and in callbacks and tasks of the asyncio loop that this thread runs, if it does."""
        self._replace(sys, "excepthook", sys.__excepthook__, _uncaught)
        self._replace(threading, "excepthook", threading.__excepthook__, _uncaught_in_thread)
        self._replace(sys, "unraisablehook", sys.__unraisablehook__, _unraisable)
        if in_loop() and not in_trio():
            self._set_in_loop(running_loop().loop)

    def unset(self) -> None:
        """Put back what was there before. A hook that somebody set meanwhile stays; what it calls
        of ours passes everything on."""
        while self._undo:
            self._undo.pop()()

    def _replace(self, owner: Any, name: str, own: Any, make: Any) -> None:
        before = getattr(owner, name)
        others = _of_others(before)
        hook = _Hook(make(self._take, None if others is own else others), before, before)
        setattr(owner, name, hook)

        def undo() -> None:
            hook.stop()
            if getattr(owner, name) is hook:
                setattr(owner, name, _still_set(before))

        self._undo.append(undo)

    def _set_in_loop(self, loop: Any) -> None:
        before = loop.get_exception_handler()

        def fallback(loop: Any, context: dict[str, Any]) -> None:
            if before is None:
                loop.default_exception_handler(context)
            else:
                before(loop, context)

        hook = _Hook(_in_loop(self._take, _of_others(before)), before, fallback)
        loop.set_exception_handler(hook)

        def undo() -> None:
            hook.stop()
            if loop.get_exception_handler() is hook:
                loop.set_exception_handler(_still_set(before))

        self._undo.append(undo)


class _Hook:
    """A hook that passes everything on once it is stopped: others may have kept it."""

    def __init__(self, call: Callable[..., None], before: Any, passed_on: Any) -> None:
        self.before = before
        self.is_stopped = False
        self._call = call
        self._passed_on = passed_on

    def __call__(self, *args: Any, **kwargs: Any) -> None:
        self._call(*args, **kwargs)

    def stop(self) -> None:
        self.is_stopped = True
        self._call = self._passed_on


def _of_others(hook: Any) -> Any:
    """Return the hook below those of captures around this one: what is told comes once."""
    while isinstance(hook, _Hook):
        hook = hook.before
    return hook


def _still_set(hook: Any) -> Any:
    """Return the hook below those of captures that ended meanwhile, in whatever order."""
    while isinstance(hook, _Hook) and hook.is_stopped:
        hook = hook.before
    return hook


_own_showwarning = warnings.showwarning


def _show_warning(take: Take, before: Any) -> Callable[..., None]:
    def showwarning(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: Any = None,
        line: str | None = None,
    ) -> None:
        if file is not None:
            (before or _own_showwarning)(message, category, filename, lineno, file, line)
            return
        record = logging.LogRecord(
            "py.warnings", logging.WARNING, filename, lineno, safe_str(message), (), None, ""
        )
        vars(record)["category"] = category.__name__
        take(record)
        if before is not None:
            before(message, category, filename, lineno, file, line)

    return showwarning


def _uncaught(take: Take, before: Any) -> Callable[..., None]:
    def excepthook(
        kind: type[BaseException], error: BaseException, traceback: TracebackType | None
    ) -> None:
        if not isinstance(error, Exception | BaseExceptionGroup):  # Ctrl-C is no failure
            (before or sys.__excepthook__)(kind, error, traceback)
            return
        take(_failure("sys.excepthook", logging.CRITICAL, "Uncaught exception", error))
        if before is not None:
            before(kind, error, traceback)

    return excepthook


def _uncaught_in_thread(take: Take, before: Any) -> Callable[..., None]:
    def excepthook(args: threading.ExceptHookArgs) -> None:
        if args.exc_type is not SystemExit:  # which ends the thread, and that is all
            name = args.thread.name if args.thread is not None else "unknown"
            message = f"Uncaught exception in thread {name}"
            take(_failure("threading.excepthook", logging.ERROR, message, args.exc_value))
        if before is not None:
            before(args)

    return excepthook


def _unraisable(take: Take, before: Any) -> Callable[..., None]:
    def unraisablehook(args: Any) -> None:
        message = f"{args.err_msg or 'Exception ignored in'}: {safe_repr(args.object)}"
        take(_failure("sys.unraisablehook", logging.ERROR, message, args.exc_value))
        if before is not None:
            before(args)

    return unraisablehook


def _in_loop(take: Take, before: Any) -> Callable[..., None]:
    def handle(loop: Any, context: dict[str, Any]) -> None:
        message = safe_str(context.get("message") or "Unhandled exception in event loop")
        record = _failure("asyncio", logging.ERROR, message, context.get("exception"))
        for key in ("task", "future", "handle", "protocol", "transport", "asyncgen"):
            if key in context:
                vars(record)[key] = safe_repr(context[key])
        take(record)
        if before is not None:
            before(loop, context)

    return handle


def _failure(
    logger: str, level: int, message: str, error: BaseException | None
) -> logging.LogRecord:
    """Make a LogRecord of an exception, at the place where it was raised."""
    path, line, function = "", 0, ""
    traceback = error.__traceback__ if error is not None else None
    while traceback is not None:
        code = traceback.tb_frame.f_code
        path, line, function = code.co_filename, traceback.tb_lineno or 0, code.co_name
        traceback = traceback.tb_next
    exc_info = None if error is None else (type(error), error, error.__traceback__)
    return logging.LogRecord(logger, level, path, line, message, (), exc_info, function)

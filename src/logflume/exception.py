"""Exceptions as plain data: type, message, notes, frames, cause, context and group members.

Taken in the caller, so it only walks objects in memory: source lines are read later, by
whoever shows them.
"""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Any

import msgspec

from .snapshot import safe_str

__all__ = ["ExceptionInfo", "Frame", "take_exception"]

MAX_FRAMES = 64
MAX_LINKED = 32


class Frame(msgspec.Struct, gc=False):
    """One line of a traceback; `source` is filled in off the loop, where it is to be had."""

    file: str
    line: int
    function: str
    source: str | None = None


class ExceptionInfo(msgspec.Struct, gc=False):
    """What an exception said when it was logged. Frames run from the outermost to the raise."""

    type: str
    message: str
    frames: list[Frame] = []
    notes: list[str] = []
    cause: ExceptionInfo | None = None
    context: ExceptionInfo | None = None
    group: list[ExceptionInfo] = []

    def to_dict(self) -> dict[str, Any]:
        """Return plain data; empty parts are left out, but for `frames`."""
        shown: dict[str, Any] = {
            "type": self.type,
            "message": self.message,
            "frames": [
                {"file": f.file, "line": f.line, "function": f.function}
                | ({"source": f.source} if f.source else {})
                for f in self.frames
            ],
        }
        if self.notes:
            shown["notes"] = list(self.notes)
        if self.cause is not None:
            shown["cause"] = self.cause.to_dict()
        if self.context is not None:
            shown["context"] = self.context.to_dict()
        if self.group:
            shown["group"] = [member.to_dict() for member in self.group]
        return shown

    def walk(self) -> list[ExceptionInfo]:
        """Return this and all linked exceptions, each once."""
        found = [self]
        for info in found:
            found += [linked for linked in (info.cause, info.context, *info.group) if linked]
        return found


def take_exception(given: object) -> ExceptionInfo | None:
    """Snapshot an exception, an exc_info triple, or (for True) the one being handled.

    Returns None when there is none. Never raises.
    """
    exc: object = given
    if isinstance(given, tuple):
        exc = given[1] if len(given) == 3 else None
    elif given is True or (given is not None and not isinstance(given, BaseException)):
        exc = sys.exc_info()[1] if given else None
    if not isinstance(exc, BaseException):
        return None
    return _take(exc, set())


def _take(exc: BaseException, seen: set[int]) -> ExceptionInfo:
    seen.add(id(exc))
    kind = type(exc)
    name = kind.__qualname__
    if kind.__module__ not in ("builtins", "__main__"):
        name = f"{kind.__module__}.{name}"
    info = ExceptionInfo(name, safe_str(exc), _frames(exc.__traceback__))
    notes = getattr(exc, "__notes__", None)
    if isinstance(notes, list | tuple):
        info.notes = [safe_str(note) for note in notes[:MAX_LINKED]]
    info.cause = _linked(exc.__cause__, seen)
    if exc.__cause__ is None and not exc.__suppress_context__:
        info.context = _linked(exc.__context__, seen)
    if isinstance(exc, BaseExceptionGroup):
        members = [_linked(member, seen) for member in exc.exceptions]
        info.group = [member for member in members if member is not None]
    return info


def _linked(exc: BaseException | None, seen: set[int]) -> ExceptionInfo | None:
    if exc is None or id(exc) in seen or len(seen) >= MAX_LINKED:
        return None
    return _take(exc, seen)


def _frames(traceback: TracebackType | None) -> list[Frame]:
    frames: list[Frame] = []
    while traceback is not None:
        code = traceback.tb_frame.f_code
        frames.append(Frame(code.co_filename, traceback.tb_lineno or 0, code.co_qualname))
        traceback = traceback.tb_next
    if len(frames) > MAX_FRAMES:  # the first ones say who called, the last ones what happened
        half = MAX_FRAMES // 2
        hidden = Frame("...", 0, f"{len(frames) - MAX_FRAMES} frames left out")
        frames = [*frames[:half], hidden, *frames[-half:]]
    return frames

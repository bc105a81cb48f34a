"""Exceptions as plain data: type, message, notes, frames, cause, context and group members.

Taken in the caller, so it only walks objects in memory: source lines are read later, by
whoever shows them.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from itertools import islice
from types import CodeType, TracebackType
from typing import Any, TypeGuard

import msgspec

from .snapshot import safe_str, type_name

__all__ = ["ExceptionInfo", "Frame", "take_exception"]

MAX_FRAMES = 64
MAX_LINKED = 32


class Frame(msgspec.Struct, gc=False):
    """One line of a traceback; `source` is filled in off the loop, where it is to be had.

    `span` is the part of `source` that was being run, from one character to before another; None
    if that is all of it, or not known. `code` and `lasti` tell it, until `source` is filled in.
    """

    file: str
    line: int
    function: str
    source: str | None = None
    span: tuple[int, int] | None = None
    code: CodeType | None = None
    lasti: int = -1

    def show(self, line: str) -> None:
        """Keep the source line, and which part of it was being run.

        Finding that takes long for code of many instructions, so it is not for the caller.
        """
        text = line.strip()
        if text != self.source:
            self.source = text or None
            self.span = _span(self, line, text)
            self.code = None  # from now on, plain data


def _span(frame: Frame, line: str, text: str) -> tuple[int, int] | None:
    if frame.code is None or frame.lasti < 0:
        return None
    positions = next(islice(frame.code.co_positions(), frame.lasti // 2, None), None)
    if positions is None:
        return None
    first, last, from_byte, to_byte = positions
    if first != frame.line or from_byte is None or to_byte is None:
        return None
    data = line.encode("utf-8", "surrogatepass")  # the compiler counts bytes
    indent = len(line) - len(line.lstrip())
    start = len(data[:from_byte].decode("utf-8", "replace")) - indent
    end = len(text)
    if last == first:
        end = min(end, len(data[:to_byte].decode("utf-8", "replace")) - indent)
    return (start, end) if 0 <= start < end and (start, end) != (0, len(text)) else None


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
    if type(given) is tuple:
        exc = given[1] if len(given) == 3 else None
    elif not _is_exception(given):  # an exception may be false, by a `__bool__` of its own
        exc = sys.exc_info()[1] if _is_true(given) else None
    return _take(exc, set()) if _is_exception(exc) else None


def _is_true(value: object) -> bool:
    try:
        return bool(value)
    except Exception:
        return True


def _is_exception(value: object) -> TypeGuard[BaseException]:
    return issubclass(type(value), BaseException)  # not `isinstance`, which may be lied to


def _take(exc: BaseException, seen: set[int]) -> ExceptionInfo:
    seen.add(id(exc))
    info = ExceptionInfo(_kind(exc), safe_str(exc), _frames(_traceback_of(exc)))
    info.notes = _notes(exc)
    cause = _cause_of(exc)
    info.cause = _linked(cause, seen)
    if cause is None and not _suppresses_context(exc):
        info.context = _linked(_context_of(exc), seen)
    if issubclass(type(exc), BaseExceptionGroup):
        info.group = _members(_exceptions_of(exc), seen)
    return info


# The exception's own, by the built-in descriptors: a subclass may say otherwise, or raise.
_traceback_of = BaseException.__dict__["__traceback__"].__get__
_cause_of = BaseException.__dict__["__cause__"].__get__
_context_of = BaseException.__dict__["__context__"].__get__
_suppresses_context = BaseException.__dict__["__suppress_context__"].__get__
_exceptions_of = BaseExceptionGroup.__dict__["exceptions"].__get__
_qualname_of = type.__dict__["__qualname__"].__get__
_module_of = type.__dict__["__module__"].__get__


def _kind(exc: BaseException) -> str:
    """Return the name of the exception's class with its module, as tracebacks show it."""
    kind = type(exc)
    try:
        module, name = _module_of(kind), _qualname_of(kind)
    except Exception:  # the module was deleted from the class
        return type_name(exc)
    return name if module in ("builtins", "__main__") else f"{module}.{name}"


def _notes(exc: BaseException) -> list[str]:
    try:
        notes = getattr(exc, "__notes__", None)
        if not isinstance(notes, list | tuple):
            return []
        return [safe_str(note) for note in notes[:MAX_LINKED]]
    except Exception as error:
        return [f"<unreadable notes: {type_name(error)}>"]


def _members(exceptions: Sequence[BaseException], seen: set[int]) -> list[ExceptionInfo]:
    """Return a group's members, each once, and say so when there are too many."""
    members: list[ExceptionInfo] = []
    for position, exc in enumerate(exceptions):
        if len(seen) >= MAX_LINKED:
            hidden = f"{len(exceptions) - position} members left out"
            members.append(ExceptionInfo("...", hidden))
            break
        member = _linked(exc, seen)
        if member is not None:
            members.append(member)
    return members


def _linked(exc: BaseException | None, seen: set[int]) -> ExceptionInfo | None:
    if exc is None or id(exc) in seen or len(seen) >= MAX_LINKED:
        return None
    return _take(exc, seen)


def _frames(traceback: TracebackType | None) -> list[Frame]:
    frames: list[Frame] = []
    while traceback is not None:
        code = traceback.tb_frame.f_code
        frame = Frame(code.co_filename, traceback.tb_lineno or 0, code.co_qualname)
        frame.code, frame.lasti = code, traceback.tb_lasti
        frames.append(frame)
        traceback = traceback.tb_next
    if len(frames) > MAX_FRAMES:  # the first ones say who called, the last ones what happened
        half = MAX_FRAMES // 2
        hidden = Frame("...", 0, f"{len(frames) - MAX_FRAMES} frames left out")
        frames = [*frames[:half], hidden, *frames[-half:]]
    return frames

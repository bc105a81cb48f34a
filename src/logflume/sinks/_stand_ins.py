"""What looks like an exception that was logged: the exception itself stayed where it was raised."""

from __future__ import annotations

import builtins
import copyreg
from collections.abc import Callable, Iterator
from types import FrameType, FunctionType, TracebackType
from typing import Any, cast

from ..exception import ExceptionInfo, Frame

__all__ = ["stand_in"]

_MOST_KEPT = 1_024
_MOST_LINES = 2**31 - 1

_kinds: dict[tuple[str, bool], type[Exception]] = {}


def stand_in(info: ExceptionInfo, shown: Callable[[str], str]) -> Exception:
    """Return an exception of a class of the same name, with the same message, notes, cause,
    context and members, and with a traceback through the same places, without variables.

    All texts are as `shown` shows them.
    """
    members = [stand_in(member, shown) for member in info.group]
    error = _made(_kind_of(info.type, bool(members)), shown(info.message), members)
    for note in info.notes:
        error.add_note(shown(note))
    if info.cause is not None:
        error.__cause__ = stand_in(info.cause, shown)
    elif info.context is not None:
        error.__context__ = stand_in(info.context, shown)
    error.__traceback__ = _traceback_of(info.frames, shown)
    return error


class _Kind(type):
    """The class of the stand-ins' classes: pickled by name, since no module has them."""


def _kind_of(name: str, is_group: bool) -> type[Exception]:
    kind = _kinds.get((name, is_group))
    if kind is None:
        if len(_kinds) >= _MOST_KEPT:
            _kinds.clear()
        module, _, last = _possible(name).rpartition(".")
        base = ExceptionGroup if is_group else _base_of(name)
        own = {
            "__module__": module or "builtins",
            "__str__": _message_of,
            "__reduce__": _reduced,
            "logflume_name": name,
        }
        kind = _kinds[name, is_group] = cast("type[Exception]", _Kind(last, (base,), own))
    return kind


def _possible(name: str) -> str:
    """Return a name as a class may have it: read back from texts, it may be any."""
    return name.replace("\0", "?").encode(errors="replace").decode()


def _made(kind: type[Exception], message: str, members: list[Exception]) -> Exception:
    error = kind.__new__(kind, message, members) if members else kind.__new__(kind, message)
    error.args = (message,)
    return error


def _reduced(self: Any) -> Any:
    members = list(self.exceptions) if isinstance(self, ExceptionGroup) else []
    return _made, (type(self), str(self.args[0]), members), vars(self)


def _reduced_kind(kind: Any) -> Any:
    return _kind_of, (kind.logflume_name, issubclass(kind, ExceptionGroup))


# loguru's queues, among others, pickle exceptions.
copyreg.pickle(cast("Any", _Kind), _reduced_kind)


def _base_of(name: str) -> type[Exception]:
    found: Any = getattr(builtins, name, None)
    if isinstance(found, type) and issubclass(found, Exception):
        return Exception if issubclass(found, ExceptionGroup) else found  # made of members only
    return Exception


def _message_of(self: Exception) -> str:
    return str(self.args[0])


def _frame() -> Iterator[None]:
    yield


def _traceback_of(frames: list[Frame], shown: Callable[[str], str]) -> TracebackType | None:
    """Return a traceback through these places.

    Each frame is that of a generator which was never run: unlike a function's, it has no caller.
    loguru and others show the callers of the first one, which would be this thread's own.
    """
    traceback: TracebackType | None = None
    for frame in reversed(frames):
        line, function = min(max(frame.line, 1), _MOST_LINES), shown(frame.function)
        code = _frame.__code__.replace(
            co_filename=shown(frame.file).replace("\0", "?"),
            co_name=function.rpartition(".")[2],
            co_qualname=function,
            co_firstlineno=line,
        )
        made: FrameType = FunctionType(code, {})().gi_frame
        # At no instruction: which part of the line was run is not known of this code.
        traceback = TracebackType(traceback, made, -1, line)
    return traceback

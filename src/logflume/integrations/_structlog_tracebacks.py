"""What structlog's `dict_tracebacks` makes of an exception, read back."""

from __future__ import annotations

from typing import Any

from ..exception import ExceptionInfo, Frame
from ..snapshot import safe_str

__all__ = ["exception_from"]

_MOST = 32


def exception_from(stacks: Any) -> ExceptionInfo | None:
    """Return the exception that a list of stacks describes; None if it is no such list.

    The first is the exception itself, each other one what the one before was raised from
    (`is_cause`) or while handling. The values of variables are left out.
    """
    if not isinstance(stacks, list) or not stacks:
        return None
    try:
        return _chained(stacks, [_MOST])
    except Exception:  # a field of the same name
        return None


def _chained(stacks: list[Any], left: list[int]) -> ExceptionInfo:
    first = last = _one(stacks[0], left)
    for stack in stacks[1:]:
        if left[0] <= 0:
            break
        linked = _one(stack, left)
        if stack["is_cause"]:
            last.cause = linked
        else:
            last.context = linked
        last = linked
    return first


def _one(stack: Any, left: list[int]) -> ExceptionInfo:
    left[0] -= 1
    frames = [
        Frame(safe_str(f["filename"]) or "...", max(int(f["lineno"]), 0), safe_str(f["name"]))
        for f in stack["frames"]
    ]
    info = ExceptionInfo(safe_str(stack["exc_type"]), safe_str(stack["exc_value"]), frames)
    info.notes = [safe_str(note) for note in stack.get("exc_notes", ())]
    for member in stack.get("exceptions", ()):
        if left[0] <= 0:
            break
        info.group.append(_chained(member, left))
    return info

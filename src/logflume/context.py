"""Fields bound to the current task.

One ContextVar holds an immutable mapping (a dict that nobody changes once it is set), so that
capture is a single `get`. Child tasks and worker threads that copy the context inherit it;
siblings never see each other's.
"""

from __future__ import annotations

from contextvars import ContextVar, Token
from types import TracebackType
from typing import Any

from .snapshot import snapshot_fields

__all__ = ["context", "current_context"]


class Inside(dict[str, Any]):
    """A context inside a sink or callback: records captured here carry the routes they came from.

    That is how a record that a sink logs never comes back to the same sink.
    """

    __slots__ = ("origins",)

    def __init__(self, fields: dict[str, Any], origins: frozenset[str]) -> None:
        super().__init__(fields)
        self.origins = origins


_EMPTY: dict[str, Any] = {}
_context: ContextVar[dict[str, Any]] = ContextVar("logflume.context", default=_EMPTY)
get_context = _context.get


def current_context() -> dict[str, Any]:
    """Return a copy of the fields bound to the current task."""
    return dict(_context.get())


def enter_origins(origins: frozenset[str]) -> None:
    """Mark the current task as running inside the named routes' sinks, for its whole life."""
    _context.set(Inside({}, origins))


class context:  # noqa: N801 - reads as a statement: `with context(request_id=...)`
    """Bind fields to the current task for a block: `with context(request_id="42"): ...`.

    Every record logged under the block carries the fields, also from functions, child tasks and
    worker threads started with a copy of the context (`anyio.to_thread`, `asyncio.to_thread`).
    Values are snapshotted on entry. Inner blocks win over outer ones; a call's own fields and
    bound ones win over both. Never raises on leaving, even if the block is closed from another
    task, as an async generator may be by its consumer: the fields then vanish with the task that
    entered it.
    """

    __slots__ = ("_fields", "_tokens")

    def __init__(self, /, **fields: Any) -> None:
        self._fields = snapshot_fields(fields)
        self._tokens: list[Token[dict[str, Any]]] = []

    def __enter__(self) -> None:
        outer = _context.get()
        merged = {**outer, **self._fields}
        if isinstance(outer, Inside):
            merged = Inside(merged, outer.origins)
        self._tokens.append(_context.set(merged))

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            _context.reset(self._tokens.pop())
        except (ValueError, RuntimeError, IndexError):
            # Entered in another Context (PEP 567): there is nothing of ours to undo in this one.
            pass

"""Fields bound to the current task.

One ContextVar holds an immutable mapping (a dict that nobody changes once it is set), so that
capture is a single `get`. Child tasks and worker threads that copy the context inherit it;
siblings never see each other's.
"""

from __future__ import annotations

from contextvars import ContextVar
from types import TracebackType
from typing import Any, NamedTuple, TypeAlias

from .snapshot import snapshot_fields

__all__ = ["context", "current_context"]


Span: TypeAlias = tuple[int, int]
"""A trace id and a span id."""


_NOWHERE: frozenset[str] = frozenset()


class LevelHere:
    """A level in place of all others', for as long as somebody holds it."""

    __slots__ = ("_held", "no")

    def __init__(self, no: int) -> None:
        self.no = no
        self._held: list[None] = []  # a list, since no thread comes between its append and pop

    @property
    def is_held(self) -> bool:
        """Whether it counts."""
        return bool(self._held)

    def hold(self) -> None:
        """Let it count, until it was let go as many times."""
        self._held.append(None)

    def let_go(self) -> bool:
        """Take one holding back; whether there was any."""
        try:
            self._held.pop()
        except IndexError:
            return False
        return True


class Rules(NamedTuple):
    """How what is logged in a block differs from what others log: see `logflume.override`.

    `levels` has that of the innermost block first.
    """

    levels: tuple[LevelHere, ...] = ()
    skips: bool = False
    without: frozenset[str] = _NOWHERE

    def and_inside(self, inner: Rules) -> Rules:
        """Return the rules of a block with these inside one with ours."""
        return Rules(
            inner.levels + self.levels, inner.skips or self.skips, inner.without | self.without
        )


AS_EVER = Rules()


class Inside(dict[str, Any]):
    """A context with more than fields, for what only few records have.

    Inside a sink or callback, records captured here carry the routes they came from: that is how
    a record that a sink logs never comes back to the same sink. Inside a request that is part of
    a trace, they carry its span. Inside an `override`, its rules decide about them. They hold
    `plain`, the same fields in a dict of no other kind.
    """

    __slots__ = ("origins", "plain", "rules", "span")

    def __init__(
        self,
        fields: dict[str, Any],
        origins: frozenset[str],
        span: Span | None = None,
        rules: Rules = AS_EVER,
    ) -> None:
        super().__init__(fields)
        self.plain = fields
        self.origins = origins
        self.span = span
        self.rules = rules


_EMPTY: dict[str, Any] = {}
_context: ContextVar[dict[str, Any]] = ContextVar("logflume.context", default=_EMPTY)
get_context = _context.get

# The blocks that the mapping above was made by, as (mapping, what it was without them, blocks).
# Leaving one takes it out by itself, wherever it stands, and not what was entered after it: blocks
# of generators may be left in any order, by other tasks too. PEP 567's tokens would put back what
# was there when the block was entered, with blocks that are over since.
_State = tuple[dict[str, Any], dict[str, Any], "tuple[context, ...]"]
_blocks: ContextVar[_State | None] = ContextVar("logflume.blocks", default=None)


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
    Values are snapshotted when it is made; it may be entered any number of times, by several
    tasks at once. Inner blocks win over outer ones; a call's own fields and bound ones win over
    both. Never raises on leaving, in whatever order blocks are left, and even if one is closed
    from another task, as an async generator may be by its consumer: the fields then vanish with
    the task that entered it.
    """

    __slots__ = ("_fields", "_rules", "_span")

    def __init__(self, /, **fields: Any) -> None:
        self._fields = snapshot_fields(fields)
        self._span: Span | None = None
        self._rules: Rules | None = None

    def __enter__(self) -> None:
        base, blocks = _unwind()
        _wind(base, (*blocks, self))

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        base, blocks = _unwind()
        for at in reversed(range(len(blocks))):
            if blocks[at] is self:
                _wind(base, blocks[:at] + blocks[at + 1 :])
                return
        # Entered in another Context (PEP 567): there is nothing of ours to undo in this one.


def traced(span: Span | None, fields: dict[str, Any]) -> context:
    """Return a block of a span as well, which the records under it show beside their fields.

    The fields are taken as they are: nobody changes them, or what is in them.
    """
    block = context()
    block._fields = fields
    block._span = span
    return block


def _unwind() -> tuple[dict[str, Any], tuple[context, ...]]:
    """Return the fields of the task without any blocks, and the blocks it is in."""
    current = _context.get()
    state = _blocks.get()
    if state is None or state[0] is not current:
        return current, ()
    return state[1], state[2]


def _wind(base: dict[str, Any], blocks: tuple[context, ...]) -> None:
    merged = base
    if blocks:
        merged = dict(base)
        origins, span, rules = _NOWHERE, None, AS_EVER
        if isinstance(base, Inside):
            origins, span, rules = base.origins, base.span, base.rules
        for block in blocks:
            merged.update(block._fields)
            span = block._span or span
            if block._rules is not None:
                rules = rules.and_inside(block._rules)
        if origins or span is not None or rules is not AS_EVER:
            merged = Inside(merged, origins, span, rules)
    _context.set(merged)
    _blocks.set((merged, base, blocks))

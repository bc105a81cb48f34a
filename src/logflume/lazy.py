"""Values that are worked out only if they are wanted: the callables of `opt(lazy=True)`."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from typing import Any

from .record import Record
from .snapshot import snapshot, type_name

__all__ = ["abandon_lazy", "call_lazy", "is_unsettled", "lazy_failure", "settle_lazy"]


def is_unsettled(record: Record) -> bool:
    """Whether some value of the record is still to be awaited: see `settle_lazy`."""
    if record.extra is None or not record.extra.lazy:
        return False
    return any(isinstance(v, _Pending) for v in (*record.args, *record.call_fields.values()))


def abandon_lazy(record: Record) -> None:
    """Give up what is still to be awaited of a record, in place: nobody will. Never raises."""
    record.args = tuple([_given_up(value) for value in record.args])
    record.call_fields = {key: _given_up(v) for key, v in record.call_fields.items()}


def _given_up(value: Any) -> Any:
    if not isinstance(value, _Pending):
        return value
    try:
        getattr(value.awaitable, "close", str)()  # or a coroutine says that it was never awaited
    except Exception:
        pass  # a coroutine's own code, at its end
    return repr(value)


async def _as_long_as_it_takes(awaitable: Awaitable[Any]) -> Any:
    return await awaitable


async def settle_lazy(
    record: Record, wait: Callable[[Awaitable[Any]], Awaitable[Any]] = _as_long_as_it_takes
) -> None:
    """Await what the async callables of a lazy record returned, in place, by way of `wait`.

    What that raises becomes a marker, if it is an Exception.
    """
    record.args = tuple([await _value_of(value, wait) for value in record.args])
    record.call_fields = {key: await _value_of(v, wait) for key, v in record.call_fields.items()}
    if record.extra is not None:
        record.extra.lazy = False


class _Pending:
    """The awaitable that an async callable of a lazy record returned, not yet awaited."""

    __slots__ = ("awaitable",)

    def __init__(self, awaitable: Awaitable[Any]) -> None:
        self.awaitable = awaitable

    def __repr__(self) -> str:
        return "<not evaluated>"


def call_lazy(value: Any) -> Any:
    """Call a callable now; what async ones return is left pending. Never raises."""
    if not callable(value):
        return snapshot(value)
    try:
        result = value()
        return _Pending(result) if inspect.isawaitable(result) else snapshot(result)
    except Exception as error:
        return lazy_failure(error)


def lazy_failure(error: BaseException) -> str:
    """Return what stands for a value that could not be worked out."""
    return f"<lazy value failed: {type_name(error)}>"


async def _value_of(value: Any, wait: Callable[[Awaitable[Any]], Awaitable[Any]]) -> Any:
    if not isinstance(value, _Pending):
        return value
    try:
        return snapshot(await wait(value.awaitable))
    except Exception as error:
        return lazy_failure(error)

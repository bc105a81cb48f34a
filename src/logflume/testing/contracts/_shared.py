"""What the contracts have in common: the loops, and how records are checked and compared."""

from __future__ import annotations

import importlib.util
from collections.abc import Awaitable, Callable
from typing import Any

import anyio

from ...record import Record
from ...snapshot import safe_repr
from ..odd import odd_records

__all__ = ["BACKENDS", "fail_for", "failures", "look", "run"]

_NAMED = 3
_LONGEST = 300

BACKENDS: dict[str, dict[str, Any]] = {"asyncio": {"backend": "asyncio"}}
if importlib.util.find_spec("uvloop") is not None:
    BACKENDS["uvloop"] = {"backend": "asyncio", "backend_options": {"use_uvloop": True}}
if importlib.util.find_spec("trio") is not None:
    BACKENDS["trio"] = {"backend": "trio"}


def run(backend: str, test: Callable[[], Awaitable[None]], within: float) -> None:
    """Run it on this loop; it fails if it takes longer than so many seconds."""

    async def main() -> None:
        scope = anyio.CancelScope()
        try:
            with anyio.fail_after(within) as scope:
                await test()
        except TimeoutError as error:
            if not scope.cancel_called:
                raise
            # The error that it comes from shows where it was.
            raise AssertionError(f"it takes longer than {within:g} s, or for ever") from error

    anyio.run(main, **BACKENDS[backend])


def failures(check: Callable[[Record], None]) -> dict[str, str]:
    """Check all odd records, and return what went wrong with which."""
    failed: dict[str, str] = {}
    for odd, record in odd_records().items():
        try:
            check(record)
        except Exception as error:
            failed[odd] = f"{type(error).__name__}: {error}"
    return failed


def fail_for(failed: dict[str, str]) -> None:
    """Fail the test if there is anything in it: what went wrong, and with which odd records."""
    __tracebackhide__ = True
    if failed:
        by_error: dict[str, list[str]] = {}
        for odd, error in failed.items():
            by_error.setdefault(error.partition("\n")[0][:_LONGEST], []).append(odd)
        told = "\n".join(f"  {_some_of(odd)}: {error}" for error, odd in by_error.items())
        raise AssertionError(f"{len(failed)} of the odd records:\n{told}")


def _some_of(names: list[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def look(record: Record) -> list[str]:
    """Return all that a record says, as text: values that equal nothing can be compared."""
    parts = (
        record.to_dict(), record.time_ns, record.template, record.args, record.call_fields,
        record.bound, record.context, record.extra,
    )  # fmt: skip
    return [safe_repr(part) for part in parts]

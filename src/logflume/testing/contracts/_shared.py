"""What the contracts have in common: the loops, and how records are checked and compared."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import Any

from ...record import Record
from ...snapshot import safe_repr
from ..odd import odd_records

__all__ = ["BACKENDS", "fail_for", "failures", "look"]

BACKENDS: dict[str, dict[str, Any]] = {"asyncio": {"backend": "asyncio"}}
if importlib.util.find_spec("uvloop") is not None:
    BACKENDS["uvloop"] = {"backend": "asyncio", "backend_options": {"use_uvloop": True}}
if importlib.util.find_spec("trio") is not None:
    BACKENDS["trio"] = {"backend": "trio"}


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
    """Fail the test if there is anything in it: each odd record, and what went wrong."""
    __tracebackhide__ = True
    if failed:
        told = "\n".join(f"  {odd}: {error}" for odd, error in failed.items())
        raise AssertionError(f"{len(failed)} of the odd records:\n{told}")


def look(record: Record) -> list[str]:
    """Return all that a record says, as text: values that equal nothing can be compared."""
    parts = (
        record.to_dict(), record.time_ns, record.template, record.args, record.call_fields,
        record.bound, record.context, record.extra,
    )  # fmt: skip
    return [safe_repr(part) for part in parts]

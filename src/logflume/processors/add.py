"""Fields that every record gets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..record import Record
from ..snapshot import snapshot

__all__ = ["Add"]


class Add:
    """Add fields to every record that does not have them already.

    A callable value is called for each record, on the pipeline's loop: it must not block.

        Pipeline(sinks.Console(), processors=[processors.Add(service="shop")])
    """

    def __init__(self, /, **fields: Any) -> None:
        self._fixed = {k: snapshot(v) for k, v in fields.items() if not callable(v)}
        self._called: dict[str, Callable[[], Any]] = {
            k: v for k, v in fields.items() if callable(v)
        }

    def __call__(self, record: Record) -> Record:
        """Return the record with the fields that it lacks."""
        fields = {**self._fixed, **record.fields}
        for name, call in self._called.items():
            if name not in fields:
                fields[name] = snapshot(call())
        return record.replace(fields=fields)

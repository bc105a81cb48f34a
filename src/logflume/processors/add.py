"""Fields that every record gets."""

from __future__ import annotations

import os
from collections.abc import Callable
from inspect import iscoroutinefunction
from typing import Any

from ..errors import ConfigurationError
from ..record import Record, copy_of
from ..snapshot import snapshot

__all__ = ["Add", "hostname"]


def hostname() -> str:
    """Return the name of this host, for `Add(host=processors.hostname)`."""
    if hasattr(os, "uname"):
        return os.uname().nodename
    return os.environ.get("COMPUTERNAME", "")


class Add:
    """Add fields to every record that does not have them already, in front of its own.

    A value that can be called is called for each record that lacks the field, on the pipeline's
    loop: it must not block. `hostname` is called once, here; `process_id` gives a forked child
    its own.

        Add(service="shop", version="1.4.2", environment="production")
        Add(host=processors.hostname, pid=processors.process_id)

    Raises:
        ConfigurationError: a value is a coroutine function, which nobody would await.
    """

    inline = True

    def __init__(self, /, **fields: Any) -> None:
        self._called: list[tuple[str, Callable[[], Any]]] = []
        self._fields: dict[str, Any] = {}
        for name, value in fields.items():
            if iscoroutinefunction(value):
                raise ConfigurationError.of(
                    f"Add.{name}", value, "a value or a function that is not async"
                )
            if value is hostname:
                self._fields[name] = hostname()
            elif callable(value):
                self._called.append((name, value))
                self._fields[name] = None  # keeps the place
            else:
                self._fields[name] = snapshot(value)
        # The fixed fields are the same for all records of a task: one merged mapping serves them.
        self._last: tuple[dict[str, Any], dict[str, Any]] = {}, self._fields

    def __call__(self, record: Record) -> Record:
        """Return the record with the fields that it lacks."""
        if self._called:
            return self._call(record)
        added = copy_of(record)
        if record.merged is not None:
            added.merged = self._fields | record.merged
            return added
        # Context is what all else wins over, and comes first: just the place for these.
        last, merged = self._last
        if last is not record.context:
            merged = self._fields | record.context
            self._last = record.context, merged
        added.context = merged
        return added

    def _call(self, record: Record) -> Record:
        fields = record.fields
        values = self._fields.copy()
        for name, call in self._called:
            if name not in fields:
                values[name] = snapshot(call())
        added = copy_of(record)
        added.merged = values | fields
        return added

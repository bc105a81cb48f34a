"""The exceptions that logflume raises or that plug-ins raise to it.

Only configuration and lifecycle calls raise; a log call never does.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .snapshot import safe_repr

__all__ = [
    "ConfigurationError",
    "LogflumeError",
    "PipelineError",
    "Rejected",
    "Retryable",
]


class LogflumeError(Exception):
    """The base of every exception that logflume itself raises."""


class ConfigurationError(LogflumeError, ValueError):
    """A setting that means nothing: says which one, what was given, what is accepted."""

    @classmethod
    def of(cls, setting: str, given: object, accepted: str) -> ConfigurationError:
        """Build the message in the one form that every setting uses."""
        return cls(f"{setting}: got {safe_repr(given)}; accepted: {accepted}")


class PipelineError(LogflumeError, RuntimeError):
    """A pipeline used out of order: opened twice, flushed while closed, waited for on its loop."""


class Retryable(LogflumeError):
    """Raised by a sink: the same batch may succeed later. By a callback: the same record.

    `retry_after` is in seconds and replaces the route's own back-off when it is longer
    (RFC 9110, section 10.2.3).
    """

    def __init__(self, message: str = "", *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Rejected(LogflumeError):
    """Raised by a sink: these records will never be accepted; the rest of the batch was delivered.

    `records` holds records of the batch or their positions in it; None means the whole batch.
    Raised by a callback, it is about the record that this was called with, and no other.
    `reason` is the word under which the ledger counts them.
    """

    def __init__(
        self,
        message: str = "",
        *,
        records: Sequence[Any] | None = None,
        reason: str = "rejected",
    ) -> None:
        super().__init__(message)
        self.records = records
        self.reason = reason

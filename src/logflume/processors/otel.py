"""Which trace and span a record belongs to, by OpenTelemetry."""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import ConfigurationError
from ..record import Record

__all__ = ["Otel"]


class Otel:
    """Give every record the trace id and span id of the OpenTelemetry span it was logged in.

    They are `record.trace_id` and `record.span_id`, and stand beside the fields in
    `record.to_dict()` and JSON: 32 and 16 lowercase hex digits (W3C Trace Context, section 3.2.2).
    A record that is logged in no valid span has none. Spans that are not sampled count, too.

        Pipeline(sinks.Console(), processors=[processors.Otel()])

    The span is read in the caller, on any thread, at every call that is captured while the
    pipeline is the current one; it need be the first processor of none, since all see the ids.

    Raises:
        ConfigurationError: opentelemetry-api is not installed.
    """

    inline = True

    def __init__(self) -> None:
        try:
            from opentelemetry.trace import get_current_span
        except ImportError as error:
            raise ConfigurationError(
                "processors.Otel needs opentelemetry-api: pip install 'logflume[otel]'"
            ) from error
        self._get_current_span = get_current_span
        self._last: tuple[object, tuple[int, int] | None] = None, None

    def current_span(self) -> tuple[int, int] | None:
        """Return the ids of the span that the caller is in; None outside of any."""
        span = self._get_current_span().get_span_context()
        last, ids = self._last
        if span is not last:
            ids = (span.trace_id, span.span_id) if span.is_valid else None
            self._last = span, ids
        return ids

    def __call__(self, record: Record) -> Record:
        """Return the record, which has its ids from the start."""
        return record

    def passes(self, records: Sequence[Record]) -> bool:
        """Say that there is nothing left to do."""
        return True

"""The span that a record was logged in, made current again for what looks for one."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from ..record import Record

__all__ = ["in_span_of"]

_NOWHERE = nullcontext()


def in_span_of(record: Record) -> AbstractContextManager[Any]:
    """Return a block in which OpenTelemetry's current span has the ids of the record's.

    Handlers of `logging` that know OpenTelemetry ask for the current span, but in a sink's thread
    there is none. Whether the span is sampled, a record does not say: it counts as such, or what
    looks at that would leave the record out.
    """
    span = record.extra.span if record.extra is not None else None
    trace: Any = sys.modules.get("opentelemetry.trace")  # if it is not loaded, nobody asks
    if span is None or trace is None:
        return _NOWHERE
    sampled = trace.TraceFlags(trace.TraceFlags.SAMPLED)
    found = trace.SpanContext(*span, is_remote=False, trace_flags=sampled)
    block: AbstractContextManager[Any] = trace.use_span(trace.NonRecordingSpan(found))
    return block

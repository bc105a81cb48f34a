"""What a request says of itself: its id, and the trace that it is part of."""

from __future__ import annotations

import os
import re
from random import Random

__all__ = ["new_request_id", "request_id_from", "span_from"]

_ID = re.compile(rb"[A-Za-z0-9._:=/+@-]{1,128}")
_TRACEPARENT = re.compile(rb"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}(-.*)?")


# Seeded by the system, again after a fork; to ask the system each time costs ten times as much.
_random = Random()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_random.seed)


def new_request_id() -> str:
    """Return an id of 32 random hex digits. It is unique, no secret: others can be guessed."""
    return f"{_random.getrandbits(128):032x}"


def request_id_from(value: bytes) -> str | None:
    """Return the id in a header; None if it is not 1 to 128 characters of `A-Za-z0-9._:=/+@-`."""
    return value.decode() if _ID.fullmatch(value) else None


def span_from(traceparent: bytes) -> tuple[int, int] | None:
    """Return the trace id and parent id of a `traceparent` (W3C Trace Context, section 3.2).

    None for what is not valid: other lengths, capitals, ids of zero, version ff, or more fields
    in version 00. Later versions may have more fields behind (section 4).
    """
    found = _TRACEPARENT.fullmatch(traceparent)
    if found is None or found[1] == b"ff" or (found[1] == b"00" and found[4]):
        return None
    trace_id, span_id = int(found[2], 16), int(found[3], 16)
    return (trace_id, span_id) if trace_id and span_id else None

"""The bridge from `logging`: what is logged there goes the way of logflume's own records.

The way back, any `logging.Handler` as a destination, is `logflume.sinks.Stdlib`. Importing this
installs nothing.
"""

from __future__ import annotations

from .handler import Handler
from .routing import capture

__all__ = ["Handler", "capture"]

"""The bridge from `logging`: what is logged there goes the way of logflume's own records.

The way back, any `logging.Handler` as a destination, is `logflume.sinks.Stdlib`. Importing this
installs nothing.
"""

from __future__ import annotations

from .handler import Handler
from .routing import capture
from .servers import AccessFields, gunicorn_config, hypercorn_config, uvicorn_config

__all__ = [
    "AccessFields",
    "Handler",
    "capture",
    "gunicorn_config",
    "hypercorn_config",
    "uvicorn_config",
]

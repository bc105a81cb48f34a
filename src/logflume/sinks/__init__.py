"""Where records go, one file per destination. Each is a `Sink`: `open`, `send`, `aclose`."""

from __future__ import annotations

import os
import sys

from ..engine.route import adopt_coercion
from ..errors import ConfigurationError
from ..protocols import Sink
from .callback import Callback
from .console import Console
from .file import File
from .stdlib import Stdlib

__all__ = ["Callback", "Console", "File", "Stdlib", "as_sink"]


def as_sink(given: object) -> Sink:
    """Make a sink of what a Pipeline or Route may be given.

    A sink is itself, a path a `File`, a stream a `Console`, a handler of `logging` a `Stdlib`, a
    callable a `Callback`.

    Raises:
        ConfigurationError: it is none of these.
    """
    if isinstance(given, type):
        raise ConfigurationError.of("sink", given, f"an instance: {given.__name__}(...)")
    if isinstance(given, Sink):
        return given
    if isinstance(given, str | os.PathLike):
        return File(given)
    logging = sys.modules.get("logging")  # if it is not loaded, nobody has a handler
    if logging is not None and isinstance(given, logging.Handler):
        return Stdlib(given)
    if callable(getattr(given, "write", None)):
        return Console(given)  # type: ignore[arg-type]
    if callable(given):
        return Callback(given)
    raise ConfigurationError.of("sink", given, "a Sink, a path, a stream or a callable")


adopt_coercion(as_sink)

"""Where records go, one file per destination. Each is a `Sink`: `open`, `send`, `aclose`."""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Callable
from typing import Any

from ..engine.route import Route, adopt_coercion
from ..errors import ConfigurationError
from ..protocols import Sink
from .callback import Callback
from .console import Console
from .file import File
from .loguru import Loguru
from .stdlib import Stdlib

__all__ = ["Callback", "Console", "File", "Loguru", "Stdlib", "as_sink"]


def as_sink(given: object, /, **options: Any) -> Sink:
    """Make a sink of what a Pipeline or Route may be given.

    A sink is itself, a path a `File`, a stream a `Console`, a handler of `logging` a `Stdlib`, a
    callable a `Callback`, with these options.

    Raises:
        ConfigurationError: it is none of these, or does not know an option.
    """
    if isinstance(given, type):
        raise ConfigurationError.of("sink", given, f"an instance: {given.__name__}(...)")
    if isinstance(given, Sink):
        return _made(lambda sink: sink, given, options)
    if isinstance(given, str | os.PathLike):
        return _made(File, given, options)
    logging = sys.modules.get("logging")  # if it is not loaded, nobody has a handler
    if logging is not None and isinstance(given, logging.Handler):
        return _made(Stdlib, given, options)
    if callable(getattr(given, "write", None)):
        return _made(Console, given, options)
    if callable(given):
        return _made(Callback, given, options)
    raise ConfigurationError.of("sink", given, "a Sink, a path, a stream or a callable")


def _made(sink: Callable[..., Sink], given: object, options: dict[str, Any]) -> Sink:
    known = [*inspect.signature(sink).parameters][1:]
    unknown = ", ".join(sorted(options.keys() - known))
    if unknown:
        of_route = [name for name in inspect.signature(Route).parameters if name != "sink"]
        raise ConfigurationError.of("route option", unknown, ", ".join([*known, *of_route]))
    return sink(given, **options)


adopt_coercion(as_sink)

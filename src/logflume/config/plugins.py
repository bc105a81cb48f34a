"""Finding sinks, encoders and processors by the names that a configuration uses."""

from __future__ import annotations

import difflib
import importlib
import re
from collections.abc import Iterable
from types import ModuleType
from typing import Any

from .. import encoders, processors, sinks
from ..errors import ConfigurationError

__all__ = ["ENCODERS", "PROCESSORS", "SINKS", "Kind", "imported", "nearest"]

GROUP = "logflume.plugins"
"""The entry points by which other packages add names: `loki = "logflume_loki:Loki"`."""

_WORD = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def nearest(name: str, known: Iterable[str]) -> str:
    """Return ` (did you mean 'x'?)` for the known name that is closest, "" if none is close."""
    close = difflib.get_close_matches(str(name), list(known), n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""


def imported(reference: str, path: str) -> Any:
    """Return what `module:attribute` names.

    Raises:
        ConfigurationError: there is no such module, or nothing of that name in it.
    """
    module_name, _, attributes = reference.partition(":")
    try:
        found: Any = importlib.import_module(module_name)
        for attribute in attributes.split("."):
            found = getattr(found, attribute)
    except (Exception, SystemExit) as error:  # whatever the module does when it is imported
        raise ConfigurationError(
            f"{path}: got {reference!r}, which cannot be imported: {type(error).__name__}: {error}"
        ) from error
    return found


class Kind:
    """One kind of plug-in: `label` is what errors call it, `method` what all of them have."""

    def __init__(self, label: str, package: ModuleType, method: str) -> None:
        self.label = label
        self.method = method
        self._package = package

    def known(self) -> dict[str, type]:
        """Return the classes of logflume itself, by name: `RateLimit` is `rate_limit`."""
        classes = {name: getattr(self._package, name) for name in self._package.__all__}
        return {
            _WORD.sub("_", name).lower(): found
            for name, found in classes.items()
            if isinstance(found, type)
        }

    def find(self, name: object, path: str) -> Any:
        """Return what a name stands for: a class or, for `module:attribute`, anything.

        Raises:
            ConfigurationError: nothing has this name, or it cannot be imported.
        """
        known = self.known()
        if isinstance(name, str):
            if name in known:
                return known[name]
            if ":" in name:
                return imported(name, path)
            for entry in _entry_points(name):
                return self._loaded(entry, path)
        hint = nearest(str(name), known)
        accepted = f"{', '.join(known)}, an installed plug-in or 'module:attribute'"
        raise ConfigurationError(f"{path}: got {name!r}{hint}; accepted: {accepted}")

    def _loaded(self, entry: Any, path: str) -> Any:
        found = imported(entry.value, path)
        kind = found if isinstance(found, type) else type(found)
        # Not `hasattr`: every class has a `__call__`, its metaclass's.
        if not any(self.method in vars(base) for base in kind.__mro__):
            raise ConfigurationError(
                f"{path}: got {entry.name!r}, which is no {self.label}; accepted: something with "
                f"a method {self.method}"
            )
        return found


def _entry_points(name: str) -> Any:
    from importlib.metadata import entry_points

    return entry_points(group=GROUP, name=name)


SINKS = Kind("sink", sinks, "send")
ENCODERS = Kind("encoder", encoders, "encode")
PROCESSORS = Kind("processor", processors, "__call__")

"""The numbers of threads, which records know by their names."""

from __future__ import annotations

import threading
import weakref

__all__ = ["Threads"]

_MOST_KEPT = 1_024


class Threads:
    """Knows threads that run, and some that did: by their names, which others may take over."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[weakref.ref[threading.Thread], int]] = {}

    def ident_of(self, name: str) -> int:
        """Return the number of a thread that runs under this name, or of the last that is known to
        have done so; 0 if none is."""
        known = self._known.get(name)
        if known is None:
            return self._looked_up(name)
        thread, ident = known[0](), known[1]
        if thread is not None and thread.is_alive() and thread.name == name:
            return ident
        return self._looked_up(name) or ident

    def _looked_up(self, name: str) -> int:
        # Each time, also if there was none: one that begins in a moment may have the name.
        for thread in threading.enumerate():
            if thread.name == name and thread.ident is not None:
                if len(self._known) >= _MOST_KEPT:
                    self._known.clear()
                self._known[name] = weakref.ref(thread), thread.ident
                return thread.ident
        return 0

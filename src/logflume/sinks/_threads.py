"""The numbers of threads, which records know by their names."""

from __future__ import annotations

import threading

__all__ = ["Threads"]

_MOST_KEPT = 1_024


class Threads:
    """Knows threads that run, and some that did."""

    def __init__(self) -> None:
        self._idents: dict[str, int] = {}

    def ident_of(self, name: str) -> int:
        """Return the number of a thread that runs under this name; 0 if it does no longer."""
        ident = self._idents.get(name)
        if ident is None:
            if len(self._idents) >= _MOST_KEPT:
                self._idents.clear()
            self._idents |= {thread.name: thread.ident or 0 for thread in threading.enumerate()}
            ident = self._idents.setdefault(name, 0)
        return ident

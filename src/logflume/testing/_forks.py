"""What the child of a fork takes anew: a thread that stayed behind may have held a lock."""

from __future__ import annotations

import os
import weakref
from typing import Protocol

__all__ = ["renew_in_children"]


class _Renewable(Protocol):
    def _renew(self) -> None: ...


# By identity: what a test made of these may have an `__eq__`, and no hash.
_all: weakref.WeakValueDictionary[int, _Renewable] = weakref.WeakValueDictionary()


def renew_in_children(it: _Renewable) -> None:
    """Call its `_renew` now, and in every child that is forked while it is there."""
    it._renew()
    _all[id(it)] = it


def _after_fork() -> None:
    for it in list(_all.values()):
        it._renew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)

"""Sources: what all loggers of one name share, and the number below which they are silent.

It comes from the thresholds of who is connected, from `disable` and `enable`, and from levels that
hold for some tasks only. Any thread may change any of these at any time. Only the last ones wait
for each other: they come and go with requests, and one that ends must not take the level from one
that has just begun. Who connects or sets a level takes no lock here: it may hold others.
"""

from __future__ import annotations

import weakref
from _thread import RLock
from bisect import insort
from collections.abc import Callable

from . import level as levels
from .level import Lowered, Thresholds, Watchers

__all__ = [
    "Source",
    "lower",
    "lower_only",
    "on_lowered",
    "refresh_thresholds",
    "restore",
    "source_of",
    "switch",
    "tell_watchers",
    "use_thresholds",
    "watch_levels",
]


class Source:
    """What all loggers of one name share: the name, and the number below which they are silent.

    That is `ordinary`; `threshold` is lower while some task has a lower level.
    """

    __slots__ = ("__weakref__", "name", "ordinary", "threshold")

    def __init__(self, name: str) -> None:
        self.name = name
        self.ordinary = self.threshold = 0


_sources: weakref.WeakValueDictionary[str, Source] = weakref.WeakValueDictionary()
_thresholds = Thresholds(levels.INFO)
_switches: dict[str, bool] = {}
_lowered: list[int] = []
_lowering = RLock()  # a finalizer or signal handler may come in between
_look: Callable[[bool], None]
_change = object()
_applied: int | None = None


def source_of(name: str) -> Source:
    """Return what the loggers of this name share."""
    source = _sources.get(name)
    if source is None:
        source = _sources.setdefault(name, Source(name))
        change: object = None
        while change is not _change:
            change = _change
            _set_threshold(source, _applied)
    return source


def use_thresholds(thresholds: Thresholds) -> None:
    """Let all loggers have the levels of these from now on; those that watch are not told."""
    global _thresholds
    _thresholds = thresholds
    _refresh_sources()


def refresh_thresholds() -> None:
    """Bring all loggers, and those that watch, to the levels as they are now."""
    _refresh_sources()
    tell_watchers()


def _refresh_sources() -> None:
    """Whoever sees at its end that there was another change begins again: what it made of an older
    state does not stay."""
    global _applied, _change
    change = _change = object()
    while True:
        lowest = _lowest()
        if lowest is not None:
            _look(True)
        _applied = lowest  # new sources see it from now on
        for source in list(_sources.values()):
            _set_threshold(source, lowest)
        if lowest is None:
            _look(False)
        if change is _change:
            return
        change = _change


def _set_threshold(source: Source, lowest: int | None) -> None:
    ordinary = source.ordinary = _threshold_of(source.name)
    if lowest is not None and ordinary <= levels.MAX_NO:  # above it, it is switched off
        ordinary = min(ordinary, lowest)
    source.threshold = ordinary


def _threshold_of(name: str) -> int:
    switches, at = _switches, name
    while switches:
        on = switches.get(at)
        if on is False:
            return levels.MAX_NO + 1
        if on or not at:
            break
        at = at.rpartition(".")[0]
    return _thresholds.of(name)


def switch(name: str | None, on: bool) -> None:
    """Let the loggers of a name, and of all below it, speak or be silent."""
    levels.name_of_logger(name)
    _switches[name or ""] = on
    refresh_thresholds()


# Levels of some tasks.


def on_lowered(look: Callable[[bool], None]) -> None:
    """Say what makes calls look whether they are of a task with a lower level: called with True
    before others are lowered on its behalf, and with False after they are not any more."""
    global _look
    _look = look


def lower(no: int) -> None:
    """Let calls from a level on be looked at, until `restore`.

    There may be thousands: the numbers are sorted, so that what one costs does not grow with them.
    What has changed is read after the change, for a finalizer may come in at any point and make
    another one. Where no logger has a higher level, there is nothing to be looked at.
    """
    with _lowering:
        insort(_lowered, no)
        first = _lowered[:2]
        is_news = first[0] == no and first[1:] != [no] and no < _thresholds.highest
        if is_news:
            _refresh_sources()
    if is_news:
        tell_watchers()


def restore(no: int) -> None:
    """Take one `lower` back."""
    with _lowering:
        if no not in _lowered:  # entered before a fork, in the parent
            return
        _lowered.remove(no)
        is_news = no < min(_lowered[:1] or [levels.MAX_NO + 1]) and no < _thresholds.highest
        if is_news:
            _refresh_sources()
    if is_news:
        tell_watchers()


def lower_only(numbers: list[int]) -> None:
    """Forget all `lower` but these: in the child of a fork, nobody is left to take back those of
    other threads."""
    global _lowering
    _lowering = RLock()
    if _lowered:
        _lowered[:] = sorted(numbers)
        refresh_thresholds()


def _lowest() -> int | None:
    """Return the number that loggers have to speak from on for some task, if any has a higher."""
    for no in _lowered[:1]:
        return no if no < _thresholds.highest else None
    return None


# Others who want to know.


def watch_levels(changed: Callable[[Thresholds], None]) -> Callable[[], None]:
    """Call a function with the thresholds, now and when they change; return how to stop that.

    It is called in the thread that changes them, and must not raise.
    """
    return _watchers.add(changed)


def _current() -> Thresholds:
    lowest = _lowest()
    return _thresholds if lowest is None else Lowered(_thresholds, lowest)


_watchers = Watchers(_current)
tell_watchers = _watchers.tell

"""Test what is logged, and plug-ins of your own.

    capturing.py  `capture()`, and behind it the pytest fixture `logs`
    logs.py       what it has taken: `find`, `one`, `assert_logged`, `assert_none`, `until`
    sinks.py      sinks that keep what they are sent, or misbehave on command
    clock.py      a clock that stands still until it is moved
    contracts/    the tests that every sink, encoder and processor should pass; needs pytest

pytest gets the fixture from a module of its own, beside this package, which loads nothing of
logflume until a test asks for it.
"""

from .capturing import capture
from .clock import ManualClock
from .logs import Logs
from .made import record_of
from .sinks import Collect, Flaky, Gate, Hang, Raising, Rejecting, Slow, Unopenable

__all__ = [
    "Collect",
    "Flaky",
    "Gate",
    "Hang",
    "Logs",
    "ManualClock",
    "Raising",
    "Rejecting",
    "Slow",
    "Unopenable",
    "capture",
    "record_of",
]

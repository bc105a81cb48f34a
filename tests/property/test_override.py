"""Blocks of `override`, entered and left in any order by several tasks, against a simple model."""

from __future__ import annotations

import contextvars
from typing import Any

import hypothesis
from hypothesis import given
from hypothesis import strategies as st

from logflume import get_logger, override, source
from logflume.level import INFO, LEVELS
from tests.intake import captured

log = get_logger("tests.property.override")

settings = st.fixed_dictionaries(
    {},
    optional={
        "level": st.sampled_from([None, "TRACE", "DEBUG", "INFO", "ERROR"]),
        "skip": st.sampled_from([False, False, False, True]),
        "without": st.lists(st.sampled_from("abc"), max_size=2),
    },
)
entering = st.tuples(st.integers(0, 2), settings)
leaving = st.tuples(st.integers(0, 2), st.integers(0, 5))


class Task:
    """A context of its own, and the blocks that it is in."""

    def __init__(self) -> None:
        self.context = contextvars.Context()
        self.blocks: list[tuple[override, dict[str, Any]]] = []

    def enter(self, settings: dict[str, Any]) -> None:
        block = override(**settings)
        self.context.run(block.__enter__)
        self.blocks.append((block, settings))

    def leave(self, at: int) -> None:
        if self.blocks:
            block, _ = self.blocks.pop(at % len(self.blocks))
            self.context.run(block.__exit__, None, None, None)

    def check(self) -> None:
        """Say something at every level, and look what became of it."""
        given = [settings for _, settings in self.blocks]
        levels = [settings["level"] for settings in given if settings.get("level")]
        least = LEVELS[levels[-1]] if levels else INFO
        silent = any(settings.get("skip") for settings in given)
        without = {name for settings in given for name in settings.get("without", ())}
        for name in ("TRACE", "DEBUG", "INFO", "SUCCESS", "WARNING", "ERROR", "CRITICAL"):
            wanted = not silent and LEVELS[name].no >= least.no
            with captured(level=INFO) as taken:
                assert self.context.run(log.is_enabled_for, name) is wanted
                self.context.run(getattr(log, name.lower()), "x")
                self.context.run(log.opt(depth=0).log, name, "x")
            assert len(taken.records) == (2 if wanted else 0)
            assert all(record.without == without for record in taken.records)


@hypothesis.settings(deadline=None)
@given(st.lists(entering | leaving, max_size=12))
def test_each_task_has_just_what_its_own_blocks_say(steps: list[tuple[int, Any]]) -> None:
    """Whatever the others enter and leave; and in the end nothing is lowered any more."""
    tasks = [Task(), Task(), Task()]
    for number, step in steps:
        if isinstance(step, dict):
            tasks[number].enter(step)
        else:
            tasks[number].leave(step)
        for task in tasks:
            task.check()
    for task in tasks:
        while task.blocks:
            task.leave(0)
        task.check()
    assert source._lowered == []
    assert log._source.threshold == log._source.ordinary

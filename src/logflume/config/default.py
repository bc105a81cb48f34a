"""The default pipeline, if `LOGFLUME_CONFIG` names its configuration.

The file is read when logflume is imported: not by the first log call, which may come from an event
loop. What it names is imported and made in the pipeline's thread, before that takes records.
"""

from __future__ import annotations

import functools

from .. import sinks
from ..engine.news import tell_on_stderr
from ..engine.pipeline import Pipeline
from ..engine.plan import Plan
from . import console_pipeline
from .build import plan_of

__all__ = ["default_pipeline"]


def default_pipeline(path: str) -> Pipeline:
    """Make the default pipeline of a file; the console, if that is wrong."""
    plan = _plan_of(path)
    if plan is None:
        return console_pipeline()
    pipeline = _Late(level=plan.level, **plan.settings)
    pipeline.thresholds.replace(plan.level, plan.levels)
    pipeline.plan = plan
    return pipeline


@functools.cache  # another default pipeline is made when one has ended
def _plan_of(path: str) -> Plan | None:
    try:
        return plan_of(path)
    except Exception as error:
        _tell(error)
        return None


def _tell(error: Exception) -> None:
    tell_on_stderr(f"LOGFLUME_CONFIG: {error}; logging to the console")


class _Late(Pipeline):
    """A pipeline whose routes and processors are made in its thread."""

    plan: Plan | None = None

    def _run_in_thread(self) -> None:
        plan, self.plan = self.plan, None
        if plan is not None:
            try:
                self.configured.install(plan)
            except Exception as error:
                _tell(error)
                self.add(sinks.Console())
        super()._run_in_thread()

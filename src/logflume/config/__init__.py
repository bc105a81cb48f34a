"""Pipelines from a file: TOML, JSON or a dict.

    document.py     find, read, fill in `${NAME}`
    schema.py       typed structs: of the settings, and of what constructors take
    plugins.py      names of sinks, encoders and processors
    build.py        settings -> plan -> pipeline
    watch.py        reload when the file changes
    json_schema.py  the same for editors

They are imported when a configuration is read: `import logflume` costs none of it.
"""

from __future__ import annotations

import functools
import os
from typing import TYPE_CHECKING, Any

from .. import sinks
from ..engine.news import tell_on_stderr
from ..engine.pipeline import Pipeline
from ..engine.plan import Source, adopt_planning
from ..errors import ConfigurationError

if TYPE_CHECKING:
    from ..engine.plan import Plan
    from ..level import Level

__all__ = ["configure_from", "json_schema"]


def configure_from(source: Source = None, *, watch: bool = False) -> Pipeline:
    """Make a pipeline of a configuration; open it as any other.

        async with logflume.configure_from("logflume.toml"): ...

    `source` is a TOML or JSON file, or a dict with the same keys; of a `pyproject.toml`, the table
    `[tool.logflume]` counts. None looks for one: the file that `LOGFLUME_CONFIG` names, else
    `logflume.toml` or such a `pyproject.toml` in the current folder, else there are only defaults:
    the console on stderr. The file is read here, so this blocks for a moment.

    `${NAME}` and `${NAME:-default}` in strings stand for environment variables, `$$` for a dollar
    sign. `LOGFLUME_LEVEL` goes before the levels that are written here.

    `Pipeline.reload` takes on another configuration, or reads this one again. Routes and processors
    whose configuration is the same stay as they are: their files stay open, their ledgers go on.
    New sinks are opened before old ones are let go, and those still deliver what they hold. What
    was added with `add` stays; levels set with `set_level` are replaced. `watch=True` reloads
    whenever the file changes; the logger `logflume` tells of it, and of what is wrong with it.

    Raises:
        ConfigurationError: naming the file, the place in it, what is given and what is accepted.
    """
    from .build import pipeline_of, plan_of

    plan = plan_of(source)
    if not watch:
        return pipeline_of(plan)
    from .watch import Watched, watchable

    return pipeline_of(watchable(plan), Watched)


def json_schema() -> dict[str, Any]:
    """Return a JSON Schema (2020-12) of configurations, for editors.

    `python -m logflume.config schema` prints it.
    """
    from .json_schema import json_schema as make

    return make()


def default_pipeline() -> Pipeline:
    """Make the default pipeline: the console, or what `LOGFLUME_CONFIG` says.

    Never raises for what that or `LOGFLUME_LEVEL` says: it is made when logflume is imported.
    """
    path = os.environ.get("LOGFLUME_CONFIG")
    if not path:
        return console_pipeline()
    from .default import default_pipeline as make

    return make(path)


def console_pipeline() -> Pipeline:
    """Make a default pipeline that nothing configures but `LOGFLUME_LEVEL`."""
    return _Default(sinks.Console())


class _Default(Pipeline):
    """A pipeline that tells of wrong levels in the environment, and goes without them."""

    def _levels_around(self) -> tuple[Level | None, dict[str, Level]]:
        try:
            return super()._levels_around()
        except ConfigurationError as error:
            _tell_once(f"{error}; the level is INFO")
            return None, {}


@functools.cache  # another default pipeline is made when one has ended
def _tell_once(text: str) -> None:
    tell_on_stderr(text)


def _read(source: Source) -> Plan:
    from .build import plan_of

    return plan_of(source)


adopt_planning(_read)

"""The pipeline's life within an app's."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from inspect import isasyncgenfunction, iscoroutinefunction
from typing import Any, TypeAlias

from ...engine.pipeline import Pipeline
from ...errors import ConfigurationError, PipelineError

__all__ = ["lifespan"]

_Lifespan: TypeAlias = Callable[[Any], AbstractAsyncContextManager[Any]]
"""What Starlette and FastAPI call a lifespan: an async context manager, made for the app."""


def lifespan(
    pipeline: Pipeline | Callable[[], Pipeline], own: _Lifespan | None = None
) -> _Lifespan:
    """Return a lifespan which opens the pipeline before the app starts, and closes it at the end.

    `own` is the app's own lifespan: it runs inside, so that what it logs at its start and end is
    delivered, and its state is passed on. A pipeline can be opened once; give a function that
    makes one if the app may be started again, as in tests.

        app = FastAPI(lifespan=lifespan(Pipeline(sinks.Console()), own))

    Raises:
        ConfigurationError: what is given is no pipeline and makes none.
        PipelineError: as the app starts: it did so before, with this same pipeline.
    """
    if not isinstance(pipeline, Pipeline) and (
        not callable(pipeline) or iscoroutinefunction(pipeline)
    ):
        raise ConfigurationError.of("lifespan.pipeline", pipeline, "a Pipeline, or what makes one")
    if own is not None and (not callable(own) or isasyncgenfunction(own)):
        accepted = "an app's lifespan, made with contextlib.asynccontextmanager, or None"
        raise ConfigurationError.of("lifespan.own", own, accepted)

    starts = 0

    @asynccontextmanager
    async def run(app: Any) -> AsyncIterator[Any]:
        nonlocal starts
        starts += 1
        if starts > 1 and isinstance(pipeline, Pipeline):
            raise PipelineError(
                "the app is started again, and its pipeline opens once: give lifespan a function "
                "that makes one, as in lifespan(lambda: Pipeline(...))"
            )
        async with pipeline if isinstance(pipeline, Pipeline) else pipeline():
            if own is None:
                yield
            else:
                async with own(app) as state:
                    yield state

    return run

"""Blocks and functions whose exceptions are logged: what `Logger.catch` returns."""

from __future__ import annotations

import contextlib
import functools
import inspect
from collections.abc import Callable, Generator
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar, cast

from .capture import Options, log_with
from .level import Level

if TYPE_CHECKING:
    from .logger import Logger

__all__ = ["Catch"]

F = TypeVar("F", bound=Callable[..., Any])


class Catch:
    """A block or function whose exceptions are logged: what `Logger.catch` returns."""

    def __init__(
        self,
        logger: Logger,
        exception: type[BaseException] | tuple[type[BaseException], ...],
        level: Level,
        reraise: bool,
        default: Any,
        message: str,
    ) -> None:
        self._logger = logger
        self._exception = exception
        self._level = level
        self._reraise = reraise
        self._default = default
        self._message = message
        self._depth = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        if exc is None or not isinstance(exc, self._exception):
            return False
        options = Options(self._depth, False, exc)
        log_with(self._logger, self._level, self._message, (), {}, options, False)
        return not self._reraise

    def __call__(self, function: F) -> F:
        """Wrap a function: its caller is the call site of what is logged."""
        catch = Catch(
            self._logger,
            self._exception,
            self._level,
            self._reraise,
            self._default,
            self._message,
        )
        catch._depth = 1
        return cast("F", functools.wraps(function)(_guarded(function, catch, self._default)))


def _guarded(function: Callable[..., Any], catch: Catch, default: Any) -> Callable[..., Any]:
    if inspect.iscoroutinefunction(function):

        async def coroutine(*args: Any, **kwargs: Any) -> Any:
            with catch:
                return await function(*args, **kwargs)
            return default

        return coroutine
    if inspect.isasyncgenfunction(function):

        async def async_generator(*args: Any, **kwargs: Any) -> Any:
            with catch:
                async with contextlib.aclosing(function(*args, **kwargs)) as items:
                    step, given = items.asend, None
                    while True:
                        try:
                            item = await step(given)
                        except StopAsyncIteration:
                            return
                        # What PEP 380 does for `yield from`, which async generators lack.
                        try:
                            step, given = items.asend, (yield item)
                        except GeneratorExit:
                            raise
                        except BaseException as error:
                            step, given = items.athrow, error

        return async_generator
    if inspect.isgeneratorfunction(function):

        def generator(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
            with catch:
                return (yield from function(*args, **kwargs))
            return default

        return generator

    def plain(*args: Any, **kwargs: Any) -> Any:
        with catch:
            return function(*args, **kwargs)
        return default

    return plain

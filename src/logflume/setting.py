"""Checks of what is given as settings."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec

from .errors import ConfigurationError

__all__ = ["flag", "function", "known_options", "name_of_field", "positive"]

P = ParamSpec("P")


def known_options(setting: str) -> Callable[[Callable[P, None]], Callable[P, None]]:
    """Have an `__init__` refuse options that it does not have by naming those that there are."""

    def refusing(init: Callable[P, None]) -> Callable[P, None]:
        parameters = list(inspect.signature(init).parameters.values())[1:]
        known = [p.name for p in parameters if p.kind is not p.VAR_POSITIONAL]

        @wraps(init)
        def checked(*args: P.args, **options: P.kwargs) -> None:
            unknown = ", ".join([name for name in options if name not in known])
            if unknown:
                raise ConfigurationError.of(setting, unknown, ", ".join(known))
            init(*args, **options)

        return checked

    return refusing


def positive(setting: str, value: object, *, zero: bool = False, whole: bool = False) -> None:
    """Refuse a setting that is no number, not finite, or not above (or at) zero.

    Raises:
        ConfigurationError: naming the setting.
    """
    kinds = int if whole else int | float
    if (
        isinstance(value, kinds)
        and not isinstance(value, bool)
        and (0 < value <= sys.float_info.max or (zero and value == 0))
        and not (whole and value > sys.maxsize)  # no container has so many items
    ):
        return
    number = "a whole number" if whole else "a number"
    least = "of 0 and above" if zero else "above 0"
    raise ConfigurationError.of(setting, value, f"{number} {least}")


def name_of_field(setting: str, value: object) -> None:
    """Refuse a setting that cannot be the name of a field.

    Raises:
        ConfigurationError: naming the setting.
    """
    if not isinstance(value, str) or not value:
        raise ConfigurationError.of(setting, value, "the name of a field")


def function(setting: str, value: object) -> None:
    """Refuse a setting that cannot be called.

    Raises:
        ConfigurationError: naming the setting.
    """
    if not callable(value):
        raise ConfigurationError.of(setting, value, "a function")


def flag(setting: str, value: object) -> bool:
    """Return a setting that is yes or no, and refuse any other: `"no"` and `"false"` are true.

    Raises:
        ConfigurationError: naming the setting.
    """
    if not isinstance(value, bool):
        raise ConfigurationError.of(setting, value, "True or False")
    return value

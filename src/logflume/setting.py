"""Checks of what is given as settings."""

from __future__ import annotations

import sys

from .errors import ConfigurationError

__all__ = ["flag", "function", "name_of_field", "positive"]


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

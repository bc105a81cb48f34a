"""Regular expressions that are compiled when they are first used.

Those for the shapes of secrets alone take ten milliseconds, a sixth of what importing all of
logflume does, and most programs never log anything that has to be searched with them.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

__all__ = ["lazy_pattern"]


class _Pattern:
    """Stands in for a compiled pattern: has its methods, once they are asked for."""

    def __init__(self, text: str | bytes, flags: int) -> None:
        self._text = text
        self._flags = flags

    def __reduce__(self) -> Any:  # `__getattr__` could not do without `_text`
        return _lazy_pattern, (self._text, self._flags)

    def __getattr__(self, name: str) -> Any:
        found = getattr(re.compile(self._text, self._flags), name)
        setattr(self, name, found)  # the next time, nothing stands between it and the caller
        return found


def _lazy_pattern(text: str | bytes, flags: int = 0) -> Any:
    return _Pattern(text, flags)


if TYPE_CHECKING:
    lazy_pattern = re.compile
else:
    lazy_pattern = _lazy_pattern

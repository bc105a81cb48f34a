"""What an encoder was made with, by which it is compared and shown."""

from __future__ import annotations

from typing import Any

__all__ = ["Configured"]


class Configured:
    """Equal, hashed and shown by its settings, so that routes with equal encoders share bytes.

    Settings are read once, by the constructor: changing an encoder's attributes has no effect.
    """

    _settings: dict[str, Any]
    _hash: int

    def _configure(self, **settings: Any) -> None:
        self._settings = settings
        simple = [value for value in settings.values() if isinstance(value, str | int | None)]
        self._hash = hash((type(self), *simple))  # what a user gave need not have a hash

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and other._settings == self._settings

    def __hash__(self) -> int:
        return self._hash

    def __repr__(self) -> str:
        defaults = type(self).__init__.__kwdefaults__ or {}
        missing = object()
        shown = [
            f"{name}={value!r}"
            for name, value in self._settings.items()
            if defaults.get(name, missing) != value
        ]
        return f"{type(self).__name__}({', '.join(shown)})"

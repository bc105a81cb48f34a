"""Finding and reading a configuration: TOML, JSON or a dict, with `${NAME}` filled in.

Nothing here knows what the settings mean.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..engine.plan import Source
from ..errors import ConfigurationError

__all__ = ["Document", "find", "place", "read"]

VARIABLE = "LOGFLUME_CONFIG"
_SOURCES = "the path of a .toml or .json file, or a dict"

_REFERENCE = re.compile(r"\$(?:(\$)|\{([^{}]*)\}|\{)")
_INSIDE = re.compile(r"([A-Za-z_]\w*)(?::-(.*))?", re.DOTALL)
_LEAST_SECRET = 4
_BARE = re.compile(r"[\w-]+")


def place(path: str, key: object) -> str:
    """Return the path of what is under a key, or at an index, of what is at `path`."""
    if isinstance(key, int):
        return f"{path}[{key}]"
    name = str(key) if _BARE.fullmatch(str(key)) else f'"{key}"'
    return f"{path}.{name}" if path else name


class Document:
    """What a configuration says: plain data. `name` is what errors call it, "" for a dict;
    `text` is what the file holds."""

    def __init__(
        self,
        data: Mapping[str, Any],
        name: str = "",
        path: Path | None = None,
        text: bytes = b"",
    ) -> None:
        self.name = name
        self.path = path
        self.text = text
        self._filled: dict[str, str] = {}
        with self.errors():
            self.data: dict[str, Any] = {
                key: self._fill(value, place("", key)) for key, value in data.items()
            }

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Let errors say where they are, and show what came from the environment as it is written
        in the document: it may be a secret."""
        try:
            yield
        except ConfigurationError as error:
            name = f"{self.name}: " if self.name else ""
            raise ConfigurationError(f"{name}{self._masked(str(error))}") from error.__cause__

    def _masked(self, text: str) -> str:
        setting, colon, said = text.partition(": ")
        said, semicolon, accepted = said.partition("; accepted: ")
        for value in sorted(self._filled, key=len, reverse=True):
            if said == f"got {value!r}":
                said = f"got {self._filled[value]!r}"
            elif len(value) >= _LEAST_SECRET:
                said = said.replace(value, self._filled[value])
        return f"{setting}{colon}{said}{semicolon}{accepted}"

    def _fill(self, value: Any, path: str) -> Any:
        if isinstance(value, str):
            return self._fill_text(value, path)
        if isinstance(value, Mapping):
            return {key: self._fill(item, place(path, key)) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self._fill(item, place(path, at)) for at, item in enumerate(value)]
        return value

    def _fill_text(self, text: str, path: str) -> str:
        def found(match: re.Match[str]) -> str:
            if match[1]:
                return "$"
            inside = _INSIDE.fullmatch(match[2] or "")
            if inside is None:
                raise ConfigurationError.of(path, match[0], "${NAME} or ${NAME:-default}; $$ is $")
            name, default = inside.groups()
            value = os.environ.get(name)
            if value or (value is not None and default is None):
                if value:
                    self._filled[value] = match[0]
                return value
            if default is None:
                raise ConfigurationError(
                    f"{path}: the environment variable {name} is not set; "
                    f"accepted: set it, or give a default: ${{{name}:-default}}"
                )
            return str(default)

        return _REFERENCE.sub(found, text)


def find() -> Path | None:
    """Return the file that is meant when none is named; None if there is none.

    `LOGFLUME_CONFIG`, then `logflume.toml` in the current folder, then a `pyproject.toml` there
    that has a table `[tool.logflume]`.
    """
    named = os.environ.get(VARIABLE)
    if named:
        return Path(named)
    own = Path("logflume.toml")
    if own.is_file():
        return own
    shared = Path("pyproject.toml")
    if shared.is_file() and "logflume" in _parse(shared, _text(shared)).get("tool", {}):
        return shared
    return None


def read(source: Source = None) -> Document:
    """Read a configuration; None finds it, see `find`. Blocks while it reads the file.

    Raises:
        ConfigurationError: it cannot be read, or a variable it names is not set.
    """
    if isinstance(source, Mapping):
        return Document(source)
    if source is None:
        path = find()
        if path is None:
            return Document({})
    elif isinstance(source, str | os.PathLike) and os.fspath(source):
        path = Path(source)
    else:
        raise ConfigurationError.of("configuration", source, _SOURCES)
    text = _text(path)
    data: Any = _parse(path, text)
    if path.name == "pyproject.toml":
        data = data.get("tool", {}).get("logflume")
        if data is None:
            raise ConfigurationError(f"{path}: there is no table [tool.logflume]")
    if not isinstance(data, dict):
        raise ConfigurationError.of(str(path), data, "a table of settings")
    return Document(data, str(path), path.absolute(), text)


def _text(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be read: {error.strerror}") from error


def _parse(path: Path, text: bytes) -> Any:
    try:
        if path.suffix == ".toml":
            import tomllib

            return tomllib.loads(text.decode("utf-8-sig"))
        if path.suffix == ".json":
            import json  # its errors name line and column

            return json.loads(text.decode("utf-8-sig"))
    except ValueError as error:  # what the three of them raise
        raise ConfigurationError(f"{path}: {error}") from error
    raise ConfigurationError.of("configuration", str(path), _SOURCES)

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
_DEEPEST = 32
_BARE = re.compile(r"[\w-]+")


def place(path: str, key: object) -> str:
    """Return the path of what is under a key, or at an index, of what is at `path`."""
    if isinstance(key, int):
        return f"{path}[{key}]"
    name = str(key) if _BARE.fullmatch(str(key)) else f'"{key}"'
    return f"{path}.{name}" if path else name


def _forms(value: str) -> tuple[str, str]:
    """Return a text as it is, and as a part of what `repr` makes of a longer one."""
    return value, repr(value)[1:-1]


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
            self.data: dict[str, Any] = self._fill(data, "")

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Let errors say where they are, and show what came from the environment as it is written
        in the document: it may be a secret."""
        try:
            yield
        except ConfigurationError as error:
            name = f"{self.name}: " if self.name else ""
            cause = None if self._is_shown_by(error.__cause__) else error.__cause__
            raise ConfigurationError(f"{name}{self._masked(str(error))}") from cause

    def _is_shown_by(self, error: BaseException | None) -> bool:
        """Whether an error, or one that led to it, shows what came from the environment."""
        while error is not None:
            text = str(error)
            if any(shown in text for value in self._filled for shown in _forms(value)):
                return True
            error = error.__cause__ or error.__context__
        return False

    def _masked(self, text: str) -> str:
        setting, colon, said = text.partition(": ")
        said, semicolon, accepted = said.partition("; accepted: ")
        for value in sorted(self._filled, key=len, reverse=True):
            if said == f"got {value!r}":
                said = f"got {self._filled[value]!r}"
            elif len(value) >= _LEAST_SECRET:
                for form in _forms(value):
                    said = said.replace(form, self._filled[value])
        return f"{setting}{colon}{said}{semicolon}{accepted}"

    def _fill(self, value: Any, path: str, depth: int = 0) -> Any:
        if isinstance(value, str):
            return self._fill_text(value, path)
        if not isinstance(value, Mapping | list | tuple):
            return value
        if depth > _DEEPEST:  # a list that is in itself, say
            raise ConfigurationError(
                f"{path[:64]}...: nested too deeply; accepted: {_DEEPEST} levels"
            )
        depth += 1
        if not isinstance(value, Mapping):
            return [self._fill(item, place(path, at), depth) for at, item in enumerate(value)]
        return {key: self._fill(item, place(path, key), depth) for key, item in value.items()}

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
    if shared.is_file() and _table_in(_parse(shared, _text(shared))) is not None:
        return shared
    return None


def _table_in(project: Mapping[str, Any]) -> Any:
    """Return what a `pyproject.toml` says as `tool.logflume`; None if it says nothing."""
    tools = project.get("tool")
    return tools.get("logflume") if isinstance(tools, Mapping) else None


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
        data = _table_in(data)
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
    except ValueError as error:  # a NUL in its name
        raise ConfigurationError.of("configuration", str(path), _SOURCES) from error


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
    except RecursionError:
        raise ConfigurationError(f"{path}: nested too deeply") from None
    raise ConfigurationError.of("configuration", str(path), _SOURCES)

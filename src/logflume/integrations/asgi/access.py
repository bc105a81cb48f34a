"""What is logged of a request, and how: the settings of the middleware, checked and made ready."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from inspect import iscoroutinefunction
from typing import Any, TypeAlias
from urllib.parse import parse_qsl

from ...errors import ConfigurationError
from ...level import ERROR, INFO, WARNING, Level, coerce_level
from ...logger import Logger, get_logger
from ...mask import Mask
from ...secrets import Finder, Names
from ...snapshot import snapshot_fields, type_name

__all__ = ["HEADER", "Access", "Choice", "content_length", "level_of_code", "level_of_status"]

Choice: TypeAlias = Callable[[dict[str, Any], dict[str, Any]], "dict[str, Any] | None"]
"""Called with the fields of an access record and the ASGI scope; returns the fields to log."""

HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")  # RFC 9110, section 5.6.2
_MOST_VALUES = 1_000
_NAMES = Names()
_MASK = Mask(_NAMES, Finder(_NAMES, cards=True, emails=False), "[redacted]")


def level_of_status(status: int) -> Level:
    """Return ERROR from 500 on, WARNING from 400 on, and INFO for all below."""
    if status >= 500:
        return ERROR
    return WARNING if status >= 400 else INFO


def level_of_code(code: int) -> Level:
    """Return ERROR for 1011, WARNING for what the protocol calls an error (RFC 6455, 7.4.1)."""
    if code == 1011:
        return ERROR
    return WARNING if code in (1002, 1003, 1007, 1008, 1009, 1010, 1014, 1015) else INFO


def content_length(headers: Any) -> int:
    """Return what a response says of its length; 0 if it says nothing."""
    for name, value in headers:
        if bytes(name).lower() == b"content-length" and len(value) < 20 and value.isdigit():
            return int(value)
    return 0


class Access:
    """The settings of a `LoggingMiddleware`; they are described there."""

    def __init__(
        self,
        *,
        logger: Logger | str,
        request_id_header: str | None,
        new_request_id: Callable[[], str],
        level: Callable[[int], Level | str | int],
        exclude: Iterable[str],
        query: Iterable[str],
        headers: Iterable[str],
        response_headers: Iterable[str],
        fields: Choice | None,
    ) -> None:
        if not isinstance(logger, Logger | str) or not logger:
            raise _wrong("logger", logger, "a logger, or the name of one")
        for setting, function in (("new_request_id", new_request_id), ("level", level)):
            if not callable(function) or iscoroutinefunction(function):
                raise _wrong(setting, function, "a callable that is not async")
        if fields is not None and (not callable(fields) or iscoroutinefunction(fields)):
            raise _wrong(
                "fields", fields, "a callable of fields and scope that is not async, or None"
            )
        self.logger = get_logger(logger) if isinstance(logger, str) else logger
        self.errors = get_logger(f"{self.logger.name}.error", **self.logger._bound)
        self.request_id_header: bytes | None = None
        if request_id_header is not None:
            (self.request_id_header,) = _header_names("request_id_header", [request_id_header])
        self.new_request_id = new_request_id
        self._level = level
        paths = _listed("exclude", exclude)
        for path in paths:
            if not path.startswith("/") or "*" in path[:-1]:
                raise _wrong("exclude", path, "paths like /health, or /static/* for all below")
        self._excluded = frozenset(path for path in paths if path[-1] != "*")
        self._excluded_below = tuple(path[:-1] for path in paths if path[-1] == "*")
        self._query = frozenset(_listed("query", query))
        self._headers = _header_names("headers", headers)
        self._response_headers = _header_names("response_headers", response_headers)
        self.names_any = bool(self._query or self._headers or self._response_headers)
        self._choose = fields
        self.wanted = {b"traceparent", b"user-agent"}
        if self.request_id_header is not None:
            self.wanted.add(self.request_id_header)

    def excludes(self, path: str) -> bool:
        """Whether requests of this path have no access record."""
        return path in self._excluded or (
            bool(self._excluded_below) and path.startswith(self._excluded_below)
        )

    def level_of(self, status: int) -> Level:
        """Return the level for a status; the usual one if the setting's own function fails."""
        if self._level is level_of_status:
            return level_of_status(status)
        try:
            return coerce_level(self._level(status))
        except Exception:
            return level_of_status(status)

    def named(self, scope: dict[str, Any], response_headers: Any) -> dict[str, Any]:
        """Return the query parameters and headers that the settings name, as fields."""
        found: dict[str, Any] = {}
        try:
            found["query"] = self._query_of(scope)
            found["headers"] = _headers_of(scope.get("headers", ()), self._headers)
            found["response_headers"] = _headers_of(response_headers, self._response_headers)
        except Exception as error:  # the app or the server keeps to no protocol
            found["logflume.fields_error"] = type_name(error)
        return {name: values for name, values in found.items() if values}

    def _query_of(self, scope: dict[str, Any]) -> dict[str, Any]:
        query = scope.get("query_string", b"")
        if not self._query or not query:
            return {}
        try:
            pairs = parse_qsl(query.decode("latin-1"), True, max_num_fields=_MOST_VALUES)
        except ValueError:  # more than that
            return {}
        return _redacted(pair for pair in pairs if pair[0] in self._query)

    def chosen(self, fields: dict[str, Any], scope: dict[str, Any]) -> dict[str, Any] | None:
        """Return what the hook makes of an access record's fields; all of them if it fails."""
        if self._choose is None:
            return fields
        try:
            chosen = self._choose(dict(fields), scope)
            return None if chosen is None else snapshot_fields(dict(chosen))
        except Exception as error:
            return {**fields, "logflume.fields_error": type_name(error)}


def _headers_of(found: Iterable[tuple[bytes, bytes]], wanted: frozenset[bytes]) -> dict[str, Any]:
    if not wanted:
        return {}
    named = ((bytes(name).lower(), value) for name, value in found)
    return _redacted(
        (name.decode("latin-1"), bytes(value).decode("latin-1"))
        for name, value in named
        if name in wanted
    )


def _redacted(pairs: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """Gather pairs in a dict; a name that comes again gets a list. Secrets are masked, whether or
    not the pipeline does it, too: these values are the client's."""
    gathered: dict[str, Any] = {}
    for name, value in pairs:
        if name not in gathered:
            gathered[name] = value
        elif isinstance(gathered[name], list):
            gathered[name].append(value)
        else:
            gathered[name] = [gathered[name], value]
    masked: dict[str, Any] = _MASK.mapping(gathered)
    return masked


def _listed(setting: str, given: Iterable[str]) -> list[str]:
    accepted = "a list of texts"
    if isinstance(given, str | bytes) or not isinstance(given, Iterable):
        raise _wrong(setting, given, accepted)
    names = list(given)
    if not all(isinstance(name, str) and name for name in names):
        raise _wrong(setting, given, accepted)
    return names


def _header_names(setting: str, given: Iterable[str]) -> frozenset[bytes]:
    names = _listed(setting, given)
    for name in names:
        if not HEADER.fullmatch(name):
            raise _wrong(setting, name, "names of headers, like x-request-id")
    return frozenset(name.lower().encode() for name in names)


def _wrong(setting: str, given: object, accepted: str) -> ConfigurationError:
    return ConfigurationError.of(f"LoggingMiddleware.{setting}", given, accepted)

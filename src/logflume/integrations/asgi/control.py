"""What a request may ask of the logging about itself, if it is trusted: by headers."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, MutableMapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ...errors import ConfigurationError
from ...level import ERROR, Level, parse_level
from ...override import override
from ...snapshot import type_name
from .access import HEADER
from .call import Call

__all__ = ["RequestControl"]

_LONGEST = 1_024
"""Bytes of a header; one that is longer asks for nothing."""

_MOST_NAMES = 16
_LEVEL = re.compile(rb"[ \t]*([A-Za-z0-9_.-]{1,32})[ \t]*")
_YES = {b"1", b"true", b"yes", b"on"}


class _Asked(NamedTuple):
    """What a request asks for."""

    level: Level | None = None
    skip: bool = False
    without: frozenset[str] = frozenset()


_NOTHING = _Asked()


@dataclass(frozen=True)
class RequestControl:
    """Let requests that are trusted say by headers how they are logged; all others log as ever.

    - `X-Log-Level: DEBUG` is the level of all loggers for this request, higher or lower: by name
      (registered ones, too) or number.
    - `X-Log-Skip: true` (or `1`, `yes`, `on`): nothing of the request is logged, its access record
      included.
    - `X-Log-Without: audit, loki` are names of routes that nothing of it goes to. Names that no
      route has are ignored, and kept nowhere.

    It is as if the app ran in `logflume.override`; that says what a level means for loggers and
    routes with levels of their own. Streamed bodies, background tasks and websockets are inside.
    However the request ends, so does its level. An exception that nobody handles is logged in any
    case (but not to routes it is kept from), so a failure does not go unseen.

        LoggingMiddleware(app, control=RequestControl(lambda asgi: is_admin(asgi["headers"])))

    `trusts` is given the ASGI scope, only of requests with such a header, and says whether it may;
    it may be async: the app is called after that. What it logs itself has the request's context.
    If it fails, the request is not trusted and goes on, and its access record has the error's type
    as `logflume.control_error`. What is no level, a list of more than 16 names, a header of more
    than 1,024 bytes, and a level given twice are ignored, each by itself.

    `level_header`, `skip_header` and `routes_header` are the names of the headers; None for one
    that nobody may use. Who may set them decides what is seen of a request: let proxies take them
    away from what comes from outside.

    Raises:
        ConfigurationError: a setting means nothing.
    """

    trusts: Callable[[MutableMapping[str, Any]], Any]
    level_header: str | None = field(default="x-log-level", kw_only=True)
    skip_header: str | None = field(default="x-log-skip", kw_only=True)
    routes_header: str | None = field(default="x-log-without", kw_only=True)

    def __post_init__(self) -> None:
        # What a generator function returns is true, whatever that yields.
        yields = inspect.isgeneratorfunction(self.trusts) or inspect.isasyncgenfunction(self.trusts)
        if yields or not callable(self.trusts):
            raise _wrong("trusts", self.trusts, "a function of the ASGI scope")
        seen: set[str] = set()
        for setting, name in vars(self).items():
            if setting == "trusts" or name is None:
                continue
            if not isinstance(name, str) or not HEADER.fullmatch(name):
                raise _wrong(setting, name, "the name of a header, like x-log-level, or None")
            if name.lower() in seen:
                raise _wrong(setting, name, "a header of its own")
            seen.add(name.lower())
        if not seen:
            raise _wrong("level_header", None, "at least one header")

    async def apply_to(self, call: Call) -> None:
        """Log a call, whose context is entered, as it asks for, if it may."""
        asked = await self._asked_by(call)
        if asked is _NOTHING:
            return
        if asked.without:
            call.enter(override(without=asked.without))
        if asked.skip:
            call.excluded = True
            call.hush = override(skip=True)
            call.enter(call.hush)
        elif asked.level is not None:
            block = override(level=asked.level)
            call.enter(block)
            if asked.level.no > ERROR.no:
                call.hush = block
        call.record.move_here()  # for when it is ended elsewhere

    async def _asked_by(self, call: Call) -> _Asked:
        try:
            asked = self._read(call.asgi.get("headers") or ())
            if asked is _NOTHING:
                return asked
            trusted = self.trusts(call.asgi)
            if inspect.isawaitable(trusted):
                trusted = await trusted
            return asked if trusted else _NOTHING
        except Exception as error:
            call.record.add(**{"logflume.control_error": type_name(error)})
            return _NOTHING

    def _read(self, headers: Iterable[tuple[bytes, bytes]]) -> _Asked:
        level, skip, routes = map(_bytes, (self.level_header, self.skip_header, self.routes_header))
        levels: list[bytes] = []
        skips: list[bytes] = []
        without: list[bytes] = []
        for name, value in headers:
            if name == level:
                levels.append(value)
            elif name == skip:
                skips.append(value)
            elif name == routes:
                without.append(value)
        if not (levels or skips or without):
            return _NOTHING
        asked = _Asked(_level(levels), _yes(skips), _names(without))
        return _NOTHING if asked == _NOTHING else asked


def _bytes(name: str | None) -> bytes | None:
    return None if name is None else name.lower().encode()


def _level(values: list[bytes]) -> Level | None:
    found = _LEVEL.fullmatch(values[0]) if len(values) == 1 else None
    try:
        return parse_level(found[1].decode()) if found else None
    except ConfigurationError:
        return None


def _yes(values: list[bytes]) -> bool:
    return len(values) == 1 and len(values[0]) <= _LONGEST and values[0].strip().lower() in _YES


def _names(values: list[bytes]) -> frozenset[str]:
    joined = b",".join(values)  # as RFC 9110, section 5.3 has it
    if len(joined) > _LONGEST:
        return frozenset()
    names = {name.strip() for name in joined.decode("latin-1").split(",")} - {""}
    return frozenset(names) if len(names) <= _MOST_NAMES else frozenset()


def _wrong(setting: str, given: object, accepted: str) -> ConfigurationError:
    return ConfigurationError.of(f"RequestControl.{setting}", given, accepted)

"""The configuration as a JSON Schema (2020-12), for editors.

What plug-ins take comes from their constructors, as in `schema.py`. Plug-ins of other packages are
let pass.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable
from typing import Any

import msgspec

from ..engine.route import Route
from ..level import LEVELS
from ..protocols import Encoder, Sink
from .plugins import ENCODERS, PROCESSORS, SINKS, Kind
from .schema import Config, Option, is_table, members_of, options_of

__all__ = ["json_schema"]

_VARIABLE = {"type": "string", "pattern": r"\$\{"}
_REFERENCE = {"type": "string", "pattern": ":"}
_STREAM = {"anyOf": [{"enum": ["stdout", "stderr"]}, _REFERENCE]}


def json_schema() -> dict[str, Any]:
    """Return the schema of whole configurations."""
    parts: dict[str, Any] = {
        "level": _level(),
        "route": _table(Route),
        **{kind.label: _kind(kind) for kind in (SINKS, ENCODERS, PROCESSORS)},
    }
    plug_ins = [made for kind in (SINKS, ENCODERS, PROCESSORS) for made in kind.known().values()]
    for made in (Route, *plug_ins):
        for option in options_of(made).all.values():
            for member in filter(is_table, option.special):
                parts[member.__name__] = _table(member)
    parts["route"]["properties"]["sink"] = _ref("sink")
    parts["route"]["required"] = ["sink"]
    settings = {name: _plain(hint) for name, hint in _hints(Config).items()}
    redact = PROCESSORS.known()["redact"]
    settings |= {
        "level": _ref("level"),
        "levels": {"type": "object", "additionalProperties": _ref("level")},
        "redact": {"anyOf": [{"type": "boolean"}, _VARIABLE, _typed(redact)]},
        "processors": {"type": "array", "items": _ref("processor")},
        "routes": {"type": "array", "items": _ref("route")},
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "logflume",
        "description": "Configuration of a logflume pipeline.",
        "type": "object",
        "properties": settings,
        "additionalProperties": False,
        "$defs": parts,
    }


def _ref(name: str) -> dict[str, Any]:
    return {"$ref": f"#/$defs/{name}"}


def _hints(kind: type) -> dict[str, Any]:
    return typing.get_type_hints(kind)


def _level() -> dict[str, Any]:
    names = [name.lower() for name in LEVELS]
    return {"anyOf": [{"enum": names}, {"type": "string"}, {"type": "integer", "minimum": 0}]}


def _kind(kind: Kind) -> dict[str, Any]:
    """Return what stands for a plug-in: its name, or a table with its type and options."""
    known = kind.known()
    name = {"anyOf": [{"enum": list(known)}, {"type": "string"}]}
    tables = [
        {
            "if": {"properties": {"type": {"const": name}}},
            "then": _typed(factory),
        }
        for name, factory in known.items()
    ]
    table = {
        "type": "object",
        "properties": {"type": name},
        "required": ["type"],
        "allOf": tables,
    }
    return {"anyOf": [name, table]}


def _typed(factory: type) -> dict[str, Any]:
    schema = _table(factory)
    schema["properties"] = {"type": {}, **schema["properties"]}
    return schema


def _table(factory: Callable[..., Any]) -> dict[str, Any]:
    """Return the schema of a constructor's options."""
    options = options_of(factory)
    said = (inspect.getdoc(factory) or "").partition("\n\n")[0].replace("\n", " ")
    schema: dict[str, Any] = {
        "type": "object",
        "description": said,
        "properties": {option.name: _option(option) for option in options.all.values()},
        "additionalProperties": options.open,
    }
    required = [option.name for option in options.all.values() if option.required]
    return {**schema, "required": required} if required else schema


def _option(option: Option) -> dict[str, Any]:
    schema = _ref("level") if option.is_level else _any_of(option)
    if option.is_list:
        schema = {"type": "array", "items": schema}
    default = option.parameter.default
    if isinstance(default, str | int | float):
        schema = {**schema, "default": default}
    return schema


def _any_of(option: Option) -> dict[str, Any]:
    found = [_special(member) for member in option.special]
    if option.plain not in (Any, type(None)):
        found.append(_plain(option.plain))
    elif not found:
        return {}
    if {} in found:
        return {}
    found = [schema for schema in found if schema is not None]
    return found[0] if len(found) == 1 else {"anyOf": found}


def _special(member: Any) -> dict[str, Any]:
    if member is Encoder:
        return _ref("encoder")
    if member is Sink:
        return _ref("sink")
    if member is Route:
        return _ref("route")
    if member in (typing.TextIO, typing.BinaryIO):
        return _STREAM
    if Callable in (member, typing.get_origin(member)):
        return _REFERENCE
    return _ref(member.__name__) if is_table(member) else {}


def _plain(hint: Any) -> dict[str, Any]:
    """Return the schema of a type that msgspec knows; a text may stand for a variable."""
    members = [member for member in members_of(hint) if member is not type(None)]
    if not members or Any in members or object in members:
        return {}
    schemas: list[dict[str, Any]] = [msgspec.json.schema(member) for member in members]
    if str not in members:
        schemas.append(_VARIABLE)
    return schemas[0] if len(schemas) == 1 else {"anyOf": schemas}

"""From what a configuration says to routes, processors and a pipeline."""

from __future__ import annotations

import functools
import os
import re
import sys
import typing
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec

from ..engine.pipeline import Pipeline
from ..engine.plan import Part, Plan, Source
from ..engine.route import Route
from ..errors import ConfigurationError
from ..level import INFO, Level, parse_level, parse_spec
from ..protocols import Encoder, Sink
from ..setting import positive
from . import document
from .document import Document, place
from .plugins import ENCODERS, PROCESSORS, SINKS, Kind, imported
from .schema import Config, Option, accepted, convert, is_table, members_of, options_of

__all__ = ["construct", "made", "pipeline_of", "plan_of"]

_FIXED = ("capacity", "shutdown_timeout", "block_timeout", "processor_timeout")
_MAY_BE_ZERO = ("shutdown_timeout", "block_timeout")
_OF = re.compile(r"(?P<setting>\w+(?:\.\w+)*): (?P<rest>got .*)", re.DOTALL)


def plan_of(source: Source) -> Plan:
    """Read a configuration and say what it makes of a pipeline. Blocks; imports nothing yet.

    Raises:
        ConfigurationError: naming where in the configuration what is wrong.
    """
    read = document.read(source)
    with read.errors():
        config = convert(read.data, Config, "")
        root, levels = _levels(config)
        _refuse_same_names(config.routes)
        return Plan(
            source=source if read.path is None else read.path,
            text=read.text,
            settings=_settings(config),
            level=root,
            levels=levels,
            redact=_redact(read, config.redact),
            processors=tuple(
                Part(spec, _later(read, functools.partial(made, PROCESSORS, spec, at)))
                for spec, at in _each(config.processors, "processors")
            ),
            routes=tuple(
                Part(spec, _later(read, functools.partial(route_of, spec, at)))
                for spec, at in _each(config.routes, "routes")
            ),
        )


def _settings(config: Config) -> dict[str, Any]:
    given = {name: getattr(config, name) for name in _FIXED}
    given = {name: value for name, value in given.items() if value is not None}
    for name, value in given.items():
        positive(name, value, whole=name == "capacity", zero=name in _MAY_BE_ZERO)
    return given


def _refuse_same_names(specs: list[Any]) -> None:
    names: set[str] = set()
    for spec, at in _each(specs, "routes"):
        name = spec.get("name") if isinstance(spec, Mapping) else None
        if isinstance(name, str):
            if name in names:
                where = place(at, "name")
                raise ConfigurationError.of(where, name, "a name that no route has yet")
            names.add(name)


def _each(specs: list[Any], path: str) -> list[tuple[Any, str]]:
    return [(spec, place(path, index)) for index, spec in enumerate(specs)]


def _later(read: Document, make: Callable[[], Any]) -> Callable[[], Any]:
    def make_it() -> Any:
        with read.errors():
            return make()

    return make_it


def _levels(config: Config) -> tuple[Level, dict[str, Level]]:
    """Return the root level and those of logger names: `LOGFLUME_LEVEL` overrides each."""
    root = INFO if config.level is None else parse_level(config.level, "level")
    levels = {name: parse_level(v, place("levels", name)) for name, v in config.levels.items()}
    if "" in levels:
        accepts = "the name of a logger; `level` is that of everything"
        raise ConfigurationError.of("a key of levels", "", accepts)
    over, named = parse_spec(os.environ.get("LOGFLUME_LEVEL", ""))
    return over or root, {**levels, **named}


def _redact(read: Document, spec: Any) -> Part[Any] | bool:
    if isinstance(spec, Mapping):
        spec = {"type": "redact", **spec}
        return Part(spec, _later(read, functools.partial(made, PROCESSORS, spec, "redact")))
    return convert({"redact": spec}, _Switch, "").redact


class _Switch(msgspec.Struct):
    redact: bool


def route_of(spec: Any, path: str) -> Route:
    """Make a route of its table.

    Raises:
        ConfigurationError: naming the setting and where it is.
    """
    if not isinstance(spec, Mapping):
        raise ConfigurationError.of(path, spec, "a table with a sink, and options of the route")
    if "sink" not in spec:
        names = ", ".join(SINKS.known())
        raise ConfigurationError(f"{place(path, 'sink')}: missing; accepted: {names}, ...")
    # Keys first, so that a wrong one is told before anything is imported.
    options = options_of(Route).read(spec, path)
    sink = made(SINKS, options["sink"], place(path, "sink"))
    route: Route = construct(Route, {**options, "sink": sink}, path)
    return route


def made(kind: Kind, spec: Any, path: str) -> Any:
    """Make a plug-in of its name, or of a table with its `type` and options.

    A name that stands for a class makes an object of it; any other object is taken as it is. A
    table always calls what its `type` names. A dict in a program may hold plug-ins themselves.

    Raises:
        ConfigurationError: naming the setting and where it is.
    """
    if isinstance(spec, str):
        found = kind.find(spec, path)
        if isinstance(found, type):
            return construct(found, {}, path)
        if kind is PROCESSORS and not callable(found):
            raise ConfigurationError.of(path, spec, "something that can be called with a record")
        return found
    if isinstance(spec, Mapping):
        if "type" not in spec:
            names = ", ".join(kind.known())
            raise ConfigurationError(f"{place(path, 'type')}: missing; accepted: {names}, ...")
        found = kind.find(spec["type"], place(path, "type"))
        return construct(found, {k: v for k, v in spec.items() if k != "type"}, path)
    if spec is None or isinstance(spec, bool | int | float | list):
        accepts = f"the name of a {kind.label}, or a table with its type and options"
        raise ConfigurationError.of(path, spec, accepts)
    return spec


def construct(factory: Callable[..., Any], table: Mapping[str, Any], path: str) -> Any:
    """Call a constructor with the options of a table.

    Raises:
        ConfigurationError: naming the option and where it is.
    """
    options = options_of(factory)
    values = options.read(table, path)
    for name, value in values.items():
        option = options.all.get(name)
        if option is not None and option.special:
            make = _specials if option.is_list else _special
            values[name] = make(option, value, place(path, name))
    try:
        return options.call(dict(values))
    except ConfigurationError as error:
        raise ConfigurationError(_placed(str(error), values, path)) from error
    except (Exception, SystemExit) as error:  # a library that is not installed, say
        raise ConfigurationError(f"{path}: {type(error).__name__}: {error}") from error


def _placed(text: str, values: Mapping[str, Any], path: str) -> str:
    """Return what a constructor says of its option `File.path` as said of where that is written."""
    found = _OF.fullmatch(text)
    name = found["setting"].rpartition(".")[2] if found else ""
    if found and name in values:
        return f"{place(path, name)}: {found['rest']}"
    return f"{path}: {text}"


def _specials(option: Option, value: Any, path: str) -> list[Any]:
    """Make what an option wants of each item of a list."""
    if isinstance(value, str | Mapping) or not isinstance(value, Iterable):
        raise ConfigurationError.of(path, value, f"a list, of each {accepted(option)}")
    return [_special(option, item, f"{path}[{n}]") for n, item in enumerate(value)]


def _special(option: Option, value: Any, path: str) -> Any:
    """Make what an option wants of what stands for it in plain data."""
    if not isinstance(value, str | Mapping | bool | int | float | list | None):
        return value  # the thing itself
    if isinstance(value, str) and str in members_of(option.plain):
        return value  # of a name and a function, a text is the name
    makers = [_maker(member) for member in option.special]
    for maker in makers:
        if maker is not None and isinstance(value, maker[0]):
            return maker[1](value, path)
    if None in makers:  # a type that only the constructor knows how to make
        return value
    if option.plain in (Any, type(None)):
        raise ConfigurationError.of(path, value, accepted(option))
    plain = msgspec.defstruct("Plain", [(option.name, option.plain)])
    outside = path.removesuffix(option.name).removesuffix(".")
    return getattr(convert({option.name: value}, plain, outside), option.name)


def _maker(member: Any) -> tuple[Any, Callable[[Any, str], Any]] | None:
    """Return which plain data an option's type is made of, and how; None if that is unknown."""
    if member is Encoder:
        return str | Mapping, functools.partial(made, ENCODERS)
    if member is Sink:
        return str | Mapping, functools.partial(made, SINKS)
    if member is Route:
        return Mapping, route_of
    if member in (typing.TextIO, typing.BinaryIO):
        return str, _stream
    if Callable in (member, typing.get_origin(member)):
        return str, _function
    if is_table(member):
        return Mapping, functools.partial(construct, member)
    return None


def _stream(name: str, path: str) -> Any:
    if name in ("stdout", "stderr"):
        return getattr(sys, name)
    return imported(_reference(name, path, "'stdout', 'stderr' or 'module:attribute'"), path)


def _function(name: str, path: str) -> Any:
    return imported(_reference(name, path, "'module:attribute'"), path)


def _reference(name: str, path: str, accepts: str) -> str:
    if ":" not in name:
        raise ConfigurationError.of(path, name, accepts)
    return name


def pipeline_of(plan: Plan, kind: type[Pipeline] = Pipeline) -> Pipeline:
    """Make a pipeline that is not open yet."""
    pipeline = kind(level=plan.level, **plan.settings)
    pipeline.configured.install(plan)
    return pipeline

"""What a configuration may hold, as typed structs, and turning plain data into them.

The structs of plug-ins and routes come from the signatures of their constructors, so an option that
is added there can be configured at once.
"""

from __future__ import annotations

import ast
import collections.abc
import dataclasses
import functools
import inspect
import re
import sys
import types
import typing
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec

from ..errors import ConfigurationError
from ..level import Level
from ..protocols import Encoder, Sink
from ..record import Record
from .document import place
from .plugins import nearest

__all__ = [
    "Config",
    "Option",
    "Options",
    "accepted",
    "convert",
    "is_table",
    "members_of",
    "options_of",
]

T = TypeVar("T")


class Config(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """All settings of a pipeline. What is left out is as in `Pipeline(...)`."""

    level: str | int | None = None
    levels: dict[str, Any] = {}
    capacity: int | None = None
    shutdown_timeout: float | None = None
    block_timeout: float | None = None
    processor_timeout: float | None = None
    redact: Any = True
    processors: list[Any] = []
    routes: list[Any] = msgspec.field(default_factory=lambda: [{"sink": "console"}])


class Option:
    """One parameter of a constructor.

    `plain` is the type of what msgspec can check by itself, `special` what is made of it
    otherwise: classes to be constructed, encoders, functions. `is_list` says that a list gives as
    many of these as it has items.
    """

    def __init__(self, parameter: inspect.Parameter, hint: Any) -> None:
        """Take the parameter, and its type as `hint_of` returns it."""
        self.name = parameter.name
        self.parameter = parameter
        self.is_level = Level in members_of(hint)
        many = parameter.kind is inspect.Parameter.VAR_POSITIONAL
        self.required = parameter.default is inspect.Parameter.empty and not many
        members = _spared(members_of(hint))
        self.special = [member for member in members if not _is_plain(member)]
        plain = [member for member in members if member not in self.special]
        self.plain = _union(plain)
        self.is_list = many and bool(self.special)
        if many and not self.special:
            self.plain = list[self.plain]  # type: ignore[name-defined]

    @property
    def type(self) -> Any:
        """What the struct's field takes."""
        return Any if self.special else self.plain


class Options:
    """The options of a constructor: their names and types, and how it is called with them.

    `open` says that it takes any others as well.
    """

    def __init__(self, factory: Callable[..., Any]) -> None:
        self.factory = factory
        self.open = False
        self.all: dict[str, Option] = {}
        names = _names_seen_by(factory)
        for parameter in _parameters(factory):
            if parameter.kind is inspect.Parameter.VAR_KEYWORD:
                self.open = True
            else:
                self.all[parameter.name] = Option(parameter, hint_of(parameter.annotation, names))
        self.struct: type[msgspec.Struct] = msgspec.defstruct(
            getattr(factory, "__name__", "Options"),
            # Whether one is missing is said below, as this does not know how.
            [(o.name, o.type | msgspec.UnsetType, msgspec.UNSET) for o in self.all.values()],
            forbid_unknown_fields=True,
        )

    def read(self, table: Mapping[str, Any], path: str) -> dict[str, Any]:
        """Check and convert what a table says; what is special is left as it is.

        Raises:
            ConfigurationError: an option is unknown, missing or of a type that does not fit.
        """
        more = {k: v for k, v in table.items() if k not in self.all} if self.open else {}
        own = {k: v for k, v in table.items() if k not in more}
        read = msgspec.structs.asdict(convert(own, self.struct, path))
        for option in self.all.values():
            if option.required and read[option.name] is msgspec.UNSET:
                raise ConfigurationError(
                    f"{place(path, option.name)}: missing; accepted: {accepted(option)}"
                )
        return {k: v for k, v in {**read, **more}.items() if v is not msgspec.UNSET}

    def call(self, values: dict[str, Any]) -> Any:
        """Call the constructor."""
        positional: list[Any] = []
        for option in self.all.values():
            if option.name not in values:
                continue
            if option.parameter.kind is inspect.Parameter.POSITIONAL_ONLY:
                positional.append(values.pop(option.name))
            elif option.parameter.kind is inspect.Parameter.VAR_POSITIONAL:
                positional += values.pop(option.name)
        return self.factory(*positional, **values)


@functools.cache
def options_of(factory: Callable[..., Any]) -> Options:
    """Return the options of a constructor."""
    return Options(factory)


def accepted(option: Option) -> str:
    """Say in words what an option accepts, as far as its type knows."""
    members = [*option.special, *([] if option.plain is Any else members_of(option.plain))]
    names = [_in_words(member) for member in members if member is not types.NoneType]
    return " or ".join(dict.fromkeys(names)) or "see its documentation"


_WORDS = {
    "int": "a whole number",
    "float": "a number",
    "str": "a string",
    "bool": "true or false",
    "object": "a table",
    "array": "a list",
    "dict": "a table",
    "list": "a list",
}


def _in_words(member: Any) -> str:
    if get_origin(member) is Literal:
        return ", ".join(map(repr, get_args(member)))
    if get_origin(member) is Callable or member is Callable:
        return "'module:attribute'"
    if member in (Encoder, Sink):
        return f"the name of a plug-in ({member.__name__}), or a table with its type and options"
    name = getattr(get_origin(member) or member, "__name__", str(member))
    return _WORDS.get(name, name if name[:1].islower() else f"a table for {name}")


# Types of parameters.


def _parameters(factory: Callable[..., Any]) -> list[inspect.Parameter]:
    try:
        return list(inspect.signature(factory).parameters.values())
    except (TypeError, ValueError):  # made in C, without a signature
        return [inspect.Parameter("options", inspect.Parameter.VAR_KEYWORD)]


_NAMES: dict[str, Any] = {**vars(typing), **vars(collections.abc), "Record": Record}


def _names_seen_by(factory: Callable[..., Any]) -> dict[str, Any]:
    """Return what the names in a constructor's annotations stand for."""
    function = factory.__init__ if isinstance(factory, type) else factory  # type: ignore[misc]
    names = getattr(inspect.unwrap(function), "__globals__", {})
    if dataclasses.is_dataclass(factory):
        names = vars(sys.modules[factory.__module__])
    return {**_NAMES, **names}


def members_of(hint: Any) -> list[Any]:
    """Return the members of a union."""
    return list(get_args(hint)) if get_origin(hint) in (Union, types.UnionType) else [hint]


def hint_of(annotation: Any, names: dict[str, Any]) -> Any:
    """Return the type that an annotation stands for, as far as it can be told.

    Not `get_type_hints`, which gives up on all of a constructor when one name is only there for
    type checkers, or an alias is a text.
    """
    if annotation is inspect.Parameter.empty:
        return Any
    if not isinstance(annotation, str):
        return annotation
    members: list[Any] = []
    left = [ast.parse(annotation, mode="eval").body]
    while left:
        node = left.pop()
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
            left += (node.right, node.left)
            continue
        try:
            found = eval(ast.unparse(node), names)  # an annotation of a program's own
        except Exception:
            found = Unknown
        members += members_of(hint_of(found, names))
    return Union[tuple(members)]  # noqa: UP007 - of as many as there are


class Unknown:
    """A type that cannot be told: what is given for it, the constructor has to judge."""


def _spared(members: list[Any]) -> list[Any]:
    """Return the members without those that stand for something a text can say, also inside."""
    spared: set[Any] = {Level}
    if str in members:
        spared |= {m for m in members if getattr(m, "__module__", "") in ("os", "pathlib")}
        spared |= {m for m in members if getattr(get_origin(m), "__name__", "") == "PathLike"}
    if Encoder in members:  # the name of one leads to a function as well
        spared |= {m for m in members if get_origin(m) is Callable}
    return [_spared_inside(member) for member in members if member not in spared]


def _spared_inside(member: Any) -> Any:
    origin = get_origin(member)
    if not isinstance(origin, type) or not issubclass(origin, Collection | Iterable):
        return member
    inner = [
        _union(_spared(members_of(hint))) if hint is not ... else hint for hint in get_args(member)
    ]
    return types.GenericAlias(list if origin in (Iterable, Collection) else origin, tuple(inner))


def is_table(member: Any) -> bool:
    """Whether this is a class whose objects are made of a table of options, as `Batch`."""
    if not isinstance(member, type):
        return False
    return dataclasses.is_dataclass(member) or issubclass(member, msgspec.Struct)


def _is_plain(member: Any) -> bool:
    """Whether msgspec knows this type as data, which is not to be constructed."""
    if member in (Any, object, types.NoneType):
        return True
    if is_table(member):
        return False
    try:
        return not _has_custom(msgspec.inspect.type_info(member))
    except TypeError:
        return False


def _has_custom(info: Any) -> bool:
    if isinstance(info, msgspec.inspect.CustomType):
        return True
    inner = [getattr(info, name, None) for name in ("item_type", "key_type", "value_type")]
    several = (*getattr(info, "types", ()), *getattr(info, "item_types", ()))
    return any(_has_custom(part) for part in (*inner, *several) if part is not None)


def _union(members: list[Any]) -> Any:
    if not members or Any in members or object in members:
        return Any
    union: Any = Union[tuple(members)]  # noqa: UP007 - of as many as there are
    try:
        msgspec.inspect.type_info(union)
    except TypeError:  # two types with the same form, as str and timedelta
        return Any
    return union


# From plain data to structs.

_MESSAGE = re.compile(r"(?P<what>.*?)(?: - at (?P<key>`key` in )?`\$(?P<where>.*)`)?", re.DOTALL)
_EXPECTED = re.compile(r"Expected `(?P<types>[^`]*)`(?P<bound>.*?)(?:, got .*)?", re.DOTALL)


def convert(data: Any, kind: type[T], path: str) -> T:
    """Make a struct of plain data; texts may stand for numbers and the like.

    Raises:
        ConfigurationError: a key is unknown, or a value is of a type that does not fit.
    """
    if not isinstance(data, Mapping):
        raise ConfigurationError.of(path or "configuration", data, "a table")
    known: tuple[str, ...] = kind.__struct_fields__  # type: ignore[attr-defined]
    for key in data:
        if key not in known:
            names = ", ".join(known) or "nothing, there are no settings"
            raise ConfigurationError(
                f"{place(path, key)}: unknown{nearest(key, known)}; accepted: {names}"
            )
    try:
        return msgspec.convert(data, kind, strict=False)
    except msgspec.ValidationError as error:
        raise _error(str(error), data, kind, path) from None


def _error(message: str, data: Any, kind: type, path: str) -> ConfigurationError:
    found = _MESSAGE.fullmatch(message)
    where = (found and found["where"]) or ""
    expected = _EXPECTED.fullmatch(found["what"]) if found else None
    given = _at(data, where)
    setting = (path + where) if path else where.removeprefix(".")
    if found and found["key"]:
        given = next((key for key in given if not isinstance(key, str)), given)
        setting = f"a key of {setting}"
    if expected is not None:
        words = [_WORDS.get(name, name) for name in expected["types"].split(" | ")]
        names = " or ".join(word for word in words if word != "null")
        return ConfigurationError.of(setting, given, f"{names}{expected['bound']}")
    field = where.removeprefix(".").partition(".")[0].partition("[")[0]
    for member in members_of(get_type_hints(kind).get(field)):
        if get_origin(member) is Literal:
            return ConfigurationError.of(setting, given, _in_words(member))
    return ConfigurationError(f"{setting}: {found['what'] if found else message}")


def _at(data: Any, where: str) -> Any:
    """Return what is at a path as msgspec writes it; what is around it if that cannot be told."""
    for key, index in re.findall(r"\.([^.\[]+)|\[(\d+|\.\.\.)\]", where):
        try:
            data = data[key] if key else data[int(index)]
        except (KeyError, IndexError, TypeError, ValueError):
            break
    return data

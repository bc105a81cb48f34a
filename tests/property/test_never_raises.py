"""Whatever a log call is given: nothing is raised, one record comes out, each encoder gives a line.

`Level`, `bind`, `context` and `opt` are part of the call.
"""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import json
import re
import sys
import types
from collections import UserDict, UserList, deque
from collections.abc import Callable
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, Phase, example, given, settings

from logflume import context, encoders, get_logger
from logflume.snapshot import safe_repr
from tests.intake import Taken, captured

QUICK = settings(
    max_examples=150,
    deadline=None,
    # Not "explain", which takes minutes with objects like these.
    phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
CONTROL = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\u200e\u200f]")
ENCODERS = (encoders.Json(), encoders.Json(flat=True), encoders.Console())
COLORED = encoders.Console(color=True)
SGR = re.compile(r"\x1b\[[0-9;]*m")

# Everything that an object may be asked for while it is logged.
METHODS = (
    "__str__", "__repr__", "__format__", "__iter__", "__len__", "__getitem__", "__hash__", "__eq__",
    "__bool__", "__index__", "__int__", "__float__", "__bytes__", "__contains__", "__call__",
    "__getattribute__", "__await__", "__fspath__", "items", "keys", "values", "get", "encode",
    "decode", "strip", "upper", "isoformat", "utcoffset", "__dataclass_fields__", "__class__",
    "__struct_fields__", "_asdict", "__dict__", "value", "name", "__notes__", "__cause__",
)  # fmt: skip
BASES: tuple[type, ...] = (
    object, str, int, float, bytes, list, dict, tuple, set, frozenset, UserDict, UserList, deque,
    ValueError, datetime.datetime,
)  # fmt: skip
ERRORS: tuple[type[Exception], ...] = (
    ValueError, TypeError, AttributeError, KeyError, RecursionError, MemoryError, StopIteration,
    UnicodeError, OverflowError,
)  # fmt: skip


def hostile(base: type, methods: frozenset[str], error: type[Exception], as_property: bool) -> Any:
    """Make an object of a subclass of this type, of which these methods raise."""

    def no(*args: object, **kwargs: object) -> Any:
        raise error("no\n\x1b[31m\ud800")

    names: dict[str, Any] = dict.fromkeys(methods, property(no) if as_property else no)
    kind = types.new_class("Hostile\n\x1b[31m", (base,), {}, lambda space: space.update(names))
    made: Any
    if base is datetime.datetime:
        made = kind(2026, 1, 2)
    else:
        try:
            made = kind()
        except Exception:  # a method that making one needs
            made = kind.__new__(kind)
    return made


hostiles = st.builds(
    hostile,
    st.sampled_from(BASES),
    st.frozensets(st.sampled_from(METHODS), min_size=1) | st.just(frozenset(METHODS)),
    st.sampled_from(ERRORS),
    st.booleans(),
)


class Box:
    """Holds a value that hypothesis must not show by its own `__repr__`."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __repr__(self) -> str:
        return f"Box({safe_repr(self.value)})"


class Color(enum.Enum):
    RED = "\x1b[31m"


@dataclasses.dataclass
class Holder:
    held: object
    other: object = None


def ring(kind: type) -> Any:
    """A container that holds itself."""
    if kind is dict:
        made: Any = {}
        made["me"] = {"again": made}
    else:
        made = [1]
        made.append((made,))
    return made


def deep(depth: int) -> Any:
    made: Any = 1
    for _ in range(depth):
        made = [made]
    return made


text = st.text() | st.text(
    st.sampled_from("{}%!:().*0123456789drsaf \n\r\x1b\x9b\u2028\u202e\ud800\"'\\=abc"), max_size=30
)
scalars = (
    st.none() | st.booleans() | st.integers() | st.integers(-(10**400), 10**400) | text
    | st.sampled_from([4_400, 5_000]).map(lambda digits: -(10**digits))
    | st.floats() | st.complex_numbers() | st.binary() | st.decimals() | st.fractions()
    | st.dates() | st.times(timezones=st.timezones()) | st.timedeltas() | st.uuids()
    | st.datetimes(timezones=st.none() | st.timezones()) | st.ip_addresses()
    | st.sampled_from([Color.RED, Color, Holder, len, sys, NotImplemented, ..., range(10**30)])
)  # fmt: skip
hashables = scalars.filter(lambda it: not (isinstance(it, decimal.Decimal) and it.is_snan()))
keys = hashables | st.tuples(hashables)
strange = (
    hostiles
    | st.sampled_from([dict, list]).map(ring)
    | st.integers(0, 3_000).map(deep)
    | st.builds(object)
    | st.builds(memoryview, st.binary())
    | st.builds(bytearray, st.binary())
    | st.builds(ValueError, text)
    | st.just(ExceptionGroup("g", [ValueError("\n")]))
)
anything = st.recursive(
    scalars | strange,
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(keys, inner)
        | st.tuples(inner, inner)
        | st.sets(hashables)
        | st.builds(Holder, inner, inner)
        | st.builds(iter, st.lists(inner))
    ),
    max_leaves=8,
)
names = (
    st.sampled_from(
        ["message", "level", "self", "args", "fields", "timestamp", "exception", "user", "0", ""]
    )
    | text
)
one = (anything | hostiles).map(Box)
fields = st.dictionaries(names, anything, max_size=4).map(Box)
arguments = st.lists(anything, max_size=3).map(Box)


def check(taken: Taken) -> None:
    """One record came out, and it is one line, whoever shows it."""
    assert len(taken.records) == 1
    record = taken.last
    for encoder in ENCODERS:
        line = encoder.encode(record)
        first = line.decode("utf-8")
        assert first.endswith("\n")
        if isinstance(encoder, encoders.Json):
            assert line.count(b"\n") == 1
            read = json.loads(first, parse_constant=pytest.fail)
            assert read["logger"] == "tests.property"
            assert "logflume.capture_error" not in first
        else:
            assert not CONTROL.search(first)
            if record.exception is None:
                assert line.count(b"\n") == 1
    assert not CONTROL.search(SGR.sub("", COLORED.encode(record).decode("utf-8")))
    assert isinstance(record.to_dict()["message"], str)


@pytest.mark.parametrize("at_home", [True, False], ids=["at home", "from afar"])
@given(message=one, args=arguments, fields=fields)
@example(message=Box("{a:" + "9" * 5000 + "}"), args=Box([]), fields=Box({"a": 1}))
@example(message=Box("%" + "9" * 5000 + "d"), args=Box([1]), fields=Box({}))
@QUICK
def test_a_plain_call(at_home: bool, message: Box, args: Box, fields: Box) -> None:
    """`log.info(anything, *anything, **anything)` gives one record and never raises."""
    with captured(at_home=at_home) as taken:
        assert get_logger("tests.property").info(message.value, *args.value, **fields.value) is None
    check(taken)


@given(level=one, message=one, args=arguments, fields=fields)
@QUICK
def test_a_call_at_any_level(level: Box, message: Box, args: Box, fields: Box) -> None:
    """`log.log(anything, ...)` gives one record and never raises."""
    log = get_logger("tests.property")
    with captured() as taken:
        log.log("ERROR", "first")
        taken.records.clear()
        log.log(level.value, message.value, *args.value, **fields.value)
        if not taken.records:  # a level below TRACE
            assert not log.is_enabled_for(level.value)
            return
    check(taken)


@given(template=text, args=arguments, fields=fields)
@QUICK
def test_any_template(template: str, args: Box, fields: Box) -> None:
    """No template raises, with or without arguments and fields."""
    with captured() as taken:
        get_logger("tests.property").info(template, *args.value, **fields.value)
    check(taken)


@given(message=text, bound=fields, around=fields, own=fields, args=arguments)
@QUICK
def test_bound_and_context_fields(
    message: str,
    bound: Box,
    around: Box,
    own: Box,
    args: Box,
) -> None:
    """Whatever is bound to a logger or a task comes along; a call's fields win."""
    with captured() as taken, context(**around.value):
        get_logger("tests.property").bind(**bound.value).info(message, *args.value, **own.value)
    check(taken)
    assert taken.last.fields.keys() == {*bound.value, *around.value, *own.value}


@given(exception=one, message=one, lazy=st.booleans(), depth=st.integers(0), args=arguments)
@QUICK
def test_any_options(exception: Box, message: Box, lazy: bool, depth: int, args: Box) -> None:
    """`opt(...)` with anything for an exception, and at any depth, gives one record."""
    log = get_logger("tests.property").opt(exception=exception.value, lazy=lazy, depth=depth)
    with captured() as taken:
        log.error(message.value, *args.value)
    check(taken)


errors = st.builds(
    hostile, st.just(ValueError), st.frozensets(st.sampled_from(METHODS)),
    st.sampled_from(ERRORS), st.booleans(),
)  # fmt: skip


@given(error=(errors | st.builds(ValueError, anything)).map(Box))
@QUICK
def test_any_exception(error: Box) -> None:
    """`log.exception` takes whatever was raised."""
    with captured() as taken:
        try:
            raise error.value
        except Exception:
            get_logger("tests.property").exception("failed")
    check(taken)
    assert taken.last.exception is not None


@given(message=one, args=arguments, fields=fields)
@settings(QUICK, max_examples=50)
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_the_twins(anyio_backend: str, message: Box, args: Box, fields: Box) -> None:
    """`await log.ainfo(...)` is no different."""
    with captured() as taken:
        await get_logger("tests.property").ainfo(message.value, *args.value, **fields.value)
    check(taken)


@given(
    change=st.sampled_from(["clear", "grow"]), value=st.dictionaries(text, st.lists(st.integers()))
)
@QUICK
def test_values_stay_as_they_were_logged(change: str, value: dict[str, list[int]]) -> None:
    """Changing all that was given after the call changes no line."""
    steps: dict[str, Callable[[], object]] = {
        "clear": value.clear,
        "grow": lambda: [items.append(7) for items in value.values()],
    }
    with captured() as taken:
        get_logger("tests.property").info("{}", value, value=value)
    record = taken.last
    before = repr((record.args, record.call_fields))
    steps[change]()
    assert repr((record.args, record.call_fields)) == before

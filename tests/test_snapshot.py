"""Values as they are at the moment of a log call."""

from __future__ import annotations

import array
import collections
import dataclasses
import datetime
import decimal
import enum
import fractions
import ipaddress
import numbers
import pathlib
import uuid
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple
from unittest.mock import Mock

import msgspec
import pytest

from logflume.snapshot import (
    MAX_DEPTH,
    MAX_ITEMS,
    MAX_TEXT,
    safe_repr,
    safe_str,
    snapshot,
    snapshot_fields,
)


class Color(enum.Enum):
    RED = "red"
    ODD = ("a", ["b"])


class Point(NamedTuple):
    x: int
    y: int


@dataclasses.dataclass
class User:
    name: str
    tags: list[str]
    password: str = dataclasses.field(default="secret", repr=False)
    late: int = dataclasses.field(init=False)


class Struct(msgspec.Struct):
    a: int
    b: list[int]


class HostileMeta(type):
    @property
    def __name__(cls) -> str:  # type: ignore[override]
        raise ValueError("no name")


def raising(*args: object) -> Any:
    raise ValueError("no\nreally")


HOSTILE: dict[str, type] = {
    method: type(f"Bad_{method.strip('_')}", bases, {method: raising})
    for method, bases in {
        "__repr__": (),
        "__str__": (str,),
        "__iter__": (list,),
        "__len__": (collections.UserList,),
        "__getitem__": (bytes,),
        "items": (dict,),
        "__index__": (int,),
        "__float__": (float,),
        "__getattribute__": (),
        "__hash__": (frozenset,),
        "__eq__": (decimal.Decimal,),
        "isoformat": (datetime.datetime,),
        "utcoffset": (datetime.datetime,),
    }.items()
}


@pytest.mark.parametrize(
    "value",
    [
        "text", 7, 1.5, True, None, b"bytes", 2j,
        datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC), datetime.date(2026, 1, 2),
        datetime.time(3), datetime.timedelta(1), decimal.Decimal("1.10"),
        fractions.Fraction(1, 3), uuid.UUID(int=1), pathlib.PurePosixPath("/a"),
        ipaddress.ip_address("::1"), ipaddress.ip_network("10.0.0.0/8"),
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_immutable_scalars_pass_as_they_are(value: object) -> None:
    """An immutable scalar is the very same object in the record, of its own type."""
    assert snapshot(value) is value


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        ([1, [2, {"a": (3,)}]], [1, [2, {"a": (3,)}]]),
        (collections.OrderedDict(a=1), {"a": 1}),
        (collections.deque([1, 2]), [1, 2]),
        (frozenset({1}), [1]),
        ({"k": 1}.keys(), ["k"]),
        ({"k": 1}.values(), [1]),
        (array.array("i", [1, 2]), [1, 2]),
        (bytearray(b"x"), b"x"),
        (memoryview(b"xyz")[::2], b"xz"),
        (Color.RED, "red"),
        (Color.ODD, ("a", ["b"])),
        (Point(1, 2), {"x": 1, "y": 2}),
        (Struct(1, [2]), {"a": 1, "b": [2]}),
        (collections.UserString("ab"), "ab"),
        (range(10**30), f"range(0, {10**30})"),
        ({Color.RED: 1, (1, 2): 2, 3: 4}, {"red": 1, "(1, 2)": 2, 3: 4}),
    ],
)
def test_anything_else_becomes_plain_data(value: object, plain: object) -> None:
    """Containers, records and enums become plain data that equals them, of exact types."""
    taken = snapshot(value)
    assert taken == plain
    assert type(taken) is type(plain)


def test_a_dataclass_shows_what_its_repr_would() -> None:
    """Fields with `repr=False` stay out, and one that was never set is no reason to lose others."""
    taken = snapshot(User("ann", ["x"]))
    assert taken == {"name": "ann", "tags": ["x"], "late": "<unreadable: AttributeError>"}


@pytest.mark.parametrize("value", [User, Struct, Color, Point, int], ids=lambda v: v.__name__)
def test_a_class_is_shown_by_its_repr(value: type) -> None:
    """A class that is logged itself is text, whatever its instances would be."""
    assert snapshot(value) == repr(value)


def test_subclasses_leave_their_code_behind() -> None:
    """A value of a subclass becomes one of the built-in type: no foreign code runs later."""

    class Text(str):  # noqa: SLOT000
        __str__ = __repr__ = __format__ = raising  # type: ignore[assignment]

    class Number(int):
        __str__ = __repr__ = __index__ = raising  # type: ignore[assignment]

    class Real(float):
        __str__ = __float__ = raising  # type: ignore[assignment]

    class Raw(bytes):
        __getitem__ = __bytes__ = raising  # type: ignore[assignment]

    class Moment(datetime.datetime):
        isoformat = __str__ = raising  # type: ignore[assignment]

    class Day(datetime.date):
        isoformat = __str__ = raising  # type: ignore[assignment]

    class Span(datetime.timedelta):
        __str__ = total_seconds = raising  # type: ignore[assignment]

    class Id(uuid.UUID):
        pass

    for value, plain in [
        (Text("a"), "a"),
        (Number(5), 5),
        (Real(2.5), 2.5),
        (Raw(b"x"), b"x"),
        (Moment(2026, 1, 2, 3), "2026-01-02T03:00:00"),
        (Day(2026, 1, 2), "2026-01-02"),
        (Span(1), datetime.timedelta(1)),
        (Id(int=1), str(uuid.UUID(int=1))),
    ]:
        taken = snapshot(value)
        assert taken == plain
        assert type(taken) is type(plain)


def test_numbers_of_other_libraries_stay_numbers() -> None:
    """What is registered as a number is one in the record: an int stays an int."""

    class Int64:
        def __index__(self) -> int:
            return 5

    class Float32:
        def __float__(self) -> float:
            return 0.5

    numbers.Integral.register(Int64)
    numbers.Real.register(Float32)
    assert (snapshot(Int64()), snapshot(Float32())) == (5, 0.5)
    assert type(snapshot([Int64()])[0]) is int


def test_later_changes_do_not_show() -> None:
    """What was logged stays as it was, however deep the change."""
    inner = {"n": [1]}
    fields = snapshot_fields({"inner": inner, "user": User("ann", ["a"])})
    inner["n"].append(2)
    inner["more"] = [3]
    assert fields["inner"] == {"n": [1]}


def test_a_cycle_ends_in_a_marker() -> None:
    """A container that holds itself is shown once, also through other containers."""
    ring: list[Any] = [1]
    ring.append({"ring": ring})
    assert snapshot(ring) == [1, {"ring": "<cycle list>"}]
    user = User("ann", [])
    user.late = user  # type: ignore[assignment]
    assert snapshot(user)["late"] == "<cycle User>"


def test_the_same_value_twice_is_no_cycle() -> None:
    """Only a path back to itself is a cycle."""
    shared = [1]
    assert snapshot([shared, shared]) == [[1], [1]]


@pytest.mark.parametrize(
    "grow", [lambda v: [v], lambda v: {"k": v}, lambda v: (v,)], ids=["list", "dict", "tuple"]
)
def test_depth_is_bounded(grow: Callable[[Any], Any]) -> None:
    """Deep nesting ends in a marker, also where recursion would not end in time."""
    value: Any = "leaf"
    for _ in range(100_000):
        value = grow(value)
    shown = repr(snapshot(value))
    assert "too deep" in shown
    assert len(shown) < 200
    while value != "leaf":  # taken apart here, since freeing it all at once is recursive too
        value = next(iter(value.values() if isinstance(value, dict) else value))


def test_an_enum_in_the_depth_is_as_good_as_its_value() -> None:
    """Where a scalar would still be shown, so is a member of an enum."""
    value: Any = Color.RED
    for _ in range(MAX_DEPTH):
        value = [value]
    assert "red" in repr(snapshot(value))


def test_items_are_bounded_over_all_levels() -> None:
    """One value costs a bounded number of items, and says how many are left out."""
    exact = list(range(MAX_ITEMS))
    assert snapshot(exact) == exact
    assert snapshot([*exact, 1, 2])[-1] == "<2 more>"
    assert snapshot(dict.fromkeys([*exact, "a", "b"]))["..."] == "<2 more>"
    wide = [[[0] * 500] * 500] * 500
    assert repr(snapshot(wide)).count("0,") <= MAX_ITEMS


def test_text_of_objects_is_bounded() -> None:
    """The text of an object is cut, and says how long it was."""

    class Long:
        def __repr__(self) -> str:
            return "x" * 1_000_000

    taken = snapshot(Long())
    assert len(taken) < MAX_TEXT + 50
    assert taken.endswith("...<1000000 characters>")
    assert len(snapshot(bytearray(10**6))) == MAX_TEXT


def test_a_mapping_without_end_is_cut() -> None:
    """Iteration stops after the last item that is shown, even if there is no end."""

    class Endless(collections.UserDict):  # type: ignore[type-arg]
        def __len__(self) -> int:
            return 5_000

        def items(self) -> Iterator[tuple[int, int]]:  # type: ignore[override]
            return ((n, n) for n in iter(int, 1))

    assert snapshot(Endless()) is not None


@pytest.mark.parametrize("method", HOSTILE)
def test_hostile_methods_do_not_reach_the_caller(method: str) -> None:
    """An object whose methods raise gives a value or a marker on one line, no exception."""
    kind = HOSTILE[method]
    value = kind(2026, 1, 2) if issubclass(kind, datetime.datetime) else kind()
    shown = repr(snapshot({"in": [value]}))
    assert "\n" not in shown


def test_a_class_that_hides_its_name_is_still_named() -> None:
    """A marker names the class even if the metaclass raises at being asked."""

    class Nameless(metaclass=HostileMeta):
        def __repr__(self) -> str:
            raise ValueError("no")

    assert snapshot(Nameless()) == "<unprintable Nameless: ValueError>"
    assert safe_str(Nameless()) == safe_repr(Nameless()) == "<unprintable Nameless: ValueError>"


def test_lies_about_the_class_do_no_harm() -> None:
    """What claims to be of another class is text or a marker, not an exception."""

    class Liar:
        @property
        def __class__(self) -> type:  # type: ignore[override]
            raise ValueError("no")

    assert snapshot(Liar()) == "<unreadable Liar: ValueError>"
    for spec in (str, int, float, bytes, dict, list, datetime.datetime, User, Color):
        assert type(snapshot(Mock(spec=spec))) is str


def test_an_object_without_a_text_gets_a_marker() -> None:
    """`__str__` that returns no string, or recurses without end, is a marker."""

    class NoText:
        def __str__(self) -> str:
            return 5  # type: ignore[return-value]  # noqa: PLE0307

        def __repr__(self) -> str:
            return repr(self)

    assert safe_str(NoText()) == "<unprintable NoText: TypeError>"
    assert safe_repr(NoText()) == "<unprintable NoText: RecursionError>"
    assert safe_str(10**5000) == "<unprintable int: ValueError>"


def test_text_that_is_a_subclass_becomes_plain_text() -> None:
    """What `__str__` returns may carry code of its own: it does not stay."""

    class Text(str):  # noqa: SLOT000
        pass

    class Says:
        def __str__(self) -> str:
            return Text("said")

    assert type(safe_str(Says())) is str


def test_a_container_that_changes_while_it_is_read_is_read_whole() -> None:
    """Code of an item that changes its own container does not spoil the record."""
    data: dict[str, Any] = {}

    class Meddler:
        def __repr__(self) -> str:
            data[f"new{len(data)}"] = 1
            return "meddler"

    data.update(first=Meddler(), second=2)
    assert snapshot(data) == {"first": "meddler", "second": 2}
    items: set[Any] = set()

    class Grower:
        def __repr__(self) -> str:
            items.add(len(items))
            return "grower"

    items.add(Grower())
    assert snapshot(items) == ["grower"]


def test_keys_of_fields_are_plain_text() -> None:
    """A field name of a subclass of str leaves its code behind, as values do."""

    class Key(str):  # noqa: SLOT000
        encode = raising  # type: ignore[assignment]

    (key,) = snapshot_fields({Key("k"): 1})
    assert type(key) is str


def test_an_exception_as_a_value_is_its_repr() -> None:
    """An exception given as a field is text: `opt(exception=)` shows more."""
    assert snapshot(KeyError("k")) == "KeyError('k')"

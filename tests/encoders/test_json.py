"""JSON lines: the shape, and a form for every value."""

from __future__ import annotations

import datetime
import decimal
import fractions
import json
import math
import pathlib
import sys
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from logflume import ExceptionInfo, Frame, Level, Record
from logflume.encoders import Console, Ecs, Json
from logflume.escape import UNSAFE
from logflume.record import Extra
from tests.intake import WHEN_NS, record_of


def shown(record: Record, encoder: Json | None = None) -> dict[str, Any]:
    """Return what a parser reads, of exactly one line."""
    line = (encoder or Json()).encode(record)
    assert line.count(b"\n") == 1
    assert line.endswith(b"\n")
    parsed = json.loads(line.decode("utf-8"), parse_constant=lambda name: pytest.fail(name))
    assert isinstance(parsed, dict)
    return parsed


def fields_of(value: Any) -> Any:
    return shown(record_of("m", value=value))["fields"]["value"]


class RaisingZone(datetime.tzinfo):
    def utcoffset(self, when: datetime.datetime | None) -> datetime.timedelta:
        raise ValueError("no")

    tzname = dst = utcoffset  # type: ignore[assignment]


@pytest.mark.parametrize("flat", [False, True])
def test_a_line_is_what_to_dict_says(flat: bool) -> None:
    """Every key of `to_dict` is in the line, with an equal value; `flat` lifts the fields."""
    record = msgspec.structs.replace(record_of("n={n}", n=1, deep={"a": [1, None]}), task="t")
    record = record.replace(exception=ExceptionInfo("E", "wrong", [Frame("f", 1, "g", "x = 1")]))
    expected = record.to_dict()
    if flat:
        expected |= expected.pop("fields")
    assert shown(record, Json(flat=flat)) == expected


def test_many_records_are_encoded_as_one_by_one() -> None:
    """What is kept between records never shows: lines are the same in any company and order."""
    base = record_of("user {user}", user="ann")
    variants = [
        base,
        base.replace(level=Level(21, "CUSTOM")),
        base.replace(logger="other"),
        base.replace(message="another"),
        msgspec.structs.replace(base, thread="worker"),
        msgspec.structs.replace(base, lasti=0),
        msgspec.structs.replace(base, template="literal", call_fields={}),
        msgspec.structs.replace(base, task="task"),
        msgspec.structs.replace(base, time_ns=WHEN_NS),
        msgspec.structs.replace(base, time_ns=WHEN_NS + 999),
        msgspec.structs.replace(base, time_ns=WHEN_NS // 10**9 * 10**9),
        msgspec.structs.replace(base, time_ns=0),
        record_of("plain"),
    ]
    expected = [Json().encode(record) for record in variants]
    encoder = Json()
    lines = [encoder.encode(record) for record in [*variants, *reversed(variants)]]
    assert lines == expected + expected[::-1]
    for record, line in zip(variants, expected, strict=True):
        assert json.loads(line) == record.to_dict()


ANY_RECORD = st.builds(
    lambda given, message, task, bound, logged, extra: msgspec.structs.replace(
        record_of(message, **given), task=task, bound=bound, merged=logged, extra=extra
    ),
    st.dictionaries(
        st.sampled_from(["a", "b", "\ud800"]),
        st.none() | st.integers() | st.integers(2**62, 2**66) | st.floats() | st.text()
        | st.just("\udfff") | st.binary() | st.datetimes() | st.decimals() | st.uuids()
        | st.timedeltas() | st.lists(st.integers() | st.dates(), max_size=2)
        | st.dictionaries(st.text() | st.integers(), st.just(b"x") | st.floats(), max_size=2),
    ),
    st.sampled_from(["plain", "{a} and {b}", "\ud800 {a}"]),
    st.sampled_from([None, "task", "\ud800"]),
    st.sampled_from([{}, {"service": "api"}, {"since": datetime.date(2026, 1, 2)}]),
    st.sampled_from([None, None, {"made": {1, 2}}, {"made": 1.5e300}]),
    st.sampled_from([None, Extra(), Extra(span=(1, 2)), Extra(ExceptionInfo("E", "\ud800"))]),
)  # fmt: skip


@given(st.lists(ANY_RECORD, min_size=1, max_size=12))
def test_a_line_is_the_same_in_any_company(records: list[Record]) -> None:
    """Whatever those before and behind it hold."""
    written: list[bytes] = []
    assert Json().encode_into(records, written.append) is None
    assert b"".join(written) == b"".join([Json().encode(record) for record in records])


@pytest.mark.parametrize(
    ("value", "read"),
    [
        (math.nan, None),
        (math.inf, None),
        ([1.5, -math.inf], [1.5, None]),
        (2**64, 2**64),
        (-(10**30), -(10**30)),
        ({"deep": [10**100]}, {"deep": [10**100]}),
        (True, True),
        ({True: 1, None: 2, 3: 4, math.nan: 5}, {"True": 1, "None": 2, "3": 4, "nan": 5}),
        ({1: "int", "1": "str"}, {"1": "int", "1_": "str"}),
        (b"raw \xff\n", "raw \\xff\n"),
        ({3, 1} - {1}, [3]),
        ((1, (2,)), [1, [2]]),
        (datetime.datetime(2026, 1, 2, 3, 4, 5), "2026-01-02T03:04:05"),
        (datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC), "2026-01-02T00:00:00+00:00"),
        (datetime.date(2026, 1, 2), "2026-01-02"),
        (datetime.time(3, 4, tzinfo=datetime.UTC), "03:04:00+00:00"),
        (datetime.timedelta(minutes=1.5), 90.0),
        (decimal.Decimal("1.10"), "1.10"),
        (decimal.Decimal("sNaN"), "sNaN"),
        (fractions.Fraction(1, 3), "1/3"),
        (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (pathlib.PurePosixPath("/a\udcff"), "/a\\udcff"),
        (2j, "2j"),
        ("\ud800 \udfff", "\\ud800 \\udfff"),
        ({"\ud800": "\ud800"}, {"\\ud800": "\\ud800"}),
        ("line\r\n\x00\x1b[31m\u2028\u202e", "line\r\n\x00\x1b[31m\u2028\u202e"),
        ("quote\" back\\slash </script>", "quote\" back\\slash </script>"),
    ],
    ids=lambda value: type(value).__name__ + ascii(value)[:30],
)  # fmt: skip
def test_every_value_has_a_form(value: Any, read: Any) -> None:
    """A parser reads a value that is as near as JSON has one."""
    assert fields_of(value) == read


@pytest.mark.parametrize("options", [{}, {"flat": True}, {"pretty": True}], ids=str)
def test_nothing_can_forge_a_line_or_a_colour(options: dict[str, Any]) -> None:
    """What JSON would let stand and terminals obey is escaped, in keys, values, names, errors."""
    evil = "".join([chr(n) for n in range(0x110000) if UNSAFE.match(chr(n))])
    evil = evil.replace("\x7f", "").encode("utf-8", "ignore").decode()  # no lone surrogates
    record = record_of(f"{{a}} {evil}", a=evil, **{evil: [evil]}).replace(
        logger=evil, exception=ExceptionInfo(evil, evil)
    )
    for encoder in (Json(**options), Ecs()):
        line = encoder.encode(record).decode()
        assert not UNSAFE.search(line.replace("\n", ""))
        assert line.count("\n") == 1 or options == {"pretty": True}
        assert json.loads(line)["message"] == f"{evil} {evil}"
    fine = "naïve “quotes” – 測試 ½ €\u00a0 🔥"
    assert fine in Json(**options).encode(record_of(fine)).decode()


@pytest.mark.parametrize(
    ("fields", "read"),
    [
        ({1: "int", "1": "text"}, {"1": "int", "1_": "text"}),
        ({decimal.Decimal("1.5"): 1, "1.5": 2}, {"1.5": 1, "1.5_": 2}),
        ({b"k": b"v"}, {"b'k'": "v"}),
        ({datetime.timedelta(1): 1}, {"1 day, 0:00:00": 1}),
        ({"json": orjson.Fragment(b'{\n "a": [1,\n2]\n}')}, {"json": {"a": [1, 2]}}),
        ({f"n{n}": datetime.date(2026, 1, 2) for n in range(20)},
         {f"n{n}": "2026-01-02" for n in range(20)}),
    ],
    ids=["numbers", "decimals", "bytes", "durations", "json", "many"],
)  # fmt: skip
@pytest.mark.parametrize("options", [{}, {"time": "iso-ns"}, {"flat": True}], ids=str)
def test_what_processors_put_at_the_top_is_encoded_in_one_line(
    fields: dict[Any, Any], read: dict[str, Any], options: dict[str, Any]
) -> None:
    """Also keys that are no text, and JSON of their own."""
    record = record_of("m", other=1)
    line = shown(record.replace(fields=fields), Json(**options))
    assert (line if options.get("flat") else line["fields"]).items() >= read.items()
    company: list[bytes] = []
    Json(**options).encode_into([record, record.replace(fields=fields), record], company.append)
    lines = b"".join(company).splitlines()
    assert [json.loads(text)["message"] for text in lines] == ["m"] * 3


def test_fields_with_methods_of_their_own_are_encoded() -> None:
    """A dict's own are used."""

    class Odd(dict[str, Any]):
        def values(self) -> Any:
            raise ValueError("no")

        items = keys = values

    record = record_of("m").replace(fields=Odd(a=b"1", b=[datetime.date(2026, 1, 2)]))
    assert shown(record)["fields"] == {"a": "1", "b": ["2026-01-02"]}
    assert shown(record, Json(flat=True))["a"] == "1"


@pytest.mark.parametrize(
    "message",
    [b"n", datetime.timedelta(1), msgspec.Raw(b"{\n")],
    ids=lambda message: type(message).__name__,
)
def test_exceptions_that_processors_make_of_anything_are_encoded(message: Any) -> None:
    """In the same forms as fields."""
    record = record_of("m").replace(exception=ExceptionInfo("T", message))
    expected = fields_of(message)
    assert shown(record)["exception"]["message"] == expected


def test_threads_may_share_an_encoder() -> None:
    """Each line has its own record's time."""
    encoder, base = Json(), record_of("m")
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)

    def encode(first: int) -> list[str]:
        times = [first + n * 1_000_000_007 for n in range(300)]
        records = [msgspec.structs.replace(base, time_ns=time) for time in times]
        assert all([shown(r, encoder)["timestamp"] == r.timestamp for r in records])
        return []

    try:
        with ThreadPoolExecutor(4) as pool:
            assert [*pool.map(encode, [WHEN_NS, WHEN_NS * 2 // 3, 0, 10**15])] == [[]] * 4
    finally:
        sys.setswitchinterval(before)


def test_numbers_too_large_for_text_are_hexadecimal() -> None:
    """An int beyond the interpreter's limit on digits is text that loses nothing."""
    assert int(fields_of(-(10**5000)), 16) == -(10**5000)


def test_times_with_a_zone_that_raises_are_text() -> None:
    """A tzinfo of somebody's own that raises costs its own value, and not the process."""
    for value in (
        datetime.datetime(2026, 1, 2, tzinfo=RaisingZone()),
        datetime.time(3, tzinfo=RaisingZone()),
    ):
        assert "unprintable" in fields_of(value)
        assert b"unprintable" in Json(flat=True).encode(record_of("m", value=value))
        assert b"unprintable" in Console().encode(record_of("m", value=value))


@pytest.mark.parametrize("flat", [False, True])
def test_what_processors_make_is_encoded_too(flat: bool) -> None:
    """Cycles, endless depth and foreign objects that come after capture still give a line."""
    ring: list[Any] = []
    ring.append(ring)
    deep: Any = []
    for _ in range(2_000):
        deep = [deep]

    class Unprintable:
        def __repr__(self) -> str:
            raise ValueError("no")

    class Key(str):  # noqa: SLOT000
        def encode(self, *args: Any) -> bytes:
            raise ValueError("no")

    for value in (ring, deep, Unprintable(), {Unprintable(): {Key("\ud800")}}, {1: ring}):
        record = record_of("m").replace(fields={"value": value, "fine": 1})
        line = shown(record, Json(flat=flat))
        assert (line if flat else line["fields"])["fine"] == 1
    while deep:
        deep = deep[0]


@pytest.mark.parametrize(
    "name",
    ["timestamp", "level", "message", "logger", "process", "fields", "template", "task"],
)
def test_flat_fields_do_not_overwrite_the_record(name: str) -> None:
    """A field that is named like a key of the record gets a `_`, and another one if need be."""
    record = record_of("m {a}", **{"a": 1, name: "mine", f"{name}_": "mine too"})
    line = shown(record, Json(flat=True))
    plain = record.to_dict()
    if name in plain and name != "fields":
        assert line[name] == plain[name]
        assert {line[f"{name}_"], line[f"{name}__"]} == {"mine", "mine too"}
    else:
        assert (line[name], line[f"{name}_"]) == ("mine", "mine too")


def test_names_cannot_forge_a_line() -> None:
    """Control characters in message, keys, names and exceptions stay inside their strings."""
    evil = 'x"}\n{"forged": "\x1b[31m\ud800'
    record = record_of(evil, **{evil: evil})
    record = record.replace(
        level=Level(20, evil), logger=evil,
        exception=ExceptionInfo(evil, evil, [Frame(evil, 1, evil, evil)], [evil]),
    )  # fmt: skip
    record = msgspec.structs.replace(record, thread=evil, task=evil)
    for flat in (False, True):
        assert "forged" not in shown(record, Json(flat=flat))


def test_equal_encoders_are_equal() -> None:
    """Encoders with the same settings share their bytes; others do not."""
    assert Json() == Json()
    assert hash(Json()) == hash(Json())
    assert Json() != Json(flat=True)
    assert Json() != Console()
    assert "flat=True" in repr(Json(flat=True))

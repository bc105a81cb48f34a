"""Encoders: any record gives valid output, and its format's own parser reads what was logged."""

from __future__ import annotations

import datetime
import decimal
import json
import math
import pathlib
import uuid
from typing import Any

import hypothesis.strategies as st
import msgspec
import pytest
from hypothesis import given, settings

from logflume import ExceptionInfo, Frame, Level, Record
from logflume.encoders import Ecs, Json, Logfmt, Msgpack, Template
from logflume.encoders.ecs import _FIELD_SETS, _TRACING
from logflume.escape import UNSAFE, escape
from logflume.record import Extra
from tests.intake import record_of
from tests.readers import read_logfmt

QUICK = settings(max_examples=100, deadline=None)
MAX_64 = 2**63


def beyond_text() -> int:
    """A number with more digits than the interpreter converts."""
    return -(10**5000)


text = st.text(max_size=20) | st.sampled_from(
    ["", "null", "a b", 'q="x"', "\n", "\r\n\x1b[31m", "\u2028\u202e", "\ud800", "{x}", "%s", "\\"]
)
names = text | st.sampled_from(["level", "http.request", "user", "trace_id", "labels.x", "message"])
zones = st.none() | st.just(datetime.UTC)
scalars: st.SearchStrategy[Any] = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-(2**70), 2**70)
    | st.builds(beyond_text)
    | st.floats()
    | text
    | st.binary(max_size=10)
    | st.datetimes(timezones=zones)
    | st.dates()
    | st.timedeltas(min_value=datetime.timedelta(-999), max_value=datetime.timedelta(999))
    | st.decimals()
    | st.uuids()
    | st.complex_numbers()
    | text.map(pathlib.PurePosixPath)
)
keys = text | st.integers() | st.none() | st.booleans() | st.floats() | st.binary(max_size=3)


def ring() -> list[Any]:
    """A list that holds itself."""
    itself: list[Any] = [1]
    itself.append(itself)
    return itself


values = st.recursive(
    scalars | st.builds(ring) | st.builds(object),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(keys, inner, max_size=4)
    ),
    max_leaves=10,
)
frames = st.builds(Frame, text, st.integers(0, 9999), text, st.none() | text)
errors = st.recursive(
    st.builds(ExceptionInfo, text, text, st.lists(frames, max_size=2), st.lists(text, max_size=1)),
    lambda inner: st.builds(
        ExceptionInfo, text, text, cause=st.none() | inner, group=st.lists(inner, max_size=2)
    ),
    max_leaves=3,
)


@st.composite
def records(draw: st.DrawFn) -> Record:
    """Any record: captured as log calls do it, then with names that nobody would give."""
    template = draw(text | st.sampled_from(["{a} {b!r}", "%s", "{} {0:>5}"]))
    args = draw(st.lists(values, max_size=2))
    record = record_of(template, *args, **draw(st.dictionaries(names, values, max_size=5)))
    record = record.replace(
        level=Level(draw(st.integers(0, 60)), draw(text)),
        logger=draw(text),
        exception=draw(st.none() | errors),
    )
    extra = record.extra or Extra()
    if draw(st.booleans()):
        span = (draw(st.integers(1, 2**128 - 1)), draw(st.integers(1, 2**64 - 1)))
        extra = msgspec.structs.replace(extra, span=span)
    # From 1900 to 2200: the years that local times reach everywhere.
    time_ns = draw(st.integers(-22 * 10**17, 72 * 10**17))
    return msgspec.structs.replace(
        record, time_ns=time_ns, thread=draw(text), task=draw(st.none() | text), extra=extra
    )


def valid(given: str) -> str:
    return given.encode("utf-8", "backslashreplace").decode()


def plain(value: Any) -> Any:
    """Return what is written of a value that has no type of its own in a format."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, datetime.timedelta):
        return value.total_seconds()
    if isinstance(value, decimal.Decimal | uuid.UUID | complex | pathlib.PurePath | str):
        return valid(str(value))
    raise AssertionError(f"no value of a record: {value!r}")


def number(value: int) -> int | str:
    return value if abs(value) < 10**4000 else hex(value)


def keyed(members: dict[Any, Any], form: Any) -> dict[str, Any]:
    """Return members whose keys are text and, if that makes them the same, still apart."""
    shown: dict[str, Any] = {}
    for key, item in members.items():
        name = valid(str(key))
        while name in shown:
            name += "_"
        shown[name] = form(item)
    return shown


def in_json(value: Any) -> Any:
    if isinstance(value, dict):
        return keyed(value, in_json)
    if isinstance(value, list | tuple):
        return [in_json(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, bool | None):
        return value
    return number(value) if isinstance(value, int) else plain(value)


def in_msgpack(value: Any) -> Any:
    if isinstance(value, dict):
        return keyed(value, in_msgpack)
    if isinstance(value, list | tuple):
        return [in_msgpack(item) for item in value]
    if isinstance(value, float | bool | bytes | None):
        return value
    if isinstance(value, int):
        return value if -MAX_64 <= value < 2 * MAX_64 else str(number(value))
    aware = isinstance(value, datetime.datetime) and value.tzinfo is not None
    return value if aware else plain(value)


def in_logfmt(value: Any) -> Any:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, int):
        return str(number(value))
    if isinstance(value, list | tuple | dict):
        return in_json(value)
    shown = plain(value)
    return repr(shown) if isinstance(shown, float) else shown


def leaves(value: Any) -> list[Any]:
    """Return what is left of a value when mappings are flattened."""
    if isinstance(value, dict) and value:
        return [leaf for item in value.values() for leaf in leaves(item)]
    return [value]


def read_line(line: bytes) -> Any:
    """Read one line of strict JSON."""
    assert line.count(b"\n") == 1
    assert line.endswith(b"\n")
    return json.loads(line.decode(), parse_constant=lambda name: pytest.fail(name))


def same(one: Any, other: Any) -> bool:
    """Whether two values are equal, of the same types, and NaN in the same places."""
    if isinstance(one, dict) and isinstance(other, dict):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    return type(one) is type(other) and (one == other or (one != one and other != other))


@given(record=records())
@QUICK
def test_json_is_what_to_dict_says(record: Record) -> None:
    """Without options and with, every member is read back."""
    expected = in_json(record.to_dict())
    lines = {encoder: encoder.encode(record) for encoder in (Json(), Json(default=lambda v: v))}
    for line in lines.values():
        assert same(dict(sorted(read_line(line).items())), dict(sorted(expected.items())))
    assert same(json.loads(Json(pretty=True).encode(record)), expected)
    chosen = Json(keys=["message", "timestamp"], rename={"message": "m"}, time="epoch-ns")
    assert read_line(chosen.encode(record)) == {
        "m": expected["message"], "timestamp": record.time_ns,
    }  # fmt: skip


@given(record=records(), form=st.sampled_from(["iso-s", "iso-ms", "iso-us", "iso-ns", "local"]))
@QUICK
def test_times_are_read_back(record: Record, form: Any) -> None:
    """A parser of ISO 8601 reads the record's time, cut to the unit."""
    units = {"iso-s": 10**9, "iso-ms": 10**6, "iso-ns": 10**3}
    shown = read_line(Json(time=form).encode(record))["timestamp"]
    if form == "iso-ns":
        assert int(shown[-4:-1]) == record.time_ns % 1000
        shown = f"{shown[:-4]}Z"
    past = datetime.datetime.fromisoformat(shown) - datetime.datetime(
        1970, 1, 1, tzinfo=datetime.UTC
    )
    unit = max(units.get(form, 10**3), 10**3)
    assert past // datetime.timedelta(microseconds=1) == record.time_ns // unit * unit // 10**3


@given(record=records())
@QUICK
def test_flat_json_loses_nothing(record: Record) -> None:
    """All members and fields are at the top, the record's own under their names."""
    read = read_line(Json(flat=True).encode(record))
    expected = in_json({k: v for k, v in record.to_dict().items() if k != "fields"})
    assert all(same(read[key], value) for key, value in expected.items())
    assert len(read) == len(expected) + len(record.fields)


@given(record=records())
@QUICK
def test_logfmt_is_read_back(record: Record) -> None:
    """A strict reader finds every value, nested ones flattened, in order, under names apart."""
    line = Logfmt().encode(record)
    assert not UNSAFE.search(line.decode()[:-1])
    pairs = read_logfmt(line)
    assert len(dict(pairs)) == len(pairs)
    read = dict(pairs)
    assert (read["level"], read["logger"], read["message"]) == (
        valid(record.level.name), valid(record.logger), valid(record.message),
    )  # fmt: skip
    assert record.exception is None or read["exception.message"] == valid(record.exception.message)
    flat = [in_logfmt(leaf) for leaf in leaves(record.fields)] if record.fields else []
    shown = [value for _, value in pairs[4 : 4 + len(flat)]]
    assert len(pairs) == 4 + len(flat) + (3 if record.exception else 0)
    for value, expected in zip(shown, flat, strict=True):
        if isinstance(expected, list | dict):
            assert same(json.loads(value), expected)
        else:
            assert value == expected


@given(record=records())
@QUICK
def test_msgpack_is_read_back(record: Record) -> None:
    """Another implementation reads every member, with its type where there is one for it."""
    msgpack = pytest.importorskip("msgpack")
    read = msgpack.unpackb(Msgpack().encode(record))
    assert read.pop("timestamp").to_unix_nano() == record.time_ns
    expected = in_msgpack({k: v for k, v in record.to_dict().items() if k != "timestamp"})

    def with_times(value: Any) -> Any:
        if isinstance(value, msgpack.Timestamp):
            return value.to_datetime()
        if isinstance(value, dict):
            return {key: with_times(item) for key, item in value.items()}
        return [with_times(item) for item in value] if isinstance(value, list) else value

    assert same(with_times(read), expected)


@given(record=records())
@QUICK
def test_ecs_is_read_back(record: Record) -> None:
    """The schema's required members are there, and every field is in one of its places."""
    for namespace in ("labels", "shop"):
        read = read_line(Ecs(namespace=namespace).encode(record))
        assert list(read)[:4] == ["@timestamp", "log.level", "message", "ecs.version"]
        assert (read["log.level"], read["message"], read["log"]["logger"]) == (
            valid(record.level.name.lower()), valid(record.message), valid(record.logger),
        )  # fmt: skip
        assert record.exception is None or read["error"]["type"] == valid(record.exception.type)
    odd = {*_FIELD_SETS, *_TRACING, "labels"}  # hypothesis finds them in the source
    simple = {key: item for key, item in record.fields.items() if key not in odd and "." not in key}
    for name, value in in_json(simple).items():
        assert same(read["shop"][name], value)


@given(record=records())
@QUICK
def test_labels_are_flat(record: Record) -> None:
    """Labels have no dots, asterisks or backslashes in their names, and hold no objects."""
    labels = read_line(Ecs().encode(record)).get("labels", {})
    for name, value in labels.items():
        assert not set(name) & set(".*\\")
        assert not isinstance(value, dict)
        assert not isinstance(value, list) or not any(isinstance(v, list | dict) for v in value)


@given(record=records())
@QUICK
def test_templates_are_filled_with_what_was_logged(record: Record) -> None:
    """Each placeholder shows its value, escaped; nothing but exceptions adds lines, indented."""
    form = "{time}\x1f{level}\x1f{name}\x1f{thread}\x1f{message}\x1f{fields}\x1f"
    first, *others = Template(form).encode(record).decode().removesuffix("\n").split("\n")
    assert all(line.startswith("  ") for line in others)
    assert not others or record.exception is not None
    _, *shown, pairs, end = first.split("\x1f")
    assert end == ""
    assert shown == [
        escape(t) for t in (record.level.name, record.logger, record.thread, record.message)
    ]
    assert len(read_logfmt(f"{pairs}\n".encode())) == (
        len(leaves(record.fields)) if record.fields else 0
    )
    assert not any(UNSAFE.search(line.replace("\x1f", "")) for line in (first, *others))


@given(record=records(), spec=st.sampled_from(["", ":>20", ":.3", ":d", ":,.2f", "!r", ":%Y"]))
@QUICK
def test_any_field_fits_any_format(record: Record, spec: str) -> None:
    """A field that its format does not fit is shown without it, and never breaks the line."""
    for name in record.fields:
        if name and not set(name) & set("[]{}!:") and UNSAFE.search(name) is None:
            line = Template(f"{{fields[{name}]{spec}}}|{{exception.type}}").encode(record)
            assert line.count(b"\n") == 1
            assert not UNSAFE.search(line.decode()[:-1])

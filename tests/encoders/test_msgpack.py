"""MessagePack: read back by another implementation."""

from __future__ import annotations

import datetime
import decimal
import io
import math
import uuid
from typing import Any

import msgspec
import pytest

from logflume import ConfigurationError, ExceptionInfo, Record
from logflume.encoders import Json, Msgpack
from tests.intake import WHEN, WHEN_NS, record_of

msgpack = pytest.importorskip("msgpack")


def read(record: Record, encoder: Msgpack | None = None) -> dict[str, Any]:
    """Return what the reader makes of it, with times as datetimes; keys must be text."""
    read = msgpack.unpackb((encoder or Msgpack()).encode(record), timestamp=3)
    assert isinstance(read, dict)
    return read


def field_of(value: Any) -> Any:
    return read(record_of("m", value=value))["fields"]["value"]


def test_a_map_is_what_to_dict_says() -> None:
    """Every key of `to_dict` is there, with an equal value; the timestamp is one."""
    record = msgspec.structs.replace(record_of("n={n}", n=1, deep={"a": [1, None]}), task="t")
    record = record.replace(exception=ExceptionInfo("E", "wrong"))
    shown = read(record)
    assert shown == {**record.to_dict(), "timestamp": record.time}
    assert list(shown) == list(record.to_dict())


@pytest.mark.parametrize("time_ns", [0, 1, -1, WHEN_NS, WHEN_NS // 10**9 * 10**9, 2**34 * 10**9])
def test_the_timestamp_has_nanoseconds(time_ns: int) -> None:
    """The extension's three sizes hold any time there is, exactly."""
    record = msgspec.structs.replace(record_of("m"), time_ns=time_ns)
    shown = msgpack.unpackb(Msgpack().encode(record))["timestamp"]
    assert isinstance(shown, msgpack.Timestamp)
    assert shown.to_unix_nano() == time_ns
    assert read(record, Msgpack(time="epoch-ns"))["timestamp"] == time_ns


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (2**64 - 1, 2**64 - 1),
        (-(2**63), -(2**63)),
        (2**64, str(2**64)),
        (-(2**63) - 1, str(-(2**63) - 1)),
        (math.inf, math.inf),
        (b"\xff\x00", b"\xff\x00"),
        (bytearray(b"a"), b"a"),
        ((1, (2,)), [1, [2]]),
        ({3}, [3]),
        ({1: "a", "1": "b", None: "c", b"k": "d"}, {"1": "a", "1_": "b", "None": "c", "b'k'": "d"}),
        (WHEN, WHEN),
        (WHEN.astimezone(datetime.timezone(datetime.timedelta(hours=5))), WHEN),
        (datetime.datetime(2026, 1, 2), "2026-01-02T00:00:00"),
        (datetime.date(2026, 1, 2), "2026-01-02"),
        (datetime.timedelta(minutes=1.5), 90.0),
        (decimal.Decimal("1.10"), "1.10"),
        (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (2j, "2j"),
        ("\ud800", "\\ud800"),
        ({"\ud800": ["\ud800", b"\xff"]}, {"\\ud800": ["\\ud800", b"\xff"]}),
    ],
    ids=ascii,
)  # fmt: skip
def test_every_value_has_a_form(value: Any, shown: Any) -> None:
    """What MessagePack has a type for keeps it, all else is text."""
    assert field_of(value) == shown
    assert type(field_of(value)) is type(shown)


def test_what_is_no_number_stays_so() -> None:
    """NaN is one of MessagePack's numbers; integers too large for any text are hexadecimal."""
    assert math.isnan(field_of(math.nan))
    assert int(field_of(-(10**5000)), 16) == -(10**5000)


def test_options_are_those_of_json() -> None:
    """`flat`, `rename`, `keys` and `time` make the same members as in JSON."""
    record = msgspec.structs.replace(record_of("m", n=1, level="x"), time_ns=WHEN_NS)
    options: Any = {
        "flat": True, "keys": ["timestamp", "n", "level", "level_"],
        "rename": {"timestamp": "@t"}, "time": "iso-ns",
    }  # fmt: skip
    shown = read(record, Msgpack(**options))
    assert shown == msgspec.json.decode(Json(**options).encode(record))
    assert list(shown) == ["@t", "n", "level", "level_"]


def test_maps_follow_each_other() -> None:
    """A reader of streams finds the records in a file, one by one."""
    records = [record_of("n={n}", n=n) for n in range(100)]
    stream = io.BytesIO(b"".join([Msgpack().encode(record) for record in records]))
    read = list(msgpack.Unpacker(stream, timestamp=3))
    assert [r["fields"]["n"] for r in read] == list(range(100))


def test_what_processors_make_is_encoded_too() -> None:
    """Cycles, endless depth, zones that raise and foreign objects still give a map."""
    ring: dict[Any, Any] = {}
    ring.update(a=ring, b=[ring])
    deep: Any = []
    for _ in range(2_000):
        deep = [deep]

    class Unprintable:
        def __repr__(self) -> str:
            raise ValueError("no")

    class RaisingZone(datetime.tzinfo):
        def utcoffset(self, when: datetime.datetime | None) -> datetime.timedelta:
            raise ValueError("no")

        tzname = dst = utcoffset  # type: ignore[assignment]

    zoned = datetime.datetime(2026, 1, 2, tzinfo=RaisingZone())
    for value in (ring, deep, Unprintable(), {Unprintable(): {1, 2}}, [ring], zoned):
        record = record_of("m").replace(fields={"value": value, "fine": 1})
        for encoder in (Msgpack(), Msgpack(flat=True)):
            shown = read(record, encoder)
            assert shown.get("fields", shown)["fine"] == 1
    while deep:
        deep = deep[0]


@pytest.mark.parametrize(
    ("option", "value"),
    [("time", "iso"), ("rename", {"level": "message"}), ("keys", []), ("flat", "no")],
)
def test_options_that_mean_nothing_are_refused(option: str, value: Any) -> None:
    """They are errors at construction, which say what there is."""
    with pytest.raises(ConfigurationError, match=rf"^Msgpack\.{option}: got .*; accepted: "):
        Msgpack(**{option: value})
    if option == "time":
        with pytest.raises(ConfigurationError, match=r"epoch-ns, ext$"):
            Msgpack(time=value)


def test_equal_encoders_are_equal() -> None:
    """Encoders with the same settings share their bytes; others do not."""
    assert Msgpack() == Msgpack()
    assert hash(Msgpack(flat=True)) == hash(Msgpack(flat=True))
    others: list[Any] = [Msgpack(flat=True), Msgpack(time="epoch"), Msgpack(keys=["level"]), Json()]
    assert all(Msgpack() != other for other in others)
    assert repr(Msgpack(time="epoch")) == "Msgpack(time='epoch')"

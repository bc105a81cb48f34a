"""JSON with options: which keys, under what names, in what form."""

from __future__ import annotations

import datetime
import decimal
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
import pytest

from logflume import ConfigurationError, ExceptionInfo, Record
from logflume.encoders import Json
from logflume.encoders._layout import PARTS
from logflume.record import Extra
from tests.intake import WHEN, WHEN_NS, record_of


def shown(encoder: Json, record: Record) -> dict[str, Any]:
    line = encoder.encode(record)
    assert line.count(b"\n") == 1
    parsed = json.loads(line)
    assert isinstance(parsed, dict)
    return parsed


def test_keys_at_the_top_can_have_other_names() -> None:
    """`rename` changes names and neither values nor order; two keys may swap theirs."""
    record = record_of("n={n}", n=1)
    names = {"timestamp": "@timestamp", "message": "level", "level": "message"}
    read = shown(Json(rename=names), record)
    plain = record.to_dict()
    assert list(read) == [names.get(key, key) for key in plain]
    assert list(read.values()) == list(plain.values())


def test_options_leave_out_nothing() -> None:
    """With options that change no more than a form, the line is what `to_dict` says."""
    record = msgspec.structs.replace(record_of("n={n}", n=1, deep={"a": [1, None]}), task="t")
    record = msgspec.structs.replace(record, extra=Extra(ExceptionInfo("E", "wrong"), span=(1, 2)))
    read = shown(Json(default=repr), record)
    assert read == record.to_dict()
    assert list(read) == list(record.to_dict()) == list(PARTS)


def test_only_the_keys_asked_for_are_written() -> None:
    """`keys` says which and in what order; what a record does not have is left out."""
    encoder = Json(keys=["message", "exception", "timestamp"], rename={"timestamp": "ts"})
    assert list(shown(encoder, record_of("m", n=1))) == ["message", "ts"]
    failed = record_of("m").replace(exception=ExceptionInfo("E", "wrong"))
    assert list(shown(encoder, failed)) == ["message", "exception", "ts"]


def test_flat_fields_count_as_keys() -> None:
    """With `flat`, fields can be renamed and picked, and never take a name from the record."""
    record = record_of("m", user="ann", n=1, msg="mine", level="mine, too")
    encoder = Json(flat=True, keys=["user", "message", "n", "msg", "level", "level_"],
                   rename={"user": "user.name", "message": "text"})  # fmt: skip
    assert shown(encoder, record) == {
        "user.name": "ann", "text": "m", "n": 1, "msg": "mine",
        "level": "INFO", "level_": "mine, too",
    }  # fmt: skip
    renamed = shown(Json(flat=True, rename={"message": "msg"}), record)
    assert (renamed["msg"], renamed["msg_"]) == ("m", "mine")


@pytest.mark.parametrize(
    ("form", "read"),
    [
        ("iso-s", "2026-01-02T03:04:05Z"),
        ("iso-ms", "2026-01-02T03:04:05.678Z"),
        ("iso-us", "2026-01-02T03:04:05.678901Z"),
        ("iso-ns", "2026-01-02T03:04:05.678901234Z"),
        ("local", WHEN.astimezone().isoformat()),
        ("epoch", WHEN.timestamp()),
        ("epoch-ms", WHEN_NS // 1_000_000),
        ("epoch-us", WHEN_NS // 1_000),
        ("epoch-ns", WHEN_NS),
    ],
)
@pytest.mark.parametrize("flat", [False, True])
def test_the_time_has_the_form_asked_for(form: Any, read: Any, flat: bool) -> None:
    """Times are cut, not rounded, and numbers are numbers."""
    record = msgspec.structs.replace(record_of("m", n=1), time_ns=WHEN_NS)
    value = shown(Json(time=form, flat=flat), record)["timestamp"]
    assert value == pytest.approx(read, abs=1e-6) if form == "epoch" else value == read
    assert type(value) is type(read)


@pytest.mark.parametrize("time_ns", [0, -1, 999, 1_000_000_000, WHEN_NS // 10**9 * 10**9])
def test_forms_of_one_time_agree(time_ns: int) -> None:
    """Whatever the form, it is the same instant, to the unit of the form."""
    record = msgspec.structs.replace(record_of("m"), time_ns=time_ns)
    iso = shown(Json(time="iso-ns"), record)["timestamp"]
    assert shown(Json(time="iso-us"), record)["timestamp"] == record.timestamp
    assert iso == f"{record.timestamp[:-1]}{time_ns % 1000:03}Z"
    local = datetime.datetime.fromisoformat(shown(Json(time="local"), record)["timestamp"])
    assert local == record.time


def test_a_hook_decides_about_values_that_json_does_not_know() -> None:
    """`default` is asked, and what it gives is written, in whatever form that has itself."""

    def default(value: Any) -> Any:
        if isinstance(value, decimal.Decimal):
            return float(value)
        return {"\ud800": [2**70, WHEN]} if isinstance(value, bytes) else value

    record = record_of("m", price=decimal.Decimal("1.5"), raw=b"x", day=WHEN.date())
    assert shown(Json(default=default), record)["fields"] == {
        "price": 1.5,
        "raw": {"\\ud800": [2**70, WHEN.isoformat()]},
        "day": "2026-01-02",
    }


@pytest.mark.parametrize(
    "default", [lambda value: 1 / 0, lambda value: value, lambda value: [value]], ids="efl"
)
def test_a_hook_that_fails_costs_nothing(default: Callable[[Any], Any]) -> None:
    """A hook that raises, says nothing or never ends leaves the form that there is without it."""
    record = record_of("m", price=decimal.Decimal("1.5"), n=1)
    fields = shown(Json(default=default), record)["fields"]
    assert fields == {"price": "1.5", "n": 1}


def test_pretty_is_indented() -> None:
    """`pretty` writes the same values over several lines, ended by one newline."""
    record = record_of("m", n=1, big=2**70)
    text = Json(pretty=True, keys=["message", "fields"]).encode(record).decode()
    assert text.startswith('{\n  "message": "m",\n  "fields": {\n    "n": 1,\n')
    assert text.endswith("}\n")
    assert json.loads(text) == {"message": "m", "fields": {"n": 1, "big": 2**70}}


@pytest.mark.parametrize(
    "rename",
    [
        {"timestamp": "message"},
        {"timestamp": "t", "message": "t"},
        {"timestmap": "t"},
        {"timestamp": ""},
        {"timestamp": 1},
        {1: "t"},
        [("timestamp", "t")],
    ],
    ids=str,
)
def test_names_that_clash_or_mean_nothing_are_refused(rename: Any) -> None:
    """Two keys of one name, unknown keys and names that are none are errors at construction."""
    with pytest.raises(ConfigurationError, match=r"^Json\.rename: got .*; accepted: "):
        Json(rename=rename)


@pytest.mark.parametrize(
    "keys", ["message", [], ["message", "message"], ["masage"], [1], [[]], 5], ids=str
)
def test_keys_that_mean_nothing_are_refused(keys: Any) -> None:
    """Unknown keys, none, or one twice are errors at construction, which name what there is."""
    with pytest.raises(ConfigurationError, match=r"^Json\.keys: got .*; accepted: .*timestamp"):
        Json(keys=keys)


def test_names_clash_only_with_keys_that_are_shown() -> None:
    """With `keys`, a name is free that none of them has in the end."""
    assert shown(Json(keys=["message"], rename={"message": "level"}), record_of("m")) == {
        "level": "m"
    }
    with pytest.raises(ConfigurationError, match=r"Json\.rename"):
        Json(keys=["message"], rename={"level": "l"})
    with pytest.raises(ConfigurationError, match="message would be there twice"):
        Json(flat=True, rename={"user": "message"})


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("time", "iso"),
        ("time", None),
        ("time", []),
        ("default", "str"),
        ("flat", "no"),
        ("pretty", 1),
    ],
)
def test_other_options_that_mean_nothing_are_refused(option: str, value: Any) -> None:
    """An unknown form of time, or a hook that cannot be called, is an error at construction."""
    with pytest.raises(ConfigurationError, match=rf"^Json\.{option}: got .*; accepted: "):
        Json(**{option: value})


def test_equality_knows_every_option() -> None:
    """Encoders are equal if and only if all their options are."""
    options: list[Mapping[str, Any]] = [
        {}, {"flat": True}, {"pretty": True}, {"rename": {"level": "l"}}, {"keys": ["level"]},
        {"keys": ["level", "message"]}, {"default": repr}, {"default": str}, {"time": "epoch"},
        {"time": "local"},
    ]  # fmt: skip
    for i, one in enumerate(options):
        for j, other in enumerate(options):
            a, b = Json(**one), Json(**other)
            assert (a == b) is (i == j)
            assert i != j or hash(a) == hash(b)
    assert Json(keys=["level"]) == Json(keys=("level",))


def test_a_subclass_does_not_pass_for_json() -> None:
    """What a subclass makes of a record may differ, so it shares no bytes with `Json`."""

    class Mine(Json):
        pass

    assert Mine() == Mine() != Json()


def test_it_shows_the_options_that_were_given() -> None:
    """The representation is the call that made it, without what goes without saying."""
    assert repr(Json()) == "Json()"
    keys: Sequence[str] = ("level",)
    assert repr(Json(keys=keys, time="epoch")) == "Json(keys=('level',), time='epoch')"

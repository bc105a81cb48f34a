"""Lines of `key=value`: valid, in order, and read back as they were."""

from __future__ import annotations

import datetime
import decimal
import math
import re
from typing import Any

import msgspec
import pytest

from logflume import ConfigurationError, ExceptionInfo, Frame, Level, Record
from logflume.encoders import Json, Logfmt
from logflume.escape import UNSAFE
from tests.intake import WHEN_NS, record_of
from tests.readers import read_logfmt

OWN = ["timestamp", "level", "logger", "message"]


def read(record: Record, encoder: Logfmt | None = None) -> dict[str, str]:
    """Return what a strict reader makes of the line, in which no key stands twice."""
    line = (encoder or Logfmt()).encode(record)
    assert line.count(b"\n") == 1
    assert not UNSAFE.search(line.decode()[:-1])
    pairs = read_logfmt(line)
    assert len(dict(pairs)) == len(pairs)
    return dict(pairs)


def value_line(value: Any) -> str:
    line = Logfmt(keys=["fields"]).encode(record_of("m", value=value)).decode()
    return line.removeprefix("value=").removesuffix("\n")


def test_a_line_begins_with_time_level_logger_and_message() -> None:
    """The record's own come first, the fields follow in their order."""
    record = msgspec.structs.replace(record_of("Paid {amount}", amount=5), time_ns=WHEN_NS)
    assert Logfmt().encode(record) == (
        b'timestamp=2026-01-02T03:04:05.678901Z level=INFO logger=tests.record message="Paid 5" '
        b"amount=5\n"
    )


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("plain", "plain"),
        ("", '""'),
        ("null", '"null"'),
        (None, "null"),
        (True, "true"),
        (False, "false"),
        (-5, "-5"),
        (2**70, str(2**70)),
        (1.5, "1.5"),
        (math.nan, "nan"),
        (-math.inf, "-inf"),
        ("two words", '"two words"'),
        ("a=b", '"a=b"'),
        ('say "hi"', r'"say \"hi\""'),
        ("it's", '"it\'s"'),
        ("c:\\dir", "c:\\dir"),
        ("c:\\a dir", r'"c:\\a dir"'),
        ("a\nb\t\r\x00", r'"a\nb\t\r\u0000"'),
        ("\x7f\x9b\u2028\u202e\U000e0001", r'"\u007f\u009b\u2028\u202e\udb40\udc01"'),
        ("\ud800", r'"\\ud800"'),
        ("\ufffd", '"\ufffd"'),
        ("žluť", "žluť"),
        ("a\u00a0b", '"a\u00a0b"'),
        (b"\xff \n", r'"\\xff \n"'),
        ([1, "a", None], r'"[1,\"a\",null]"'),
        ((), "[]"),
        ({}, "{}"),
        ([{"k": 2**70}], rf'"[{{\"k\":{2**70}}}]"'),
        (datetime.date(2026, 1, 2), "2026-01-02"),
        (datetime.timedelta(minutes=1.5), "90.0"),
        (decimal.Decimal("1.10"), "1.10"),
        (2j, "2j"),
    ],
    ids=ascii,
)
def test_values_are_shown_as_go_shows_them(value: Any, shown: str) -> None:
    """Values are bare if they can be, and otherwise JSON strings."""
    assert value_line(value) == shown


def test_numbers_too_large_for_text_are_hexadecimal() -> None:
    """An int beyond the interpreter's limit on digits loses nothing."""
    assert int(value_line(-(10**5000)), 16) == -(10**5000)


def test_mappings_are_flattened() -> None:
    """Nested mappings become keys with dots, of any depth; empty ones stay."""
    fields = read(record_of("m", user={"id": 1, "of": {"org": "x", "none": {}}, 5: "n"}))
    assert list(fields.items())[4:] == [
        ("user.id", "1"), ("user.of.org", "x"), ("user.of.none", "{}"), ("user.5", "n"),
    ]  # fmt: skip


def test_keys_are_made_valid_and_stay_apart() -> None:
    """What a key may not have becomes `_`; keys that are then the same get another."""
    fields = {"a b": 1, "a_b": 2, "a=b": 3, "\n\u202e": 4, "": 5, "é": 6, "it's": 7, "\ud800": 8}
    shown = read(record_of("m", **fields, deep={"x y": 9}))
    assert list(shown)[4:] == [
        "a_b", "a_b_", "a_b__", "__", "_", "é", "it_s", "___", "deep.x_y",
    ]  # fmt: skip
    assert list(shown.values())[4:] == [str(n) for n in range(1, 10)]


def test_fields_do_not_pass_for_the_record_s_own() -> None:
    """A field named like a key of the record gets a `_`, also when it is nested or comes first."""
    record = record_of("m", level="x", exception={"type": "forged"})
    shown = read(record, Logfmt(keys=["fields", "level", "exception"]))
    assert shown == {"level_": "x", "exception.type_": "forged", "level": "INFO"}
    renamed = read(record_of("m", lvl=1), Logfmt(rename={"level": "lvl"}))
    assert (renamed["lvl"], renamed["lvl_"]) == ("INFO", "1")


def test_an_exception_is_type_message_and_traceback() -> None:
    """The traceback is one value, lines and all, and what caused it is in it."""
    info = ExceptionInfo(
        "KeyError", "'k'", [Frame("a.py", 3, "f", "d['k']")], ["a note"],
        cause=ExceptionInfo("ValueError", "two\nlines"),
    )  # fmt: skip
    shown = read(record_of("m").replace(exception=info))
    assert list(shown)[4:] == ["exception.type", "exception.message", "exception.traceback"]
    assert (shown["exception.type"], shown["exception.message"]) == ("KeyError", "'k'")
    assert shown["exception.traceback"].splitlines() == [
        "ValueError: two",
        "lines",
        "The above exception was the direct cause of the following exception:",
        "Traceback (most recent call last):",
        '  File "a.py", line 3, in f',
        "    d['k']",
        "KeyError: 'k'",
        "a note",
    ]


def test_keys_names_and_time_can_be_chosen() -> None:
    """`keys`, `rename` and `time` are those of `Json`."""
    record = msgspec.structs.replace(record_of("m", n=1), time_ns=WHEN_NS)
    encoder = Logfmt(
        keys=["timestamp", "message", "function", "fields", "task"],
        rename={"timestamp": "ts", "message": "msg"},
        time="epoch-ms",
    )
    line = encoder.encode(record)
    assert line == f"ts={WHEN_NS // 10**6} msg=m function=record_of n=1\n".encode()


def test_nothing_can_forge_a_line_or_a_pair() -> None:
    """Control characters and pairs within values, keys and names stay inside them."""
    evil = 'x" level=CRITICAL forged=1\n\x1b[31m\u202e\ud800\x9b'
    record = record_of(evil, **{evil: evil, "deep": {evil: [evil]}}).replace(
        level=Level(20, evil), logger=evil,
        exception=ExceptionInfo(evil, evil, [Frame(evil, 1, evil, evil)], [evil]),
    )  # fmt: skip
    shown = read(record)
    assert shown["level"] == shown["message"] == evil.replace("\ud800", "\\ud800")
    assert "forged" not in shown
    assert len(shown) == 9


def test_what_processors_make_is_encoded_too() -> None:
    """Cycles, endless depth and foreign objects that come after capture still give a line."""
    ring: dict[Any, Any] = {}
    ring.update(a=ring, b=[ring], c=ring)
    deep: dict[Any, Any] = {}
    for _ in range(2_000):
        deep = {"k": deep}

    class Unprintable:
        def __repr__(self) -> str:
            raise ValueError("no")

    for value in (ring, deep, Unprintable(), {Unprintable(): {1, 2}}, [ring]):
        record = record_of("m").replace(fields={"value": value, "fine": 1})
        assert read(record)["fine"] == "1"
    while deep:
        deep = deep["k"]


@pytest.mark.parametrize(
    ("options", "setting"),
    [
        ({"rename": {"level": "a b"}}, "rename"),
        ({"rename": {"level": "message"}}, "rename"),
        ({"rename": {"thread": "t"}}, "rename"),
        ({"keys": ["user"]}, "keys"),
        ({"time": "ISO"}, "time"),
    ],
)
def test_options_that_mean_nothing_are_refused(options: Any, setting: str) -> None:
    """Unknown keys, clashing or invalid names and unknown forms are errors at construction."""
    with pytest.raises(ConfigurationError, match=rf"^Logfmt\.{setting}: got .*; accepted: "):
        Logfmt(**options)


def test_equal_encoders_are_equal() -> None:
    """Encoders with the same settings share their bytes; others do not."""
    assert Logfmt() == Logfmt()
    assert hash(Logfmt(time="epoch")) == hash(Logfmt(time="epoch"))
    others: list[Any] = [
        Logfmt(time="epoch"), Logfmt(keys=["level"]), Logfmt(rename={"level": "l"}), Json()
    ]  # fmt: skip
    assert all(Logfmt() != other for other in others)
    assert repr(Logfmt()) == "Logfmt()"
    assert re.fullmatch(r"Logfmt\(rename=\{.*\}, time='epoch'\)",
                        repr(Logfmt(rename={"level": "l"}, time="epoch")))  # fmt: skip

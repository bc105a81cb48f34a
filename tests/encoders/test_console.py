"""Lines for people: readable, aligned, and not to be forged."""

from __future__ import annotations

import datetime
import re
import unicodedata
from typing import Any

import msgspec
import pytest

from logflume import ExceptionInfo, Frame, Level
from logflume.encoders import Console, Json
from logflume.encoders.console import escape
from logflume.level import LEVELS
from tests.intake import WHEN, WHEN_NS, record_of

CONTROL = re.compile(
    "[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\u200e\u200f]"
)
SGR = re.compile(r"\x1b\[[0-9;]*m")


def line_of(message: Any, /, **fields: Any) -> str:
    line = Console().encode(record_of(message, **fields)).decode()
    assert line.count("\n") == 1
    return line


def fields_shown(**fields: Any) -> str:
    return line_of("m", **fields).split("  m" + " " * 39, 1)[1].strip()


def test_a_line_is_time_level_logger_message_fields() -> None:
    """The parts stand in columns, in local time to the millisecond."""
    record = msgspec.structs.replace(record_of("User in", user="ann", n=1), time_ns=WHEN_NS)
    local = WHEN.astimezone().strftime("%H:%M:%S")
    line = Console().encode(record).decode()
    assert line == f"{local}.678  INFO      tests.record      {'User in':<40}  user=ann n=1\n"


def test_columns_are_aligned() -> None:
    """The message begins at the same place for every level and short logger name."""
    record = record_of("MESSAGE")
    lines = [
        Console().encode(record.replace(level=level, logger=name)).decode()
        for level in LEVELS.values()
        for name in ("a", "shop.cart")
    ]
    assert {line.index("MESSAGE") for line in lines} == {lines[0].index("MESSAGE")}
    assert not any(line.endswith(" \n") for line in lines)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("plain", "plain"),
        ("", "''"),
        ("two words", "'two words'"),
        ("a=b", "'a=b'"),
        ("it's", '"it\'s"'),
        ("new\nline", r"'new\nline'"),
        ("back\\slash", "back\\slash"),
        ("\x1b[31m", r"\x1b[31m"),
        ("\u202eabc", r"\u202eabc"),
        ("a\u2028b", r"'a\u2028b'"),
        ("\ud800", r"\ud800"),
        ("žluťoučký 日本", "'žluťoučký 日本'"),
        (1, "1"),
        (None, "None"),
        (1.5, "1.5"),
        (b"\n", r"b'\n'"),
        ({"k": ["\n"]}, r"{'k': ['\n']}"),
        (datetime.date(2026, 1, 2), "2026-01-02"),
        (10**5000, "<unprintable int: ValueError>"),
    ],
    ids=lambda value: ascii(value)[:30] if not isinstance(value, int) else f"int{value % 97}",
)
def test_values_are_shown_plainly(value: Any, shown: str) -> None:
    """Values show as themselves, in quotes where they could not be told apart, escaped once."""
    assert fields_shown(value=value) == f"value={shown}"


def test_keys_cannot_pass_for_several() -> None:
    """A key with a blank or an equals sign is in quotes, control characters are escaped."""
    assert fields_shown(**{"a b=c": 1, "x\n": 2, "\x1b": 3}) == r"'a b=c'=1 'x\n'=2 \x1b=3"


@pytest.mark.parametrize("color", [False, True])
def test_nothing_can_forge_a_line_or_a_colour(color: bool) -> None:
    """Control characters are escaped wherever the caller had a say."""
    evil = "x\r\n12:00:00 ERROR forged\x1b[31m\x9b31m\x85\u2028\u202e\u2066\x00\x7f\x08"
    record = record_of(evil, **{evil: evil, "deep": {evil: [evil]}}).replace(
        level=Level(20, evil), logger=evil,
        exception=ExceptionInfo(
            evil, evil, [Frame(evil, 1, evil, evil)], [evil],
            cause=ExceptionInfo("C", evil), group=[ExceptionInfo("G", evil)],
        ),
    )  # fmt: skip
    text = Console(color=color).encode(record).decode()
    assert not CONTROL.search(SGR.sub("", text) if color else text)
    first, *others = text.splitlines()
    assert all(line.startswith("  ") or SGR.match(line) for line in others)
    assert color is ("\x1b[0m" in first)


def test_an_exception_is_indented_below() -> None:
    """An exception shows as Python shows it, causes first, each line indented."""
    info = ExceptionInfo(
        "KeyError", "'k'", [Frame("a.py", 3, "f", "d['k']")], ["a note"],
        cause=ExceptionInfo("ValueError", "wrong", [Frame("b.py", 4, "g")]),
    )  # fmt: skip
    lines = Console().encode(record_of("failed", n=1).replace(exception=info)).decode().split("\n")
    assert lines[0].endswith("n=1")
    assert lines[1:] == [
        "  Traceback (most recent call last):",
        '    File "b.py", line 4, in g',
        "  ValueError: wrong",
        "  The above exception was the direct cause of the following exception:",
        "  Traceback (most recent call last):",
        '    File "a.py", line 3, in f',
        "      d['k']",
        "  KeyError: 'k'",
        "  a note",
        "",
    ]


def test_members_of_a_group_are_indented_further() -> None:
    """A group shows its members below it, numbered."""
    info = ExceptionInfo(
        "ExceptionGroup", "g", group=[ExceptionInfo("E", ""), ExceptionInfo("F", "x")]
    )
    text = Console().encode(record_of().replace(exception=info)).decode()
    assert "    member 1 of 2:\n      E\n    member 2 of 2:\n      F: x\n" in text


@pytest.mark.parametrize("level", LEVELS.values(), ids=str)
def test_colours_only_add_colours(level: Level) -> None:
    """Without its colours, a coloured line is the plain one."""
    info = ExceptionInfo("E", "wrong", [Frame("a.py", 1, "f")])
    record = record_of("m", a=1).replace(level=level, exception=info)
    colored = Console(color=True).encode(record).decode()
    assert SGR.sub("", colored) == Console().encode(record).decode()
    assert colored.count("\x1b[0m") >= 5


def test_every_control_character_is_escaped() -> None:
    """No character of the categories for controls, formats and surrogates comes through."""
    for code in range(0x110000):
        char = chr(code)
        if unicodedata.category(char) in ("Cc", "Zl", "Zp", "Cs") or unicodedata.bidirectional(
            char
        ) in ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"):
            assert escape(char).isascii(), hex(code)
            assert escape(f"é{char}").count("\\") == 1


def test_text_that_is_fine_stays_as_it_is() -> None:
    """Letters of any script, and emoji, are not escaped."""
    for text in ("plain", "žluťoučký kůň", "日本語", "😀", "naïve\u00a0"):
        assert escape(text) == text


def test_equal_encoders_are_equal() -> None:
    """Encoders with the same settings share their bytes; others do not."""
    assert Console() == Console()
    assert hash(Console(color=True)) == hash(Console(color=True))
    assert Console() != Console(color=True)
    assert Console() != Console(logger_width=5)
    assert Console() != Json()
    assert "color=True" in repr(Console(color=True))

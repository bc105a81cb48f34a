"""Lines for people: readable, aligned, and not to be forged."""

from __future__ import annotations

import datetime
import os
import re
import sys
import unicodedata
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from logflume import ConfigurationError, ExceptionInfo, Frame, Level, Record, Theme
from logflume.encoders import Console, Json
from logflume.encoders._cells import cells
from logflume.encoders.console import escape
from logflume.level import LEVELS
from logflume.theme import THEMES
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


# Columns and times.


def shown(record: Record, **options: Any) -> str:
    return Console(**options).encode(record).decode()


def test_columns_are_chosen() -> None:
    """What is before the message is aligned; what is behind it follows, and so does nothing."""
    record = record_of("said", n=1).replace(level=LEVELS["ERROR"])
    line = shown(record, columns=("icon", "level", "message", "location", "fields", "task"))
    assert re.fullmatch(r"✖   ERROR     said {36}  intake\.py:\d+  n=1\n", line)
    assert shown(record, columns=["message"]) == "said\n"
    line = shown(record, columns=("pid", "thread", "location", "message"))
    assert re.fullmatch(rf"{os.getpid():<7}  MainThread    intake\.py:\d+ +said\n", line)


@pytest.mark.parametrize(
    ("option", "given"),
    [
        ("columns", ("time", "level")),
        ("columns", ("message", "message")),
        ("columns", ("message", "colour")),
        ("columns", "message"),
        ("columns", ("fields", "message")),
        ("columns", (1, "message")),
        ("time", "noon"),
        ("time", None),
        ("theme", "loud"),
        ("width", 3),
        ("width", "wide"),
        ("exceptions", "fancy"),
        ("logger_width", -1),
        ("logger_width", 10**9),
        ("columns", None),
        ("columns", 3),
        ("time", []),
        ("color", "no"),
        ("multiline", 1),
    ],
)
def test_options_that_mean_nothing_are_refused(option: str, given: Any) -> None:
    """Told when the encoder is made, with the option and what is accepted."""
    with pytest.raises(ConfigurationError, match=rf"Console\.{option}: got .*; accepted: "):
        Console(**{option: given})


@pytest.mark.parametrize(
    ("form", "pattern"),
    [
        ("utc", r"2026-01-02T03:04:05\.678Z"),
        ("local", r"2026-01-0\dT\d\d:\d\d:05\.678[+-]\d\d:\d\d"),
        ("clock", r"\d\d:\d\d:05\.678"),
        ("relative", r" *-\d+\.\d{3}s"),
        ("%S,%f", r"05,678901"),
        ("%y%%f", r"26%f"),
        ("YYYY-MM-DD[T]HH!UTC", r"2026-01-02T03"),
        ("ss.SSSSSS", r"05\.678901"),
    ],
)
def test_times_have_forms(form: str, pattern: str) -> None:
    """Time of day, ISO 8601, seconds since the start, or a format."""
    record = msgspec.structs.replace(record_of("said"), time_ns=WHEN_NS)
    line = shown(record, time=form, columns=("time", "message"))
    assert re.fullmatch(rf"{pattern}  said\n", line), line


def test_the_clock_goes_on() -> None:
    """What is kept of a second is not shown for another, nor one fraction for another."""
    encoder = Console(columns=("time", "message"), time="utc")
    record = record_of("said")
    for late in (0, 1, 999_999_999, 1_000_000_000, 61_000_000_000, 0):
        when = msgspec.structs.replace(record, time_ns=WHEN_NS + late)
        whole = when.timestamp
        assert encoder.encode(when).decode() == f"{whole[:-4]}Z  said\n"


# Width.


@pytest.mark.parametrize(
    ("text", "width"),
    [("abc", 3), ("日本", 4), ("é", 1), ("e\u0301", 1), ("😀", 2), ("⚠\ufe0f", 2), ("한", 2),
     ("👍🏽", 2), ("", 0), ("│", 1)],
)  # fmt: skip
def test_cells_are_those_of_a_terminal(text: str, width: int) -> None:
    """Wide characters and emoji take two cells, combining marks none."""
    assert cells(text) == width


def test_wide_characters_are_aligned() -> None:
    """Fields begin in the same cell, whatever the message and the logger are written in."""
    starts = set()
    for message in ("plain", "日本語", "😀 done", "naïve"):
        for logger in ("app", "店.カート"):
            line = shown(record_of(message, n=1).replace(logger=logger))
            starts.add(cells(line.partition("n=1")[0]))
    assert len(starts) == 1


@given(
    st.text(st.characters(exclude_categories=("Cc", "Cs"))),
    st.dictionaries(st.from_regex(r"[a-z]{1,5}", fullmatch=True), st.text(max_size=30), max_size=3),
    st.integers(20, 120),
)
def test_nothing_is_wider_than_the_width_and_nothing_is_missing(
    message: str, fields: dict[str, str], width: int
) -> None:
    """Every row fits, further rows are marked, and but for blanks all of the text is there."""
    fields.pop("self", None)
    record = record_of("{0}", message).replace(fields=dict(fields))
    columns = ("level", "message", "fields")
    rows = shown(record, width=width, columns=columns)[:-1].split("\n")
    assert all(cells(row) <= width for row in rows)
    assert all(row.startswith(" ") for row in rows[1:])
    whole = shown(record, columns=columns)
    told = rows[0] + "".join(row.replace("┆", "", 1) for row in rows[1:])
    assert "".join(told.split()) == "".join(whole.split())


def test_a_line_that_nearly_fits_gives_up_its_alignment() -> None:
    """Blanks for alignment go before the line is folded."""
    line = shown(record_of("said", n=1), width=60, columns=("level", "message", "fields"))
    assert line == f"INFO      {'said':<30}  n=1\n"
    line = shown(record_of("m" * 20, n="x" * 24), width=60, columns=("level", "message", "fields"))
    assert line == f"INFO      {'m' * 20}  n={'x' * 24}\n"


def test_colours_do_not_count() -> None:
    """A coloured line is folded just as the plain one."""
    for text in ("word " * 30, "x" * 200, "日本" * 50):
        record = record_of(text, a="b " * 30, long="y" * 100)
        colored = shown(record, width=80, color=True)
        assert SGR.sub("", colored) == shown(record, width=80)


@pytest.mark.parametrize("says", [0, -5, 19, "wide", None, ZeroDivisionError], ids=str)
def test_a_width_that_means_nothing_costs_no_record(says: Any) -> None:
    """A function that fails or says nonsense is as if there was no width."""

    def width() -> Any:
        if says is ZeroDivisionError:
            raise ZeroDivisionError
        return says

    record = record_of("long " * 50)
    assert shown(record, width=width) == shown(record)


def test_the_width_may_change() -> None:
    """A function is asked for each record."""
    widths = iter([None, 40, 200])
    encoder = Console(width=lambda: next(widths))
    rows = [encoder.encode(record_of("word " * 20)).count(b"\n") for _ in range(3)]
    assert rows == [1, 4, 1]


# Several lines.


def test_lines_of_the_template_show_those_of_values_do_not() -> None:
    """Each further line is marked below the message; a value's line break stays an escape."""
    indent = " " * 40
    record = record_of("one\n\ttwo {a!r} {b:>3} {c}\r\nthree\n", a="x\ny", b=1, c=["\n"])
    assert shown(record, multiline=True).split("  one", 1)[1].split("\n") == [
        " " * 37 + r"  a='x\ny' b=1 c=['\n']",
        indent + r"│     two 'x\ny'   1 ['\n']",
        indent + "│ three",
        "",
    ]


def test_positional_values_cannot_break_lines_either() -> None:
    """The same for arguments, in braces or with percent signs."""
    for template, args in (
        ("a\n{} {}", ("x\ny", 1)),
        ("a\n%s %d", ("x\ny", 1)),
        ("a\n%(k)s %(n)d", ({"k": "x\ny", "n": 1},)),
    ):
        text = shown(record_of(template, *args), multiline=True, columns=["message"])
        assert text == "a\n│ x\\ny 1\n"


def test_a_message_written_anew_stays_on_one_line() -> None:
    """What a processor made of a message may hold values: its line breaks are escapes."""
    record = record_of("one\ntwo").replace(message="one\nforged")
    assert shown(record, multiline=True, columns=["message"]) == "one\\nforged\n"
    assert shown(record_of("one\ntwo"), columns=["message"]) == "one\\ntwo\n"


@pytest.mark.parametrize("color", [False, True])
@pytest.mark.parametrize("exceptions", ["plain", "rich"])
def test_no_line_begins_as_a_record_does(color: bool, exceptions: str) -> None:
    """With several lines, rows and panels, too, nothing of the caller's begins a line."""
    if exceptions == "rich":
        pytest.importorskip("rich")
    evil = "x\r\n12:00:00 ERROR forged\x1b[31m\x9b31m\x85\u2028\u202e\x00\n" + " " * 90 + "forged"
    record = record_of(evil, **{evil: evil}).replace(
        level=Level(20, evil), logger=evil,
        exception=ExceptionInfo(
            evil, evil, [Frame(evil, 1, evil, evil)], [evil],
            cause=ExceptionInfo("C", evil), group=[ExceptionInfo("G", evil)],
        ),
    )  # fmt: skip
    text = shown(record, color=color, multiline=True, width=60, exceptions=exceptions)
    plain = SGR.sub("", text)
    assert not CONTROL.search(plain)
    _, *others = plain.splitlines()
    assert all(not row or row.startswith("  ") for row in others)
    marks = "│┆╭╰"
    assert all(row.lstrip()[:1] in marks for row in others if row.lstrip().startswith("forged"))


# Exceptions.


def test_carets_mark_what_was_being_run() -> None:
    """Below the part of the source line, also behind wide characters; not below all of it."""
    frame = Frame("a.py", 3, "f", "日本 = d['k'] + 1", span=(5, 11))
    info = ExceptionInfo("KeyError", "'k'", [frame])
    assert shown(record_of().replace(exception=info)).split("\n")[3:5] == [
        "      日本 = d['k'] + 1",
        "             ^^^^^^",
    ]
    narrow = shown(record_of().replace(exception=info), width=22)
    assert "^" not in narrow
    frame.span = (99, 120)
    assert "^" not in shown(record_of().replace(exception=info))


def test_frames_left_out_are_told() -> None:
    """The frame that stands for others says how many they are."""
    info = ExceptionInfo("E", "", [Frame("...", 0, "7 frames left out")])
    assert "\n    ... 7 frames left out\n" in shown(record_of().replace(exception=info))


def test_what_an_exception_says_may_have_lines() -> None:
    """Each further one is marked, of its message and of its notes."""
    info = ExceptionInfo("E", "one\ntwo", notes=["see\nthere"])
    lines = shown(record_of().replace(exception=info), multiline=True).split("\n")
    assert lines[1:] == ["  E: one", "  │ two", "  see", "  │ there", ""]
    assert r"E: one\ntwo" in shown(record_of().replace(exception=info))


def test_rich_draws_panels() -> None:
    """Exceptions in panels within the width, nothing cut, whatever the size."""
    pytest.importorskip("rich")
    source = "raise SomeError(" + "argument, " * 30 + ")"
    info = ExceptionInfo(
        "app.SomeError", "wrong\nvery", [Frame("a.py", 3, "f", source, span=(6, 15))], ["a note"],
        cause=ExceptionInfo("E", "[bold]no markup[/bold] :smile:"),
        group=[ExceptionInfo("F", "x" * 300)],
    )  # fmt: skip
    record = record_of("failed").replace(exception=info)
    text = shown(record, exceptions="rich", width=60)
    assert all(cells(row) <= 60 for row in text.split("\n"))
    assert text.count("argument") == 30
    assert text.count("x" * 10) >= 25
    assert "[bold]no markup[/bold] :smile:" in text
    assert "direct cause" in text
    colored = shown(record, exceptions="rich", width=60, color=True)
    assert SGR.sub("", colored) == text
    assert "\x1b[" in colored


def test_without_rich_panels_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Told when the encoder is made."""
    monkeypatch.setitem(sys.modules, "rich.console", None)
    with pytest.raises(ConfigurationError, match=r"logflume\[rich\]"):
        Console(exceptions="rich")


# Themes.


def test_levels_look_as_the_theme_says() -> None:
    """Colours and icons of the theme, or of the level itself."""
    record = record_of("said").replace(level=Level(20, "INFO"))
    theme = Theme(levels={"INFO": "bold green"}, icons={"INFO": "💬"})
    line = shown(record, color=True, theme=theme, columns=("icon", "level", "message"))
    assert line.startswith("\x1b[1;32m💬\x1b[0m  \x1b[1;32mINFO    \x1b[0m  ")
    assert shown(record, theme=theme, columns=("icon", "message")) == "💬  said\n"


@pytest.mark.parametrize("theme", THEMES)
def test_every_theme_only_adds_colours(theme: str) -> None:
    """Without its colours, a line is the plain one in every theme."""
    info = ExceptionInfo("E", "wrong", [Frame("a.py", 1, "f", "x = y", span=(4, 5))])
    for level in LEVELS.values():
        record = record_of("m", a=1).replace(level=level, exception=info)
        colored = shown(record, color=True, theme=theme)
        assert SGR.sub("", colored) == shown(record, theme=theme)


def test_options_are_part_of_the_value() -> None:
    """Encoders with other options do not share their bytes."""
    options: list[dict[str, Any]] = [
        {}, {"theme": "vivid"}, {"columns": ("message",)}, {"time": "utc"}, {"width": 80},
        {"multiline": True}, {"color": True}, {"logger_width": 3}, {"width": print},
    ]  # fmt: skip
    for at, one in enumerate(options):
        for other in options[:at]:
            assert Console(**one) != Console(**other)
        assert Console(**one) == Console(**one)
        assert hash(Console(**one)) == hash(Console(**one))

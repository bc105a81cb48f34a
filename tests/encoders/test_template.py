"""Lines of one's own form: placeholders, times, variants, and nothing to forge."""

from __future__ import annotations

import datetime
import decimal
import json
import random
import time
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from logflume import ConfigurationError, ExceptionInfo, Frame, Level, Record
from logflume.encoders import Console, Ecs, Logfmt, Template
from logflume.encoders._times import _text_of, second_of
from logflume.escape import UNSAFE
from logflume.level import LEVELS
from logflume.record import Extra
from tests.intake import WHEN, WHEN_NS, record_of
from tests.readers import read_logfmt

FAILED = ExceptionInfo("ValueError", "wrong\nlines", [Frame("a.py", 3, "f", "x = 1")])


def line(form: Any, record: Record | None = None, **options: Any) -> str:
    record = record or msgspec.structs.replace(record_of("said"), time_ns=WHEN_NS)
    text = Template(form, **options).encode(record).decode()
    assert text.endswith("\n")
    return text[:-1]


@pytest.fixture
def prague(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Local time is one hour ahead of UTC in January."""
    monkeypatch.setenv("TZ", "Europe/Prague")
    time.tzset()
    second_of.cache_clear()
    _text_of.cache_clear()
    yield
    monkeypatch.undo()
    time.tzset()
    second_of.cache_clear()
    _text_of.cache_clear()


def test_the_default_is_that_of_loguru_with_the_fields() -> None:
    """Time, level, place and message, then the fields; an exception below."""
    record = msgspec.structs.replace(record_of("n is {n}", n=1, s="two words"), time_ns=WHEN_NS)
    when = WHEN.astimezone().strftime("%Y-%m-%d %H:%M:%S.678")
    place = f"tests.record:record_of:{record.site.line}"
    text = f'{when} | INFO     | {place} - n is 1 n=1 s="two words"\n'
    assert Template().encode(record).decode() == text
    assert Template().encode(record.replace(exception=FAILED)).decode() == (
        f'{text}  Traceback (most recent call last):\n    File "a.py", line 3, in f\n'
        "      x = 1\n  ValueError: wrong\\nlines\n"
    )


@pytest.mark.parametrize(
    ("form", "shown"),
    [
        ("literal {{}} %s 100%", "literal {} %s 100%"),
        ("{level}|{level:<8}|{level:>6}|{level:^8}|{level:.2}", "INFO|INFO    |  INFO|  INFO  |IN"),
        ("{level.no}/{level.no:04}/{level!r}", "20/0020/'INFO'"),
        ("{name}={logger}", "tests.record=tests.record"),
        ("{module}.{function} {thread}", "intake.record_of MainThread"),
        ("{task}|{template}|{trace_id}|{exception}|{exception.type}", "||||"),
        ("{level.icon} {level}", "● INFO"),
        ("{message:>6}", "  said"),
        ("{message}   \n", "said"),
        ("", ""),
    ],
)
def test_placeholders_are_filled_and_formatted(form: str, shown: str) -> None:
    """Each placeholder gives its part of the record, by the format spec if there is one."""
    assert line(form) == shown


def test_what_few_records_have_is_shown_too() -> None:
    """Span, task, template and the icon of a level are there if the record has them."""
    record = record_of("n={n}", n=1).replace(level=Level(22, "NOTICE", icon="!"))
    record = msgspec.structs.replace(record, task="worker", extra=Extra(span=(10, 11)))
    shown = line("{level.icon} {template} {task} {trace_id:.>33} {span_id}", record)
    assert shown == f"! n={{n}} worker .{10:032x} {11:016x}"


def test_numbers_are_formatted_as_numbers() -> None:
    """Line and process take the specs of integers."""
    record = record_of("m")
    assert line("{line:06d}|{process:x}|{file}", record) == (
        f"{record.site.line:06d}|{record.to_dict()['process']:x}|{record.site.file}"
    )


@pytest.mark.parametrize(
    ("form", "shown"),
    [
        ("{fields[user]}|{fields.user}|{fields.user:>5}", "ann|ann|  ann"),
        ("{fields[http.method]}|{fields[a b]}", "GET|1"),
        ("{fields.none}|{fields.nope}|{fields.nope:<3}|", "None||   |"),
        ("{fields.price:.2f}|{fields.n:+}|{fields.user:.2f}", "1.50|+5|ann"),
        ("{fields.day:%d.%m.}", "02.01."),
        ("{fields.evil}|{fields.evil:>8}|{fields.evil!r:>10}", r"\x1b\n|  \x1b\n|  '\x1b\n'"),
        ("{fields.deep}", "{'k': ['\\x1b']}"),
    ],
)
def test_one_field_is_formatted_as_in_messages(form: str, shown: str) -> None:
    """A field that is not there is empty; a spec that does not fit it is as if not there."""
    fields = {
        "user": "ann", "http.method": "GET", "a b": 1, "none": None, "n": 5,
        "price": decimal.Decimal("1.5"), "day": WHEN, "evil": "\x1b\n", "deep": {"k": ["\x1b"]},
    }  # fmt: skip
    assert line(form, record_of("m", **fields)) == shown


def test_all_fields_are_pairs_as_in_logfmt() -> None:
    """`{fields}` is what `Logfmt` makes of them."""
    record = record_of("m", a=1, deep={"x": "y z", "l": [1]}, evil="\n\u202e")
    assert line("{fields}", record) == Logfmt(keys=["fields"]).encode(record).decode()[:-1]


TOKENS = {
    "YYYY": "2026", "YY": "26", "Q": "1", "MMMM": "January", "MMM": "Jan", "MM": "01", "M": "1",
    "DDDD": "002", "DDD": "2", "DD": "02", "D": "2", "dddd": "Friday", "ddd": "Fri", "d": "4",
    "E": "5", "HH": "04", "H": "4", "hh": "04", "h": "4", "mm": "04", "m": "4", "ss": "05",
    "s": "5", "S": "6", "SSS": "678", "SSSSSS": "678901", "SSSSSSSSS": "678901234", "A": "AM",
    "Z": "+01:00", "ZZ": "+0100", "zz": "CET", "X": "1767323045", "x": "1767323045678901",
    "[at] H[h]": "at 4h", "[YYYY]": "YYYY", "[]": "", "HH:mm!UTC": "03:04", "Z!UTC": "+00:00",
    "": "2026-01-02T04:04:05.678901+01:00", "!UTC": "2026-01-02T03:04:05.678901+00:00",
    "%H.%M.%f": "04.04.678901", "%H!UTC": "03", "ddd, D. MMM YYYY": "Fri, 2. Jan 2026",
    "SSS.s.SSS": "678.5.678",
}  # fmt: skip


@pytest.mark.usefixtures("prague")
@pytest.mark.parametrize(("token", "shown"), TOKENS.items())
def test_times_are_made_of_tokens(token: str, shown: str) -> None:
    """Tokens give parts of the local time, or with `!UTC` of that in UTC."""
    form = f"{{time:{token}}}|" if token else "{time}|"
    assert line(form) == f"{shown}|"


@pytest.mark.parametrize(
    ("hour", "shown"), [(0, "12 AM"), (1, "1 AM"), (11, "11 AM"), (12, "12 PM"), (23, "11 PM")]
)
def test_hours_of_a_half_day(hour: int, shown: str) -> None:
    """Midnight and noon are twelve."""
    when = datetime.datetime(2026, 1, 2, hour, tzinfo=datetime.UTC)
    record = msgspec.structs.replace(record_of("m"), time_ns=int(when.timestamp()) * 10**9)
    assert line("{time:h A!UTC}", record) == shown


def test_times_agree_with_loguru_s() -> None:
    """What loguru makes of any time in any form, this makes of it, too."""
    loguru_datetime = pytest.importorskip("loguru._datetime").datetime
    tokens = [t for t in TOKENS if t.isalpha() and len(t) < 7 and t not in ("x", "T", "SSSS")]
    chance = random.Random(1)
    for _ in range(200):
        spec = chance.choice([":", " ", ", ", "-", "[YYYY]"]).join(chance.sample(tokens, 4))
        spec += chance.choice(["", "!UTC"])
        time_ns = chance.randrange(0, 4 * 10**18)
        record = msgspec.structs.replace(record_of("m"), time_ns=time_ns)
        local = record.time.astimezone()
        expected = format(loguru_datetime.combine(local.date(), local.timetz()), spec)
        assert line(f"{{time:{spec}}}|", record) == f"{expected}|", spec


@pytest.mark.parametrize("level", LEVELS.values(), ids=str)
def test_variants_hold_from_their_level_up(level: Level) -> None:
    """A record takes the form of the highest level named that is not above its own."""
    record = record_of("m").replace(level=level)
    levels: dict[Any, Any] = {"error": "bad", 30: "warn", "DEBUG": lambda r: r.level.name}
    expected = {"TRACE": "base", "WARNING": "warn", "ERROR": "bad", "CRITICAL": "bad"}
    assert line("base", record, levels=levels) == expected.get(level.name, level.name)


def test_an_exception_stands_where_the_form_says() -> None:
    """`{exception}` is the traceback; if the form shows what it says, none follows."""
    record = record_of("m").replace(exception=FAILED)
    trace = line("{exception}", record)
    assert trace.startswith("  Traceback")
    assert trace.endswith("\n  ValueError: wrong\\nlines")
    assert line("{message}", record) == f"m\n{trace}"
    assert line("{message} \n{exception}\nend", record) == f"m \n{trace}\nend"
    assert line("{message} {exception.type}: {exception.message:.5}", record) == (
        "m ValueError: wrong"
    )
    assert line("{message}\n{exception}") == "said"


def test_every_traceback_has_carets_and_tells_of_frames_left_out() -> None:
    """Lines, logfmt and ECS show an exception as the console does."""
    frames = [
        Frame("app.py", 3, "main", "total = add(1, 0)", (8, 17)),
        Frame("...", 0, "<7 more>", None),
    ]
    record = record_of("m").replace(exception=ExceptionInfo("E", "no", frames))
    shown = [
        "Traceback (most recent call last):",
        '  File "app.py", line 3, in main',
        "    total = add(1, 0)",
        "            ^^^^^^^^^",
        "  ... <7 more>",
        "E: no",
    ]
    assert line("m", record).split("\n")[1:] == [f"  {text}" for text in shown]
    assert json.loads(Ecs().encode(record))["error"]["stack_trace"].split("\n") == shown
    pairs = dict(read_logfmt(Logfmt().encode(record)))
    assert pairs["exception.traceback"].split("\n") == shown


def test_a_callable_makes_the_whole_line() -> None:
    """Its text is the line; further lines are indented, control characters escaped."""
    assert line(lambda record: f"<{record.message}>") == "<said>"
    assert line(lambda record: "a\nb\n  c\x1b[0m\r\n") == "a\n  b\n  c\\x1b[0m\\r"
    assert line(lambda record: 5) == "5"


def test_a_callable_that_fails_costs_its_form_only() -> None:
    """The record is written in the default form, which says what happened."""
    record = record_of("said", n=1)
    text = line(lambda record: 1 / 0, record)
    expected = Template().encode(record).decode()
    assert text == f"{expected}  <the form failed: ZeroDivisionError>"


def test_nothing_can_forge_a_line() -> None:
    """Control characters are escaped in every placeholder; lines after the first are indented."""
    evil = "x\r\n12:00:00 ERROR forged\x1b[31m\x9b31m\x85\u2028\u202e\x00\x7f\ud800"
    record = record_of(evil, **{evil: evil, "deep": {evil: [evil]}, "f": evil}).replace(
        level=Level(20, evil), logger=evil,
        exception=ExceptionInfo(evil, evil, [Frame(evil, 1, evil, evil)], [evil],
                                cause=ExceptionInfo(evil, evil), group=[FAILED]),
    )  # fmt: skip
    record = msgspec.structs.replace(record, thread=evil, task=evil)
    form = (
        "{time} {level} {level!r} {name} {file} {function} {thread} {task} {template} {message} "
        "{message!a} {fields} {fields.f} {fields.f!r:>5} {fields.deep} {exception.type} "
        "{exception.message}"
    )
    for given in (form, f"{form}\n{{exception}}", lambda r: f"{r.message}\n{r.fields}"):
        first, *others = line(given, record).split("\n")
        assert not any(UNSAFE.search(text) for text in (first, *others))
        assert all(other.startswith("  ") for other in others)


def test_text_with_code_of_its_own_cannot_forge_either() -> None:
    """A processor may make strings of a subclass: what its methods say is escaped, too."""

    class Forging(str):
        __slots__ = ()

        def __str__(self) -> str:
            return "\nforged"

        def __format__(self, spec: str) -> str:
            return "\x1b[31m\nforged"

    own = Forging("own")
    record = record_of("said").replace(message=own, logger=own, fields={own: own})
    for encoder in (Template("{name} {message} {fields.own:>4} {fields}"), Console(), Logfmt()):
        shown = encoder.encode(record)
        assert (shown.count(b"\n"), b"\x1b" in shown) == (1, False)


@pytest.mark.parametrize(
    "form",
    [
        "{mesage}", "{}", "{0}", "{extra[user]}", "{fields.a.b}", "{fields[]}", "{level.color}",
        "{message:d}", "{line:s}", "{level!x}", "{level:{message}}", "{level", "}", 5, None,
        "{time:SSSSSSSSSS}", "{message:>257}", "{line:<99999999999}",
    ],
    ids=str,
)  # fmt: skip
def test_forms_that_mean_nothing_are_refused(form: Any) -> None:
    """What cannot be filled is an error at construction, which says what there is."""
    with pytest.raises(ConfigurationError, match=r"^Template\.form: got .*; accepted: "):
        Template(form)
    with pytest.raises(ConfigurationError, match=r"^Template\.levels\[40\]: got .*; accepted: "):
        Template(levels={"ERROR": form})


def test_an_unknown_placeholder_is_named() -> None:
    """The error shows the placeholder and lists the names that there are."""
    with pytest.raises(ConfigurationError, match=r"'\{mesage:>4\}'.*\{message\}.*\{fields\[NAME"):
        Template("{level} {mesage:>4}")


@pytest.mark.parametrize("levels", [["ERROR"], {"LOUD": "x"}, {None: "x"}], ids=str)
def test_levels_that_mean_nothing_are_refused(levels: Any) -> None:
    """Variants belong to levels that exist."""
    with pytest.raises(ConfigurationError, match=r"^Template\.levels: got .*; accepted: "):
        Template(levels=levels)


def test_equal_encoders_are_equal() -> None:
    """Encoders with the same forms share their bytes; others do not."""
    assert Template() == Template()
    assert Template("x", levels={"ERROR": "y"}) == Template("x", levels={40: "y"})
    assert hash(Template("x", levels={"ERROR": "y"})) == hash(Template("x", levels={40: "y"}))
    assert Template("x") != Template("y")
    assert Template("x") != Template("x", levels={"ERROR": "y"})
    assert Template(str) == Template(str) != Template(repr)
    assert Template("x") != Logfmt()
    assert repr(Template("x", levels={"ERROR": "y"})) == "Template(form='x', levels={40: 'y'})"

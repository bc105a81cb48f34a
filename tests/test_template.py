"""Message templates, with fields, with arguments, and with neither."""

from __future__ import annotations

import datetime
import decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logflume import get_logger
from logflume.template import (
    COMPILED_AFTER,
    MAX_KEPT,
    MAX_WIDTH,
    _fillers,
    _Template,
    _templates,
    render,
)
from tests.intake import captured


@pytest.mark.parametrize(
    ("template", "fields", "message"),
    [
        ("User {user} logged in", {"user": "ann"}, "User ann logged in"),
        ("{a}{b}{a}", {"a": 1, "b": None}, "1None1"),
        ("{a!r} {a!s} {a!a}", {"a": "é"}, "'é' é '\\xe9'"),
        ("{n:>5}|{n:05.1f}|{n:,}", {"n": 1234.5}, "1234.5|1234.5|1,234.5"),
        ("{when:%Y-%m}", {"when": datetime.date(2026, 1, 2)}, "2026-01"),
        ("{unknown} {a}", {"a": 1}, "{unknown} 1"),
        ("{unknown!r:>5} {other:} {a}", {"a": 1}, "{unknown!r:>5} {other:} 1"),
        ("{{a}} {a} }}{{", {"a": 1}, "{a} 1 }{"),
        ("{{{a}}}", {"a": 1}, "{1}"),
        ("{a.real} {a[0]}", {"a": 1}, "{a.real} {a[0]}"),
        ("{a.b}", {"a.b": 1}, "1"),
        ("{} {0}", {"a": 1}, "{} {0}"),
        ("100% {a} %s %d", {"a": 1}, "100% 1 %s %d"),
        ('{"k": {a}, "l": {}}', {"a": 1}, '{"k": 1, "l": {}}'),
        ("open { close } {a}", {"a": 1}, "open { close } 1"),
        ("{a:{width}}", {"a": 1, "width": 3}, "{a:3}"),
        ("{a!z}", {"a": 1}, "1"),
        ("{a:nonsense}", {"a": 1}, "1"),
        ("{message} {self} {level}", {"message": 1, "self": 2, "level": 3}, "1 2 3"),
        ("", {"a": 1}, ""),
        ("\ud800 {a}", {"a": "\udfff"}, "\ud800 \udfff"),
    ],
)
def test_fields_fill_the_template(template: str, fields: dict[str, Any], message: str) -> None:
    """`{name}` is the field's value; whatever is no placeholder, or not known, stays as written."""
    for _ in range(COMPILED_AFTER + 2):  # piece by piece, and then compiled
        assert render(template, (), fields) == message


@pytest.mark.parametrize(
    ("template", "args", "message"),
    [
        ("{} and {}", (1, 2), "1 and 2"),
        ("{1} and {0}", (1, 2), "2 and 1"),
        ("{} and {}", (1,), "1 and {}"),
        ("{0} {5} {9999999} {" + "9" * 5000 + "}", ("a",), "a {5} {9999999} {" + "9" * 5000 + "}"),
        ("{} of {user}", (1,), "1 of ann"),
        ("{!r:>5}", ("a",), "  'a'"),
        ("%s has %d", ("a", 2), "a has 2"),
        ("%(k)s", ({"k": 1},), "1"),
        ("%s", ({"k": 1},), "{'k': 1}"),
        ("%s", ((1, 2),), "(1, 2)"),
        ("100%% of %s", ("a",), "100% of a"),
        ("{} is 50% done", (1,), "1 is 50% done"),
        ("no place", (1, "b"), "no place 1 b"),
        ("%d", ("text",), "%d text"),
        ("%s %s", ("one",), "%s %s one"),
        ("%", (1,), "% 1"),
        ('{"k": %d}', (5,), '{"k": 5}'),
    ],
    ids=lambda value: str(value)[:20],
)
def test_arguments_fill_the_template(template: str, args: tuple[Any, ...], message: str) -> None:
    """Positional arguments fill `{}` or `%`, never both; those without a place are appended."""
    assert render(template, args, {"user": "ann"}) == message


@pytest.mark.parametrize(
    "message", ["{a} {{b}} {}", "100% %s %d", "}{", '{"json": {"a": 1}}', "%(a)s", "{0}", "\x00"]
)
def test_without_arguments_the_message_is_literal(message: str) -> None:
    """A message that comes alone is what it is, braces and percent signs included."""
    with captured() as taken:
        get_logger("t").bind(a=1, json=2).info(message)
    assert taken.last.message == message


@given(
    st.lists(
        st.text(max_size=5)
        | st.sampled_from(
            [
                "{a}",
                "{b!r}",
                "{c:>4}",
                "{d:.2f}",
                "{x}",
                "{{",
                "}}",
                "{a",
                "{}",
                "{0}",
                "%s",
                "\\",
                "'",
                '"',
            ]
        ),
        max_size=6,
    ).map("".join),
    st.dictionaries(st.sampled_from("abcd"), st.integers() | st.text(max_size=3) | st.floats()),
)
def test_a_compiled_template_says_the_same(template: str, fields: dict[str, Any]) -> None:
    """However often it is used, and whatever is in it."""
    read = _Template(template)
    try:
        compiled = read.compiled()(fields)
    except Exception:  # then `render` takes the other way
        compiled = read.fill(fields)
    assert compiled == read.fill(fields)


@pytest.mark.parametrize("template", ["{a}-" * 5_000, "{a}" + "-" * 5_000, "-" * 5_000])
def test_large_templates_are_not_kept(template: str) -> None:
    """They are made at run time; there may be many."""
    for _ in range(COMPILED_AFTER + 2):
        assert render(template, (), {"a": 1}) == template.replace("{a}", "1")
    assert render(template, (1,), {"a": 1}) == f"{template} 1"
    assert template not in _templates
    assert template not in _fillers


def test_a_value_s_text_is_the_same_however_the_template_is_filled() -> None:
    """Also of a value with odd ideas about that, as a processor may put in."""

    class Odd(str):
        __slots__ = ()

        def __str__(self) -> str:
            return self

        def __format__(self, spec: str) -> str:
            return "formatted"

    messages = {render("odd {a}", (), {"a": Odd("text")}) for _ in range(COMPILED_AFTER + 2)}
    assert len(messages) == 1


def test_where_no_stack_is_left_to_compile_it_is_done_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A log call may be made anywhere."""

    def overflow(*args: Any) -> Any:
        raise RecursionError

    with monkeypatch.context() as patched:
        patched.setattr(_Template, "compiled", overflow)
        for _ in range(COMPILED_AFTER + 2):
            assert render("later {a}", (), {"a": 1}) == "later 1"
    assert "later {a}" not in _fillers
    for _ in range(COMPILED_AFTER + 2):
        assert render("later {a}", (), {"a": 1}) == "later 1"
    assert "later {a}" in _fillers


def test_values_are_never_looked_at_again() -> None:
    """A value that looks like a placeholder is text."""
    fields = {"a": "{b} {{c}} %s", "b": "{a}", "c": "secret"}
    assert render("{a} {b}", (), fields) == "{b} {{c}} %s {a}"
    assert render("{} {}", ("{1} {b}", "%s"), fields) == "{1} {b} %s"
    assert render("%s", ("%s {b}",), fields) == "%s {b}"


@pytest.mark.parametrize(
    ("template", "args"),
    [
        ("{a:999999999}", ()),
        ("{a:" + "9" * 5000 + "}", ()),
        ("{a:.999999999f}", ()),
        ("{a:٩٩٩٩٩٩٩٩٩}", ()),
        ("{:999999999}", (1,)),
        ("%999999999d", (1,)),
        ("%0999999999d", (1,)),
        ("%.999999999f", (1,)),
        ("%" + "9" * 5000 + "d", (1,)),
        ("%*d", (999_999_999, 1)),
        ("%(a)999999999d", ({"a": 1},)),
        ("%((a))999999999d", ({"(a)": 1},)),
        ("{d:.2f}", ()),
        ("{d:,}", ()),
        ("{:f}", (decimal.Decimal("-1e999999999"),)),
    ],
    ids=lambda value: str(value)[:20],
)
def test_widths_are_capped(template: str, args: tuple[Any, ...]) -> None:
    """No template and no value makes a message much longer than they are themselves."""
    fields = {"a": 1, "d": decimal.Decimal("1e999999999")}
    assert len(render(template, args, fields)) < len(template) + MAX_WIDTH


def test_a_value_that_cannot_be_shown_gets_a_marker() -> None:
    """Rendering never raises: what has no text is a marker, and the rest is there."""
    assert render("n={n}!", (), {"n": 10**5000}) == "n=<unprintable int: ValueError>!"
    assert render("n={n:d} {n!r}", (), {"n": 10**5000}).count("<unprintable") == 2
    assert render("{}", (10**5000,), {}) == "<unprintable int: ValueError>"
    assert render("%d", (10**5000,), {}) == "%d <unprintable int: ValueError>"


def test_templates_made_at_run_time_do_not_fill_the_memory() -> None:
    """However many templates there are, a bounded number is kept compiled."""
    for n in range(MAX_KEPT + 10):
        render(f"{n}", (), {"a": 1})
        render(f"{n} {{}}", (n,), {})
        assert max(len(_templates), len(_fillers)) <= MAX_KEPT


def test_a_template_without_placeholders_is_its_own_result() -> None:
    """Nothing is copied where there is nothing to fill."""
    template = "plain text"
    assert render(template, (), {"a": 1}) is template

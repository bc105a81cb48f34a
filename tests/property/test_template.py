"""Templates: what `str.format` makes of them, made safe."""

from __future__ import annotations

import string
from decimal import Decimal

import hypothesis.strategies as st
from hypothesis import given, settings

from logflume.template import pieces, render

QUICK = settings(max_examples=200, deadline=None)

names = st.from_regex(r"[a-z_]{1,4}", fullmatch=True)
literals = st.text().map(lambda text: text.replace("{", "{{").replace("}", "}}"))
texts = st.text()


@given(
    parts=st.lists(st.tuples(literals, names), min_size=1),
    end=literals,
    values=st.dictionaries(names, texts | st.integers() | st.none(), min_size=1),
)
@QUICK
def test_what_str_format_can_do_is_done(
    parts: list[tuple[str, str]], end: str, values: dict[str, object]
) -> None:
    """A well-formed template whose names are all known gives what `str.format` gives."""
    template = "".join(f"{literal}{{{name}}}" for literal, name in parts) + end
    known = {name: values.get(name, name) for _, name in parts}
    assert render(template, (), known) == template.format(**known)


@given(parts=st.lists(st.tuples(literals, texts), min_size=1), end=literals)
@QUICK
def test_positions_are_filled_in_order(parts: list[tuple[str, str]], end: str) -> None:
    """`{}` takes the arguments in turn, as `str.format` does."""
    template = "".join(f"{literal}{{}}" for literal, _ in parts) + end
    args = tuple(text for _, text in parts)
    assert render(template, args, {}) == template.format(*args)


@given(template=st.text(st.sampled_from("{}!:abrs0123.%* ")), value=st.text())
@QUICK
def test_values_are_not_interpreted(template: str, value: str) -> None:
    """The template alone decides where a value goes: a value of braces changes nothing else."""
    marker = "\N{SNOWMAN}"
    plain = render(template, (), {"a": marker, "b": marker})
    if any(mark in template for mark in "!:"):
        return  # conversions and widths act on the value itself
    assert render(template, (), {"a": value, "b": value}) == plain.replace(marker, value)


@given(template=st.text(st.sampled_from("{}!:abrs0123.%*() ")))
@QUICK
def test_unknown_names_stay_as_written(template: str) -> None:
    """With no name known, only doubled braces change; without those, nothing does."""
    rendered = render(template, (), {"zzz": 1})
    if "{{" not in template and "}}" not in template:
        assert rendered == template
    else:
        assert len(rendered) <= len(template)


@given(template=st.text(), args=st.lists(st.text() | st.integers() | st.floats(), min_size=1))
@QUICK
def test_arguments_never_raise_nor_vanish(template: str, args: list[object]) -> None:
    """If a template has no place for arguments, they are appended."""
    rendered = render(template, tuple(args), {})
    if not set(template) & set("{}%"):
        assert rendered == f"{template} {' '.join(map(str, args))}"


@given(template=st.text(st.sampled_from(string.printable)), fields=st.dictionaries(names, texts))
@QUICK
def test_rendering_is_the_same_each_time(template: str, fields: dict[str, str]) -> None:
    """A compiled template that is kept gives what it gave the first time."""
    assert render(template, (), fields) == render(template, (), fields)


class Text(str):
    """What a value may show itself as; not what a message is."""

    __slots__ = ()


class Odd:
    """A value whose text is no plain one, is none at all, or cannot be had."""

    def __init__(self, text: object) -> None:
        self.text = text

    def __str__(self) -> str:
        if isinstance(self.text, Exception):
            raise self.text
        return self.text  # type: ignore[return-value]

    def __format__(self, spec: str) -> str:
        return "not asked for"


odd_names = st.sampled_from(["a", "b", "%s", "a%", "", "0", "a b", "\u00e9", "%(a)s", "a.b", "{"])
odd_texts = [Odd(Text("text")), Odd(5), Odd(ValueError())]
odd_values = st.sampled_from(
    [1, None, (), (1, 2), {"a": 1}, b"%s", "%s", "{a}", Text("text"), Decimal("1e9"), *odd_texts]
)
odd_pieces = odd_names.map(lambda name: f"{{{name}}}") | st.sampled_from(
    ["%", "%%", "%s", "%(a)s", "{{", "}}", "{", "}", "\0", "\ud800", "{a:}"]
)


@given(
    template=st.lists(odd_pieces, max_size=5).map("".join),
    fields=st.dictionaries(odd_names, odd_values, max_size=4),
)
@QUICK
def test_the_short_way_gives_what_the_long_one_does(
    template: str, fields: dict[str, object]
) -> None:
    """Whatever is in a template, its names and its values; and a message is a plain text."""
    message = render(template, (), fields)
    assert type(message) is str
    assert message == "".join([text for text, _ in pieces(template, fields)])


def test_a_message_is_a_plain_text() -> None:
    """Though its only value shows itself as something that has methods of its own."""
    assert type(render("{a}", (), {"a": Odd(Text("text"))})) is str

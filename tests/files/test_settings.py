"""Sizes and durations in words."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from functools import partial

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from logflume.files.settings import (
    is_function,
    parse_duration,
    parse_size,
    rules_in,
    seconds_of,
    whole,
)

QUICK = settings(max_examples=200, deadline=None)

amounts = st.decimals(min_value="0.001", max_value=10**9, places=3)
gaps = st.sampled_from(["", " ", "   "])


@given(amount=amounts, gap=gaps, prefix=st.sampled_from(["", *"kMGTP"]), binary=st.booleans())
@QUICK
def test_a_size_is_its_number_times_its_unit(
    amount: Decimal, gap: str, prefix: str, binary: bool
) -> None:
    """Sizes are exact, decimal or binary, whatever the case of the letters."""
    binary = binary and bool(prefix)
    text = f"{amount}{gap}{prefix}{'i' if binary else ''}B"
    wanted = int(amount * (1024 if binary else 1000) ** ["", *"kMGTP"].index(prefix))
    for written in (text, text.lower(), text.upper(), f" {text} "):
        assert parse_size(written) == (wanted or None)


@given(weeks=st.integers(0, 99), hours=st.integers(0, 99), minutes=st.integers(0, 99), ms=amounts)
@QUICK
def test_a_duration_is_the_sum_of_its_parts(
    weeks: int, hours: int, minutes: int, ms: Decimal
) -> None:
    """Parts of a duration add up, with spaces, commas or nothing between them."""
    wanted = timedelta(weeks=weeks, hours=hours, minutes=minutes, milliseconds=float(ms))
    for join in (" ", ", ", ""):
        text = join.join([f"{weeks} weeks", f"{hours} h", f"{minutes}min", f"{ms} ms"])
        assert parse_duration(text) == pytest.approx(wanted.total_seconds(), abs=1e-6)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90 s", 90),
        ("1 h", 3_600),
        ("1.5 h", 5_400),
        ("30 min", 1_800),
        ("1 Day", 86_400),
        ("2 w", 1_209_600),
        ("12 months", 31_536_000),
        ("1 year", 31_536_000),
        ("0.1 s", 0.1),
    ],
)
def test_durations_are_seconds(text: str, seconds: float) -> None:
    """What people write means what they mean."""
    assert parse_duration(text) == seconds


@given(text=st.text(alphabet=st.sampled_from("0123456789.,:- kmgtpibBshdwyin_e+²٣\n"), max_size=12))
@QUICK
def test_any_other_text_is_nothing(text: str) -> None:
    """No text raises, and what is read is above 0."""
    for read in (parse_size(text), parse_duration(text)):
        assert read is None or read > 0


@pytest.mark.parametrize(
    "text", ["", "B", "100", "100 M", "1,5 MB", "-1 MB", "0 B", "0.1 B", "1e3 kB", "1 iB", "٣ kB"]
)
def test_texts_that_are_no_sizes(text: str) -> None:
    """A number needs a unit, and must be above 0."""
    assert parse_size(text) is None


@pytest.mark.parametrize("text", ["", "h", "1", "0 h", "5 m", "-1 h", "1 h and", "1 fortnight"])
def test_texts_that_are_no_durations(text: str) -> None:
    """A lone `m` is neither minute nor month; nothing takes no time."""
    assert parse_duration(text) is None


def test_a_timedelta_is_its_seconds() -> None:
    """Only those above 0 are durations."""
    assert seconds_of(timedelta(minutes=1.5)) == 90
    assert seconds_of(timedelta(0)) is seconds_of(timedelta(-1)) is seconds_of(90) is None


def test_whole_numbers() -> None:
    """True is no number, and neither is 1.0."""
    assert whole(1) == 1
    assert [whole(value) for value in (0, -1, True, 1.0, "1", None)] == [None] * 6


class Callable:
    def __call__(self) -> None: ...


class Awaitable:
    async def __call__(self) -> None: ...


async def coroutine() -> None: ...


def test_functions_are_what_gives_an_answer_at_once() -> None:
    """Classes and coroutine functions are callable, but their results would always be true."""
    functions: list[object] = [print, lambda: None, partial(print), Callable(), [].append]
    others: list[object] = [int, Callable, coroutine, partial(coroutine), Awaitable(), "print"]
    assert all(map(is_function, functions))
    assert not any(map(is_function, others))


def test_rules_are_one_or_many() -> None:
    """A tuple or list are several rules, all else is one; None is none."""
    assert rules_in(None) == ()
    assert rules_in("a") == ("a",)
    assert rules_in(["a", 1]) == rules_in(("a", 1)) == ("a", 1)

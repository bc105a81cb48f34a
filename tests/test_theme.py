"""Themes: styles in words, levels of one's own, and marks that an encoding has."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace
from typing import Any

import pytest

from logflume import ConfigurationError, Level, Theme
from logflume.level import LEVELS
from logflume.theme import THEMES, sgr, theme_of


@pytest.mark.parametrize(
    ("style", "sequence"),
    [
        ("", ""),
        ("red", "\x1b[31m"),
        ("Bold RED", "\x1b[1;31m"),
        ("dim italic underline", "\x1b[2;3;4m"),
        ("bright_white on red", "\x1b[97;41m"),
        ("on bright_black", "\x1b[100m"),
        ("grey", "\x1b[90m"),
        ("208 on 16", "\x1b[38;5;208;48;5;16m"),
        ("#ff8000", "\x1b[38;2;255;128;0m"),
        ("bold on #000001", "\x1b[1;48;2;0;0;1m"),
    ],
)
def test_a_style_is_said_in_words(style: str, sequence: str) -> None:
    """Attributes and colours become one SGR sequence; no words, none."""
    assert sgr(style) == sequence


@pytest.mark.parametrize(
    "style", ["reddish", "on", "red on", "256", "#12345", "on on red", 3, None]
)
def test_a_style_that_means_nothing_is_refused(style: Any) -> None:
    """Told with the setting and what is accepted, when the theme is made."""
    with pytest.raises(ConfigurationError, match=r"Theme\.key: got .* accepted: .*bold"):
        Theme(key=style)
    with pytest.raises(ConfigurationError, match=r"Theme\.levels\['INFO'\]"):
        Theme(levels={"INFO": style})


@pytest.mark.parametrize(
    "options",
    [
        {"levels": ["INFO"]},
        {"levels": {"": "red"}},
        {"icons": {"INFO": "\n"}},
        {"icons": {"INFO": ""}},
        {"break_mark": "\x1b[0m"},
        {"wrap_mark": "far too long"},
    ],
    ids=str,
)
def test_other_settings_that_mean_nothing_are_refused(options: dict[str, Any]) -> None:
    """Icons and marks are seen, and short; levels have names."""
    with pytest.raises(ConfigurationError, match=f"Theme.{next(iter(options))}"):
        Theme(**options)


def test_levels_given_are_laid_over_the_built_in_ones() -> None:
    """By name, in any case; the others stay."""
    theme = Theme(levels={"info": "magenta", "AUDIT": "bold"})
    assert theme.sgr_of(LEVELS["INFO"]) == "\x1b[35m"
    assert theme.sgr_of(LEVELS["ERROR"]) == Theme().sgr_of(LEVELS["ERROR"])
    assert theme.sgr_of(Level(33, "AUDIT")) == "\x1b[1m"


def own_level(no: int, **given: Any) -> Any:
    return SimpleNamespace(no=no, name="AUDIT", **given)


def test_a_level_of_ones_own_brings_its_color_and_icon() -> None:
    """What it was registered with; what it has not, or means nothing, is the level's below."""
    theme = Theme()
    assert theme.sgr_of(own_level(33, color="magenta")) == "\x1b[35m"
    assert theme.sgr_of(own_level(33, color="no color")) == theme.sgr_of(LEVELS["WARNING"])
    assert theme.sgr_of(own_level(33, color=None)) == theme.sgr_of(LEVELS["WARNING"])
    assert theme.sgr_of(own_level(0)) == theme.sgr_of(LEVELS["TRACE"])
    assert theme.icon_of(own_level(33, icon="🔎")) == "🔎"
    assert theme.icon_of(own_level(33, icon="\n")) == "\\n"
    assert theme.icon_of(own_level(99)) == theme.icon_of(LEVELS["CRITICAL"])
    assert Theme(levels={"AUDIT": "red"}).sgr_of(own_level(33, color="magenta")) == "\x1b[31m"


def test_themes_have_names() -> None:
    """The built-in ones are given by name, one's own as it is."""
    assert theme_of("vivid") is THEMES["vivid"]
    own = Theme(key="red")
    assert theme_of(own) is own
    for wrong in ("loud", None, 3):
        with pytest.raises(ConfigurationError, match=r"theme: got .* calm, vivid, light, mono"):
            theme_of(wrong)  # type: ignore[arg-type]


def test_equal_themes_are_equal() -> None:
    """Themes are values: the same settings, the same hash."""
    assert Theme() == Theme(levels={"INFO": "blue"})
    assert hash(Theme()) == hash(Theme(levels={"INFO": "blue"}))
    assert Theme() != Theme(icons={"INFO": "i"})
    assert dataclasses.replace(Theme(), key="red") == Theme(key="red")


def test_marks_are_those_that_an_encoding_has() -> None:
    """Where there are no lines and signs, bars and letters stand for them."""
    assert Theme().within("utf-8") == Theme()
    plain = Theme().within("ascii")
    assert (plain.break_mark, plain.wrap_mark) == ("|", ":")
    assert plain.icons["ERROR"] == "E"
    assert Theme().within("cp437").break_mark == "│"
    assert Theme().within("no such encoding").break_mark == "|"

"""How the console looks: the colours of levels and of the parts of a line, icons and marks.

A style is a few words: `"bold red"`, `"bright_white on red"`, `"dim"`, `"#ff8800"`, `"208"` (of the
256 colours), `""` for the terminal's own. As SGR sequences of ECMA-48, with 24-bit colours of
ITU T.416 as terminals have them (`38;2;r;g;b`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from types import MappingProxyType
from typing import Any

from .errors import ConfigurationError
from .escape import escape
from .level import CRITICAL, DEBUG, ERROR, INFO, SUCCESS, TRACE, WARNING, Level
from .pattern import lazy_pattern
from .snapshot import safe_str

__all__ = ["RESET", "THEMES", "Theme", "sgr", "theme_of"]

RESET = "\x1b[0m"

_ATTRIBUTES = {"bold": 1, "dim": 2, "italic": 3, "underline": 4, "reverse": 7, "strike": 9}
_COLORS = ("black", "red", "green", "yellow", "blue", "magenta", "cyan", "white")
_HEX = lazy_pattern(r"#([0-9a-f]{2})([0-9a-f]{2})([0-9a-f]{2})")
_ACCEPTED = (
    f"words of {', '.join(_ATTRIBUTES)}; a color of {', '.join(_COLORS)}, bright_..., grey, "
    "0 to 255 or #rrggbb; 'on' and a color"
)
_BUILT_IN = (TRACE, DEBUG, INFO, SUCCESS, WARNING, ERROR, CRITICAL)

_LEVELS = {
    "TRACE": "dim",
    "DEBUG": "cyan",
    "INFO": "blue",
    "SUCCESS": "green",
    "WARNING": "yellow",
    "ERROR": "bold red",
    "CRITICAL": "bold bright_white on red",
}
_ICONS = {
    "TRACE": "·",
    "DEBUG": "○",
    "INFO": "●",
    "SUCCESS": "✔",
    "WARNING": "▲",
    "ERROR": "✖",
    "CRITICAL": "■",
}


def sgr(style: str, setting: str = "style") -> str:
    """Turn a style into the sequence that begins it; "" is one that changes nothing.

    Raises:
        ConfigurationError: a word is no attribute and no color.
    """
    if not isinstance(style, str):
        raise ConfigurationError.of(setting, style, _ACCEPTED)
    codes: list[str] = []
    behind = False
    for word in style.lower().split():
        if word == "on" and not behind:
            behind = True
            continue
        code = str(_ATTRIBUTES.get(word, "")) if not behind else ""
        code = code or _color(word, 40 if behind else 30)
        if not code:
            raise ConfigurationError.of(setting, style, _ACCEPTED)
        codes.append(code)
        behind = False
    if behind:
        raise ConfigurationError.of(setting, style, _ACCEPTED)
    return f"\x1b[{';'.join(codes)}m" if codes else ""


def _color(word: str, base: int) -> str:
    word = "bright_black" if word in ("grey", "gray") else word
    name = word.removeprefix("bright_")
    if name in _COLORS:
        return str(base + _COLORS.index(name) + (60 if name != word else 0))
    if word.isdecimal() and word.isascii() and len(word) <= 3 and int(word) <= 255:
        return f"{base + 8};5;{int(word)}"
    parts = _HEX.fullmatch(word)
    return (
        f"{base + 8};2;" + ";".join(str(int(part, 16)) for part in parts.groups()) if parts else ""
    )


@dataclass(frozen=True, kw_only=True)
class Theme:
    """The styles of a console's lines, its icons and its marks.

        Pipeline(sinks.Console(theme=Theme(levels={"INFO": "bold green"}, key="magenta")))

    What is not given is as in the theme "calm". `levels` and `icons` are by level name and laid
    over the built-in ones. A level that is not among them has its own `color` and `icon`, if it was
    registered with any, or those of the nearest built-in level below. `origin` is the style of
    location, thread, task and pid; `trace`, `source`, `caret` and `error` are parts of exceptions.
    `break_mark` stands before each further line of a text, `wrap_mark` where one was too wide.

    Raises:
        ConfigurationError: a style, an icon or a mark means nothing.
    """

    levels: Mapping[str, str] = field(default_factory=dict)
    icons: Mapping[str, str] = field(default_factory=dict)
    time: str = "dim"
    logger: str = "cyan"
    message: str = "bold"
    key: str = "dim"
    value: str = ""
    origin: str = "dim"
    trace: str = ""
    source: str = ""
    caret: str = "bold"
    error: str = "red"
    mark: str = "dim"
    break_mark: str = "│"
    wrap_mark: str = "┆"

    def __post_init__(self) -> None:
        for setting, built_in in (("levels", _LEVELS), ("icons", _ICONS)):
            given = getattr(self, setting)
            if not isinstance(given, Mapping) or not all(map(_is_name, given)):
                raise ConfigurationError.of(f"Theme.{setting}", given, "a mapping by level name")
            named = {name.upper(): value for name, value in given.items()}
            object.__setattr__(self, setting, MappingProxyType({**built_in, **named}))
        for name, style in self.levels.items():
            sgr(style, f"Theme.levels[{name!r}]")
        for name, icon in self.icons.items():
            _check_mark(f"Theme.icons[{name!r}]", icon)
        for part in fields(self):
            if part.name.endswith("_mark"):
                _check_mark(f"Theme.{part.name}", getattr(self, part.name))
            elif part.name not in ("levels", "icons"):
                sgr(getattr(self, part.name), f"Theme.{part.name}")

    def __hash__(self) -> int:
        return hash((tuple(sorted(self.levels.items())), self.key, self.message, self.time))

    def sgr_of(self, level: Level) -> str:
        """Return the sequence that begins a level's style."""
        style = self.levels.get(level.name)
        if style is None:
            try:
                return sgr(getattr(level, "color", None) or self.levels[_nearest(level)])
            except ConfigurationError:  # a color that means nothing stops no record
                style = self.levels[_nearest(level)]
        return sgr(style)

    def icon_of(self, level: Level) -> str:
        """Return a level's icon."""
        icon = self.icons.get(level.name)
        if icon is None:
            own = getattr(level, "icon", None)
            icon = escape(safe_str(own)) if own else self.icons[_nearest(level)]
        return icon

    def within(self, encoding: str) -> Theme:
        """Return this theme with marks and icons that an encoding has: `|` and letters if not."""
        marks = {"break_mark": "|", "wrap_mark": ":"}
        changes: dict[str, Any] = {
            mark: plain for mark, plain in marks.items() if not _has(encoding, getattr(self, mark))
        }
        if not all(_has(encoding, icon) for icon in self.icons.values()):
            changes["icons"] = {name: name[:1] or "-" for name in self.icons}
        return replace(self, **changes) if changes else self


def _is_name(name: object) -> bool:
    return isinstance(name, str) and bool(name)


def _check_mark(setting: str, mark: object) -> None:
    if not isinstance(mark, str) or not 1 <= len(mark) <= 8 or escape(mark) != mark:
        raise ConfigurationError.of(setting, mark, "one to eight characters that can be seen")


def _has(encoding: str, text: str) -> bool:
    try:
        text.encode(encoding)
    except (UnicodeError, LookupError):
        return False
    return True


def _nearest(level: Level) -> str:
    """Return the name of the built-in level at this number or below it."""
    return next((known.name for known in reversed(_BUILT_IN) if known.no <= level.no), TRACE.name)


THEMES: Mapping[str, Theme] = MappingProxyType(
    {
        "calm": Theme(),
        "vivid": Theme(
            levels={"DEBUG": "bright_cyan", "INFO": "bold bright_blue", "SUCCESS": "bold green",
                    "WARNING": "bold yellow", "ERROR": "bold bright_red"},
            time="grey", logger="magenta", key="cyan", value="green", origin="grey",
            trace="grey", source="bright_white", caret="bold bright_yellow", error="bold red",
        ),
        "light": Theme(
            levels={"DEBUG": "30", "INFO": "26", "SUCCESS": "28", "WARNING": "bold 130",
                    "ERROR": "bold 160", "CRITICAL": "bold 231 on 160"},
            time="243", logger="30", key="243", origin="243", error="160", mark="245",
        ),
        "mono": Theme(
            levels={"DEBUG": "", "INFO": "", "SUCCESS": "", "WARNING": "bold", "ERROR": "bold",
                    "CRITICAL": "bold reverse"},
            logger="", error="bold",
        ),
    }
)  # fmt: skip


def theme_of(given: str | Theme, setting: str = "theme") -> Theme:
    """Return a theme by its name, or the theme itself.

    Raises:
        ConfigurationError: it is neither.
    """
    if isinstance(given, Theme):
        return given
    found = THEMES.get(given) if isinstance(given, str) else None
    if found is None:
        raise ConfigurationError.of(setting, given, f"a Theme or one of {', '.join(THEMES)}")
    return found

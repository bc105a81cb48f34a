"""How wide text is on a terminal, and how to fold what is wider than a row.

Widths are those of Unicode's East Asian Width (UAX 11): wide and full-width characters, emoji among
them, take two cells, combining marks none.
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache
from typing import TypeAlias

from ..pattern import lazy_pattern
from ..theme import RESET

__all__ = [
    "SGR",
    "Piece",
    "cells",
    "fold",
    "is_wider",
    "pad",
    "painted",
    "pieces_of",
    "visible_cells",
]

SGR = lazy_pattern(r"\x1b\[[0-9;]*m")

Piece: TypeAlias = "tuple[str, str]"
"""What begins a style, and text in it."""

_EMOJI_STYLE = "\ufe0f"  # variation selector 16: the character before it is shown as an emoji
_MARKS = frozenset({"Mn", "Me", "Cf"})


@lru_cache(maxsize=4_096)
def _width(char: str) -> int:
    code = ord(char)
    # Vowels and finals of Hangul join the syllable before them, skin tones the emoji.
    if (
        unicodedata.category(char) in _MARKS
        or 0x1160 <= code <= 0x11FF
        or 0x1F3FB <= code <= 0x1F3FF
    ):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def cells(text: str) -> int:
    """Return how many cells a text without control characters takes."""
    if text.isascii():
        return len(text)
    taken = 0
    before = ""
    for char in text:
        taken += 1 if char == _EMOJI_STYLE and before and _width(before) == 1 else _width(char)
        before = char
    return taken


def pad(text: str, width: int) -> str:
    """Return the text with blanks behind it up to a width; a longer one as it is."""
    if text.isascii():
        return text.ljust(width)
    return text + " " * (width - cells(text))


def pieces_of(line: str) -> list[Piece]:
    """Take a painted line apart. What comes from records is escaped, so all styles are ours."""
    found: list[Piece] = []
    style = ""
    at = 0
    for match in SGR.finditer(line):
        if match.start() > at:
            found.append((style, line[at : match.start()]))
        style = "" if match[0] == RESET else match[0]
        at = match.end()
    if at < len(line):
        found.append((style, line[at:]))
    return found


def visible_cells(line: str) -> int:
    """Return how many cells a painted line takes."""
    return cells(SGR.sub("", line))


def painted(style: str, text: str) -> str:
    """Return the text in a style, given by what begins it."""
    return f"{style}{text}{RESET}" if style else text


def is_wider(line: str, columns: int) -> bool:
    """Whether a painted line takes more cells than a row has."""
    if len(line) <= columns and line.isascii():  # colours only make it longer
        return False
    return visible_cells(line) > columns


def fold(pieces: list[Piece], first: int, rest: int) -> list[list[Piece]]:
    """Break a line into rows, the first of one width, the others of another.

    At blanks where there are any, each of which the break stands for; else in the middle. Nothing
    else is left out.
    """
    text = "".join([text for _, text in pieces])
    rows: list[list[Piece]] = []
    start = 0
    room = max(1, first)
    while True:
        end, following = _cut(text, start, room)
        rows.append(_slice(pieces, start, end))
        if following >= len(text):
            return rows
        start, room = following, max(1, rest)


def _cut(text: str, start: int, room: int) -> tuple[int, int]:
    """Return where the row that begins at `start` ends, and where the next one begins."""
    end = _fitting(text, start, room)
    if end >= len(text):
        return len(text), len(text)
    if text[end] == " ":
        return end, end + 1
    blank = text.rfind(" ", start, end)
    if blank > start + room // 3:  # a long word behind a short one is broken
        return blank, blank + 1
    return end, end


def _fitting(text: str, start: int, room: int) -> int:
    """Return the end of what fits into so many cells: one character at least."""
    end = start + room
    if text[start : end + 1].isascii():
        return min(end, len(text))
    taken = 0
    for position in range(start, len(text)):
        taken += cells(text[position : position + 1])
        if text[position + 1 : position + 2] == _EMOJI_STYLE:
            taken += _width(text[position]) == 1
        if taken > room:
            return max(position, start + 1)
    return len(text)


def _slice(pieces: list[Piece], start: int, end: int) -> list[Piece]:
    found: list[Piece] = []
    at = 0
    for style, text in pieces:
        part = text[max(0, start - at) : max(0, end - at)]
        if part:
            found.append((style, part))
        at += len(text)
        if at >= end:
            break
    return found

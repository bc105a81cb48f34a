"""Paths with placeholders: `logs/{date}/{logger}.jsonl`, filled from each record.

What is filled in never changes which folder a path is in: separators, control characters and
leading dots are percent-encoded, names are capped, and different values give different names.
"""

from __future__ import annotations

import hashlib
import os
import re
import string
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from ..errors import ConfigurationError
from ..record import Record, process_id
from ..snapshot import safe_str
from .naming import Family, split_name

__all__ = ["PathTemplate"]

LONGEST = 255
"""Bytes that the name of a file or folder may have."""

_ROOM = 56
"""Bytes of those that a file's name leaves for what rotation, compression and locks add to it."""

_DIRECTIVES = {"Y": 4, "m": 2, "d": 2, "H": 2, "M": 2, "S": 2, "j": 3, "V": 2, "G": 4}
_FORMATS = {"date": "%Y-%m-%d", "time": "%H-%M-%S"}
_DIRECTIVE = re.compile("(?s)%(.?)")

# Also what Windows does not take, so that names are the same everywhere, and what makes a name look
# like another one (bidirectional controls).
_UNSAFE = re.compile(
    '[\0-\x1f\x7f-\x9f/\\\\%:*?"<>|\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]'
)
_DEVICE = re.compile(r"(?i:con|prn|aux|nul|com[0-9]|lpt[0-9])(?=\.|$)")


@dataclass(frozen=True, slots=True)
class _Hole:
    """One placeholder: what it shows of a record, and how that looks if it is a time."""

    text_of: Callable[[Record], str]
    pattern: str | None = None


_Segment = list["str | _Hole"]


class PathTemplate:
    """Which file a record goes to.

    Raises:
        ConfigurationError: the template means nothing.
    """

    def __init__(self, text: str, archive_suffix: str = "") -> None:
        self._archive_suffix = archive_suffix
        segments = _parse(text)
        first = next((i for i, parts in enumerate(segments) if not _is_fixed(parts)), None)
        if first is None:
            raise _refusal(text)
        literal = ["".join(map(str, parts)) for parts in segments[:first]]
        self.folder = Path(os.sep.join(literal) + os.sep if literal else ".")
        """The last folder that is the same for all records."""
        self._segments = segments[first:]
        for parts in self._segments:
            if parts in ([".."], ["."], []):
                raise _refusal(text)
        *_, last = self._segments[-1]
        self._suffix = split_name(f"_{last}")[1] if isinstance(last, str) else ""
        holes = [part for parts in self._segments for part in parts if isinstance(part, _Hole)]
        self._text_of = [hole.text_of for hole in holes]
        self.is_dated = any(hole.pattern for hole in holes)
        """Whether the time decides: the files of other days are kept or deleted with this one's."""

    def values_of(self, record: Record) -> tuple[str, ...]:
        """Return what the placeholders stand for. Equal values mean the same file."""
        return tuple([text_of(record) for text_of in self._text_of])

    def family_of(self, values: Sequence[str]) -> Family:
        """Return the file for these values, and which others belong to it."""
        left = iter(values)
        filled = [
            [(part, next(left)) if isinstance(part, _Hole) else part for part in parts]
            for parts in self._segments
        ]
        names = [_name(parts, LONGEST, "") for parts in filled[:-1]]
        names.append(_name(filled[-1], LONGEST - _ROOM, self._suffix))
        path = self.folder.joinpath(*names)
        patterns: list[str] = []
        if self.is_dated:
            start = next(i for i, parts in enumerate(self._segments) if _is_dated(parts))
            for parts, name in zip(filled[start:], names[start:], strict=True):
                patterns.append(_pattern(parts, name))
            patterns[-1] = _pattern(
                _without_suffix(filled[-1], self._suffix), _strip(names[-1], self._suffix)
            )
        return Family(path, self._suffix, patterns, self._archive_suffix)


def _refusal(text: str) -> ConfigurationError:
    return ConfigurationError.of(
        "File.path",
        text,
        "a path with placeholders such as {date}, {time:%H}, {logger}, {level}, {pid} or the name "
        "of a field, and no '..' behind the first; braces of its own are doubled",
    )


def _parse(text: str) -> list[_Segment]:
    segments: list[_Segment] = [[]]
    try:
        for literal, name, spec, conversion in string.Formatter().parse(text):
            first, *others = re.split(r"[/\\]" if os.sep == "\\" else "/", literal)
            segments[-1] += [first] if first else []
            segments += [[part] if part else [] for part in others]
            if name is not None:
                if conversion is not None or not name.isidentifier():
                    raise _refusal(text)
                segments[-1].append(_hole(text, name, spec or ""))
    except ValueError as error:  # a ConfigurationError is one, too
        raise _refusal(text) from (error.__cause__ or error)
    # "a//b" is "a/b"; the first segment of an absolute path is empty.
    return [parts for i, parts in enumerate(segments) if parts or i in (0, len(segments) - 1)]


def _is_fixed(parts: _Segment) -> bool:
    return not any(isinstance(part, _Hole) for part in parts)


def _is_dated(parts: _Segment) -> bool:
    return any(isinstance(part, _Hole) and part.pattern for part in parts)


def _hole(text: str, name: str, spec: str) -> _Hole:
    if name in _FORMATS:
        spec = spec or _FORMATS[name]
        if any(directive not in _DIRECTIVES for directive in _DIRECTIVE.findall(spec)):
            raise _refusal(text)
        return _Hole(_clock(spec), _digits(spec))
    if spec:
        raise _refusal(text)
    if name == "logger":
        return _Hole(lambda record: record.logger)
    if name == "level":
        return _Hole(lambda record: record.level.name)
    if name == "pid":
        return _Hole(lambda record: str(process_id()))

    def field(record: Record) -> str:
        value = record.fields.get(name)
        return "" if value is None else safe_str(value)

    return _Hole(field)


def _clock(spec: str) -> Callable[[Record], str]:
    """Return what formats a record's time, in UTC: once per second, as long as that lasts."""
    known = (-1, "")

    def text_of(record: Record) -> str:
        nonlocal known
        second = record.time_ns // 1_000_000_000
        at, text = known
        if at != second:
            text = datetime.fromtimestamp(second, UTC).strftime(spec)
            known = second, text
        return text

    return text_of


def _digits(spec: str) -> str:
    """Return a regular expression for what a time format gives, as it is in a file's name."""
    pieces = _DIRECTIVE.split(spec)
    return "".join(
        f"[0-9]{{{_DIRECTIVES[piece]}}}" if i % 2 else re.escape(_quote(piece))
        for i, piece in enumerate(pieces)
    )


_Filled = Sequence["str | tuple[_Hole, str]"]


def _name(parts: _Filled, longest: int, suffix: str) -> str:
    """Return the name of a file or folder."""
    texts = [part if isinstance(part, str) else _quote(part[1]) or "_" for part in parts]
    if not isinstance(parts[0], str):
        visible = texts[0].lstrip(".")
        texts[0] = "%2E" * (len(texts[0]) - len(visible)) + visible
    if not isinstance(parts[-1], str) and texts[-1].endswith((".", " ")):
        texts[-1] = f"{texts[-1][:-1]}%{ord(texts[-1][-1]):02X}"
    name = "".join(texts)
    if _DEVICE.match(name):
        name = f"%{ord(name[0]):02X}{name[1:]}"
    raw = name.encode("utf-8", "surrogateescape")
    if len(raw) <= longest:
        return name
    digest = "~" + hashlib.blake2b(raw, digest_size=8).hexdigest()
    end = f"{digest}{suffix}"
    return raw[: max(0, longest - len(end.encode()))].decode("utf-8", "ignore") + end


def _quote(value: str) -> str:
    return _UNSAFE.sub(_percent, value)


def _percent(match: re.Match[str]) -> str:
    return "".join(f"%{byte:02X}" for byte in match[0].encode("utf-8", "surrogatepass"))


def _pattern(parts: _Filled, name: str) -> str:
    """Return a regular expression for the names that other times give."""
    pattern = "".join(
        re.escape(part)
        if isinstance(part, str)
        else part[0].pattern or re.escape(_quote(part[1]) or "_")
        for part in parts
    )
    return pattern if re.fullmatch(pattern, name) else re.escape(name)


def _without_suffix(parts: _Filled, suffix: str) -> _Filled:
    last = parts[-1]
    return [*parts[:-1], _strip(last, suffix)] if isinstance(last, str) else parts


def _strip(name: str, suffix: str) -> str:
    return name[: len(name) - len(suffix)]

"""Lines of a form of one's own."""

from __future__ import annotations

import string
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from ..errors import ConfigurationError
from ..escape import escape
from ..level import parse_level
from ..pattern import lazy_pattern
from ..record import Record, Site
from ..snapshot import safe_str, type_name
from ..template import MAX_WIDTH, render
from ..theme import THEMES
from ._backtrace import backtrace
from ._layout import PARTS, Part
from ._pairs import pairs_of
from ._settings import Configured
from ._time_tokens import time_format

__all__ = ["Template"]

Form: TypeAlias = "str | Callable[[Record], str]"
Fill: TypeAlias = Callable[[Record, Site], str]

_DEFAULT = (
    "{time:YYYY-MM-DD HH:mm:ss.SSS} | {level:<8} | {name}:{function}:{line} - {message} {fields}"
)
_INDENT = "  "
_BLANK = " \n"
_FIELD = lazy_pattern(r"fields(?:\.(\w+)|\[([^\[\]]+)\])")
_VAST = lazy_pattern(r"\d{7}")
_CONVERSIONS: dict[str, Callable[[Any], str]] = {"r": repr, "a": ascii, "s": str}

_NUMBERS: dict[str, Part] = {
    "line": PARTS["line"],
    "process": PARTS["process"],
    "level.no": lambda record, site: record.level.no,
}


def _fields(record: Record, site: Site) -> str:
    pairs = [pair for key, value in record.fields.items() for pair in pairs_of(key, value)]
    return " ".join([f"{name}={text}" for name, text in pairs])


_TEXTS: dict[str, Part] = {
    **{name: PARTS[name] for name in ("level", "message", "logger", "file", "function", "module")},
    **{name: PARTS[name] for name in ("thread", "task", "trace_id", "span_id", "template")},
    "level.icon": lambda record, site: THEMES["calm"].icon_of(record.level),
    "name": PARTS["logger"],
    "fields": _fields,
    "exception.type": lambda record, site: record.exception.type if record.exception else "",
    "exception.message": lambda record, site: record.exception.message if record.exception else "",
}
_ACCEPTED = (
    f"a format of {{time}}, {{exception}}, {', '.join(f'{{{n}}}' for n in (*_TEXTS, *_NUMBERS))}, "
    "{fields[NAME]} and {fields.NAME}"
)


class Template(Configured):
    """Write a record as a line of a form of one's own, with the placeholders of `str.format`.

        encoders.Template("{time:HH:mm:ss.SSS} {level:<8} {name}: {message} {fields}")

    - `time`, local, in tokens: `{time:YYYY-MM-DD HH:mm:ss.SSS}`; YYYY YY Q MMMM MMM MM M DDDD DDD
      DD D dddd ddd d E HH H hh h mm m ss s S to SSSSSSSSS A Z ZZ zz X x; `[text]` stands for
      itself, `!UTC` at the end is for UTC; with a `%` in it, it is a form of `strftime`;
    - `level` `level.no` `level.icon` `message` `name` or `logger`, `file` `line` `function`
      `module` `process` `thread` `task` `trace_id` `span_id` `template`, with a format spec:
      `{level:<8}` `{line:>4}` `{message!r}`;
    - `fields`: all of them as in `Logfmt`, `{fields[user]}` or `{fields.user}`: one of them,
      formatted as in messages; nothing if the record does not have it;
    - `exception`: its traceback, which otherwise follows the line; `exception.type`,
      `exception.message`: only what these say.

    Control characters of values are escaped, and lines of a traceback indented, so that no value
    can forge a line. Blanks at the end are cut.

    Args:
        form: the format, or a callable `record -> str` that makes the whole line. It is called on
            the loop: it must not block. Control characters of its text are escaped and lines after
            the first indented; if it raises, the record is written in the default form.
        levels: other forms for records of a level and those above it, up to the next one named:
            `{"ERROR": "{message} in {file}:{line}"}`.
    """

    def __init__(
        self, form: Form = _DEFAULT, *, levels: Mapping[str | int, Form] | None = None
    ) -> None:
        self._default = _compiled("Template.form", form)
        if not isinstance(levels, Mapping | None):
            raise ConfigurationError.of("Template.levels", levels, "a mapping of levels to forms")
        forms = {
            parse_level(name, "Template.levels").no: other for name, other in (levels or {}).items()
        }
        self._configure(form=form, levels=forms or None)
        # The highest level first.
        self._variants = [
            (no, _compiled(f"Template.levels[{no}]", forms[no]))
            for no in sorted(forms, reverse=True)
        ]

    def encode(self, record: Record, /) -> bytes:
        """Return the record's line, with its newline, and its exception's."""
        show = self._default
        no = record.level.no
        for least, variant in self._variants:
            if no >= least:
                show = variant
                break
        line = show(record).rstrip(_BLANK)
        return f"{line}\n".encode("utf-8", "backslashreplace")


def _compiled(setting: str, form: Form) -> Callable[[Record], str]:
    if isinstance(form, str):
        return _formatted(setting, form)
    if callable(form):
        return _called(form)
    raise ConfigurationError.of(setting, form, f"{_ACCEPTED}; or a callable")


def _called(function: Callable[[Record], str]) -> Callable[[Record], str]:
    def show(record: Record) -> str:
        try:
            text = function(record)
        except Exception as error:
            return f"{_by_default(record)}\n{_INDENT}<the form failed: {type_name(error)}>"
        first, *others = map(escape, safe_str(text).split("\n"))
        others = [line if line.startswith(_INDENT) else f"{_INDENT}{line}" for line in others]
        return "\n".join([first, *others])

    return show


def _formatted(setting: str, form: str) -> Callable[[Record], str]:
    try:
        pieces = list(string.Formatter().parse(form))
    except ValueError as error:
        raise ConfigurationError.of(setting, form, f"{_ACCEPTED} ({error})") from None
    text = ""
    fills: list[Fill] = []
    shows_exception = False
    for literal, name, spec, conversion in pieces:
        text += literal.replace("%", "%%")
        if name is not None:
            text += "%s"
            fills.append(_placeholder(setting, name, spec or "", conversion))
            shows_exception = shows_exception or name.startswith("exception")

    def show(record: Record) -> str:
        site = record.site
        line = text % tuple([fill(record, site) for fill in fills])
        if record.exception is None or shows_exception:
            return line
        return f"{line.rstrip(_BLANK)}\n{_exception(record, site)}"

    return show


def _placeholder(setting: str, name: str, spec: str, conversion: str | None) -> Fill:
    """Return what fills a placeholder."""
    if name == "time":
        form = time_format(setting, spec)
        return lambda record, site: escape(form(record.time_ns))
    as_written = f"{{{name}{f'!{conversion}' if conversion else ''}{f':{spec}' if spec else ''}}}"
    if "{" in spec or not (conversion is None or conversion in _CONVERSIONS):
        raise ConfigurationError.of(setting, as_written, _ACCEPTED)
    field = _FIELD.fullmatch(name)
    if field:
        return _field(field[1] or field[2], spec, conversion)
    if name == "exception":
        return _exception
    part = _TEXTS.get(name) or _NUMBERS.get(name)
    if part is None:
        raise ConfigurationError.of(setting, as_written, _ACCEPTED)
    sample: Any = 0 if name in _NUMBERS and not conversion else ""
    try:
        if _VAST.search(spec) or len(format(sample, spec)) > MAX_WIDTH:
            raise ValueError(f"with widths up to {MAX_WIDTH}")
    except ValueError as error:
        raise ConfigurationError.of(setting, as_written, f"{_ACCEPTED} ({error})") from None
    return _filled(part, spec, _CONVERSIONS.get(conversion or ""))


def _filled(part: Part, spec: str, convert: Callable[[Any], str] | None) -> Fill:
    def fill(record: Record, site: Site) -> str:
        value = part(record, site)
        if value is None:
            value = ""
        if convert is not None:
            value = convert(value)
        if isinstance(value, str):
            value = escape(value)
        return format(value, spec)

    return fill


def _field(name: str, spec: str, conversion: str | None) -> Fill:
    """Show one field as a message template would."""
    template = f"{{value{f'!{conversion}' if conversion else ''}{f':{spec}' if spec else ''}}}"

    def fill(record: Record, site: Site) -> str:
        value = record.fields.get(name, "")
        if isinstance(value, str) and conversion is None:
            value = escape(value)  # before it is padded
        return escape(render(template, (), {"value": value}))

    return fill


def _exception(record: Record, site: Site) -> str:
    info = record.exception
    return "" if info is None else "\n".join(backtrace(info, _INDENT))


_by_default = _formatted("Template.form", _DEFAULT)

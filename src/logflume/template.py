"""Message templates: `"User {user} logged in"` and the fields or arguments it is filled with.

A template is read once and kept, and compiled when it was used often. There is no attribute or
index access, widths are capped, values are never looked at again for placeholders, names that are
not known stay as written, and nothing here raises.
"""

from __future__ import annotations

import ast
import string
import sys
from collections.abc import Callable, Mapping
from decimal import Decimal
from itertools import count
from typing import Any, TypeAlias

from .pattern import lazy_pattern
from .snapshot import safe_str

__all__ = ["pieces", "render"]

MAX_WIDTH = 256
MAX_EXPONENT = 1_000
MAX_KEPT = 4_096
COMPILED_AFTER = 64
"""How often a template is filled piece by piece, before it is worth the tenth of a millisecond in
which a function is made of it that does so in a fifth of the time."""
MOST_PIECES = 64
MOST_LETTERS = 4_096
"""Templates of more are made at run time: they are read each time, and none is kept."""

_STRICT = lazy_pattern(r"\{\{|\}\}|\{([^{}!:]*)(?:!([^{}:]*))?(?::([^{}]*))?\}")
_PLACEHOLDER = lazy_pattern(r"\{\{([^{}]*)\}\}|\{([^{}!:]*)(?:!([rsa]))?(?::([^{}]*))?\}")
_PERCENT = lazy_pattern(r"%(?:\([^()]*\))?[#0\- +]*(\*|\d+)?(?:\.(\*|\d+))?[hlL]?[a-zA-Z%]")
_NESTED_KEY = lazy_pattern(r"%\([^)]*\(")
_DIGITS = lazy_pattern(r"\d+")

Filler: TypeAlias = Callable[[Mapping[str, Any]], str]

_fillers: dict[str, Filler | None] = {}
filler_of = _fillers.get
"""Return what fills a template from fields, by its text: None if it is its own result. Of one that
was not filled often nothing is known here. It raises where `render` knows what to do."""


_CONVERSIONS: dict[str, Callable[[Any], str]] = {"r": repr, "a": ascii, "s": str}


class _Hole:
    """One placeholder: the name to look up, how to format its value, and what it looked like."""

    __slots__ = ("conversion", "index", "name", "raw", "spec")

    def __init__(self, name: str, conversion: str | None, spec: str | None, raw: str) -> None:
        self.name = name
        self.index: int | None = None
        self.conversion = conversion
        self.raw = raw
        self.spec = spec if spec and all(map(_is_narrow, _DIGITS.findall(spec))) else ""

    @property
    def is_plain(self) -> bool:
        """Whether it stands for the value's text as it is."""
        return not (self.spec or self.conversion)

    def fill(self, fields: Mapping[str, Any]) -> str:
        """Return the text of the field; if there is none, the placeholder as it was written."""
        try:
            value = fields[self.name]
        except KeyError:
            return self.raw
        return self.text_of(value)

    def text_of(self, value: Any) -> str:
        """Return the text of a value."""
        try:
            if self.conversion:
                value = _CONVERSIONS[self.conversion](value)
            if self.spec and not _is_vast(value):
                return format(value, self.spec)
            return f"{value!s}"  # as a compiled template says it, whatever `str` returns
        except Exception:
            return safe_str(value)


class _Template:
    """A template that was read."""

    __slots__ = ("has_positions", "parts", "takes_percent", "uses")

    def __init__(self, text: str) -> None:
        self.parts: list[str | _Hole] = _parse(text) if "{" in text or "}" in text else [text]
        self.uses = 0
        numbers = count()
        self.has_positions = False
        for part in self.parts:
            if isinstance(part, _Hole) and (not part.name or part.name.isdecimal()):
                part.index = _index(part.name) if part.name else next(numbers)
                self.has_positions = True
        self.takes_percent = "%" in text and _is_tame(text)

    def fill(self, fields: Mapping[str, Any]) -> str:
        return "".join([p if isinstance(p, str) else p.fill(fields) for p in self.parts])

    def fill_positions(self, args: tuple[Any, ...], fields: Mapping[str, Any]) -> str:
        texts: list[str] = []
        for part in self.parts:
            if isinstance(part, str):
                texts.append(part)
            elif part.index is not None and part.index < len(args):
                texts.append(part.text_of(args[part.index]))
            else:
                texts.append(part.fill(fields))
        return "".join(texts)

    def compiled(self) -> Filler:
        """Return a function that joins the parts: an f-string, as if the caller had written it.

        It is made of a syntax tree, in which texts and names are constants, whatever is in them.
        """
        fields = ast.Name("fields", ast.Load())
        fills: dict[str, Filler] = {}
        texts: list[ast.expr] = []
        for part in self.parts:
            value: ast.expr
            if isinstance(part, str):
                texts.append(ast.Constant(part))
            elif part.is_plain:
                value = ast.Subscript(fields, ast.Constant(part.name), ast.Load())
                texts.append(ast.FormattedValue(value, ord("s")))
            else:
                name = f"fill_{len(fills)}"
                fills[name] = part.fill
                value = ast.Call(ast.Name(name, ast.Load()), [fields], [])
                texts.append(ast.FormattedValue(value, -1))
        takes = ast.arguments([], [ast.arg("fields")], None, [], [], None, [])
        function = ast.Expression(ast.Lambda(takes, ast.JoinedStr(texts)))
        code = compile(ast.fix_missing_locations(function), "<template>", "eval")
        filler: Filler = eval(code, {**fills})
        return filler


_templates: dict[str, _Template] = {}


def _template_of(text: str) -> _Template:
    template = _templates.get(text)
    if template is None:
        template = _Template(text)
        if len(text) <= MOST_LETTERS and len(template.parts) <= MOST_PIECES:
            if len(_templates) >= MAX_KEPT:
                _templates.clear()
            _templates[text] = template
    return template


def _is_narrow(digits: str) -> bool:
    return len(digits) <= 6 and int(digits) <= MAX_WIDTH


def _is_tame(text: str) -> bool:
    """Whether `%` makes of a text nothing much longer than it and the values are."""
    widths = [width for match in _PERCENT.finditer(text) for width in match.groups() if width]
    return all(w != "*" and _is_narrow(w) for w in widths) and not _NESTED_KEY.search(text)


def _is_vast(value: Any) -> bool:
    """Whether a format without any width may give a text much longer than the value itself."""
    return type(value) is Decimal and value.is_finite() and abs(value.adjusted()) > MAX_EXPONENT


def render(template: str, args: tuple[Any, ...], fields: Mapping[str, Any]) -> str:
    """Fill the template from positional arguments, or from fields if there are none.

    Call it only for a record that has arguments or fields of its own: a message without any is
    taken literally.
    """
    if args:
        return _render_positional(template, args, fields)
    filler = _fillers.get(template, _UNKNOWN)
    if filler is None:
        return template
    if filler is not _UNKNOWN:
        try:
            message: str = filler(fields)
            return message
        except Exception:  # a name that is not known, a value that cannot be shown
            return _template_of(template).fill(fields)
    if "{" not in template and "}" not in template:
        if len(template) <= MOST_LETTERS:
            _keep(template, None)
        return template
    read = _template_of(template)
    read.uses += 1
    if read.uses > COMPILED_AFTER:
        try:
            _keep(template, read.compiled())
        except Exception:  # there is too little of the stack left here
            read.uses = 0
    return read.fill(fields)


_UNKNOWN: Any = object()


def _keep(template: str, filler: Filler | None) -> None:
    if len(_fillers) >= MAX_KEPT:
        _fillers.clear()
    _fillers[template] = filler


def pieces(template: str, fields: Mapping[str, Any]) -> list[tuple[str, str | None]]:
    """Return what `render` joins when there are no arguments: each piece of the message with the
    name of the field it came from, None for the template's own text."""
    parts = _template_of(template).parts
    return [(p, None) if isinstance(p, str) else (p.fill(fields), p.name) for p in parts]


def _parse(template: str) -> list[str | _Hole]:
    """Read a template as `str.format` would, or leniently if it would not (JSON text, say)."""
    try:
        parts = list(string.Formatter().parse(template))
    except ValueError:
        return _parse_leniently(template)
    for _, name, spec, _ in parts:
        if (name and not name.isidentifier() and not name.isdecimal()) or "{" in (spec or ""):
            return _parse_leniently(template)
    # The formatter's parser does not say how a placeholder was written (`{a:}`), so look again.
    found: list[str | _Hole] = []
    end = 0
    for match in _STRICT.finditer(template):
        found.append(template[end : match.start()])
        end = match.end()
        braces = match[0]
        if braces in ("{{", "}}"):
            found.append(braces[0])
        else:
            found.append(_Hole(match[1], match[2], match[3], braces))
    found.append(template[end:])
    return [part for part in found if part != ""]


def _parse_leniently(template: str) -> list[str | _Hole]:
    found: list[str | _Hole] = []
    end = 0
    for match in _PLACEHOLDER.finditer(template):
        found.append(template[end : match.start()])
        end = match.end()
        escaped, name, conversion, spec = match.groups()
        if escaped is not None:
            found.append("{" + escaped + "}")
        else:
            found.append(_Hole(name, conversion, spec, match[0]))
    found.append(template[end:])
    return [part for part in found if part != ""]


def _index(digits: str) -> int:
    return int(digits) if len(digits) <= 6 else sys.maxsize


def _render_positional(text: str, args: tuple[Any, ...], fields: Mapping[str, Any]) -> str:
    template = _template_of(text)
    if template.has_positions:
        return template.fill_positions(args, fields)
    if template.takes_percent:
        mapping = len(args) == 1 and isinstance(args[0], dict)
        try:
            return text % (args[0] if mapping and "%(" in text else args)
        except Exception:
            pass
    return f"{text} {' '.join(safe_str(value) for value in args)}"

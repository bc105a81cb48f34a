"""Message templates: `"User {user} logged in"` and the fields or arguments it is filled with.

A template is compiled once and kept. There is no attribute or index access, widths are capped,
values are never looked at again for placeholders, names that are not known stay as written, and
nothing here raises.
"""

from __future__ import annotations

import re
import string
import sys
from collections.abc import Callable, Mapping
from decimal import Decimal
from operator import itemgetter
from typing import Any, TypeAlias

from .snapshot import safe_str

__all__ = ["pieces", "render"]

MAX_WIDTH = 256
MAX_EXPONENT = 1_000
_MAX_KEPT = 4_096

# A compiled template: None if it is its own result, else its parts. If every placeholder is plain
# (`{name}`), a `%` format and what gets its values from the fields come first: a fifth of the time.
Parts: TypeAlias = "list[str | _Hole]"
Getter: TypeAlias = Callable[[Mapping[str, Any]], tuple[Any, ...]]
Compiled: TypeAlias = "tuple[str, Getter, Parts] | Parts | None"

_STRICT = re.compile(r"\{\{|\}\}|\{([^{}!:]*)(?:!([^{}:]*))?(?::([^{}]*))?\}")
_PLACEHOLDER = re.compile(r"\{\{([^{}]*)\}\}|\{([^{}!:]*)(?:!([rsa]))?(?::([^{}]*))?\}")
_PERCENT = re.compile(r"%(?:\([^()]*\))?[#0\- +]*(\*|\d+)?(?:\.(\*|\d+))?[hlL]?[a-zA-Z%]")
_NESTED_KEY = re.compile(r"%\([^)]*\(")
_DIGITS = re.compile(r"\d+")

_compiled: dict[str, Compiled] = {}
compiled_of = _compiled.get


_CONVERSIONS: dict[str, Callable[[Any], str]] = {"r": repr, "a": ascii, "s": str}


class _Hole:
    """One placeholder: the name to look up, how to format its value, and what it looked like."""

    __slots__ = ("conversion", "name", "raw", "spec")

    def __init__(self, name: str, conversion: str | None, spec: str | None, raw: str) -> None:
        self.name = name
        self.conversion = conversion
        self.raw = raw
        self.spec = spec if spec and all(map(_is_narrow, _DIGITS.findall(spec))) else ""

    def fill(self, fields: Mapping[str, Any]) -> str:
        try:
            value = fields[self.name]
        except KeyError:
            return self.raw
        try:
            if self.conversion:
                value = _CONVERSIONS[self.conversion](value)
            if self.spec and not _is_vast(value):
                return format(value, self.spec)
            return str(value)
        except Exception:
            return safe_str(value)


def _is_narrow(digits: str) -> bool:
    return len(digits) <= 6 and int(digits) <= MAX_WIDTH


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
    compiled = _compiled.get(template, _MISSING)
    if compiled is _MISSING:
        compiled = compile_template(template)
    if compiled is None:
        return template
    if type(compiled) is tuple:
        try:
            message: str = compiled[0] % compiled[1](fields)
            if type(message) is str:
                return message
        except Exception:  # a name that is not known, a value that cannot be shown
            pass
        compiled = compiled[2]
    return "".join([p if isinstance(p, str) else p.fill(fields) for p in compiled])


_MISSING: Any = object()


def pieces(template: str, fields: Mapping[str, Any]) -> list[tuple[str, str | None]]:
    """Return what `render` joins when there are no arguments: each piece of the message with the
    name of the field it came from, None for the template's own text."""
    compiled = _compiled.get(template, _MISSING)
    if compiled is _MISSING:
        compiled = compile_template(template)
    parts = compiled[2] if type(compiled) is tuple else compiled
    if parts is None:
        return [(template, None)]
    return [(p, None) if isinstance(p, str) else (p.fill(fields), p.name) for p in parts]


def compile_template(template: str) -> Compiled:
    """Compile and keep a template."""
    compiled: Compiled = None
    if "{" in template or "}" in template:
        compiled = _parse(template)
        holes = [part for part in compiled if isinstance(part, _Hole)]
        if holes and not any(hole.spec or hole.conversion for hole in holes):
            texts = [p.replace("%", "%%") if isinstance(p, str) else "%s" for p in compiled]
            compiled = "".join(texts), _getter([hole.name for hole in holes]), compiled
    if len(_compiled) >= _MAX_KEPT:  # templates made at run time must not fill the memory
        _compiled.clear()
    _compiled[template] = compiled
    return compiled


def _getter(names: list[str]) -> Getter:
    if len(names) > 1:
        return itemgetter(*names)
    name = names[0]
    return lambda fields: (fields[name],)


def _parse(template: str) -> Parts:
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


def _render_positional(template: str, args: tuple[Any, ...], fields: Mapping[str, Any]) -> str:
    parts = _parse(template)
    holes = [p for p in parts if isinstance(p, _Hole) and (not p.name or p.name.isdecimal())]
    if holes:
        unnumbered = iter(range(len(holes)))
        for hole in holes:
            index = _index(hole.name) if hole.name else next(unnumbered)
            if index < len(args):
                # Unnumbered holes share the empty name, so each is filled in its turn.
                parts[parts.index(hole)] = hole.fill({hole.name: args[index]})
        return "".join([p if isinstance(p, str) else p.fill(fields) for p in parts])
    return _render_percent(template, args)


def _index(digits: str) -> int:
    return int(digits) if len(digits) <= 6 else sys.maxsize


def _render_percent(template: str, args: tuple[Any, ...]) -> str:
    widths = [width for match in _PERCENT.finditer(template) for width in match.groups() if width]
    narrow = all(w != "*" and _is_narrow(w) for w in widths) and not _NESTED_KEY.search(template)
    if "%" in template and narrow:
        mapping = len(args) == 1 and isinstance(args[0], dict)
        try:
            return template % (args[0] if mapping and "%(" in template else args)
        except Exception:
            pass
    return f"{template} {' '.join(safe_str(value) for value in args)}"

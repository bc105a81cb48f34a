"""Message templates: `"User {user} logged in"` and the fields or arguments it is filled with.

A template is compiled once and kept. There is no attribute or index access, widths are capped,
values are never looked at again for placeholders, names that are not known stay as written, and
nothing here raises.
"""

from __future__ import annotations

import re
import string
from collections.abc import Callable, Mapping
from typing import Any

from .snapshot import safe_str

__all__ = ["render"]

MAX_WIDTH = 256
_MAX_KEPT = 4_096

Renderer = Callable[[Mapping[str, Any]], str]

_PLACEHOLDER = re.compile(r"\{\{([^{}]*)\}\}|\{([^{}!:]*)(?:!([rsa]))?(?::([^{}]*))?\}")
_PERCENT = re.compile(r"%(?:\([^)]*\))?[#0\- +]*(\*|\d+)?(?:\.(\*|\d+))?[hlL]?[a-zA-Z%]")
_DIGITS = re.compile(r"\d+")

_compiled: dict[str, Renderer | None] = {}
renderer_of = _compiled.get


class _Hole:
    """One placeholder: the name to look up, how to format its value, and what it looked like."""

    __slots__ = ("conversion", "name", "raw", "spec")

    def __init__(self, name: str, conversion: str | None, spec: str | None, raw: str) -> None:
        self.name = name
        self.conversion = conversion
        self.raw = raw
        self.spec = spec if spec and all(int(n) <= MAX_WIDTH for n in _DIGITS.findall(spec)) else ""

    def fill(self, fields: Mapping[str, Any]) -> str:
        try:
            value = fields[self.name]
        except KeyError:
            return self.raw
        try:
            if self.conversion:
                value = {"r": repr, "a": ascii, "s": str}[self.conversion](value)
            return format(value, self.spec) if self.spec else str(value)
        except Exception:
            return safe_str(value)


def render(template: str, args: tuple[Any, ...], fields: Mapping[str, Any]) -> str:
    """Fill the template from positional arguments, or from fields if there are none.

    Call it only for a record that has arguments or fields of its own: a message without any is
    taken literally.
    """
    if args:
        return _render_positional(template, args, fields)
    renderer = _compiled.get(template, _MISSING)
    if renderer is _MISSING:
        renderer = compile_template(template)
    return template if renderer is None else renderer(fields)  # type: ignore[operator, misc]


_MISSING: Any = object()


def compile_template(template: str) -> Renderer | None:
    """Compile and keep a template; None if it has no placeholder and is its own result."""
    renderer = _renderer(_parse(template)) if "{" in template or "}" in template else None
    if len(_compiled) >= _MAX_KEPT:  # templates made at run time must not fill the memory
        _compiled.clear()
    _compiled[template] = renderer
    return renderer


def _parse(template: str) -> list[str | _Hole]:
    """Read a template as `str.format` would, or leniently if it would not (JSON text, say)."""
    try:
        parts = list(string.Formatter().parse(template))
    except ValueError:
        return _parse_leniently(template)
    found: list[str | _Hole] = []
    for literal, name, spec, conversion in parts:
        if literal:
            found.append(literal)
        if name is None:
            continue
        if (name and not name.isidentifier() and not name.isdecimal()) or "{" in (spec or ""):
            return _parse_leniently(template)
        raw = "{" + name + (f"!{conversion}" if conversion else "") + (f":{spec}" if spec else "")
        found.append(_Hole(name, conversion, spec, raw + "}"))
    return found


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


def _renderer(parts: list[str | _Hole]) -> Renderer | None:
    holes = [part for part in parts if isinstance(part, _Hole)]
    if len(holes) == 1 and not holes[0].spec and not holes[0].conversion:
        return _one_hole(parts, holes[0])

    def many(fields: Mapping[str, Any]) -> str:
        return "".join([p if p.__class__ is str else p.fill(fields) for p in parts])  # type: ignore[union-attr,misc]

    return many


def _one_hole(parts: list[str | _Hole], hole: _Hole) -> Renderer:
    at = parts.index(hole)
    before = "".join(str(part) for part in parts[:at])
    after = "".join(str(part) for part in parts[at + 1 :])
    name, fill = hole.name, hole.fill

    def one(fields: Mapping[str, Any]) -> str:
        try:
            return f"{before}{fields[name]}{after}"
        except Exception:
            return f"{before}{fill(fields)}{after}"

    return one


def _render_positional(template: str, args: tuple[Any, ...], fields: Mapping[str, Any]) -> str:
    parts = _parse(template)
    holes = [p for p in parts if isinstance(p, _Hole) and (not p.name or p.name.isdecimal())]
    if holes:
        filled = {**fields}
        for position, hole in enumerate(holes):
            index = int(hole.name) if hole.name and len(hole.name) < 6 else position
            if index < len(args):
                filled[hole.name] = args[index]
                # Unnumbered holes share the empty name, so each is filled in its turn.
                parts[parts.index(hole)] = hole.fill(filled)
        return "".join([p if isinstance(p, str) else p.fill(fields) for p in parts])
    return _render_percent(template, args)


def _render_percent(template: str, args: tuple[Any, ...]) -> str:
    widths = [width for match in _PERCENT.finditer(template) for width in match.groups() if width]
    if "%" in template and all(w != "*" and int(w) <= MAX_WIDTH for w in widths):
        mapping = len(args) == 1 and isinstance(args[0], dict)
        try:
            return template % (args[0] if mapping and "%(" in template else args)
        except Exception:
            pass
    return f"{template} {' '.join(safe_str(value) for value in args)}"

"""What a template's own words make of the values that it is filled with.

Most add nothing: no value becomes a secret by standing in `"User {user} logged in"`. Then nobody
needs to look at the message; it is enough to look at the values.
"""

from __future__ import annotations

from .mask import Mask
from .pattern import lazy_pattern
from .secrets import Names, Span
from .template import pieces

__all__ = ["ACTIVE", "INERT", "SUSPECT", "Prose", "names_within"]

_MOST_KEPT = 4_096
_LONGEST_KEPT = 512

SUSPECT, ACTIVE, INERT = range(3)
"""What a template is: with a secret in its own text; one whose values must be looked at together
with the text around them; one that adds nothing to its values."""

_HOLES = lazy_pattern(
    r"(?:\{\w*(?:![rsa])?(?::[^{}]*)?\}|%(?:\(\w+\))?[#0\- +]*\d*(?:\.\d+)?[a-zA-Z])+"
)
# Prose before, between and after values: words and blanks that keep them apart, so that none can
# be the name, the scheme, or another part of the secret that is in the next.
_BEFORE = lazy_pattern(r"(?:\A|[\s(])([A-Za-z]++(?:'[a-z]{1,2})?)[,;.)!?]*+\s++\(?\Z")
_AFTER = lazy_pattern(r"[,;.!?)%]*+\s++\(?[A-Za-z']++(?=[\s,;.!?)]|\Z)")
_AT_THE_END = lazy_pattern(r"[,;.!?)%]*+\s*+\Z")
_LEADING = frozenset({"bearer", "basic", "api", "access", "private", "secret", "session"})


class Prose:
    """Knows templates, by a mask: each is judged once, the last few thousand are kept."""

    def __init__(self, mask: Mask, is_secret_name: Names) -> None:
        self._mask = mask
        self._is_secret_name = is_secret_name
        self.kinds: dict[str, int] = {}
        self.inert: set[str] = set()
        self._cleaned: dict[str, str] = {}

    def kind(self, template: str) -> int:
        """Return what a template is."""
        kind = self.kinds.get(template)
        if kind is None:
            suspect = self._mask.spans(template)
            kind = SUSPECT if suspect else _kind_of(template, self._is_secret_name)
            self.keep(template, kind)
        return kind

    def keep(self, template: str, kind: int) -> None:
        """Remember what a template is."""
        if len(template) <= _LONGEST_KEPT:
            if len(self.kinds) >= _MOST_KEPT:  # made at run time, from f-strings, say
                self.kinds.clear()
                self.inert.clear()
                self._cleaned.clear()
            self.kinds[template] = kind
            if kind == INERT:
                self.inert.add(template)

    def without_secrets(self, template: str) -> str:
        """Redact a template's own text; placeholders are none of it."""
        if self.kind(template) != SUSPECT:
            return template
        cleaned = self._cleaned.get(template)
        if cleaned is None:
            spans = [s for s in self._mask.spans(template) if not _HOLES.fullmatch(template, *s)]
            cleaned = self._mask.without(template, spans)
            if template in self.kinds:
                self._cleaned[template] = cleaned
        return cleaned


def _kind_of(template: str, is_secret_name: Names) -> int:
    """Say whether a template, not suspect in itself, has words and blanks around all values."""
    texts = [""]
    for text, name in pieces(template, {}):
        if name is None:
            texts[-1] += text
        else:
            texts.append("")
    for position, text in enumerate(texts[:-1]):
        word = _BEFORE.search(text)
        if text if word is None else word[1].lower() in _LEADING or is_secret_name(word[1]):
            return ACTIVE
        if position and not _AFTER.match(text):
            return ACTIVE
    end = texts[-1]
    return INERT if len(texts) == 1 or _AFTER.match(end) or _AT_THE_END.match(end) else ACTIVE


def names_within(parts: list[tuple[str, str | None]], spans: list[Span]) -> set[str]:
    """Return the names of the fields whose place in the message is in one of the spans."""
    names: set[str] = set()
    start = 0
    for part, name in parts:
        end = start + len(part)
        if name is not None and any([s < end and start < e for s, e in spans]):
            names.add(name)
        start = end
    return names

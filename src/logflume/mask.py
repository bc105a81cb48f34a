"""Texts and values without the secrets in them.

What has none is returned as it is, the same object; the rest as plain data with marks instead.
Doing it twice changes nothing: marks are no secrets.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from .digest import blake2b
from .pattern import lazy_pattern
from .secrets import SHORTEST, Names, Span
from .snapshot import MAX_DEPTH, SCALARS, safe_repr, safe_str, snapshot

__all__ = ["Mask"]

_LEAST_CARD = 10 ** (SHORTEST - 1)
_CONTAINERS = frozenset({list, tuple})
_MOST_KEPT = 4_096
_LONGEST_KEPT = 512
_MOST_ROUNDS = 8
_NAME_KEYS = ("name", "key")
_OPTION = lazy_pattern(r"--[A-Za-z][\w-]*+")
_HASHED = lazy_pattern(r"\[redacted:[0-9a-f]{12}\]")


class Mask:
    """Puts marks in the place of what `find` finds, and of all that goes under a secret's name.

    A mark is the replacement, or with a `hash_key` `[redacted:<12 hex digits>]`: too few digits for
    a card's number. `thorough` looks at numbers of any size, not only at those that may be cards.
    """

    def __init__(
        self,
        is_secret_name: Names,
        find: Callable[[str], list[Span]],
        replacement: str,
        hash_key: bytes | None = None,
        *,
        thorough: bool = False,
    ) -> None:
        self._is_secret_name = is_secret_name
        self._find = find
        self._replacement = replacement
        self._hash_key = hash_key
        self._marks = _HASHED if hash_key is not None else re.compile(re.escape(replacement))
        self._least = 0 if thorough else _LEAST_CARD
        self.harmless: set[str] = set()

    def is_harmless(self, name: str) -> bool:
        """Whether a name neither is a secret's nor holds one; looked up once, in `harmless`."""
        if name in self.harmless:
            return True
        if self._is_secret_name(name) or self._find(name):
            return False
        if len(name) <= _LONGEST_KEPT:
            if len(self.harmless) >= _MOST_KEPT:  # keys may be data: they must not fill the memory
                self.harmless.clear()
            self.harmless.add(name)
        return True

    def text(self, text: str, found: list[Span] | None = None) -> str:
        """Return the text itself, or with marks in the place of its secrets; `found` are its
        spans, if they are known."""
        for _ in range(_MOST_ROUNDS):  # a mark may be the end that another secret was without
            spans = self.spans(text) if found is None else found
            if not spans:
                break
            text, found = self.without(text, spans), None
        return text

    def spans(self, text: str) -> list[Span]:
        """Return where there are secrets that are not marks."""
        spans = self._find(text)
        return self._unmarked(text, spans) if spans else spans

    def _unmarked(self, text: str, spans: list[Span]) -> list[Span]:
        """Leave out what was redacted before."""
        marks = [mark.span() for mark in self._marks.finditer(text)]
        if not marks:
            return spans
        return [
            (start, end)
            for start, end in spans
            if not any([first <= start and end <= last for first, last in marks])
        ]

    def without(self, text: str, spans: list[Span]) -> str:
        """Return the text with marks in the place of these spans."""
        if not spans:
            return text
        kept: list[str] = []
        past = 0
        for start, end in spans:
            kept += [text[past:start], self._marked(text[start:end])]
            past = end
        return "".join([*kept, text[past:]])

    def value(self, value: Any, depth: int = 0) -> Any:
        """Return the value itself, or one of plain data without the secrets in it."""
        kind = type(value)
        if kind is str:
            return self.text(value)
        if kind is int or kind is float:
            # Written so that what is not a number is looked at, too.
            return value if -self._least < value < self._least else self._shown(value)
        if kind is bool or value is None:
            return value
        if kind is bytes:
            return self._bytes(value)
        if depth > 2 * MAX_DEPTH:  # no snapshot, but what a processor made: it may have no end
            value, depth = snapshot(value), depth - MAX_DEPTH
        if isinstance(value, dict):
            return self.mapping(value, depth + 1)
        if isinstance(value, list | tuple | set | frozenset):
            return self.items(value, depth + 1)
        return self._shown(value) if kind in SCALARS else self._foreign(value, depth)

    def mapping(self, given: dict[Any, Any], depth: int = 0) -> Any:
        """Return the mapping itself, or a dict without secrets in keys and values.

        No item is lost: keys that would become equal get `_` behind them.
        """
        cleaned: dict[Any, Any] = {}
        same = True
        harmless = self.harmless
        for key, value in given.items():
            if key.__class__ is str and (key in harmless or self.is_harmless(key)):
                name, shown = key, self.value(value, depth)
            else:
                name = self.value(key, depth)
                while name is not key and (name in cleaned or name in given):
                    name = f"{safe_str(name)}_"
                shown = self.hide(value) if self._names(key) else self.value(value, depth)
            same = same and name is key and shown is value
            cleaned[name] = shown
        if depth and "value" in given and any([self._names(given.get(k)) for k in _NAME_KEYS]):
            cleaned["value"] = self.hide(given["value"])
            same = same and cleaned["value"] is given["value"]
        return given if same else cleaned

    def items(self, given: Any, depth: int = 0) -> Any:
        """Return the list, tuple or set itself, or what is in it without secrets."""
        cleaned = [self._item(value, depth) for value in given]
        for at, value in enumerate(cleaned[1:], 1):
            # As commands have them: "--password", "hunter2".
            name = cleaned[at - 1]
            is_option = type(name) is str and name[:2] == "--" and _OPTION.fullmatch(name)
            if is_option and self._names(name) and type(value) is str and value[:1] != "-":
                cleaned[at] = self.hide(value)
        if all([new is old for new, old in zip(cleaned, given, strict=True)]):
            return given
        return tuple(cleaned) if isinstance(given, tuple) else cleaned

    def _item(self, value: Any, depth: int) -> Any:
        """Redact what is in a list; a pair in it may be a name and a value, as in headers."""
        if type(value) in _CONTAINERS and len(value) == 2:
            name, secret = value
            if self._names(name):
                shown = self.hide(secret)
                return value if shown is secret else type(value)((self.value(name), shown))
        return self.value(value, depth)

    def _foreign(self, value: Any, depth: int) -> Any:
        plain = snapshot(value)
        cleaned = self._shown(value) if plain is value else self.value(plain, depth)
        return value if cleaned is plain or cleaned == plain else cleaned

    def _shown(self, value: Any) -> Any:
        """Return the value itself, or its text without the secrets in it."""
        text = safe_str(value)
        cleaned = self.text(text)
        return value if cleaned is text else cleaned

    def _bytes(self, value: bytes) -> bytes:
        text = value.decode("utf-8", "surrogateescape")
        cleaned = self.text(text)
        return value if cleaned is text else cleaned.encode("utf-8", "surrogateescape")

    def hide(self, value: Any) -> Any:
        """Return what stands for a value that is a secret as a whole."""
        if value is None or type(value) is bool or (hasattr(value, "__len__") and not len(value)):
            return value
        if type(value) is bytes:
            text = value.decode("utf-8", "replace")
        else:
            text = value if type(value) is str else safe_repr(value)
        return value if self._marks.fullmatch(text) else self._marked(text)

    def _names(self, key: Any) -> bool:
        """Whether this key, or first of a pair, says that what comes with it is a secret."""
        if type(key) is bytes:
            return self._is_secret_name(key.decode("latin-1"))
        return type(key) is str and self._is_secret_name(key)

    def _marked(self, secret: str) -> str:
        if self._hash_key is None:
            return self._replacement
        secret_bytes = secret.encode("utf-8", "surrogatepass")
        digest = blake2b(secret_bytes, digest_size=6, key=self._hash_key).hexdigest()
        return f"[redacted:{digest}]"

"""Whether many texts, as one piece of JSON, hold anything that could be a secret.

A glance errs on the safe side only: where a `secrets.Finder` finds something in one of the texts,
it is not quiet. It costs a few nanoseconds per text, since the bytes of a whole batch are
translated and searched at once.
"""

from __future__ import annotations

from .secrets import NEEDLES, SHORTEST, STEMS, Names, find_cards

__all__ = ["Glance"]


def _table(changed: dict[str, bytes]) -> bytes:
    table = bytearray(range(256))
    for characters, to in changed.items():
        for character in characters.encode():
            table[character] = to[0]
    return bytes(table)


_DIGITS = "0123456789"
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

# The run that no key of a known shape and no card is without, if blanks are looked for besides.
_AS_RUN = _table({_LETTERS + _DIGITS + "_-.+/": b"x"})
_RUN = b"x" * SHORTEST
_AS_DIGITS = _table({_DIGITS: b"0"})
_CARD = b"0" * SHORTEST
_NEEDLES = [(mark.encode(), [*map(str.encode, needles)]) for mark, needles in NEEDLES.items()]

# What it takes, apart from such a run, to be a secret, or to hold one: a blank, an escape, what
# parts names from values, and what makes containers. All other bytes are taken out.
_TELLING = b" \t\\='[]{:<%"

_PARTING = (b"=", b":", b"--", b"</", b"%3")
"""Without one of these, there is no name with its value."""


class Glance:
    """One look at JSON, for what a `Finder` with the same settings looks for."""

    def __init__(self, names: Names, *, cards: bool, emails: bool) -> None:
        self._cards = cards
        self._emails = emails
        telling = _TELLING + (b"@" if emails else b"")
        self._plain = bytes([byte for byte in range(256) if byte not in telling])
        # In any text of these names, once what may part their words is gone. None: who knows.
        self._stems: list[bytes] | None = None
        if all([name.isascii() and "*" not in name for name in names.added]):
            self._stems = [*map(str.encode, (*STEMS, *names.added))]

    def is_plain(self, data: bytes, least: int) -> bool:
        """Whether these objects have only values of which no one is worth a second glance.

        `least` is how many of the bytes that tell something their own form takes.
        """
        return len(data.translate(None, self._plain)) == least and _RUN not in data.translate(
            _AS_RUN
        )

    def is_quiet(self, data: bytes) -> bool:
        """Whether there is no secret in a list of texts and numbers. Without any containers!"""
        if b"\\u" in data or (self._emails and b"@" in data):
            return False
        lower = data.lower()
        if b"bearer" in lower or b"basic" in lower or b"-----BEGIN" in data:
            return False
        if any([mark in data for mark in _PARTING]):
            if self._stems is None or not data.isascii() or (b"://" in data and b"@" in data):
                return False
            together = lower.translate(None, b"_- ")
            if any([stem in together for stem in self._stems]):
                return False
        if _RUN in data.translate(_AS_RUN):
            for mark, needles in _NEEDLES:
                if mark in data and any([needle in data for needle in needles]):
                    return False
        if self._cards and _CARD in data.translate(_AS_DIGITS, b" -"):
            return not find_cards(data.decode())
        return True

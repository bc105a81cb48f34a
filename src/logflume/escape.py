"""Text that cannot move the cursor, break its line or hide anything."""

from __future__ import annotations

from .pattern import lazy_pattern

__all__ = ["escape"]

# C0 and C1 controls, DEL, line and paragraph separators, bidi controls (Unicode UAX 9) and other
# invisible marks, lone surrogates: all that could move the cursor, break the line or hide text.
UNSAFE_SET = (
    "[\x00-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\ud800-\udfff\U000e0000-\U000e007f]"
)
UNSAFE = lazy_pattern(UNSAFE_SET)


def escape(text: str) -> str:
    """Return text in which every control character is visible as an escape.

    A plain string, whatever a subclass has for `__str__` and `__format__`.
    """
    if type(text) is not str:
        text = str.__str__(text)
    if text.isascii() and text.isprintable():
        return text
    return UNSAFE.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), text)

"""Names and values as `key=value`, in the way of Go's logfmt (kr/logfmt, go-logfmt/logfmt).

A name has no blanks, quotes, equals signs or control characters: each becomes `_`. A value that
has any is written in double quotes, with the escapes of a JSON string.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from ..escape import UNSAFE_SET
from ..pattern import lazy_pattern
from ..snapshot import safe_str
from ._json_values import digits_of, dumps, plain, valid
from ._leaves import leaves

__all__ = ["name_of", "pairs_of", "text_of"]

_BARE = lazy_pattern(r"[!#-&(-<>-~]+")
_LONG = 64  # beyond which names are not kept, which may come from outside
_SPECIAL = lazy_pattern(rf"[\s\"'=\ufffd]|{UNSAFE_SET}")


def name_of(key: Any) -> str:
    """Return a key as a valid name."""
    name = key if type(key) is str else safe_str(key)
    return _kept(name) if len(name) <= _LONG else _clean(name)


def _clean(name: str) -> str:
    return _SPECIAL.sub("_", name) or "_"


_kept = lru_cache(maxsize=4_096)(_clean)


def pairs_of(key: Any, value: Any) -> list[tuple[str, str]]:
    """Return the names and texts that a value has: mappings are flattened, with dots between
    the names, anything else is one."""
    if not isinstance(value, dict):
        return [(name_of(key), text_of(value))]
    return [
        (".".join([name_of(part) for part in path]), text_of(leaf))
        for path, leaf in leaves(key, value)
    ]


def text_of(value: Any) -> str:
    """Return a value as it stands behind the equals sign: sequences are JSON."""
    kind = type(value)
    if kind is str:
        return value if _BARE.fullmatch(value) and value != "null" else _quoted(value)
    if value is None:
        return "null"
    if kind is bool:
        return "true" if value else "false"
    if kind is float:
        return repr(value)
    if isinstance(value, int):
        return digits_of(value)
    if isinstance(value, dict | list | tuple | set | frozenset):
        return _quoted(dumps(value).decode())
    form = plain(value)
    return _quoted(form) if isinstance(form, str) else text_of(form)


def _quoted(text: str) -> str:
    if text and text != "null" and not _SPECIAL.search(text):
        return text
    return dumps(valid(text)).decode().replace("\x7f", r"\u007f")

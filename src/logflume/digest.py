"""BLAKE2 (RFC 7693) from where `hashlib` has it, which loads OpenSSL besides, for 2 ms."""

from __future__ import annotations

from typing import TYPE_CHECKING

__all__ = ["blake2b"]

if TYPE_CHECKING:
    from hashlib import blake2b
else:
    try:
        from _blake2 import blake2b
    except ImportError:  # pragma: no cover - an interpreter that is built in another way
        from hashlib import blake2b

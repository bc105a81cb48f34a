"""Strict readers of the formats that have no parser at hand."""

from __future__ import annotations

import json

__all__ = ["read_logfmt"]


def read_logfmt(line: bytes) -> list[tuple[str, str]]:
    """Read one line as Go's decoder does (github.com/go-logfmt/logfmt, decode.go), and stricter:
    each key has a value, and one blank stands between pairs. Values of quotes are JSON strings."""
    text = line.decode("utf-8")
    assert text.endswith("\n")
    text = text[:-1]
    assert len(text.splitlines()) <= 1
    pairs: list[tuple[str, str]] = []
    at = 0
    while at < len(text):
        key, equals, _ = text[at:].partition("=")
        assert equals, f"no value at {at}"
        assert key, f"no key at {at}"
        assert not any(c <= " " or c in "\"'\x7f\ufffd" for c in key), f"invalid key {key!r}"
        at += len(key) + 1
        if text[at : at + 1] == '"':
            value, end = json.JSONDecoder().raw_decode(text, at)
        else:
            end = text.find(" ", at) if " " in text[at:] else len(text)
            value = text[at:end]
            assert not any(c <= " " or c in "=\"'\x7f" for c in value), f"invalid value {value!r}"
        pairs.append((key, value))
        assert end == len(text) or (text[end] == " " and end + 1 < len(text)), f"garbage at {end}"
        at = end + 1
    return pairs

"""The contract of encoders."""

from __future__ import annotations

import inspect
import re

import pytest

from ...protocols import Encoder
from ...record import Record
from ..made import record_of
from ..odd import odd_records
from ._shared import fail_for, failures, look

__all__ = ["EncoderContract"]


# Tabs may be, and what deletes: no terminal acts on it. The last two end lines for some readers.
_CONTROLS = re.compile("[\x00-\x08\x0a-\x1f\x80-\x9f\u2028\u2029]")


class EncoderContract:
    """What a route expects of an encoder. Say how to `make` one.

    `lines = False` is for formats that do not write just one line of text per record.
    """

    lines: bool = True

    def make(self) -> Encoder:
        """Return an encoder; called again, one that is equal."""
        raise NotImplementedError(f"{type(self).__name__}.make: how is the encoder made?")

    def test_a_route_takes_it(self) -> None:
        """It has an `encode`, which is not async."""
        encoder = self.make()
        assert isinstance(encoder, Encoder), "encode is missing"
        assert not inspect.iscoroutinefunction(encoder.encode), "encode may not be async"

    def test_any_record_gives_bytes(self) -> None:
        """Whatever is in it, and the same again."""
        encoder = self.make()

        def check(record: Record) -> None:
            encoded = encoder.encode(record)
            assert type(encoded) is bytes, f"encode gives {type(encoded).__name__}, not bytes"
            assert encoder.encode(record) == encoded, "it gives other bytes the second time"

        fail_for(failures(check))

    def test_it_changes_nothing_of_a_record(self) -> None:
        """Other routes have the same one."""
        encoder = self.make()

        def check(record: Record) -> None:
            before = look(record)
            encoder.encode(record)
            assert look(record) == before, "the record is another one now"

        fail_for(failures(check))

    def test_a_record_is_one_line(self) -> None:
        """Of valid UTF-8, ended by a line feed; no control character in it, of those of Unicode
        neither, can forge another one, or be one for a terminal."""
        if not self.lines:
            pytest.skip("this format does not consist of lines")
        encoder = self.make()

        def check(record: Record) -> None:
            encoded = encoder.encode(record)
            assert encoded.endswith(b"\n"), "there is no line feed at its end"
            text = encoded[:-1].decode("utf-8")
            controls = "".join(sorted(set(_CONTROLS.findall(text))))
            assert not controls, f"there are control characters in it: {controls!a}"

        fail_for(failures(check))

    def test_it_encodes_what_was_logged(self) -> None:
        """Another message gives other bytes."""
        encoder = self.make()
        one, two = encoder.encode(record_of("one")), encoder.encode(record_of("two"))
        assert one != two, "another message gives the same bytes"

    def test_those_that_are_made_alike_are_equal(self) -> None:
        """With a hash to match: routes with equal ones share the bytes. It equals nothing else."""
        one, other = self.make(), self.make()
        assert one == other, "what `make` returns is not equal to what it returns next"
        assert type(one).__hash__ is not None, "it has an __eq__, and no __hash__"
        assert hash(one) == hash(other), "they are equal, their hashes are not"
        assert one != object(), "it equals anything"

    def test_the_fast_way_writes_the_same(self) -> None:
        """`encode_into`, if it has that, writes just what `encode` returns."""
        encoder = self.make()
        encode_into = getattr(encoder, "encode_into", None)
        if encode_into is None:
            pytest.skip("it has no encode_into")
        records = list(odd_records().values())
        written: list[bytes] = []

        def write(encoded: bytes) -> int:
            written.append(bytes(encoded))
            return len(encoded)

        sizes = encode_into(records, write)
        expected = [encoder.encode(record) for record in records]
        if sizes is None:
            for line in expected:
                assert line.find(b"\n") == len(line) - 1, (
                    "encode_into returns None, but what it writes is no line"
                )
            written, expected = [b"".join(written)], [b"".join(expected)]
        assert written == expected, "encode_into writes something else than encode returns"
        if sizes is not None:
            assert list(sizes) == list(map(len, written)), "encode_into returns other lengths"

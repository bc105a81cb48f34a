"""The contract of encoders."""

from __future__ import annotations

import inspect

import pytest

from ...protocols import Encoder
from ...record import Record
from ..made import record_of
from ..odd import odd_records
from ._shared import fail_for, failures, look

__all__ = ["EncoderContract"]


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
        assert isinstance(encoder, Encoder)
        assert not inspect.iscoroutinefunction(encoder.encode)

    def test_any_record_gives_bytes(self) -> None:
        """Whatever is in it, and the same again."""
        encoder = self.make()

        def check(record: Record) -> None:
            encoded = encoder.encode(record)
            assert type(encoded) is bytes
            assert encoder.encode(record) == encoded

        fail_for(failures(check))

    def test_it_changes_nothing_of_a_record(self) -> None:
        """Other routes have the same one."""
        encoder = self.make()

        def check(record: Record) -> None:
            before = look(record)
            encoder.encode(record)
            assert look(record) == before

        fail_for(failures(check))

    def test_a_record_is_one_line(self) -> None:
        """Of valid UTF-8, ended by a line feed; no control character in it can forge another one,
        or be one for a terminal."""
        if not self.lines:
            pytest.skip("this format does not consist of lines")
        encoder = self.make()

        def check(record: Record) -> None:
            encoded = encoder.encode(record)
            assert encoded.endswith(b"\n"), "there is no line feed at its end"
            encoded.decode("utf-8")
            controls = sorted({byte for byte in encoded[:-1] if byte < 0x20 and byte != 0x09})
            assert not controls, f"there are control characters in it: {bytes(controls)!r}"

        fail_for(failures(check))

    def test_it_encodes_what_was_logged(self) -> None:
        """Another message gives other bytes."""
        encoder = self.make()
        assert encoder.encode(record_of("one")) != encoder.encode(record_of("two"))

    def test_those_that_are_made_alike_are_equal(self) -> None:
        """With a hash to match: routes with equal ones share the bytes. It equals nothing else."""
        one, other = self.make(), self.make()
        assert one == other
        assert hash(one) == hash(other)
        assert one != object()

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
        assert written == [encoder.encode(record) for record in records]
        assert list(sizes) == list(map(len, written))

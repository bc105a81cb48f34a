"""The formats that rotated files are compressed to: their names, suffixes, levels and streams.

The modules are imported where a stream begins: only one of them is ever needed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Protocol

__all__ = ["FORMATS", "Format", "format_of"]


class Packing(Protocol):
    """One archive in the making: all that the calls return, one after the other, is the archive."""

    def compress(self, data: bytes, /) -> bytes: ...
    def flush(self) -> bytes: ...


class Unpacking(Protocol):
    """One archive being read. `eof`: its end was seen; `unused_data` is what came after that."""

    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, /) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Format:
    """One format. `pack(level, size)` begins an archive of exactly `size` bytes."""

    names: tuple[str, ...]
    suffix: str
    levels: range
    usual_level: int
    pack: Callable[[int, int], Packing]
    unpack: Callable[[], Unpacking]
    module: str

    def missing(self) -> str | None:
        """Return what to do before this format can be used; None if it can."""
        try:
            import_module(self.module)
        except ImportError:
            if self.module == "zstandard":
                return "pip install zstandard"
            return f"a Python that was built with {self.module}"
        return None


def _zstd(level: int, size: int) -> Packing:
    import zstandard

    # With the size in its header an archive can be read at one go; the checksum is for `zstd -t`.
    packer = zstandard.ZstdCompressor(level=level, write_checksum=True)
    return packer.compressobj(size=size)


def _unzstd() -> Unpacking:
    import zstandard

    return zstandard.ZstdDecompressor().decompressobj()


_GZIP_HEADER = 16 + 15  # zlib's `wbits`: with gzip's header and checksum, the largest window


def _gzip(level: int, size: int) -> Packing:
    import zlib

    return zlib.compressobj(level, zlib.DEFLATED, _GZIP_HEADER)


def _gunzip() -> Unpacking:
    import zlib

    return zlib.decompressobj(_GZIP_HEADER)


def _xz(level: int, size: int) -> Packing:
    import lzma

    return lzma.LZMACompressor(lzma.FORMAT_XZ, preset=level)


def _unxz() -> Unpacking:
    import lzma

    return lzma.LZMADecompressor(lzma.FORMAT_XZ)


def _bz2(level: int, size: int) -> Packing:
    import bz2

    return bz2.BZ2Compressor(level)


def _unbz2() -> Unpacking:
    import bz2

    return bz2.BZ2Decompressor()


FORMATS = (
    Format(("zstd", "zst"), ".zst", range(1, 23), 3, _zstd, _unzstd, "zstandard"),
    Format(("gzip", "gz"), ".gz", range(1, 10), 6, _gzip, _gunzip, "zlib"),
    Format(("xz",), ".xz", range(10), 6, _xz, _unxz, "lzma"),
    Format(("bz2", "bzip2"), ".bz2", range(1, 10), 9, _bz2, _unbz2, "bz2"),
)


def format_of(name: str) -> Format | None:
    """Return the format that the name of a file ends with, if that is one."""
    return next((format_ for format_ in FORMATS if name.endswith(format_.suffix)), None)

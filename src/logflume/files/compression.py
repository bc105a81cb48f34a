"""Rotated files made small, so that a crash at any moment leaves the file or its archive whole."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

__all__ = ["PARTIAL_SUFFIX", "Compression", "compression_of", "recover"]

PARTIAL_SUFFIX = ".tmp"
"""An archive in the making is `.{name of the source}{PARTIAL_SUFFIX}`, beside the source."""


def _never() -> bool:
    return False


class Compression:
    """How rotated files are compressed."""

    suffix: str

    def compress(self, source: Path, mode: int, stop: Callable[[], bool] = _never) -> Path | None:
        """Replace a file by its archive `source.name + suffix`; blocks for as long as that takes.

        Returns the archive's path; None when `stop()` was true first: the source is as it was.
        An archive's name that is taken is a `FileExistsError`. Whatever is raised, the source
        stays and nothing partial does.
        """
        raise NotImplementedError


def compression_of(given: object) -> Compression | None:
    """Read what was given as `compression`."""
    raise NotImplementedError


def recover(
    folder: Path, is_ours: Callable[[str], bool], stop: Callable[[], bool] = _never
) -> None:
    """Mend what a crash left in a folder. `is_ours` gets names of rotated, uncompressed files."""
    raise NotImplementedError

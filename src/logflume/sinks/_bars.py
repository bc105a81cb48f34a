"""Writing to a terminal on which a progress bar of tqdm or rich is drawn, so that lines come above.

The packages are never imported here for that: where they are not loaded, they draw nothing. Called
in worker threads, since their locks may be held by somebody who writes to a slow terminal.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["above_tqdm", "through_rich"]


@contextmanager
def above_tqdm(stream: Any) -> Iterator[None]:
    """Take tqdm's bars off a stream while something is written to it, as `tqdm.write` does."""
    tqdm = getattr(sys.modules.get("tqdm.std"), "tqdm", None)
    if tqdm is None or not _draws_on(tqdm, stream):
        yield
        return
    with tqdm.external_write_mode(file=stream):
        yield


def _draws_on(tqdm: Any, stream: Any) -> bool:
    """Whether a bar is on the stream; not asked of tqdm, which would take its lock for that."""
    both = (sys.stdout, sys.stderr)  # taken for one terminal, as tqdm does
    try:
        streams = [bar.fp for bar in list(getattr(tqdm, "_instances", ())) if hasattr(bar, "fp")]
        return any(fp == stream or (fp in both and stream in both) for fp in streams)
    except Exception:  # bars come and go in other threads: let tqdm look for itself
        return True


def through_rich(stream: Any) -> Any:
    """Return what a live display of rich (a progress bar, say) has put in the stream's place, or
    the stream itself if there is none."""
    if "rich.file_proxy" not in sys.modules:
        return stream
    for proxy in (sys.stdout, sys.stderr):
        if type(proxy).__module__ == "rich.file_proxy" and proxy.rich_proxied_file is stream:  # type: ignore[union-attr]
            return proxy
    return stream

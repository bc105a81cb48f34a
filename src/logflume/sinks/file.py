"""A file that records are appended to, one encoded line each."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

from ..encoders.json import Json
from ..engine.backend import Worker, in_trio
from ..engine.batch import Batch
from ..errors import ConfigurationError, Retryable
from ..protocols import SinkBatch

__all__ = ["File"]

T = TypeVar("T")

_MOST_BLOCKS = 1_024  # IOV_MAX of Linux and macOS


class File:
    """Append records to a file, by default as JSON lines.

    Parent folders are created, and the file is opened, when the pipeline starts; a new file gets
    the permissions `mode`. Each batch is one write in the sink's own thread (through aiofiles on
    asyncio and uvloop), after which nothing of it is buffered in the process. A write that the
    system refuses (a full disk, say) is taken back to the last whole line and tried again, as the
    route's `retry` says. Callers that can wait do so while the disk is slow.

        Pipeline(sinks.File("logs/app.jsonl"))
    """

    wants_blocks = True

    def __init__(self, path: str | os.PathLike[str], *, mode: int = 0o600) -> None:
        if not isinstance(path, str | os.PathLike) or not os.fspath(path):
            raise ConfigurationError.of("File.path", path, "the path of a file")
        if "\0" in os.fspath(path):
            raise ConfigurationError.of("File.path", path, "a path without NUL")
        if not isinstance(mode, int) or isinstance(mode, bool) or not 0 <= mode <= 0o777:
            raise ConfigurationError.of("File.mode", mode, "permissions from 0 to 0o777")
        self.path = Path(path)
        self.name = self.path.name
        self.route_defaults: dict[str, Any] = {
            "encoder": Json(),
            "batch": Batch(max_records=4_096, max_bytes=2_097_152, max_age=0.2),
            "buffer_records": 8_192,
            "overflow": "wait",
        }
        self._mode = mode
        # Not with the module: it takes as long as all of logflume. Not in a pipeline's thread: were
        # the process forked meanwhile, the child would have half of it for ever.
        from aiofiles.os import wrap

        self._wrap: Callable[..., Any] = wrap
        self._worker: Worker | None = None
        self._file: io.FileIO | None = None

    async def open(self) -> None:
        """Create what is missing and open the file for appending."""
        self._worker = Worker(f"logflume file {self.name}")
        self._file = await self._in_thread(self._open)

    async def send(self, batch: SinkBatch, /) -> None:
        """Write the batch.

        Raises:
            Retryable: the system refused; the whole records that it took are passed.
        """
        assert self._file is not None
        written, error = await self._in_thread(_write, self._file.fileno(), batch)
        if error is not None:
            batch.advance(written)
            raise Retryable(f"{self.path}: {error.strerror or error}") from error

    async def aclose(self) -> None:
        """Close the file and let its thread end."""
        if self._worker is None:
            return
        try:
            if self._file is not None:
                await self._in_thread(self._file.close)
        finally:
            self._worker.shutdown()

    async def _in_thread(self, function: Callable[..., T], *args: Any) -> T:
        """Run a function in this sink's own thread, which a hung disk may keep, but nothing else.

        On asyncio that is aiofiles with the thread as its executor. On trio it is not anyio's
        file API, whose threads cannot be abandoned: a hung disk would hold up the shutdown.
        """
        assert self._worker is not None
        if in_trio():
            return await self._worker.run(function, *args)
        return cast("T", await self._wrap(function)(*args, executor=self._worker))

    def _open(self) -> io.FileIO:
        os.makedirs(self.path.parent, exist_ok=True)
        return open(self.path, "ab", buffering=0, opener=self._opener)

    def _opener(self, path: str, flags: int) -> int:
        return os.open(path, flags, self._mode)


def _write(fd: int, batch: SinkBatch) -> tuple[int, OSError | None]:
    """Write blocks until all is written or the system refuses: how many records, and why."""
    left = batch.nbytes
    data = list(batch.blocks)
    try:
        while left:
            written = _write_some(fd, data)
            left -= written
            if left:
                data = [memoryview(b"".join(data))[written:]]
    except OSError as error:
        done = batch.nbytes - left
        whole = 0
        count = 0
        for size in batch.sizes:
            if whole + size > done:
                break
            whole += size
            count += 1
        if done > whole:  # cut the torn record off the end of the file
            os.ftruncate(fd, max(0, os.fstat(fd).st_size - (done - whole)))
        return count, error
    return len(batch), None


def _write_some(fd: int, blocks: list[memoryview]) -> int:
    if hasattr(os, "writev") and len(blocks) > 1:
        return os.writev(fd, blocks[:_MOST_BLOCKS])
    return os.write(fd, blocks[0])

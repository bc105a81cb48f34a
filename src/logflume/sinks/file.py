"""A file that records are appended to, one encoded line each."""

from __future__ import annotations

import functools
import io
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiofiles

from ..encoders.json import Json
from ..engine.backend import Worker, in_trio
from ..engine.batch import Batch
from ..errors import ConfigurationError, Retryable
from ..protocols import SinkBatch

__all__ = ["File"]


class File:
    """Append records to a file, by default as JSON lines.

    Parent folders are created, and the file is opened, when the pipeline starts; a new file gets
    the permissions `mode`. Each batch is one write in the sink's own thread (through aiofiles on
    asyncio and uvloop), after which nothing of it is buffered in the process. A write that the
    system refuses (a full disk, say) is taken back to the last whole line and tried again, as the
    route's `retry` says. Callers that can wait do so while the disk is slow.

        Pipeline(sinks.File("logs/app.jsonl"))
    """

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
            "batch": Batch(max_records=4_096, max_bytes=1_048_576, max_age=0.05),
            "buffer_records": 16_384,
            "overflow": "wait",
        }
        self._mode = mode
        self._worker: Worker | None = None
        self._fd = -1
        self._write: Callable[[memoryview], Awaitable[int]]
        self._close: Callable[[], Awaitable[None]] | None = None

    async def open(self) -> None:
        """Create what is missing and open the file for appending."""
        worker = self._worker = Worker(f"logflume file {self.name}")
        await worker.run(functools.partial(os.makedirs, self.path.parent, exist_ok=True))
        if in_trio():
            # anyio's file API, but for this: its threads cannot be abandoned, so that a hung disk
            # would hold up the shutdown for ever.
            raw = await worker.run(self._open_raw)
            self._write = functools.partial(worker.run, raw.write)
            self._close = functools.partial(worker.run, raw.close)
            self._fd = raw.fileno()
        else:
            file: Any = await aiofiles.open(
                self.path, "ab", buffering=0, opener=self._opener, executor=worker
            )
            self._write, self._close, self._fd = file.write, file.close, file.fileno()

    async def send(self, batch: SinkBatch, /) -> None:
        """Write the batch.

        Raises:
            Retryable: the system refused; the whole lines that it took are passed.
        """
        data = memoryview(b"".join(batch.encoded))
        written = 0
        try:
            while written < len(data):
                written += await self._write(data[written:])
        except OSError as error:
            whole = 0
            lines = 0
            for line in batch.encoded:
                if whole + len(line) > written:
                    break
                whole += len(line)
                lines += 1
            if written > whole:
                assert self._worker is not None
                await self._worker.run(self._take_back, written - whole)
            batch.advance(lines)
            raise Retryable(f"{self.path}: {error.strerror or error}") from error

    async def aclose(self) -> None:
        """Close the file and let its thread end."""
        if self._worker is None:
            return
        try:
            if self._close is not None:
                await self._close()
        finally:
            self._worker.shutdown()

    def _opener(self, path: str, flags: int) -> int:
        return os.open(path, flags, self._mode)

    def _open_raw(self) -> io.FileIO:
        return open(self.path, "ab", buffering=0, opener=self._opener)

    def _take_back(self, count: int) -> None:
        """Cut a torn line off the end of the file."""
        os.ftruncate(self._fd, max(0, os.fstat(self._fd).st_size - count))

"""A file that records are appended to, one encoded line each: rotated, compressed, shared.

The blocking parts are in `logflume.files`. Here is what goes where: one thread writes, so that
records stay in order and the loop is never held up; one compresses and deletes rotated files, so
that writing is not held up by that; and one, if it was asked for, syncs from time to time.
"""

from __future__ import annotations

import errno
import os
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

from ..encoders.json import Json
from ..engine.backend import Worker, in_trio
from ..engine.batch import Batch
from ..engine.news import tell_on_stderr
from ..errors import ConfigurationError, PipelineError, Rejected, Retryable
from ..protocols import SinkBatch
from ..record import Record
from ..setting import positive
from ._turns import turn_at

# What files are made of is imported where a sink is made, and only what that one needs: together it
# takes as long as all of logflume, and most programs begin with a console. Never in a pipeline's
# thread, though: were the process forked meanwhile, the child would have half of it for ever. What
# `open` imports has been imported by then.
if TYPE_CHECKING:
    from ..files.compression import Compression
    from ..files.naming import Family
    from ..files.output import Output
    from ..files.paths import PathTemplate
    from ..files.retention import Retention
    from ..files.rotation import Rotation
    from ..files.spread import Spread, Written
    from ..files.upkeep import Upkeep

__all__ = ["File"]

T = TypeVar("T")

# What keeps a file from being opened now, but not for ever: each batch tries again.
_PASSING = {
    getattr(errno, name, None)
    for name in ("ENOSPC", "EDQUOT", "EIO", "EMFILE", "ENFILE", "ENOMEM", "ESTALE", "ETIMEDOUT")
} - {None}

TELL_AGAIN = 60.0
"""Seconds after which the same trouble is told again."""

# Little in flight: what is written next is still in the caches, and the same memory is used again.
_ROUTE_DEFAULTS: dict[str, Any] = {
    "batch": Batch(max_records=4_096, max_bytes=2_097_152, max_age=0.2),
    "buffer_records": 8_192,
    "overflow": "wait",
}


class File:
    """Append records to a file, by default as JSON lines.

    Parent folders are created, and the file is opened, when the pipeline starts. Each batch is
    written in the sink's own thread (through aiofiles on asyncio and uvloop), as many whole records
    at a time as go into 96 KiB, and then nothing of it is buffered in the process: a process that
    is killed loses nothing that was delivered. A write that the system refuses (a full disk, say)
    is taken back to the last whole line and tried again, as the route's `retry` says. Callers that
    can wait do so while the disk is slow. A file that is moved away or cut by others, as logrotate
    does, is noticed before the next batch.

        Pipeline(sinks.File("logs/app.jsonl", rotation="100 MB", retention=10, compression="zstd"))

    Options:
        path: may have placeholders: `{date}` and `{time:%H}` (when the record was logged, in UTC),
            `{logger}`, `{level}`, `{pid}`, or the name of a field. Each file that comes of it is
            rotated by itself. Braces that are none are doubled.
        mode: the permissions of new files, whatever the umask is.
        rotation: when the file is moved away and a new one begun: a size, which no file exceeds but
            by a single larger record, a time, a function, or a list of these. It is looked at
            before each batch: without records nothing is rotated, and no file is without records.
            Only a file without rotation or placeholders may be a symbolic link.
        retention: which rotated files are deleted, after each rotation and at the start: all but so
            many, those of a certain age, or what is too much in size. Nothing else is touched.
        compression: how rotated files are compressed, in a thread of its own.
        fsync: "never": the system writes to the disk when it sees fit; "batch": before a batch
            counts as delivered; a number: at most so many seconds after.
        shared: several processes write to the file. They take turns, batch by batch, under a lock
            on a file beside it. Each must say so. Not on Windows.
        max_open: how many files of a path with placeholders may be open.

    Raises:
        ConfigurationError: a setting means nothing.
    """

    wants_blocks = True

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        mode: int = 0o600,
        rotation: Any = None,
        retention: Any = None,
        compression: Any = None,
        fsync: str | float = "never",
        shared: bool = False,
        max_open: int = 64,
    ) -> None:
        from aiofiles.os import wrap

        from ..files.naming import Family
        from ..files.output import Terms

        text = _path_text(path)
        _check(mode, shared)
        positive("File.max_open", max_open, whole=True)
        self._sync_every = _seconds_of(fsync)
        self._rotation, self._retention, self._compression = rules = _rules_of(
            rotation, retention, compression
        )
        self._needs_upkeep = any(rules[1:])
        suffix = self._compression.suffix if self._compression is not None else ""
        self._template = _template_of(text, suffix)
        self._family = None if self._template else Family(Path(text), archive_suffix=suffix)
        if self._template is not None:
            self.wants_blocks = False  # which file it is is seen from the record
        if self._rotation is None:
            self._refuse_without_rotation(retention, compression)
        self.path = Path(text)
        self.name = self.path.name
        self.tell: Callable[[str], None] = tell_on_stderr
        """Called with what goes wrong without loss, in any thread."""
        self.route_defaults: dict[str, Any] = {"encoder": Json(), **_ROUTE_DEFAULTS}
        self._terms = Terms(
            mode=mode,
            rotation=self._rotation,
            fsync=fsync == "batch",
            durable=fsync != "never",
            shared=shared,
            follow=self._rotation is None and self._template is None,
            tell=self._tell,
            lock=threading.Lock,
            turn_at=turn_at,
        )
        self._max_open = max_open
        self._wrap: Callable[..., Any] = wrap
        self._worker: Worker | None = None
        self._upkeep: Upkeep | None = None
        self._upkeep_worker: Worker | None = None
        self._output: Output | None = None
        self._spread: Spread | None = None
        self._last_upkeep: Any = None
        self._stop = threading.Event()
        self._told: dict[str, float] = {}
        self._done: dict[int, Record] = {}
        self._process = 0
        self._refused = 0

    def _refuse_without_rotation(self, retention: Any, compression: Any) -> None:
        if self._compression is not None:
            raise ConfigurationError.of("File.compression", compression, "with rotation only")
        if self._retention and not (self._template and self._template.is_dated):
            accepted = "with rotation, or a date in the path"
            raise ConfigurationError.of("File.retention", retention, accepted)

    # On the loop.

    async def open(self) -> None:
        """Create what is missing, open the file for appending, and start looking after old ones.

        Raises:
            PipelineError: this sink is open already, for another route.
            OSError: no file can be here. A full disk is none of that: records wait for room.
        """
        from ..files.output import Output

        if self._worker is not None and self._process == os.getpid():
            self._refused += 1
            raise PipelineError(
                f"File({str(self.path)!r}) is open already: each route needs its own"
            )
        self._forget()
        self._process = os.getpid()
        self._worker = Worker(f"logflume file {self.name}")
        if self._needs_upkeep or self._terms.durable:
            self._upkeep_worker = Worker(f"logflume upkeep {self.name}")
        if self._needs_upkeep:
            self._upkeep = self._new_upkeep()
        terms = replace(self._terms, rotated=self._after_rotation, later=self._later)
        if self._family is not None:
            self._output = Output(self._family, terms)
        elif self._template is not None:
            from ..files.spread import Spread

            self._spread = Spread(self._template, terms, self._max_open, self._tidy)
        await self._in_thread(self._open)
        if self._sync_every is not None:
            syncing = Worker(f"logflume sync {self.name}")
            syncing.submit(self._sync_until_closed, self._stop, self._sync_every)
            syncing.shutdown()

    async def send(self, batch: SinkBatch, /) -> None:
        """Write the batch.

        Raises:
            Retryable: the system refused; the whole records that it took are passed.
            Rejected: a path with placeholders leads where no file can be.
        """
        if self._spread is not None:
            await self._send_spread(self._spread, batch)
            return
        assert self._output is not None
        written, error = await self._in_thread(
            self._output.write, batch.blocks, batch.sizes, batch.nbytes
        )
        if error is not None:
            batch.advance(written)
            raise Retryable(f"{self.path}: {error.strerror or error}") from error

    async def _send_spread(self, spread: Spread, batch: SinkBatch) -> None:
        known, records = self._done, batch.records
        skip = {i for i, record in enumerate(records) if id(record) in known} if known else set()
        written: Written = await self._in_thread(spread.write, records, batch.encoded, skip)
        self._done = {}
        error = written.error
        if error is not None:
            # The others come again, and with them those behind the first of them: they are known.
            batch.advance(next(i for i in range(len(batch) + 1) if i not in written.done))
            self._done = {id(records[i]): records[i] for i in written.done}
            raise Retryable(f"{error.filename or self.path}: {error.strerror or error}") from error
        error = written.hopeless_error
        if error is not None:
            where = error.filename or self.path
            raise Rejected(
                f"{where}: {error.strerror or error}",
                records=sorted(written.hopeless),
                reason="unwritable path",
            ) from error

    async def aclose(self) -> None:
        """Close the files and let the threads end.

        Files that were rotated are compressed in the time that there is; what is not is left as it
        is, and is compressed after the next start.
        """
        if self._refused:  # whoever could not open it closes it all the same: it is another's
            self._refused -= 1
            return
        worker = self._worker
        if worker is None:
            return
        try:
            await self._in_thread(self._close)
            if self._last_upkeep is not None:
                await self._in_thread(self._last_upkeep.result)
        finally:
            self._stop.set()
            self._worker = None
            worker.shutdown()
            if self._upkeep_worker is not None:
                self._upkeep_worker.shutdown()

    async def _in_thread(self, function: Callable[..., T], *args: Any) -> T:
        """Run a function in this sink's own thread, which a hung disk may keep, but nothing else.

        On asyncio that is aiofiles with the thread as its executor. On trio it is not anyio's
        file API, whose threads cannot be abandoned: a hung disk would hold up the shutdown.
        """
        assert self._worker is not None
        if in_trio():
            return await self._worker.run(function, *args)
        return cast("T", await self._wrap(function)(*args, executor=self._worker))

    def _new_upkeep(self) -> Upkeep:
        from ..files.upkeep import Upkeep

        return Upkeep(
            self._retention,
            self._compression,
            mode=self._terms.mode,
            shared=self._terms.shared,
            clock=self._terms.clock,
            is_open=self._is_open,
            tell=self._tell,
            stop=self._stop.is_set,
            in_turn=self._in_turn,
        )

    def _forget(self) -> None:
        """Begin anew, as after a fork: what was open is the parent's, and so are the threads."""
        for output in self._outputs():
            try:
                output.forget()
            except OSError:
                pass
        self._stop = threading.Event()
        self._refused = 0
        self._output = self._spread = None
        self._upkeep = self._upkeep_worker = self._last_upkeep = None
        self._done = {}

    # In the sink's thread.

    def _open(self) -> None:
        try:
            if self._output is not None:
                self._output.open()
            elif self._template is not None:
                os.makedirs(self._template.folder, exist_ok=True)
        except OSError as error:
            if error.errno not in _PASSING:
                raise
            self._tell(f"{self.path}: not open yet: {error.strerror}")
        if self._output is not None:
            self._tidy(self._output.family)

    def _close(self) -> None:
        errors = []
        for output in self._outputs():
            try:
                output.close()
            except OSError as error:
                errors.append(error)
        if errors:
            raise errors[0]

    def _outputs(self) -> list[Output]:
        if self._output is not None:
            return [self._output]
        return [] if self._spread is None else self._spread.outputs()

    def _tidy(self, family: Family) -> None:
        """Look after what earlier runs have left, in the other thread."""
        if self._upkeep is not None:
            left = family.rotated() if self._compression is not None else []
            self._later(self._upkeep.tidy, family, left)

    def _after_rotation(self, family: Family, path: Path) -> None:
        if self._upkeep is not None:
            self._later(self._upkeep.rotated, family, path)

    def _in_turn(self, path: Path, work: Callable[[], None]) -> None:
        turn_at(path, "upkeep").do(work, self._stop.is_set)

    def _later(self, work: Callable[..., None], *args: Any) -> None:
        assert self._upkeep_worker is not None
        self._last_upkeep = self._upkeep_worker.submit(work, *args)

    # In any thread.

    def _is_open(self, path: Path) -> bool:
        return self._spread is not None and self._spread.is_open(path)

    def _sync_until_closed(self, stop: threading.Event, seconds: float) -> None:
        while not stop.wait(min(seconds, threading.TIMEOUT_MAX)):
            for output in self._outputs():
                try:
                    output.sync()
                except OSError as error:
                    self._tell(f"{output.path}: not synced: {error.strerror or error}")

    def _tell(self, text: str) -> None:
        """Tell of trouble that loses nothing, once in a while."""
        now = time.monotonic()
        if now - self._told.get(text, -TELL_AGAIN) < TELL_AGAIN:
            return
        if len(self._told) >= 256:
            self._told.clear()
        self._told[text] = now
        self.tell(text)


def _path_text(path: object) -> str:
    if not isinstance(path, str | os.PathLike) or not os.fspath(path):
        raise ConfigurationError.of("File.path", path, "the path of a file")
    text = os.fspath(path)
    if not isinstance(text, str) or "\0" in text:
        raise ConfigurationError.of("File.path", path, "a path of text, without NUL")
    return text


def _template_of(text: str, suffix: str) -> PathTemplate | None:
    if "{" not in text and "}" not in text:
        return None
    from ..files import spread  # noqa: F401 - for `open`
    from ..files.paths import PathTemplate

    return PathTemplate(text, suffix)


def _rules_of(
    rotation: Any, retention: Any, compression: Any
) -> tuple[Rotation | None, Retention | None, Compression | None]:
    """Read the settings about rotated files; None for those that are not given."""
    rotate = retain = compress = None
    if rotation is not None:
        from ..files.rotation import rotation_of

        rotate = rotation_of(rotation)
    if retention is not None or compression is not None:
        from ..files import upkeep  # noqa: F401 - for `open`
        from ..files.compression import compression_of
        from ..files.retention import retention_of

        retain, compress = retention_of(retention) or None, compression_of(compression)
    return rotate, retain, compress


def _check(mode: object, shared: object) -> None:
    from ..files.shared import can_share

    if not isinstance(mode, int) or isinstance(mode, bool) or not 0 <= mode <= 0o777:
        raise ConfigurationError.of("File.mode", mode, "permissions from 0 to 0o777")
    if not isinstance(shared, bool) or (shared and not can_share):
        accepted = "True or False" if can_share else "False: this system has no `flock`"
        raise ConfigurationError.of("File.shared", shared, accepted)


def _seconds_of(fsync: object) -> float | None:
    """Return every how many seconds files are synced; None if not by the clock."""
    if fsync in ("never", "batch"):
        return None
    try:
        seconds = float(fsync) if isinstance(fsync, str) else fsync  # as text from a variable
        positive("File.fsync", seconds)
    except ValueError:
        raise ConfigurationError.of(
            "File.fsync", fsync, "'never', 'batch' or a number of seconds above 0"
        ) from None
    return float(seconds)  # type: ignore[arg-type]

"""Reloading when the file changes, with watchfiles: `pip install logflume[watch]`.

A thread of its own watches the folder, since editors and deployments replace files rather than
write to them, and looks at what the file says: only that counts, not what happens around it. Not
a task with `watchfiles.awatch`: that would keep one of the threads of the program's loop.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

from ..engine.pipeline import Pipeline
from ..engine.plan import Plan
from ..errors import ConfigurationError, LogflumeError
from ..logger import get_logger

__all__ = ["Watched", "watchable"]

QUIET_MS = 200
"""How long a folder has to be quiet before the file is read; doubled at most, then read anyway."""

LOOK_MS = 5_000
"""How often the file is looked at without any news, for folders that tell none."""


def watchable(plan: Plan) -> Plan:
    """Return the plan, if its file can be watched.

    Raises:
        ConfigurationError: it comes from no file, or watchfiles is not installed.
    """
    if not isinstance(plan.source, Path):
        raise ConfigurationError.of("watch", True, "only for a configuration from a file")
    try:
        import watchfiles  # noqa: F401 - here, so that no thread is the first to import it
    except ImportError as error:
        raise ConfigurationError.of(
            "watch", True, "with the extra: pip install 'logflume[watch]'"
        ) from error
    return plan


class Watched(Pipeline):
    """A pipeline that is reloaded whenever the file that it was made of changes."""

    _watcher: _Watcher | None = None

    def _on_open(self) -> None:
        super()._on_open()
        path = self.configured.source
        assert isinstance(path, Path)
        self._watcher = _Watcher(self, path)
        self._watcher.start()

    def _on_close(self) -> float:
        if self._watcher is not None:
            self._watcher.stop.set()
        return super()._on_close()


class _Watcher(threading.Thread):
    """Watches one file for one pipeline, until told to stop."""

    def __init__(self, pipeline: Pipeline, path: Path) -> None:
        super().__init__(name="logflume watch", daemon=True)
        self.stop = threading.Event()
        self._pipeline = pipeline
        self._path = path
        self._said = pipeline.configured.text

    def run(self) -> None:
        from watchfiles import watch

        log = get_logger("logflume")
        try:
            for _ in watch(
                self._path.parent,
                watch_filter=None,
                debounce=2 * QUIET_MS,
                step=QUIET_MS,
                stop_event=self.stop,
                rust_timeout=LOOK_MS,
                yield_on_timeout=True,
                raise_interrupt=False,
                recursive=False,
            ):
                self._look(log)
        except Exception as error:  # the folder is gone, or the system has no watch left
            if not self.stop.is_set():
                log.error("Configuration {path} is no longer watched: {error}", **self._of(error))

    def _look(self, log: Any) -> None:
        try:
            said = self._path.read_bytes()
        except OSError:  # it is just being replaced, or gone: the last one stays
            return
        if said == self._said or self.stop.is_set():
            return
        self._said = said
        try:
            self._pipeline.reload_and_wait()
        except LogflumeError as error:
            if not self.stop.is_set():
                log.error("Configuration stays as it was: {error}", **self._of(error))
        else:
            if not self.stop.is_set():  # or it would open the default pipeline
                log.info("Configuration taken on from {path}", path=str(self._path))

    def _of(self, error: Exception) -> dict[str, str]:
        return {"path": str(self._path), "error": str(error)}

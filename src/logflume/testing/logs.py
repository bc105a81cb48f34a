"""What a capture has taken, and what a test may ask of it."""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Any, overload

import anyio

from ..engine.backend import in_loop, running_loop
from ..errors import ConfigurationError, PipelineError
from ..level import Level
from ..record import Record
from ..setting import positive
from ._forks import renew_in_children
from .match import Text, Wanted, line_of, nearest

__all__ = ["Logs"]

_SHOWN = 50


class Logs(Sequence[Record]):
    """The records that a `capture()` has taken, in the order of the calls; read it at any time,
    in the block and after it, from any thread.

    `len`, indexing and iteration go over records, each a `logflume.Record`: `level`, `message`,
    `template`, `fields`, `logger`, `exception`, `site`, `to_dict()`. What all the questions below
    accept:

    - `message`: the rendered text or the template, in full; a compiled pattern, which is searched;
      or a function `str -> bool`
    - `level`: just that one; `at_least`: that one and those above
    - `logger`: its name, a pattern or a function
    - `exception`: a class or its name (not its bases), True for any, False for none
    - any other keyword: a field by that name, equal to the value; a class stands for its
      instances, a pattern is searched, a function says whether it is the one. `fields` takes those
      whose names are taken here: `fields={"level": 3}`.

        logs.assert_logged("User {user} logged in", level="INFO", user="alice", id=int)
    """

    def __init__(self) -> None:
        # Each call's own list: what becomes of a call may be known only later, in its place.
        self._slots: list[list[Record]] = []
        self._settle: Callable[[bool], Awaitable[bool]] = _nothing_to_settle
        renew_in_children(self)

    def _renew(self) -> None:
        self._came = threading.Condition()
        self._wakes: list[Callable[[], object]] = []

    def _put(self, records: list[Record]) -> None:
        """Take what became of a call, from any thread; for the capture only."""
        with self._came:
            self._slots.append(records)
            self._tell()

    def _tell(self) -> None:
        """Say that something came or changed."""
        with self._came:
            self._came.notify_all()
            wakes, self._wakes = self._wakes, []
        for wake in wakes:
            wake()

    # Looking at it.

    @property
    def records(self) -> list[Record]:
        """The records so far."""
        return [record for slot in self._slots.copy() for record in slot]

    @property
    def messages(self) -> list[str]:
        """Their rendered messages."""
        return [record.message for record in self.records]

    @overload
    def __getitem__(self, index: int, /) -> Record: ...

    @overload
    def __getitem__(self, index: slice, /) -> list[Record]: ...

    def __getitem__(self, index: int | slice, /) -> Record | list[Record]:
        return self.records[index]

    def __len__(self) -> int:
        return len(self.records)

    def __iter__(self) -> Iterator[Record]:
        return iter(self.records)

    def __repr__(self) -> str:
        return f"<Logs: {_count(len(self))}>"

    def __str__(self) -> str:
        records = self.records
        lines = [line_of(record) for record in records[-_SHOWN:]]
        if len(records) > _SHOWN:
            lines.insert(0, f"... {len(records) - _SHOWN} more before these")
        return "\n".join(lines) or "(nothing was logged)"

    def clear(self) -> None:
        """Forget the records so far."""
        self._slots = []

    # Asking.

    def find(
        self,
        message: Text | None = None,
        *,
        level: str | int | Level | None = None,
        at_least: str | int | Level | None = None,
        logger: Text | None = None,
        exception: type[BaseException] | str | bool | None = None,
        fields: Mapping[str, Any] | None = None,
        **more_fields: Any,
    ) -> list[Record]:
        """Return the records that are like this, in their order; none is an empty list.

        Raises:
            ConfigurationError: a level or a pattern means nothing.
        """
        wanted = Wanted.of(
            message, level=level, at_least=at_least, logger=logger, exception=exception,
            fields=fields, **more_fields,
        )  # fmt: skip
        return self._like(wanted)

    def one(self, message: Text | None = None, **wanted: Any) -> Record:
        """Return the one record that is like this; asked as `find` is.

        Raises:
            AssertionError: there is none, or there are several: it shows them, or the nearest.
        """
        __tracebackhide__ = True
        return self._several(Wanted.of(message, **wanted), 1)[0]

    def assert_logged(
        self, message: Text | None = None, *, times: int | None = None, **wanted: Any
    ) -> Record:
        """Return the first record that is like this; asked as `find` is.

        Raises:
            AssertionError: there is none, or not as many as `times`: it shows the nearest records,
                and in what they differ.
        """
        __tracebackhide__ = True
        asked = Wanted.of(message, **wanted)
        if times is None:
            found = self._like(asked)
            if not found:
                raise AssertionError(self._without(asked))
            return found[0]
        if isinstance(times, bool) or not isinstance(times, int) or times < 1:
            raise ConfigurationError.of("times", times, "a whole number above 0")
        return self._several(asked, times)[0]

    def assert_none(self, message: Text | None = None, **wanted: Any) -> None:
        """Say that no record is like this; asked as `find` is, without anything: none at all.

        Raises:
            AssertionError: there are some: it shows them.
        """
        __tracebackhide__ = True
        asked = Wanted.of(message, **wanted)
        found = self._like(asked)
        if found:
            raise AssertionError(f"{_count(len(found))} with {asked}:\n{_shown(found)}")

    def _like(self, wanted: Wanted) -> list[Record]:
        return [record for record in self.records if wanted.matches(record)]

    def _several(self, wanted: Wanted, times: int) -> list[Record]:
        __tracebackhide__ = True
        found = self._like(wanted)
        if not found:
            raise AssertionError(self._without(wanted))
        if len(found) != times:
            raise AssertionError(
                f"{_count(len(found))}, not {times}, with {wanted}:\n{_shown(found)}"
            )
        return found

    def _without(self, wanted: Wanted) -> str:
        """Return what to say when no record is like this."""
        records = self.records
        if not records:
            text = f"no record with {wanted}: nothing was logged"
        else:
            lines = nearest(wanted, records)
            text = "\n".join([f"no record with {wanted}; nearest of {len(records):,}:", *lines])
        late = sum(not slot for slot in self._slots)
        return text if not late else f"{text}\n({_count(late)} filtered, or not settled yet)"

    # Waiting.

    async def until(
        self, message: Text | None = None, *, within: float = 5.0, **wanted: Any
    ) -> Record:
        """Wait until a record is like this, and return it; asked as `find` is. On any loop.

        Raises:
            AssertionError: none came in `within` seconds: it shows the nearest.
        """
        __tracebackhide__ = True
        asked = Wanted.of(message, **wanted)
        positive("until.within", within)
        with anyio.move_on_after(within):
            while True:
                news = anyio.Event()
                here = running_loop()
                with self._came:
                    self._wakes.append(lambda news=news, here=here: here.post(news.set))  # type: ignore[misc]
                # Looked at before as well: what is there need not wait for what is late.
                if found := self._like(asked):
                    return found[0]
                await self._settle(False)
                if found := self._like(asked):
                    return found[0]
                await news.wait()
        raise AssertionError(f"in {within:g} s, {self._without(asked)}")

    def wait(self, message: Text | None = None, *, within: float = 5.0, **wanted: Any) -> Record:
        """Block until a record is like this, and return it: `until` for a thread without a loop.

        Raises:
            AssertionError: none came in `within` seconds: it shows the nearest.
            PipelineError: this thread runs an event loop, which it would block.
        """
        __tracebackhide__ = True
        asked = Wanted.of(message, **wanted)
        positive("wait.within", within)
        if in_loop():
            raise PipelineError("wait() would block the event loop: use `await logs.until(...)`")
        with self._came:
            if self._came.wait_for(lambda: bool(self._like(asked)), within):
                return self._like(asked)[0]
        raise AssertionError(f"in {within:g} s, {self._without(asked)}")

    async def settle(self, *, within: float = 5.0) -> None:
        """Wait until nothing more is being logged on this loop, and all of it is here.

        That is: until all other tasks wait for something, the async callables of `opt(lazy=True)`
        and the async processors are done, and processors have given out what they kept back. Other
        threads, and tasks that sleep, are not waited for: `until` and `wait` are for these.

        Raises:
            TimeoutError: it went on for `within` seconds.
        """
        positive("settle.within", within)
        with anyio.move_on_after(within):
            while True:
                before = len(self._slots)
                await anyio.wait_all_tasks_blocked()
                if not await self._settle(True) and len(self._slots) == before:
                    return
        raise TimeoutError(f"not settled in {within:g} s; the last record: {str(self)[-500:]}")


async def _nothing_to_settle(sinks: bool) -> bool:
    return False


def _count(number: int) -> str:
    return "1 record" if number == 1 else f"{number:,} records"


def _shown(records: Sequence[Record]) -> str:
    lines = [f"  {line_of(record)}" for record in records[:_SHOWN]]
    return "\n".join(lines)

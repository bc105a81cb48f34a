"""The door: the one bounded queue between the callers of a pipeline and its loop.

The way in is split by thread. On the loop's own thread nothing can come between two steps of a
call, so the common case takes no lock: one comparison of the queue's length with `mark`, one
append. `mark` is 0 whenever anything else is to be looked at (the pump sleeps, somebody waits,
a route asks callers to wait, the door is closed), and every such case, as well as every call from
another thread, goes the long way, under the lock. The pump runs on the loop's thread too, so it
cannot fall asleep between a comparison and its append.

The loop is woken once per batch: by the first record that comes while the pump sleeps. The wake-up
is sent before the sleeping mark is taken away, so an exception in between (a KeyboardInterrupt,
say) can lead to one wake-up too many, never to one too few.

The lock is re-entrant because a signal handler or finalizer may log while its thread holds it.
It is held for a few instructions, never across an await or a call of foreign code.

Why not anyio's memory object stream: it must not be fed from a foreign thread, and it wakes its
receiver once per item.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Callable, Coroutine
from typing import Any

import anyio
from anyio.lowlevel import cancel_shielded_checkpoint, checkpoint_if_cancelled

from ..capture import DONE
from ..level import ERROR
from ..record import Record
from ..stats import Counts
from .backend import Loop, in_loop, running_loop, within
from .ledger import News
from .pace import Pace

__all__ = ["Door"]

TURN = 1_024
"""After how many records, at the latest, a waiting caller lets its loop turn."""

CHUNK = 512
"""How many records the pump takes at most."""

DOOR = "door"
FULL = "door full"
CLOSED = "closed"
CANCELLED = "cancelled"


class _Waiter:
    """A record that waits for room, and how to tell its caller."""

    __slots__ = ("notify", "over", "record")

    def __init__(self, record: Record, notify: Callable[[], object]) -> None:
        self.record = record
        self.notify = notify
        self.over = False


class Door:
    """A bounded, thread-safe queue with one consumer: an `Intake` for loggers.

    Records of one thread or task stay in order; waiting callers are served first come, first
    served. The last tenth of the room is kept for ERROR and above.
    """

    def __init__(
        self,
        capacity: int,
        block_timeout: float,
        wants: Callable[[int], bool],
        news: News,
    ) -> None:
        self.ident = -1  # no thread, until `bind`
        self.thread = ""
        self.task_key: Any = None
        self.tasks_have_names = False
        self.task_of: Callable[[Any], Any] = _no_task
        self.wants = wants
        self._here: Loop | None = None
        self._room = capacity - capacity // 10
        self._capacity = capacity
        self._block_timeout = block_timeout
        # In hand and let in without a look: a burst each. A door of one has no short way.
        self._short = self._room // 2
        self._pace = Pace(self._short)
        self._most = max(1, min(CHUNK, self._room - self._pace.burst))
        self._news = news
        self.queue: deque[Record] = deque()
        self.mark = 0
        self._lock = threading.RLock()
        self._waiters: deque[_Waiter] = deque()
        self._urgent: deque[_Waiter] = deque()  # those with ERROR and above, served first
        self._gated = False
        self._asleep = self._resting = False
        self._ending = self._closed = False
        self._alarm: anyio.Event | None = None
        self._from_afar = 0
        self._taken = 0
        self._in_hand = 0
        self.special = self._special = False
        self._unturned = 0
        self.step: Callable[[], None] = no_step
        """Moves what is in the queue on to the routes; what it is replaced by, if it can be."""
        self._delivered = 0
        self._filtered = 0
        self._dropped: Counter[str] = Counter()
        self._lost_inside = 0

    def bind(self, here: Loop) -> None:
        """Make a loop's thread the home of this door."""
        self._here = here
        self.thread = here.thread
        self.task_key = here.task_key
        self.tasks_have_names = here.tasks_have_names
        self.task_of = here.task_of
        self.ident = here.ident
        with self._lock:
            self._remark()

    # The ways in: Intake. The short way (a queue shorter than the mark) is the logger's.

    def submit(self, record: Record) -> None:
        """Put a record in, on the home thread; without room it is dropped and counted."""
        with self._lock:
            if not self._put(record):
                self._drop(CLOSED if self._closed else FULL)

    def asubmit(self, record: Record) -> Coroutine[Any, Any, None]:
        """Put a record in, on the home thread; without room, the result waits for it.

        A caller that comes again and again moves the queue on by itself, most times: see `Pace`.
        """
        with self._lock:
            if not self._gated and len(self.queue) < self._pace.burst and self._put(record):
                return DONE
        if self._may_step():
            self._unturned += len(self.queue)
            if self._unturned < TURN:
                self.step()
                with self._lock:
                    if not self._gated and self._put(record):
                        return DONE
            self._unturned = 0
        return self._enter(record)

    def _may_step(self) -> bool:
        """Whether the records can be moved on by a caller, as the pump would do it now."""
        return (
            self.step is not no_step
            and len(self.queue) >= self._pace.burst
            and not (self._in_hand or self._special or self._closed)
            and not (self._gated or self._waiters or self._urgent)
        )

    def submit_from_afar(self, record: Record) -> None:
        """Put a record in, from another thread; without room, wait for it if that is allowed."""
        if in_loop():
            self.submit(record)
            return
        with self._lock:
            if self._settled_at_once(record):
                return
            came = threading.Event()
            waiter = self._join(_Waiter(record, came.set))
        came.wait(within(self._block_timeout))
        with self._lock:
            if not waiter.over:
                self._leave(waiter)
                if not self._put(record, jump=True):
                    self._drop(FULL)

    def asubmit_from_afar(self, record: Record) -> Coroutine[Any, Any, None]:
        """Put a record in, from another thread's loop; without room, the result waits for it."""
        self._from_afar += 1  # not exact between threads: it only spaces the turns of loops
        if self._from_afar % TURN:
            with self._lock:
                if not self._gated and self._put(record):
                    return DONE
        return self._enter(record)

    # The long way.

    async def _enter(self, record: Record) -> None:
        """Go in and let the loop turn, or wait in line: in the order of the calls."""
        try:
            await checkpoint_if_cancelled()
        except BaseException:
            with self._lock:
                self._drop(CANCELLED)
            raise
        if self._settled_at_once(record):
            await cancel_shielded_checkpoint()
            return
        event = anyio.Event()
        here = running_loop()
        waiter = _Waiter(record, lambda: here.call(event.set))
        with self._lock:
            if self._settled_at_once(record):
                return
            self._join(waiter)
        try:
            await event.wait()
        except BaseException:
            with self._lock:
                if not waiter.over:
                    self._leave(waiter)
                    self._drop(CANCELLED)
            raise

    def _settled_at_once(self, record: Record) -> bool:
        """Let the record in or turn it away, unless it has to wait for room."""
        with self._lock:
            if self._closed:
                self._drop(CLOSED)
                return True
            return not self._gated and self._put(record)

    def _put(self, record: Record, *, jump: bool = False) -> bool:
        """Append if there is room and nobody of the same right waits. Under the lock."""
        urgent = record.level.no >= ERROR.no
        line = self._urgent if urgent else self._waiters
        # While the gate is shut, those in line wait for that and not for room: none is taken away.
        if self._closed or (line and not jump and not self._gated):
            return False
        if len(self.queue) + self._in_hand >= (self._capacity if urgent else self._room):
            return False
        self.queue.append(record)
        if record.extra is not None:
            self._special = True
        if self._asleep or (self._resting and self._many):
            self._rouse()
        return True

    @property
    def _many(self) -> bool:
        """Whether enough have gathered to end a rest."""
        return len(self.queue) >= self._pace.few

    def _rouse(self) -> None:
        """Wake the pump. Under the lock."""
        here, alarm = self._here, self._alarm
        if here is not None and alarm is not None and not here.call(alarm.set):
            return  # the stack is full: the next record does it
        self._asleep = self._resting = False
        self._remark()

    def _join(self, waiter: _Waiter) -> _Waiter:
        self._line_of(waiter.record).append(waiter)
        if self._resting:
            self._rouse()
        self._remark()
        return waiter

    def _leave(self, waiter: _Waiter) -> None:
        waiter.over = True
        self._line_of(waiter.record).remove(waiter)
        self._remark()

    def _line_of(self, record: Record) -> deque[_Waiter]:
        return self._urgent if record.level.no >= ERROR.no else self._waiters

    def _drop(self, reason: str) -> None:
        """Count a record that was turned away. Under the lock."""
        self._dropped[reason] += 1
        self._news.add(DOOR, reason, 1)

    def _remark(self) -> None:
        """Say up to which length the short way is open. Under the lock."""
        shut = self._asleep or self._gated or self._closed or self._waiters or self._urgent
        self.mark = 0 if shut else min(self._short, self._pace.now)

    # The consumer's side: only on the home thread.

    def take(self) -> list[Record]:
        """Take the next records out, in order; they count as pending until `settle`.

        Afterwards, `special` says whether any of them may have an `extra`.
        """
        queue, most = self.queue, self._most
        with self._lock:
            self.special = self._special
            if len(queue) <= most:
                records = list(queue)
                queue.clear()
                self._special = False
            else:
                records = [queue.popleft() for _ in range(most)]
            self._taken += len(records)
            self._in_hand = len(records)
            if self._pace.see(records):
                self._remark()
        return records

    def settle(self, delivered: int, filtered: int) -> None:
        """Say what became of records taken; filtered is negative if kept ones are given out."""
        with self._lock:
            self._delivered += delivered
            self._filtered += filtered
            self._in_hand -= delivered + filtered
            if self._filtered < 0:  # a processor made up records: they were received from it
                self._taken, self._filtered = self._taken - self._filtered, 0
            if self._waiters or self._urgent:
                self._admit()

    def lose(self, count: int, reason: str) -> None:
        """Say that records taken were lost on the way to the routes."""
        with self._lock:
            self._in_hand -= count
            self._dropped[reason] += count
            self._lost_inside += count
            self._admit()

    def gate(self, shut: bool) -> None:
        """Ask callers that can wait to do so (or no longer), though there is room."""
        with self._lock:
            self._gated = shut and not self._ending
            self._admit()

    def _admit(self) -> None:
        for line in (self._urgent, self._waiters):
            while line and not self._gated and self._put(line[0].record, jump=True):
                waiter = line.popleft()
                waiter.over = True
                waiter.notify()
        self._remark()

    async def sleep(self) -> bool:
        """Wait until there is a record, or the end has come.

        False if it has come and all is taken: the door is closed then.
        """
        alarm = anyio.Event()
        with self._lock:
            if self.queue:
                return True
            if self._ending:  # closed in the same breath, or a record could slip in between
                self.close()
                return False
            self._alarm = alarm
            self._asleep = True
            self._remark()
        try:
            await alarm.wait()
        finally:
            with self._lock:
                self._asleep = False
                self._alarm = None
                self._remark()
        return True

    async def rest(self, seconds: float) -> None:
        """Let records gather for some time; not if there are many, or somebody is in a hurry."""
        alarm = anyio.Event()
        with self._lock:
            if self._many or self._waiters or self._urgent or self._ending:
                return
            self._alarm = alarm
            self._resting = True
        try:
            with anyio.move_on_after(seconds):
                await alarm.wait()
        finally:
            with self._lock:
                self._resting = False
                self._alarm = None

    def hurry(self) -> None:
        """End the pump's sleep or rest: somebody waits for what is inside."""
        with self._lock:
            if self._asleep or self._resting:
                self._rouse()

    def end(self) -> None:
        """Let those who wait in, and the pump know that `close` is next."""
        with self._lock:
            self._ending = True
            self._gated = False
            self._admit()
            if self._asleep or self._resting:
                self._rouse()

    def close(self) -> None:
        """Take nothing more; callers that still wait are turned away, and told so by return."""
        with self._lock:
            self._closed = True
            for line in (self._urgent, self._waiters):
                while line:
                    waiter = line.popleft()
                    waiter.over = True
                    self._drop(CLOSED)
                    waiter.notify()
            self._remark()

    def abandon(self, reason: str) -> int:
        """Drop what is still inside, counted; return how many records."""
        with self._lock:
            lost = len(self.queue) + self._in_hand
            self._taken += len(self.queue)
            self.queue.clear()
            self._in_hand = 0
            if lost:
                self._dropped[reason] += lost
                self._lost_inside += lost
        return lost

    # What others may see, from any thread.

    @property
    def accepted(self) -> int:
        """How many records were let in so far."""
        with self._lock:
            return self._taken + len(self.queue)

    @property
    def settled(self) -> int:
        """How many of them went on to routes, or were filtered or lost."""
        with self._lock:
            return self._taken - self._in_hand

    @property
    def is_closed(self) -> bool:
        """Whether it takes nothing more."""
        return self._closed

    def counts(self) -> Counts:
        """Return the numbers as they are at one moment."""
        with self._lock:
            queued = len(self.queue)
            dropped = {reason: n for reason, n in self._dropped.items() if n}
            turned_away = sum(dropped.values()) - self._lost_inside
            return Counts(
                received=self._taken + queued + turned_away,
                delivered=self._delivered,
                filtered=self._filtered,
                dropped=dropped,
                pending=queued + self._in_hand,
            )


def _no_task(key: Any) -> None:
    return None


def no_step() -> None:
    """The step of a door whose records need more than that."""

"""One record for many that say the same.

Time is cut into windows, the same for all keys. With a window per key, the records of each would
have to be looked at by times of their own, and a flush, which gives out all that is kept, could not
be told from the end of one of them; yet no more than two records per key and window come out
either way.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable

from ..key import Key, brief, key_of
from ..record import Record
from ..setting import function, name_of_field, positive
from ..snapshot import safe_repr

__all__ = ["Dedupe"]


class Dedupe:
    """Collapse repeats: the first one passes at once, the others of its window become one.

    Within `window` seconds (from the first record on, then from the first one after that), a
    record that was there before is kept back. When the window is over, the last one of each goes
    out, with how many were kept back in the field `repeated` and in its message:

        Cannot reach db (repeated 37 times)

    All others are filtered for good. So at most two of each come out of a window, and nothing is
    made up: the first and the last, each with its own time. It does not matter what other tasks
    log in between. What goes out together is in the order in which it came, before the record
    whose arrival ended the window; other records have overtaken it.

    Records are the same if level, logger, message, fields and exception (type and message) are;
    a field that differs each time, such as a request's id, takes a `key` that leaves it out: the
    name of a field (records without it are the same) or a callable:

        processors.Dedupe(30, key=lambda record: (record.logger, record.message))

    A flush gives out what is kept, and so does the end of the pipeline. More than `max_keys`
    different records end the window early. Steps that change fields or messages go before this one.
    """

    inline = True

    def __init__(
        self,
        window: float = 10.0,
        *,
        key: Key | None = None,
        field: str = "repeated",
        max_keys: int = 4_096,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        positive("Dedupe.window", window)
        name_of_field("Dedupe.field", field)
        positive("Dedupe.max_keys", max_keys, whole=True)
        function("Dedupe.clock", clock)
        self._key = _content if key is None else key_of("Dedupe.key", key)
        self._window = window
        self._max_keys = max_keys
        self._field = field
        self._clock = clock
        self._ends = 0.0
        self._seen: set[Hashable] = set()
        # The last repeat of each key and how many there were, in the order of their arrival.
        self._kept: dict[Hashable, tuple[Record, int]] = {}

    def __call__(self, record: Record) -> Record | list[Record] | None:
        """Return the record, None for a repeat; first what is left of a window that is over."""
        key = self._key(record)
        now = self._clock()
        if now < self._ends and key in self._seen:
            _, count = self._kept.pop(key, (record, 0))
            self._kept[key] = record, count + 1
            return None
        given_out: list[Record] = []
        if now >= self._ends or len(self._seen) >= self._max_keys:
            given_out = self._give_out()
            self._seen.clear()
            self._ends = now + self._window
        self._seen.add(key)
        return [*given_out, record] if given_out else record

    def due(self) -> float | None:
        """Return when the window ends, None if it has had no repeats."""
        return self._ends if self._kept else None

    def release(self) -> list[Record]:
        """Return the last repeat of each; until the window ends, more are kept back."""
        return self._give_out()

    def forget(self) -> None:
        """Let go of all that is kept, as a child process does: its parent gives it out."""
        self._kept.clear()
        self._seen.clear()

    def _give_out(self) -> list[Record]:
        given_out = [self._sum(record, count) for record, count in self._kept.values()]
        self._kept.clear()
        return given_out

    def _sum(self, record: Record, count: int) -> Record:
        times = "once" if count == 1 else f"{count} times"
        return record.replace(
            message=f"{record.message} (repeated {times})",
            fields={**record.fields, self._field: count},
        )


def _content(record: Record) -> Hashable:
    exception = record.exception
    raised = None if exception is None else (exception.type, brief(exception.message))
    # As text, the fields can be looked up whatever they are, and 1, 1.0 and True stay apart.
    fields = brief(safe_repr(record.fields)) if record.fields else None
    return record.level.no, record.logger, brief(record.message), fields, raised

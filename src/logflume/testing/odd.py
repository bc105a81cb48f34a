"""Records as nobody would log them, and somebody does."""

from __future__ import annotations

import datetime
import decimal
import math
import pathlib
import uuid
from typing import Any

from ..level import Level
from ..record import Record
from .made import record_of

__all__ = ["odd_records"]

_CONTROLS = "\r\n\x00\x1b[31m\x9b\u2028\u202e\x85\ud800"
_OWN_NAMES = ("level", "message", "timestamp", "fields", "logger", "exception", "time", "ts", "msg")
_AT = datetime.datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=datetime.UTC)


class _Unprintable:
    def __repr__(self) -> str:
        raise RuntimeError("no")


def odd_records() -> dict[str, Record]:
    """Return records with values, names and sizes that break plug-ins, each by what is odd.

    Made anew by each call. All of them can come out of log calls.
    """
    records = {name: record_of("said", value=value) for name, value in _values().items()}
    records |= {f"argument: {n}": record_of("%s", v) for n, v in _values().items()}
    records |= {
        "nothing": record_of(""),
        "no fields": record_of("said"),
        "control characters in the message": record_of(_CONTROLS),
        "control characters in a name": _with({_CONTROLS: 1}),
        "control characters in the logger": record_of("said", logger=_CONTROLS),
        "a name that is empty": _with({"": 1}),
        "names of the record's own": _with(dict.fromkeys(_OWN_NAMES, "mine")),
        "dotted names": _with({"http.request": 1, "http.request.id": 2}),
        "many fields": _with({f"field_{n}": n for n in range(500)}),
        "a long message": record_of("long " * 20_000),
        "braces and percent signs": record_of("{} {0} {x!r:>9} %s %(y)s {{", x=1),
        "an exception": record_of("said", exception=_error()),
        "a level of its own": record_of("said", level=Level(33, f"ODD{_CONTROLS}")),
        "level 0": record_of("said", level=0),
        "before 1970": record_of("said", time_ns=-1),
    }
    return records


def _with(fields: dict[str, Any]) -> Record:
    return record_of("said").replace(call_fields=fields)


def _values() -> dict[str, Any]:
    ring: list[Any] = [1]
    ring.append(ring)
    deep: Any = 1
    for _ in range(100):
        deep = {"deeper": deep}
    return {
        "None": None,
        "a boolean": True,
        "a huge number": 10**5_000,
        "more than 64 bits": -(2**70),
        "not a number": math.nan,
        "infinity": -math.inf,
        "a decimal": decimal.Decimal("1e-999"),
        "a complex number": 1j,
        "control characters": _CONTROLS,
        "a long text": "x" * 100_000,
        "bytes": b"\xff\x00\n",
        "a time": _AT,
        "a time without a zone": _AT.replace(tzinfo=None),
        "a date": _AT.date(),
        "a time of day": _AT.time(),
        "a duration": datetime.timedelta(-1, microseconds=1),
        "a UUID": uuid.UUID(int=1),
        "a path": pathlib.PurePosixPath("/odd\n"),
        "an empty mapping": {},
        "a mapping with odd keys": {1: 1, None: 2, False: 3, (1, 2): 4, 1.5: 5, b"x": 6, "": 7},
        "a list that holds itself": ring,
        "a deep mapping": deep,
        "a long list": list(range(5_000)),
        "a set": {1},
        "an exception as a value": ValueError(_CONTROLS),
        "what cannot be shown": _Unprintable(),
    }


def _error() -> BaseException:
    try:
        try:
            raise KeyError(_CONTROLS)
        except KeyError as cause:
            members = [ValueError("a"), OSError(2, "b")]
            raise ExceptionGroup(f"several{_CONTROLS}", members) from cause
    except ExceptionGroup as error:
        error.add_note(_CONTROLS)
        return error

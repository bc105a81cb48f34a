"""Records made to order, without a logger."""

from __future__ import annotations

import sys
import time

from ..exception import take_exception
from ..level import Level, parse_level
from ..record import Extra, Record
from ..snapshot import safe_str, snapshot_args, snapshot_fields

__all__ = ["record_of"]


def record_of(
    message: object = "said",
    /,
    *args: object,
    level: str | int | Level = "INFO",
    logger: str = "test",
    time_ns: int | None = None,
    exception: BaseException | None = None,
    **fields: object,
) -> Record:
    """Make a record as a log call does, values and all, without logging it: to try a processor,
    an encoder or a filter with. The call site is the caller's.

        Json().encode(record_of("User {user} logged in", user="alice", level="WARNING"))

    Raises:
        ConfigurationError: the level is unknown.
    """
    frame = sys._getframe(1)
    info = take_exception(exception) if exception is not None else None
    return Record(
        time.time_ns() if time_ns is None else time_ns,
        parse_level(level),
        safe_str(message) if type(message) is not str else message,
        snapshot_args(args),
        snapshot_fields(fields),
        {},
        {},
        logger,
        frame.f_code,
        frame.f_lasti,
        "MainThread",
        None,
        Extra(exception=info) if info is not None else None,
    )

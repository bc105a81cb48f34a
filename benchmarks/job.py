"""What one measurement is asked to do, and what a contender hands back to be measured."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from dataclasses import asdict, dataclass
from typing import Final, Literal, TypeAlias

Backend = Literal["asyncio", "uvloop", "trio"]
BACKENDS: Final[tuple[Backend, ...]] = ("asyncio", "uvloop", "trio")

TEMPLATE: Final = "User {user} did action {n}"
"""What every contender logs, each in its own dialect, with `user="alice"` and `n=<counter>`."""

BOUND_2: Final[dict[str, object]] = {"request": "r-7f3a91", "shop": "berlin"}
BOUND_10: Final[dict[str, object]] = {
    **BOUND_2,
    "tenant": "acme",
    "region": "eu-central-1",
    "version": "2026.1.4",
    "attempt": 3,
    "ratio": 0.75,
    "cached": True,
    "session": "5f0c2a9e77",
    "queue": "orders",
}

Sample: TypeAlias = dict[str, float]
"""The figures of one measurement, by name; units are in the names."""


@dataclass(frozen=True, slots=True)
class Job:
    """One measurement: this contender, at this work, with these amounts.

    It begins once the machine is at this `pace`, or `patience_s` seconds were waited for that.
    """

    work: str
    contender: str
    path: str
    records: int
    bound: int = 2
    seconds: float = 0.0
    pace: float = 0.0
    patience_s: float = 0.0

    @property
    def fields(self) -> dict[str, object]:
        """The bound fields, a fresh copy."""
        return dict(BOUND_10 if self.bound == 10 else BOUND_2)

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Job:
        return cls(**json.loads(text))


@dataclass(frozen=True, slots=True)
class Session:
    """An opened contender with a synchronous call.

    `burst(first, count)` logs `count` records numbered from `first`, in one plain loop;
    `flush()` returns once the operating system has every one of them.
    """

    burst: Callable[[int, int], None]
    flush: Callable[[], None]


@dataclass(frozen=True, slots=True)
class AsyncSession:
    """An opened contender whose calls are awaited; otherwise like `Session`."""

    burst: Callable[[int, int], Awaitable[None]]
    flush: Callable[[], Awaitable[None]]


Opened: TypeAlias = AbstractContextManager[Session] | AbstractAsyncContextManager[AsyncSession]
Opener: TypeAlias = Callable[[Job], Opened]


def nothing() -> None:
    """Flush of a contender that has nothing left to flush."""


async def anothing() -> None:
    """Like `nothing`, to be awaited."""

"""Which works there are, and which contenders take part in each."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Final, Literal

from benchmarks.job import BACKENDS, Backend, Opener

Measure = Literal["throughput", "below", "requests", "lag", "imports", "memory"]


@dataclass(frozen=True, slots=True)
class Contender:
    """One row of a work's table.

    `opener` is `module:function` below `contenders/`, imported only in the process that
    measures it. `share` is the part of the work's records that a slow one is given. `base`
    names the contender that this one is compared with, beside it. `structured` is
    false where the output has no fields.
    """

    name: str
    opener: str = ""
    backend: Backend | None = None
    base: str = ""
    share: float = 1.0
    structured: bool = True
    note: str = ""

    def load(self) -> Opener:
        """Import the library and return the function that opens it."""
        module, _, function = self.opener.partition(":")
        opener: Opener = getattr(
            importlib.import_module(f"benchmarks.contenders.{module}"), function
        )
        return opener


@dataclass(frozen=True, slots=True)
class Work:
    """One table: what is measured, how, and on whom."""

    name: str
    title: str
    measure: Measure
    contenders: tuple[Contender, ...]
    text: str
    bound: int = 2
    records: int | None = None  # where it does not depend on --records
    seconds: float = 4.0
    max_rounds: int = 1_000
    times: int = 1  # how many times the rounds asked for: more where they differ much
    timeout_s: float = 180.0


def _each(name: str, opener: str, *, base: str = "", note: str = "") -> tuple[Contender, ...]:
    """The same contender on every backend; `{}` in names stands for the backend."""
    return tuple(
        Contender(name.format(b), opener, b, base=base.format(b), note=note) for b in BACKENDS
    )


FLOOR: Final = Contender("floor", "floor:same", base="floor", share=2.0, note="orjson.dumps, write")
TEN: Final = (
    FLOOR,
    *_each("logflume ainfo, {}", "logflume_:ainfo", base="floor"),
    Contender("structlog", "structlog_:plain", base="floor", note="no call site"),
    Contender("structlog, call site", "structlog_:call_site", base="floor", share=0.5),
    Contender("loguru", "loguru_:plain", base="floor", share=0.2),
    Contender("stdlib + python-json-logger", "stdlib_:direct", base="floor", share=0.5),
)
MAIN: Final = (
    *TEN,
    Contender("logflume info, asyncio", "logflume_:info", "asyncio", "floor", note="sync call"),
    Contender(
        "logflume info, script",
        "logflume_:script",
        base="floor",
        note="sync call, loop in a thread",
    ),
    Contender("floor, a dict for each", "floor:made", base="floor", note="dict, dumps, write"),
    Contender("floor, 64 KiB buffer", "floor:wide", base="floor"),
    Contender(
        "structlog, unflushed",
        "structlog_:unflushed",
        base="floor",
        note="no call site, no flush per line",
    ),
    Contender("structlog ainfo", "structlog_:ainfo", "asyncio", "floor", 0.05, note="no call site"),
    Contender("loguru, enqueue", "loguru_:enqueue", base="floor", share=0.2),
    Contender("stdlib + python-json-logger, queue", "stdlib_:queued", base="floor", share=0.2),
    Contender(
        "picologging",
        "picologging_:text",
        base="floor",
        structured=False,
        note="text only, no fields",
    ),
    Contender(
        "logly", "logly_:plain", base="floor", share=0.2, note="call's fields only in the message"
    ),
    Contender("aiologger", "aiologger_:awaited", "asyncio", "floor", 0.02),
    Contender("aiologging", "aiologging_:awaited", "asyncio", "floor", 0.02),
)

LOCAL: Final = (
    Contender("plain file, JSON", "logflume_:plain", "asyncio", "plain file, JSON"),
    *(
        Contender(
            name, f"logflume_:{opener}", "asyncio", "plain file, JSON", structured=False, note=note
        )
        for name, opener, note in (
            ("without redaction", "unredacted", "redact=None"),
            ("rotation", "rotating", 'rotation="10 MB"'),
            ("rotation and zstd", "compressed", 'rotation="10 MB", compression="zstd"'),
            ("Json(flat=True)", "flat", ""),
            ("Logfmt", "logfmt", ""),
            ("Template", "template", "time, level, logger, message, fields"),
            ("Ecs", "ecs", ""),
            ("Console", "console", "to a file"),
            ("Msgpack", "msgpack", ""),
        )
    ),
)

WORKS: Final = (
    Work(
        "main",
        "A record to a JSON file, 2 bound and 2 call fields",
        "throughput",
        MAIN,
        "Time per record from the first call until the operating system has the last line.",
    ),
    Work(
        "ten",
        "The same with 10 bound fields",
        "throughput",
        TEN,
        "As above, with 10 bound and 2 call fields; its floor has them, too.",
        bound=10,
    ),
    Work(
        "below",
        "A call below the level",
        "below",
        (
            Contender("logflume debug", "logflume_:below", "asyncio"),
            Contender("logflume debug, 2 fields", "logflume_:below_fields", "asyncio"),
            Contender("logflume await adebug", "logflume_:below_awaited", "asyncio"),
            Contender("logflume debug, default pipeline", "logflume_:below_default"),
            Contender("picologging", "picologging_:below"),
            Contender("structlog", "structlog_:below", note="filtering bound logger"),
            Contender("structlog, 2 fields", "structlog_:below_fields"),
            Contender("stdlib", "stdlib_:below"),
            Contender("loguru", "loguru_:below", share=0.5),
            Contender("logly", "logly_:below", share=0.1),
        ),
        "Time per call, less that of the empty loop.",
        records=300_000,
        max_rounds=5,
    ),
    Work(
        "second_route",
        "A second route with an equal encoder",
        "throughput",
        (
            *_each("logflume one route, {}", "logflume_:ainfo", base="logflume one route, {}"),
            *_each(
                "logflume two routes, {}",
                "logflume_:ainfo_two_routes",
                base="logflume one route, {}",
            ),
        ),
        "The first work of logflume, to one file and to two.",
    ),
    Work(
        "local",
        "Redaction, rotation and encoders",
        "throughput",
        LOCAL,
        "The first work of logflume on asyncio, compared with itself: redaction is on by default.",
    ),
    Work(
        "requests",
        "An ASGI request: an id, a context, and one access line",
        "requests",
        (
            *_each("LoggingMiddleware, {}", "asgi_:logflume"),
            *_each(
                "asgi-correlation-id + structlog, {}",
                "asgi_:structlog_pure",
                note="pure ASGI, no call site",
            ),
            Contender(
                "asgi-correlation-id + structlog, Starlette",
                "asgi_:structlog_starlette",
                "asyncio",
                share=0.3,
                note="BaseHTTPMiddleware, no call site",
            ),
        ),
        "Time that the middleware adds to each request, with the flush; no server in between.",
        records=30_000,
        max_rounds=5,
    ),
    Work(
        "lag",
        "Event-loop lag at 5,000 records per second",
        "lag",
        (
            *_each("nothing, {}", "nothing:plain"),
            *_each("logflume ainfo, {}", "logflume_:ainfo", base="structlog, {}"),
            *_each(
                "logflume ainfo and a stalled route, {}",
                "logflume_:ainfo_stalled",
                base="structlog, {}",
            ),
            Contender(
                "logflume info, asyncio",
                "logflume_:info",
                "asyncio",
                "structlog, asyncio",
                note="sync call",
            ),
            *_each("structlog, {}", "structlog_:plain", base="structlog, {}", note="no call site"),
            Contender("loguru, asyncio", "loguru_:plain", "asyncio"),
            Contender("loguru enqueue, asyncio", "loguru_:enqueue", "asyncio"),
        ),
        "How late a byte that comes each ms is read while another task logs 5 records per ms.\n"
        "Twice the rounds of the other works, since one differs much from the next.",
        seconds=2.5,
        times=2,
    ),
    Work(
        "import",
        "Import",
        "imports",
        tuple(
            Contender(name, base="anyio")
            for name in ("anyio", "logflume", "structlog", "loguru", "picologging", "logly")
        ),
        "Time of `import` in a fresh interpreter, and what that is more than anyio's.",
        max_rounds=5,
    ),
    Work(
        "memory",
        "Memory while the sink is slower than the caller",
        "memory",
        (Contender("logflume ainfo, asyncio", "logflume_:ainfo_slow", "asyncio"),),
        "Resident memory while records go through `await log.ainfo` to a sink that takes 4 µs "
        "for each.",
        records=10_000_000,
        max_rounds=1,
        timeout_s=900.0,
    ),
)

DISTRIBUTIONS: Final = (
    "logflume",
    "anyio",
    "trio",
    "uvloop",
    "orjson",
    "msgspec",
    "aiofiles",
    "structlog",
    "loguru",
    "python-json-logger",
    "picologging",
    "logly",
    "aiologger",
    "aiologging",
    "asgi-correlation-id",
    "starlette",
)
"""What the page names the versions of."""


def work(name: str) -> Work:
    """Return the work of that name."""
    return next(work for work in WORKS if work.name == name)

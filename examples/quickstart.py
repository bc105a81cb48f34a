"""A small shop that logs: what a service needs of logflume, in one file.

    python examples/quickstart.py
    python examples/quickstart.py --backend trio --output shop.jsonl
    python examples/quickstart.py --replay /var/log/syslog

The records go to the console and, one JSON object per line, to the file `--output`. With
`--replay` the shop stays closed: each line of a log file becomes the message of a record, and
what arrived in the output is compared with what was read. The ledger at the end says what became
of every record on every route.
"""

from __future__ import annotations

import argparse
import json
import sys
import threading
from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread

from logflume import Pipeline, Route, Stats, context, get_logger, processors, sinks

log = get_logger("shop")

BACKENDS: dict[str, dict[str, Any]] = {
    "asyncio": {"backend": "asyncio"},
    "uvloop": {"backend": "asyncio", "backend_options": {"use_uvloop": True}},
    "trio": {"backend": "trio"},
}


# The shop: nothing here knows where records go.


class CardDeclinedError(Exception):
    """The bank said no."""


async def serve(customer: str, items: int) -> None:
    """Serve one customer; runs side by side with the others."""
    with context(request=f"r-{customer}"):  # on every record of this task, and of what it calls
        cart_log = get_logger("shop.cart").bind(customer=customer)
        await cart_log.ainfo("{customer} put {items} items into the cart", items=items)
        await anyio.sleep(0.01)
        try:
            await pay(customer, amount=items * 9.99)
        except CardDeclinedError:
            await cart_log.aexception("Order failed")
        else:
            await anyio.to_thread.run_sync(pack, customer, items)


async def pay(customer: str, amount: float) -> None:
    """Charge the customer's card."""
    await log.adebug("Charging {amount:.2f} EUR", amount=amount)
    await anyio.sleep(0.01)
    if customer == "mallory":
        raise CardDeclinedError(f"no cover for {amount:.2f} EUR")
    log.success("{customer} paid", customer=customer, amount=round(amount, 2))


def pack(customer: str, items: int) -> None:
    """Pack a parcel. Runs in a worker thread and knows nothing of event loops."""
    pack_log = get_logger("shop.packing")
    for item in range(1, items + 1):
        pack_log.debug("Packed item {item}", item=item)
    pack_log.info("Parcel is ready", packer=threading.current_thread().name)


async def open_shop() -> None:
    """Serve a few customers at once."""
    async with anyio.create_task_group() as tasks:
        for items, customer in enumerate(("alice", "bob", "mallory", "zoë"), start=1):
            tasks.start_soon(serve, customer, items)
    log.info("Closing: 100% of {customers} served")  # no values given: taken literally


# Where records go.


async def main(options: argparse.Namespace) -> bool:
    """Log to the console, a file and a callback; say whether all went well."""
    output: Path = options.output
    await anyio.Path(output).unlink(missing_ok=True)
    levels: Counter[str] = Counter()

    async def count(record: dict[str, Any]) -> None:
        levels[record["level"]] += 1

    pipeline = Pipeline(
        Route(sinks.Console(sys.stdout), level="INFO"),
        Route(sinks.File(output), name="file"),  # JSON lines, unless told otherwise
        processors=[processors.Add(service="quickstart")],
        redact=not options.replay,  # lines of other programs come out as they are
        level="DEBUG",
    )
    async with pipeline:
        pipeline.add_callback(count, name="callback")
        if options.replay:
            lines = await replay(options.replay)
        else:
            await open_shop()
    # Leaving the block delivered everything, or counted what could not be delivered.

    print("\n" + ledger(pipeline.stats()))
    print("\nby level: " + ", ".join(f"{n} {level}" for level, n in sorted(levels.items())))
    return verify(output, lines) if options.replay else True


def ledger(stats: Stats) -> str:
    """Lay out what became of the records: received = delivered + filtered + dropped + pending."""
    rows = [["", "received", "delivered", "filtered", "dropped", "pending"]]
    for name, counts in {"door": stats.door, **stats.routes}.items():
        numbers = (counts.received, counts.delivered, counts.filtered, counts.lost, counts.pending)
        rows.append([name, *(f"{number:,}" for number in numbers)])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join([name.ljust(widths[0]), *map(str.rjust, numbers, widths[1:])])
        for name, *numbers in rows
    ]
    reasons = [
        f"{name}: {count:,} dropped: {reason}"
        for name, counts in {"door": stats.door, **stats.routes}.items()
        for reason, count in counts.dropped.items()
    ]
    return "\n".join(lines + reasons)


# Any log file as messages.


async def replay(path: Path) -> list[str]:
    r"""Log each line of a file, to the file and the callback only; return the lines.

    A line ends at "\n" or "\r\n" and nowhere else: a "\r" inside is the line's own. Bytes that
    are not UTF-8 show as `\xff`.
    """
    lines = (await anyio.Path(path).read_bytes()).decode("utf-8", "backslashreplace").split("\n")
    lines = [line.removesuffix("\r") for line in lines]
    if not lines[-1]:
        lines.pop()
    replay_log = get_logger("replay")
    for line in lines:
        await replay_log.adebug(line)  # waits whenever the sinks cannot keep up: nothing is lost
    return lines


def verify(output: Path, lines: Sequence[str]) -> bool:
    """Compare the messages that arrived with the lines that were read."""
    with output.open(encoding="utf-8") as file:
        messages = [json.loads(line)["message"] for line in file]
    equal = sum(map(str.__eq__, messages, lines))
    kept = len(messages) == len(lines) == equal
    print(f"replayed {len(lines):,} lines: {len(messages):,} messages, {equal:,} equal their line")
    print("what came out is what went in" if kept else "MISMATCH")
    return kept


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="A small shop that logs with logflume.")
    parser.add_argument("--backend", choices=BACKENDS, default="asyncio")
    parser.add_argument(
        "--output",
        type=Path,
        default=Path("logs/quickstart.jsonl"),
        help="the file of JSON lines; replaced if it exists (%(default)s)",
    )
    parser.add_argument(
        "--replay", type=Path, metavar="FILE", help="log the lines of this file instead"
    )
    options = parser.parse_args(arguments)
    if options.replay and not options.replay.is_file():
        parser.error(f"--replay {options.replay}: there is no such file")
    if options.replay and options.output.exists() and options.output.samefile(options.replay):
        parser.error("--output would replace the file to replay")
    return options


if __name__ == "__main__":
    chosen = parse()
    sys.exit(not anyio.run(partial(main, chosen), **BACKENDS[chosen.backend]))

"""Writes docs/console.svg, a terminal with a console: `python docs/build_console_capture.py`.

The lines are logged by a pipeline, through a console of rich that records them. Needs rich.
"""

from __future__ import annotations

import io
import linecache
from pathlib import Path
from typing import Any

from rich.console import Console

from logflume import Pipeline, get_logger, sinks

TARGET = Path(__file__).parent / "console.svg"
COLUMNS = 112

PROGRAM = """
def total(cart):
    return sum(item["price"] * item["number"] for item in cart)

def pay(cart):
    try:
        return total(cart)
    except KeyError as error:
        raise RuntimeError("cart of 2 items cannot be paid") from error

def check_out(log):
    try:
        pay([{"price": 3.5, "number": 2}, {"price": 1}])
    except RuntimeError as error:
        error.add_note("the cart is kept for an hour")
        log.exception("Payment failed", order=18)
"""


def program() -> dict[str, Any]:
    """Return what the example defines, with a file name that says nothing of this machine."""
    name = "shop.py"
    linecache.cache[name] = (len(PROGRAM), None, PROGRAM.splitlines(keepends=True), name)
    names: dict[str, Any] = {}
    exec(compile(PROGRAM, name, "exec"), names)
    return names


def say() -> None:
    """Log one of everything."""
    cart, db, web = get_logger("shop.cart"), get_logger("shop.db"), get_logger("shop.web")
    web.trace("Headers", accept="*/*", host="shop.example")
    web.debug("GET {path}", path="/cart/18", ms=12.5)
    cart.info("User {user} put {item} into the cart", user="alice", item="tea")
    cart.success("Paid", order=18, total=23.8, currency="EUR")
    db.info("Slow query\nSELECT *\n  FROM orders\n WHERE id = {id}", id=18, ms=812)
    db.warning("Pool is nearly empty", free=1, size=20, waiting=["cart", "search", "mail"])
    cart.info("名前 {name} を追加", name="日本茶", n=2)
    web.info("Agent", value="not\n00:00:00.000  ERROR     a forged line\x1b[31m")
    web.warning(
        "The answer of the payment provider came late, and only after three attempts, so the "
        "order waits for somebody to look at it",
        provider="example", attempts=3, seconds=30.2,
    )  # fmt: skip
    program()["check_out"](cart)
    web.critical("Out of disk space", path="/var/lib/shop", free=0)


def main() -> None:
    """Log to a console that records, and write what it recorded."""
    console = Console(
        record=True, force_terminal=True, width=COLUMNS, color_system="truecolor",
        file=io.StringIO(), legacy_windows=False,
    )  # fmt: skip
    with Pipeline(sinks.Console(console=console), level="TRACE"):
        say()
    svg = console.export_svg(title="logflume", unique_id="logflume")
    TARGET.write_text("\n".join(line.rstrip() for line in svg.splitlines()) + "\n", "utf-8")


if __name__ == "__main__":
    main()

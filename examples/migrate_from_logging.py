"""From `logging` to logflume, a step at a time: the same small program, four times.

    python examples/migrate_from_logging.py

It shows what each step prints. After each of them the program works, so a large one may stay at any
of them for as long as it takes: both styles go the same way.
"""

from __future__ import annotations

import logging
import logging.config
import sys
from collections.abc import Callable

from logflume import Pipeline, Route, context, get_logger, sinks
from logflume.integrations.stdlib import capture

ORDERS = {"r1": 2, "r2": 0}


class SoldOutError(Exception):
    """There is none left."""


# Step 0: as it was. A configuration, a handler with a format, an adapter with what is known.

CONFIG = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(levelname)s %(name)s: %(message)s"}},
    "handlers": {
        "console": {"class": "logging.StreamHandler", "stream": sys.stdout, "formatter": "line"}
    },
    "loggers": {"shop.stock": {"level": "DEBUG"}},
    "root": {"level": "INFO", "handlers": ["console"]},
}

old_log = logging.getLogger("shop")
old_stock = logging.getLogger("shop.stock")


def old_program() -> None:
    """Serve the orders, and log it with `logging`."""
    for request, items in ORDERS.items():
        request_log = logging.LoggerAdapter(old_log, {"request": request})
        request_log.info("Order of %d items", items)
        try:
            old_pack(items)
        except SoldOutError:
            request_log.exception("Order failed")


def old_pack(items: int) -> None:
    """Pack a parcel; like a library, it knows nothing of the request."""
    old_stock.debug("Packing %d items", items, extra={"items": items})
    if not items:
        raise SoldOutError("nothing to pack")


def as_it_was() -> None:
    """0. `logging`, with its own configuration."""
    logging.config.dictConfig(CONFIG)
    old_program()


# Step 1: a pipeline instead of the configuration. No call is changed, also not in libraries.


def pipeline() -> Pipeline:
    """Return what says where records go: the console, and a file of JSON lines."""
    pipeline = Pipeline(sinks.Console(sys.stdout), Route(sinks.File("logs/migrated.jsonl")))
    pipeline.set_level("shop.stock", "DEBUG")  # for loggers of both kinds
    return pipeline


def captured() -> None:
    """1. The same calls, captured."""
    with pipeline(), capture():
        old_program()


# Step 2: a context where the work begins, instead of an adapter that has to be passed on. It is on
# the records of both kinds, also on those of libraries.


def with_context() -> None:
    """2. A context around the old calls."""
    with pipeline(), capture():
        for request, items in ORDERS.items():
            with context(request=request):
                old_log.info("Order of %d items", items)
                try:
                    old_pack(items)
                except SoldOutError:
                    old_log.exception("Order failed")


# Step 3: logflume's loggers, a module at a time. Here `old_pack` is still as it was.

log = get_logger("shop")


def moved() -> None:
    """3. The new calls, and an old one among them."""
    with pipeline(), capture():
        for request, items in ORDERS.items():
            with context(request=request):
                log.info("Order of {items} items", items=items)
                try:
                    old_pack(items)
                except SoldOutError:
                    log.exception("Order failed")


STEPS: list[Callable[[], None]] = [as_it_was, captured, with_context, moved]

if __name__ == "__main__":
    for step in STEPS:
        print(f"\n{step.__doc__}\n")
        step()

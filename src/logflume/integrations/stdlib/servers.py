"""Configurations of `logging` for web servers, which set up loggers of their own as they start.

Plain values for `logging.config.dictConfig`, so they may be changed, or written to a file.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import Any

from ...errors import ConfigurationError
from ..processes import deliver_before_sigterm
from .handler import Handler, names_in, number_of

__all__ = ["AccessFields", "gunicorn_config", "hypercorn_config", "uvicorn_config"]

_HERE = __name__.rpartition(".")[0]


def uvicorn_config(
    level: int | str = "INFO", *, exclude_loggers: Iterable[str] = ()
) -> dict[str, Any]:
    """Return the `log_config` that sends uvicorn's records, and all others, to logflume.

        uvicorn.run(app, log_config=uvicorn_config())

    The program then needs no other configuration of `logging`; its Pipeline is opened in the
    application's lifespan, and what comes before and after goes to the default pipeline. SIGTERM,
    if nobody else takes it, ends each of uvicorn's processes when its last lines are delivered.

    Args:
        level: that of the root logger; logflume's own levels decide about what is above.
        exclude_loggers: see `Handler`.

    Raises:
        ConfigurationError: a setting means nothing.
    """
    config = _config(
        level, exclude_loggers, ["uvicorn"], through=["uvicorn.error", "uvicorn.access"]
    )
    # Here uvicorn writes whether to use colours; nothing else uses them.
    config["formatters"] = {"default": {}, "access": {}}
    del config["handlers"]["logflume"]["class"]
    config["handlers"]["logflume"]["()"] = f"{__name__}.parting_handler"
    return config


def parting_handler(*, exclude_loggers: Iterable[str] = ()) -> Handler:
    """Return a `Handler`, and let SIGTERM wait for what that is given.

    For `dictConfig`: reading the configuration is all that happens in each of a server's processes.
    """
    deliver_before_sigterm()
    return Handler(exclude_loggers=exclude_loggers)


def hypercorn_config(
    level: int | str = "INFO", *, exclude_loggers: Iterable[str] = ()
) -> dict[str, Any]:
    """Return the `logconfig_dict` for hypercorn; options as for `uvicorn_config`.

    config = hypercorn.config.Config()
    config.logconfig_dict = hypercorn_config()
    config.accesslog = "-"  # or there are no access records
    """
    return _config(level, exclude_loggers, ["hypercorn.error", "hypercorn.access"])


def gunicorn_config(
    level: int | str = "INFO", *, exclude_loggers: Iterable[str] = ()
) -> dict[str, Any]:
    """Return the `logconfig_dict` for gunicorn; options as for `uvicorn_config`.

        logconfig_dict = gunicorn_config()  # in gunicorn.conf.py

    With `--preload` or without, with sync workers and uvicorn's: the arbiter logs to its default
    pipeline, which begins anew in each worker after the fork. For the last lines of uvicorn's
    workers, see `integrations.processes.deliver_before_sigterm`.
    """
    return _config(level, exclude_loggers, ["gunicorn.error", "gunicorn.access"])


def _config(
    level: int | str,
    exclude_loggers: Iterable[str],
    names: list[str],
    through: Iterable[str] = (),
) -> dict[str, Any]:
    # The server's loggers get the handler themselves: workers of uvicorn under gunicorn take over
    # the handlers they find there.
    handlers = {"handlers": ["logflume"]}
    loggers: dict[str, Any] = {name: {**handlers, "propagate": False} for name in names}
    loggers |= {name: {"handlers": [], "propagate": True} for name in through}
    excluded = sorted(names_in("exclude_loggers", exclude_loggers))
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "filters": {"access": {"()": f"{_HERE}.AccessFields"}},
        "handlers": {
            "logflume": {
                "class": f"{_HERE}.Handler",
                "filters": ["access"],
                "exclude_loggers": excluded,
            }
        },
        "root": {**handlers, "level": number_of(level, "level")},
        "loggers": loggers,
    }


class AccessFields(logging.Filter):
    """Give access records of uvicorn, gunicorn and hypercorn fields: who asked what, the answer.

    `client`, `method`, `path` (uvicorn's with the query string), `http_version`, `status`, and from
    gunicorn and hypercorn `duration_us`, where the server says so. The configurations here and
    `capture` have it as a filter of their `Handler`; it lets all records pass.
    """

    def __init__(self, name: str = "") -> None:
        if not isinstance(name, str):
            raise ConfigurationError.of("AccessFields.name", name, "a logger's name")
        super().__init__(name)

    def filter(self, record: logging.LogRecord) -> bool:
        """Add the fields."""
        args = record.args
        if record.name == "uvicorn.access":
            if isinstance(args, tuple) and len(args) == len(_UVICORN):
                vars(record).update(zip(_UVICORN, args, strict=True))
        elif record.name in ("gunicorn.access", "hypercorn.access") and isinstance(args, Mapping):
            for field, atom in _ATOMS.items():
                value: Any = args.get(atom)
                if value not in (None, "-"):
                    numeric = field in _NUMBERS and str(value).isdecimal()
                    vars(record)[field] = int(str(value)) if numeric else value
        return True


_UVICORN = ("client", "method", "path", "http_version", "status")
_ATOMS = {
    "client": "h",
    "method": "m",
    "path": "U",
    "http_version": "H",
    "status": "s",
    "duration_us": "D",
}
_NUMBERS = ("status", "duration_us")

"""Serverless platforms: which of them this process runs on, and a reminder where nobody flushes.

Between two invocations of a function the platform lets its process stand still, or throttles it:
what a pipeline has not delivered by then waits for the next invocation, or is lost if none comes.
Whoever flushes says so here; the rest is told once, by the first pipeline that runs for a while.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

import anyio

__all__ = ["announce_flushes", "needs_reminder", "platform", "remind"]

REMIND_AFTER = 1.0
"""Seconds that a pipeline runs before it reminds: the program may decorate its function later
than it begins to log, and a pipeline that is closed within an invocation needs no flush."""

_flushes = False
_reminded = False


def platform(environ: Mapping[str, str] = os.environ) -> str | None:
    """Return the name of the serverless platform this process runs on, or None.

    From the variables that they document as always set: `AWS_LAMBDA_FUNCTION_NAME`, or
    `AWS_EXECUTION_ENV` (which images of one's own lack); `K_SERVICE` and `FUNCTION_TARGET` (a
    Cloud Run service has the first, functions-framework on a desk the second), `FUNCTION_NAME` and
    `FUNCTION_TRIGGER_TYPE` in the oldest runtimes; `FUNCTIONS_WORKER_RUNTIME`.
    """
    has = environ.get
    if has("AWS_LAMBDA_FUNCTION_NAME") or has("AWS_EXECUTION_ENV", "").startswith("AWS_Lambda_"):
        return "AWS Lambda"
    if has("K_SERVICE") and has("FUNCTION_TARGET"):
        return "Google Cloud Functions"
    if has("FUNCTION_NAME") and has("FUNCTION_TRIGGER_TYPE"):
        return "Google Cloud Functions"
    if has("FUNCTIONS_WORKER_RUNTIME") or has("AZURE_FUNCTIONS_ENVIRONMENT"):
        return "Azure Functions"
    return None


def announce_flushes() -> None:
    """Say that the program flushes at the end of its invocations: nobody needs to be reminded."""
    global _flushes
    _flushes = True


def needs_reminder() -> bool:
    """Whether this is a serverless platform, as yet without flushes or a reminder."""
    return not (_flushes or _reminded) and platform() is not None


async def remind(say: Callable[[str, dict[str, Any]], None]) -> None:
    """After a while, tell once per process that nothing flushes, unless something does."""
    global _reminded
    await anyio.sleep(REMIND_AFTER)
    if needs_reminder():
        _reminded = True
        name = platform()
        say(
            f"{name} lets this process stand still between invocations, with the records that wait "
            "in it: decorate its function with "
            "`logflume.integrations.serverless.flush_after_invocation()`",
            {"platform": name},
        )

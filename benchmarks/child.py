"""One measurement in a process of its own: `python -m benchmarks.child JOB`.

Prints one line of JSON last: the sample, or `{"error": ...}` when the contender is not
installed, raised, or left the wrong lines behind.
"""

from __future__ import annotations

import importlib
import json
import sys
from types import ModuleType
from typing import Any

from benchmarks import registry
from benchmarks.job import Backend, Job, Sample
from benchmarks.registry import Contender


def perform(job: Job) -> Sample:
    """Measure, on the contender's backend where it has one."""
    work = registry.work(job.work)
    contender = next(c for c in work.contenders if c.name == job.contender)
    measures = importlib.import_module(f"benchmarks.measures.{work.measure}")
    if not contender.opener:
        sample: Sample = measures.measure(job)
        return sample
    return _measure(job, contender, measures)


def _measure(job: Job, contender: Contender, measures: ModuleType) -> Sample:
    opener = contender.load()
    if contender.backend is None:
        sample: Sample = measures.measure(job, opener)
        return sample
    import anyio

    name, options = _backend(contender.backend)
    return anyio.run(measures.ameasure, job, opener, backend=name, backend_options=options)


def _backend(backend: Backend) -> tuple[str, dict[str, Any]]:
    if backend == "uvloop":
        return "asyncio", {"use_uvloop": True}
    return backend, {}


def reason(error: BaseException) -> str:
    """Say in one line what went wrong, of an exception group its first."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, ModuleNotFoundError):
        return f"not installed: {error.name}"
    return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"


def main() -> None:
    try:
        answer: dict[str, Any] = dict(perform(Job.from_json(sys.argv[1])))
    except Exception as error:
        answer = {"error": reason(error)}
    print(f"\n{json.dumps(answer)}", flush=True)


if __name__ == "__main__":
    main()

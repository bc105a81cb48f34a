"""How long an `import` takes in a fresh interpreter: the best of several."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Final

from benchmarks import pace
from benchmarks.job import Job, Sample

STARTS: Final = 7
CODE: Final = """
import time
started = time.perf_counter()
import {module}
print(time.perf_counter() - started)
"""


def measure(job: Job) -> Sample:
    """Import the module that the contender is named after."""
    environ = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    command = [sys.executable, "-c", CODE.format(module=job.contender)]
    waited = pace.settle(job.pace, job.patience_s)
    took = []
    for _ in range(STARTS + 1):  # the first one writes the bytecode caches
        done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
        if done.returncode:
            raise ImportError(done.stderr.strip().rpartition("\n")[2])
        took.append(float(done.stdout))
    return {"ms": min(took[1:]) * 1e3, "pace_ms": pace.now(), "waited_s": waited}

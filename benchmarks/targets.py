"""The figures that logflume promises, and whether a run kept them.

Ratios and times are judged by the median of the rounds, not by the best. No worse than another's is
what is no further above it than that one's own measurements are from each other.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

from benchmarks.job import BACKENDS
from benchmarks.report import missing_keys
from benchmarks.rounds import Outcome, Result

RATIO: Final = 3.5
BELOW_US: Final = 0.12
IMPORT_MS: Final = 60.0
REDACTION: Final = 10
ROTATION: Final = 15


@dataclass(frozen=True, slots=True)
class Verdict:
    """One promise, and what was measured; `kept` is None where nothing was."""

    promise: str
    measured: str
    kept: bool | None

    def __str__(self) -> str:
        word = {True: "kept", False: "MISSED", None: "not measured"}[self.kept]
        return f"{word}: {self.promise}" + (f" ({self.measured})" if self.measured else "")


def judge(results: Sequence[Result]) -> list[Verdict]:
    """Return a verdict for each promise that the measured works are about."""
    judges = {
        "main": _main,
        "ten": _ratios,
        "below": _below,
        "local": _local,
        "lag": _lag,
        "import": _import,
    }
    return [
        verdict
        for result in results
        if result.work.name in judges
        for verdict in judges[result.work.name](result)
    ]


def _main(result: Result) -> Iterator[Verdict]:
    yield from _ratios(result)
    peers = [
        o
        for o in result.done()
        if o.contender.structured and not o.contender.name.startswith(("logflume", "floor"))
    ]
    fastest = min(peers, key=lambda o: o.median("ns"), default=None)
    for backend in BACKENDS:
        ours = _measured(result, f"logflume ainfo, {backend}")
        promise = f"main: faster than every structured peer on {backend}"
        if ours is None or fastest is None:
            yield Verdict(promise, "", None)
            continue
        mine, theirs = ours.median("ns") / 1e3, fastest.median("ns") / 1e3
        measured = f"{mine:.2f} µs, {fastest.contender.name} {theirs:.2f} µs"
        yield Verdict(promise, measured, mine < theirs)


def _ratios(result: Result) -> Iterator[Verdict]:
    name = result.work.name
    for backend in BACKENDS:
        ratios = _ratios_of(result, f"logflume ainfo, {backend}")
        promise = f"{name}: at most {RATIO} × the floor on {backend}"
        if ratios:
            yield Verdict(promise, f"{median(ratios):.2f} ×", median(ratios) <= RATIO)
        else:
            yield Verdict(promise, "", None)
    if missing := missing_keys(result):
        promise = f"{name}: the floor writes the same keys as logflume"
        yield Verdict(promise, f"different: {', '.join(missing)}", False)


def _local(result: Result) -> Iterator[Verdict]:
    """Redaction is part of the plain file's row: what it costs is that row against the bare one."""
    without = [1 / ratio for ratio in _ratios_of(result, "without redaction")]
    promise = f"local: redaction costs at most {REDACTION} %"
    yield _more(promise, without, REDACTION)
    promise = f"local: rotation and zstd cost at most {ROTATION} % over a plain file"
    yield _more(promise, _ratios_of(result, "rotation and zstd"), ROTATION)


def _more(promise: str, ratios: list[float], most: int) -> Verdict:
    if not ratios:
        return Verdict(promise, "", None)
    more = (median(ratios) - 1) * 100
    return Verdict(promise, f"{more:+.0f} %", more <= most)


def _below(result: Result) -> Iterator[Verdict]:
    ours = _measured(result, "logflume debug")
    promise = f"below: a call below the level takes at most {BELOW_US} µs"
    if ours is None:
        yield Verdict(promise, "", None)
        return
    took = ours.median("ns") / 1e3
    yield Verdict(promise, f"{took:.3f} µs", took <= BELOW_US)


def _lag(result: Result) -> Iterator[Verdict]:
    for stalled in ("", " and a stalled route"):
        for backend in BACKENDS:
            ours = _measured(result, f"logflume ainfo{stalled}, {backend}")
            promise = f"lag{stalled}: p99 no worse than structlog's on {backend}"
            if ours is None:
                yield Verdict(promise, "", None)
                continue
            ratio, noise = median(result.ratios(ours, "p99_ms")), result.noise(ours, "p99_ms")
            yield Verdict(promise, f"{ratio:.2f} × ± {noise:.2f}", ratio <= 1 + noise)


def _import(result: Result) -> Iterator[Verdict]:
    ours = _measured(result, "logflume")
    more = result.differences(ours, "ms") if ours else []
    promise = f"import: at most {IMPORT_MS:.0f} ms more than anyio"
    if more:
        yield Verdict(promise, f"{median(more):+.1f} ms", median(more) <= IMPORT_MS)
    else:
        yield Verdict(promise, "", None)


def _measured(result: Result, name: str) -> Outcome | None:
    outcome = result.outcomes.get(name)
    return outcome if outcome and outcome.samples and not outcome.error else None


def _ratios_of(result: Result, name: str) -> list[float]:
    outcome = _measured(result, name)
    return result.ratios(outcome, "ns") if outcome else []

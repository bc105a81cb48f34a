"""Runs the measurements of a work: round after round, the contenders in turn.

A machine that is shared changes its speed within seconds, and not alike for all kinds of code. So
whoever is compared with a base is measured between two measurements of that, and compared with the
mean of the two. And throughputs and imports wait for the machine's best pace, and are measured
again if that was over before them: at most `PATIENCE_S` seconds of waiting in each round.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean, median
from tempfile import TemporaryDirectory
from typing import Final

from benchmarks import lines, pace
from benchmarks.job import Job, Sample
from benchmarks.registry import Contender, Work

ROOT: Final = Path(__file__).resolve().parents[1]

PATIENCE_S: Final = 60.0
MOST_WAIT_S: Final = 15.0
TRIES: Final = 4


@dataclass(frozen=True)
class Amounts:
    """How much to measure. `pace` is the best one that the machine has shown."""

    rounds: int = 7
    records: int = 100_000
    quick: bool = False
    pace: float = 0.0

    def job(self, work: Work, contender: Contender, path: str, patience_s: float) -> Job:
        """The job of one measurement."""
        records = work.records or self.records
        if self.quick and work.records:
            records //= 20
        return Job(
            work=work.name,
            contender=contender.name,
            path=path,
            records=max(1_000, int(records * contender.share)),
            bound=work.bound,
            seconds=1.0 if self.quick else work.seconds,
            pace=self.pace,
            patience_s=patience_s,
        )


@dataclass(slots=True)
class Outcome:
    """What a contender did in each round, or why it did not.

    `beside[i]` is what its base did just before and just after `samples[i]`.
    """

    contender: Contender
    samples: list[Sample] = field(default_factory=list)
    beside: list[tuple[Sample, Sample]] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    error: str = ""

    def each(self, figure: str) -> list[float]:
        return [sample[figure] for sample in self.samples]

    def best(self, figure: str) -> float:
        return min(self.each(figure))

    def median(self, figure: str) -> float:
        return median(self.each(figure))


@dataclass(frozen=True, slots=True)
class Result:
    """One work, measured."""

    work: Work
    rounds: int
    outcomes: dict[str, Outcome]

    def paces(self) -> list[float]:
        """The pace at the end of each measurement of which it is known."""
        samples = [sample for outcome in self.done() for sample in outcome.samples]
        return [sample["pace_ms"] for sample in samples if "pace_ms" in sample]

    def done(self) -> list[Outcome]:
        """The contenders that were measured."""
        return [outcome for outcome in self.outcomes.values() if not outcome.error]

    def ratios(self, outcome: Outcome, figure: str) -> list[float]:
        """The figure per round, divided by that of the contender's base beside it."""
        return [ours / theirs for ours, theirs in self._pairs(outcome, figure)]

    def differences(self, outcome: Outcome, figure: str) -> list[float]:
        """The figure per round, less that of the contender's base beside it."""
        return [ours - theirs for ours, theirs in self._pairs(outcome, figure)]

    def _pairs(self, outcome: Outcome, figure: str) -> list[tuple[float, float]]:
        if outcome.contender.base == outcome.contender.name:
            return [(value, value) for value in outcome.each(figure)]
        beside = [fmean((before[figure], after[figure])) for before, after in outcome.beside]
        return list(zip(outcome.each(figure), beside, strict=True)) if beside else []

    def noise(self, outcome: Outcome, figure: str) -> float:
        """By what part the base's figures before and after differ from each other, mostly."""
        return median(
            abs(after[figure] - before[figure]) / fmean((before[figure], after[figure]))
            for before, after in outcome.beside
        )


def run(
    work: Work, contenders: tuple[Contender, ...], amounts: Amounts, tell: Callable[[str], None]
) -> Result:
    """Measure these contenders of a work; `tell` hears what is going on."""
    rounds = min(amounts.rounds * work.times, work.max_rounds)
    outcomes = {contender.name: Outcome(contender) for contender in contenders}
    for number in range(rounds):
        patience_s = 0.0 if amounts.quick else PATIENCE_S

        def take(outcome: Outcome, number: int = number) -> None:
            nonlocal patience_s
            if not outcome.error:
                patience_s -= _take(work, outcome, amounts, patience_s)
                name = outcome.contender.name
                tell(f"{work.name} {number + 1}/{rounds}: {name}: {_brief(outcome)}")

        _round([outcomes[contender.name] for contender in _turns(contenders, number)], take)
    return Result(work, rounds, outcomes)


def _turns(contenders: tuple[Contender, ...], number: int) -> Iterator[Contender]:
    """Each in turn, another one first in each round."""
    start = number % len(contenders)
    yield from (*contenders[start:], *contenders[:start])


def _round(outcomes: list[Outcome], take: Callable[[Outcome], None]) -> None:
    """Measure each once, and the bases of some before and after those; of the same base together,
    since what comes after one comes before the next."""
    known = {outcome.contender.name: outcome for outcome in outcomes}
    others = [o for o in outcomes if o.contender.base not in ("", o.contender.name)]
    needed = [outcome.contender.base for outcome in others]
    outcomes.sort(key=lambda o: needed.index(o.contender.base) if o in others else -1)
    latest = None
    for outcome in outcomes:
        if outcome not in others:
            if outcome.contender.name not in needed:
                take(outcome)
            continue
        if outcome.error:
            continue
        base = known[outcome.contender.base]
        if latest is not base:
            take(base)
        latest = base
        took = len(outcome.samples)
        take(outcome)
        take(base)
        if base.error:
            outcome.error = outcome.error or f"no base: {base.error}"
        elif len(outcome.samples) > took:
            outcome.beside.append((base.samples[-2], base.samples[-1]))


def _take(work: Work, outcome: Outcome, amounts: Amounts, patience_s: float) -> float:
    """Measure once, at the best pace if that comes soon; return the seconds that it was awaited."""
    tries: list[Sample] = []
    waited = 0.0
    while len(tries) < TRIES and (not tries or waited < patience_s):
        wait = max(0.0, min(MOST_WAIT_S, patience_s - waited))
        with TemporaryDirectory(prefix="benchmark-") as folder:
            path = str(Path(folder) / "lines.jsonl")
            answer = _child(amounts.job(work, outcome.contender, path, wait), work.timeout_s)
            if isinstance(answer, str):
                outcome.error = answer
                return waited
            if work.measure == "throughput" and outcome.contender.structured and not outcome.keys:
                outcome.keys = lines.keys(path)
        tries.append(answer)
        waited += answer.pop("waited_s", 0.0)
        if answer.get("pace_ms", 0.0) <= amounts.pace * pace.TOLERANCE:
            break
    outcome.samples.append(min(tries, key=lambda sample: sample.get("pace_ms", 0.0)))
    return waited


def _child(job: Job, timeout_s: float) -> Sample | str:
    """Run one measurement in a process of its own; a string says what went wrong."""
    command = [sys.executable, "-m", "benchmarks.child", job.to_json()]
    try:
        done = subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, timeout=timeout_s, check=False
        )
    except subprocess.TimeoutExpired:
        return f"not done after {timeout_s:.0f} s"
    last = done.stdout.rstrip().rpartition("\n")[2]
    if done.returncode or not last.startswith("{"):
        return f"exit {done.returncode}: {done.stderr.strip().rpartition(chr(10))[2]}"
    answer = json.loads(last)
    return str(answer["error"]) if "error" in answer else dict(answer)


def _brief(outcome: Outcome) -> str:
    if outcome.error:
        return outcome.error
    return ", ".join(f"{key} {value:,.2f}" for key, value in outcome.samples[-1].items())

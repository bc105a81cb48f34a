"""Runs the measurements of a work: round after round, the contenders in turn."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Final

from benchmarks import lines
from benchmarks.job import Job, Sample
from benchmarks.registry import FLOOR, Contender, Work

ROOT: Final = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Amounts:
    """How much to measure."""

    rounds: int = 7
    records: int = 100_000
    quick: bool = False

    def job(self, work: Work, contender: Contender, path: str) -> Job:
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
        )


@dataclass(slots=True)
class Outcome:
    """What a contender did in each round, or why it did not."""

    contender: Contender
    samples: list[Sample] = field(default_factory=list)
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

    def done(self) -> list[Outcome]:
        """The contenders that were measured."""
        return [outcome for outcome in self.outcomes.values() if not outcome.error]

    def ratios(self, outcome: Outcome, figure: str) -> list[float]:
        """The figure per round, divided by that of the contender's base in that round."""
        base = self.outcomes.get(outcome.contender.base)
        if base is None or base.error:
            return []
        pairs = zip(outcome.each(figure), base.each(figure), strict=True)
        return [ours / theirs for ours, theirs in pairs]

    def differences(self, outcome: Outcome, figure: str) -> list[float]:
        """The figure per round, less that of the contender's base in that round."""
        base = self.outcomes.get(outcome.contender.base)
        if base is None or base.error:
            return []
        pairs = zip(outcome.each(figure), base.each(figure), strict=True)
        return [ours - theirs for ours, theirs in pairs]


def run(
    work: Work, contenders: tuple[Contender, ...], amounts: Amounts, tell: Callable[[str], None]
) -> Result:
    """Measure these contenders of a work; `tell` hears what is going on."""
    rounds = min(amounts.rounds, work.max_rounds)
    outcomes = {contender.name: Outcome(contender) for contender in contenders}
    for number in range(rounds):
        for contender in _turns(contenders, number):
            outcome = outcomes[contender.name]
            if outcome.error:
                continue
            _take(work, outcome, amounts, number)
            tell(f"{work.name} {number + 1}/{rounds}: {contender.name}: {_brief(outcome)}")
    return Result(work, rounds, outcomes)


def _turns(contenders: tuple[Contender, ...], number: int) -> Iterator[Contender]:
    """Each in turn, another one first in each round; the floor at both ends of the round."""
    others = [contender for contender in contenders if contender != FLOOR]
    ends = [contender for contender in contenders if contender == FLOOR]
    start = number % max(1, len(others))
    yield from (*ends, *others[start:], *others[:start], *ends)


def _take(work: Work, outcome: Outcome, amounts: Amounts, number: int) -> None:
    """Measure once. Of the floor's two measurements per round, the faster one stays."""
    with TemporaryDirectory(prefix="benchmark-") as folder:
        path = str(Path(folder) / "lines.jsonl")
        answer = _child(amounts.job(work, outcome.contender, path), work.timeout_s)
        if isinstance(answer, str):
            outcome.error = answer
            return
        if work.measure == "throughput" and outcome.contender.structured and not outcome.keys:
            outcome.keys = lines.keys(path)
    if len(outcome.samples) > number:
        answer = min(answer, outcome.samples.pop(), key=lambda sample: sample["ns"])
    outcome.samples.append(answer)


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

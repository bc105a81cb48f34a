"""The command: measures, prints the tables, and writes them to a page if asked to."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks import machine, pace, report, rounds, targets
from benchmarks.measures.throughput import WARM_UP
from benchmarks.registry import WORKS, Contender, Work
from benchmarks.rounds import Amounts


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser("python -m benchmarks", description=__doc__)
    parser.add_argument("--rounds", type=int, metavar="N", help="at most so many (default 7)")
    parser.add_argument("--records", type=int, metavar="N", help="per round (default 100,000)")
    parser.add_argument(
        "--only",
        action="append",
        default=[],
        metavar="NAME",
        help="a work, or a part of contenders' names; may be given several times: "
        + ", ".join(work.name for work in WORKS),
    )
    parser.add_argument("--quick", action="store_true", help="a look in a minute or two")
    parser.add_argument("--output", type=Path, metavar="FILE", help="write the page there, too")
    parser.add_argument(
        "--check", action="store_true", help="exit 1 when a target is missed or not measured"
    )
    options = parser.parse_args(arguments)
    if not choose(options.only):
        parser.error(f"--only {' '.join(options.only)}: no work and no contender of that name")
    return options


def choose(only: Sequence[str]) -> list[tuple[Work, tuple[Contender, ...]]]:
    """Return the works and contenders that `--only` names, with those they compare with."""
    works = [work for work in WORKS if work.name in only] or list(WORKS)
    parts = [part for part in only if part not in {work.name for work in WORKS}]
    chosen = []
    for work in works:
        named = {c for c in work.contenders if not parts or any(p in c.name for p in parts)}
        if not named:
            continue
        bases = {c.base for c in named}
        kept = tuple(c for c in work.contenders if c in named or c.name in bases)
        chosen.append((work, kept))
    return chosen


def main(arguments: Sequence[str]) -> int:
    """Measure and report; return the exit code."""
    options = parse(arguments)
    amounts = Amounts(
        rounds=options.rounds or (2 if options.quick else Amounts.rounds),
        records=options.records or (20_000 if options.quick else Amounts.records),
        quick=options.quick,
        pace=pace.best(0.5 if options.quick else 10.0),
    )
    facts = machine.describe()
    results = []
    for work, contenders in choose(options.only):
        result = rounds.run(work, contenders, amounts, lambda text: print(text, file=sys.stderr))
        results.append(result)
        print(report.section(result), end="\n\n", flush=True)
    verdicts = targets.judge(results)
    print("\n".join(map(str, verdicts)))
    if options.output:
        text = report.page(facts, amounts, results, [str(v) for v in verdicts], WARM_UP)
        options.output.write_text(text, encoding="utf-8")
    missed = [verdict for verdict in verdicts if not verdict.kept]
    return 1 if options.check and missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

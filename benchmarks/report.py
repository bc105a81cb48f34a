"""Results as Markdown tables, which are readable on a terminal, too."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import median
from typing import Final, TypeAlias

from benchmarks import pace
from benchmarks.job import TEMPLATE
from benchmarks.registry import FLOOR
from benchmarks.rounds import PATIENCE_S, TRIES, Amounts, Outcome, Result

Row: TypeAlias = tuple[str, ...]

QUICK: Final = ", quick: too short to be quoted"

HOW: Final = """\
Each measurement is a process of its own. The contenders of a work take turns, round after
round. Whoever is compared with another is measured between two measurements of that, since
the speed of a shared machine changes within seconds: a ratio is that to the mean of the two,
and the table gives the best and the median of the rounds. The clock is
`time.perf_counter`, the garbage collector is on, and WARM_UP records warm up, after a scrap
file has warmed the page cache.

While others use the same cores, interpreted code takes up to twice the time, C code and system
calls less than that. So throughputs and imports are measured when a loop of plain Python takes
at most TOLERANCE % more than at its best in this run, and again if it takes more at the end,
TRIES times in all; but a round of a work waits for that no longer than PATIENCE s. The "pace"
above tells how many of these measurements were at the best pace to their end.

- **Record**: `await log.ainfo("TEMPLATE", user="alice", n=n)` or what comes closest in
  the contender's own dialect, with as many bound fields as the title says; call site on
  unless the note says otherwise; one JSON line each.
- **Time** ends after the contender's flush: every line is in the operating system's hands.
  Right then, before anything is closed, the lines are counted, and the first and the last
  one are parsed; a contender with a wrong number of lines gets no figure.
- **Floor**: `write(orjson.dumps(record, None, OPT_APPEND_NEWLINE))` in a loop, `record` a
  dict with all that a logflume line has, made once; `write` of `open(path, "wb")`. "A dict
  for each" makes that dict anew for every record, as a logger must.
- Peers are set up as their documentation advises for speed, with orjson where they let one
  choose. structlog's `BytesLogger`, loguru, picologging and stdlib's `FileHandler` flush
  each line; that is how they come.
"""


def page(
    machine: Sequence[tuple[str, str]],
    amounts: Amounts,
    results: Sequence[Result],
    verdicts: Sequence[str],
    warm_up: int,
) -> str:
    """Return the whole Markdown page."""
    measured = f"up to {amounts.rounds} rounds, {amounts.records:,} records"
    facts = [*machine, ("amounts", measured + (QUICK if amounts.quick else ""))]
    facts.append(("pace", _pace(amounts.pace, results)))
    parts = [
        "# Benchmarks",
        "Measured and written by `python -m benchmarks --output docs/benchmarks.md`.",
        "\n".join(f"- **{name}**: {value}" for name, value in facts),
        "## How it is measured",
        _how(warm_up),
        *(section(result) for result in results),
    ]
    if verdicts:
        parts += ["## Targets", "\n".join(f"- {verdict}" for verdict in verdicts)]
    return "\n\n".join(part.strip() for part in parts) + "\n"


def _pace(best: float, results: Sequence[Result]) -> str:
    paces = [each for result in results for each in result.paces()]
    kept = sum(each <= best * pace.TOLERANCE for each in paces)
    return f"{best:.2f} ms at its best, which {kept} of {len(paces)} measurements had to their end"


def _how(warm_up: int) -> str:
    text = HOW.replace("WARM_UP", f"{warm_up:,}").replace("TEMPLATE", TEMPLATE)
    text = text.replace("TOLERANCE", f"{(pace.TOLERANCE - 1) * 100:.0f}")
    return text.replace("TRIES", str(TRIES)).replace("PATIENCE", f"{PATIENCE_S:.0f}")


def section(result: Result) -> str:
    """Return title, text, table and failures of one work."""
    header, rows = TABLES[result.work.measure](result)
    if result.work.name == "second_route":
        header, rows = _second_route(result)
    parts = [f"## {result.work.title} (`{result.work.name}`)", result.work.text]
    failures = [o for o in result.outcomes.values() if o.error]
    if header[-1] == "note":
        blank = ("",) * (len(header) - 2)
        rows += [(o.contender.name, *blank, f"no figure: {o.error}") for o in failures]
        failures = []
    if rows:
        parts.append(table(header, rows))
    if failures:
        parts.append("\n".join(f"- no figure for {o.contender.name}: {o.error}" for o in failures))
    return "\n\n".join(parts)


def table(header: Row, rows: Sequence[Row]) -> str:
    """Return a Markdown table whose columns are aligned: text left, figures right."""
    widths = [max(len(row[i]) for row in (header, *rows)) for i in range(len(header))]
    right = [i > 0 and header[i] != "note" for i in range(len(header))]

    def line(row: Row) -> str:
        cells = [
            c.rjust(w) if r else c.ljust(w) for c, w, r in zip(row, widths, right, strict=True)
        ]
        return f"| {' | '.join(cells)} |"

    rule = [f"{'-' * (w - 1)}:" if r else "-" * w for w, r in zip(widths, right, strict=True)]
    return "\n".join([line(header), f"| {' | '.join(rule)} |", *map(line, rows)])


def _throughput(result: Result) -> tuple[Row, list[Row]]:
    header = ("contender", "× floor best", "median", "µs best", "median", "bytes/line", "note")
    rows: list[Row] = []
    for outcome in sorted(result.done(), key=lambda o: o.median("ns")):
        ratios = result.ratios(outcome, "ns")
        rows.append(
            (
                outcome.contender.name,
                f"{min(ratios):.2f}" if ratios else "",
                f"{median(ratios):.2f}" if ratios else "",
                f"{outcome.best('ns') / 1e3:.3f}",
                f"{outcome.median('ns') / 1e3:.3f}",
                f"{outcome.samples[-1]['bytes']:.0f}",
                outcome.contender.note,
            )
        )
    return header, rows


def _second_route(result: Result) -> tuple[Row, list[Row]]:
    header = ("contender", "more, best", "median", "µs best", "median")
    rows: list[Row] = []
    for outcome in result.done():
        more = [ratio - 1 for ratio in result.ratios(outcome, "ns")]
        based = more and outcome.contender.base != outcome.contender.name
        rows.append(
            (
                outcome.contender.name,
                f"{min(more):+.0%}" if based else "",
                f"{median(more):+.0%}" if based else "",
                f"{outcome.best('ns') / 1e3:.3f}",
                f"{outcome.median('ns') / 1e3:.3f}",
            )
        )
    return header, rows


def _below(result: Result) -> tuple[Row, list[Row]]:
    header = ("contender", "µs best", "median", "note")
    return header, [
        (
            o.contender.name,
            f"{o.best('ns') / 1e3:.3f}",
            f"{o.median('ns') / 1e3:.3f}",
            o.contender.note,
        )
        for o in sorted(result.done(), key=lambda o: o.median("ns"))
    ]


def _requests(result: Result) -> tuple[Row, list[Row]]:
    header = ("contender", "µs best", "median", "bare app", "note")
    return header, [
        (
            o.contender.name,
            f"{o.best('ns') / 1e3:.2f}",
            f"{o.median('ns') / 1e3:.2f}",
            f"{o.median('bare') / 1e3:.2f}",
            o.contender.note,
        )
        for o in sorted(result.done(), key=lambda o: o.median("ns"))
    ]


def _lag(result: Result) -> tuple[Row, list[Row]]:
    header = (
        *("contender", "p50 ms", "p99 ms best", "p99 ms", "× structlog's", "max ms", "records/s"),
        "note",
    )
    rows: list[Row] = []
    for o in result.done():
        ratios = result.ratios(o, "p99_ms")
        rows.append(
            (
                o.contender.name,
                f"{o.median('p50_ms'):.3f}",
                f"{o.best('p99_ms'):.3f}",
                f"{o.median('p99_ms'):.3f}",
                f"{median(ratios):.2f}" if ratios else "",
                f"{o.median('max_ms'):.3f}",
                f"{o.median('per_second'):,.0f}",
                o.contender.note,
            )
        )
    return header, rows


def _imports(result: Result) -> tuple[Row, list[Row]]:
    header = ("module", "ms best", "median", "more than anyio, best", "median")
    rows: list[Row] = []
    for outcome in result.done():
        more = result.differences(outcome, "ms")
        rows.append(
            (
                outcome.contender.name,
                f"{outcome.best('ms'):.1f}",
                f"{outcome.median('ms'):.1f}",
                f"{min(more):+.1f}" if more else "",
                f"{median(more):+.1f}" if more else "",
            )
        )
    return header, rows


def _memory(result: Result) -> tuple[Row, list[Row]]:
    header = ("contender", "MiB at first", "peak", "grown", "in the second half", "records/s")
    return header, [
        (
            o.contender.name,
            f"{o.median('start_mib'):.1f}",
            f"{o.median('peak_mib'):.1f}",
            f"{o.median('grown_mib'):.1f}",
            f"{o.median('late_mib'):.1f}",
            f"{o.median('per_second'):,.0f}",
        )
        for o in result.done()
    ]


TABLES: Final[dict[str, Callable[[Result], tuple[Row, list[Row]]]]] = {
    "throughput": _throughput,
    "below": _below,
    "requests": _requests,
    "lag": _lag,
    "imports": _imports,
    "memory": _memory,
}


def missing_keys(result: Result) -> list[str]:
    """Return the keys that only one of the floor's and logflume's lines has."""
    floor = result.outcomes.get(FLOOR.name, Outcome(FLOOR)).keys
    ours = next((o.keys for n, o in result.outcomes.items() if n.startswith("logflume ainfo")), [])
    return sorted(set(floor) ^ set(ours)) if floor and ours else []

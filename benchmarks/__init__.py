"""The benchmarks of logflume: one command measures and prints the whole table.

    python -m benchmarks                         # from the root of the repository
    python -m benchmarks --quick --only main
    python -m benchmarks --output docs/benchmarks.md --check

Every measurement runs in a process of its own. The contenders of a work take turns, round
after round, so that whatever else the machine does hits all of them alike; a ratio compares
two measurements of the same round, never of two.

    __main__ -> rounds -> child (a process per measurement) -> measures/ -> contenders/
                  \\-> report, targets

`registry` says which contenders a work has, `contenders/` has one file per library (each is
imported only in its own process), `measures/` one file per way of measuring. The floor that
the ratios refer to is defined in `contenders/floor.py`.
"""

"""`python -m logflume.config schema` prints the JSON Schema; `check [FILE]` checks a file."""

from __future__ import annotations

import argparse
import json
import sys

from ..errors import ConfigurationError
from . import json_schema
from .build import pipeline_of, plan_of


def main(arguments: list[str] | None = None) -> int:
    """Do what the command line says; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m logflume.config", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("schema", help="print the JSON Schema of configurations")
    check = commands.add_parser("check", help="say what is wrong with a configuration")
    check.add_argument("file", nargs="?", help="left out, it is found as configure_from() does")
    given = parser.parse_args(arguments)
    if given.command == "schema":
        sys.stdout.write(json.dumps(json_schema(), indent=2) + "\n")
        return 0
    try:
        plan = plan_of(given.file)
        pipeline_of(plan)
    except ConfigurationError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    counts = (_counted(len(plan.routes), "route"), _counted(len(plan.processors), "processor"))
    sys.stdout.write(f"{plan.source or 'defaults'}: {', '.join(counts)}\n")
    return 0


def _counted(number: int, thing: str) -> str:
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


if __name__ == "__main__":
    sys.exit(main())

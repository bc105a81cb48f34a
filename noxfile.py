"""What is checked, each in a virtualenv of its own: `nox` runs all but coverage and benchmarks.

nox -s tests-3.12 -- tests/engine    runs some tests on one Python
"""

from __future__ import annotations

import nox

nox.needs_version = ">=2025.5.1"
nox.options.sessions = ["lint", "types", "docs", "tests"]
nox.options.error_on_missing_interpreters = False
nox.options.reuse_venv = "yes"

PROJECT = nox.project.load_toml("pyproject.toml")
AT_ONCE = ("-n", "2")
PYTHONS = nox.project.python_versions(PROJECT)  # those of the classifiers


def install(session: nox.Session, group: str) -> None:
    """Install logflume, as it ships, and a dependency group; pip itself need not know groups."""
    session.install(".", *nox.project.dependency_groups(PROJECT, group))


@nox.session
def lint(session: nox.Session) -> None:
    """Check style and format."""
    session.install(*nox.project.dependency_groups(PROJECT, "lint"))
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", "--diff", ".")


@nox.session
def types(session: nox.Session) -> None:
    """Check types, strictly."""
    install(session, "types")
    session.run("mypy", "src", "benchmarks", "examples", "docs", "noxfile.py")


@nox.session
def docs(session: nox.Session) -> None:
    """Run the examples of README and docs."""
    install(session, "tests")
    session.run("pytest", "tests/test_docs.py", "tests/test_examples.py", *session.posargs)


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """Run the tests."""
    install(session, "tests")
    session.run("pytest", *AT_ONCE, *session.posargs)


@nox.session(python=PYTHONS)
def coverage(session: nox.Session) -> None:
    """Run the tests, and measure what they cover; that takes half as long again."""
    install(session, "tests")
    session.run("coverage", "erase")
    session.run("coverage", "run", "-m", "pytest", *AT_ONCE, *session.posargs)
    # Of a process that a test has killed, half a file may be left: that is told, and left out.
    session.run("coverage", "combine", "--quiet", success_codes=[0, 1])
    session.run("coverage", "report")


@nox.session
def bench(session: nox.Session) -> None:
    """Have a quick look at the benchmarks; arguments go to `python -m benchmarks`."""
    install(session, "bench")
    session.run("python", "-m", "benchmarks", *(session.posargs or ["--quick"]))

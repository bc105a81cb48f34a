"""The import rules: what a file may know. Read from the syntax trees, so imports in functions and
for types count, too.

    L0  plain values           the standard library, msgspec, and each other
    L1  the call site,         L0; pure: no anyio, nothing that does I/O or waits
        processors, encoders
                               modules that begin with `_` are shared by plug-ins of their kind
    files                      L0, each other: blocking file work without loops or threads
    L2  engine, sinks          L0, L1, anyio (sinks: files, too); the engine knows plug-ins only
                               through protocols
    L4  integrations           all below, by way of the modules that `logflume/__init__.py` shows,
                               and anyio; what they bridge to is imported when it is used
    L4  testing                what users may import, and the hooks of the engine that tests need;
                               its contracts bring pytest, and nothing else imports them
"""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fakes import unmeasured

SRC = Path(__file__).parents[1] / "src" / "logflume"
MODULES = sorted(SRC.rglob("*.py"))

CALL_SITE = {"around", "capture", "catch", "lazy", "logger", "override", "scope", "source"}

L0 = {
    "context",
    "digest",
    "errors",
    "escape",
    "exception",
    "glance",
    "key",
    "level",
    "mask",
    "pattern",
    "prose",
    "protocols",
    "record",
    "secrets",
    "setting",
    "snapshot",
    "stats",
    "template",
    "theme",
}
ENCODERS, PROCESSORS, SINKS = "encoders", "processors", "sinks"
CONFIG = "config"
FILES = "files"
INTEGRATIONS = "integrations"
TESTING = "testing"
PLUG_INS = (ENCODERS, PROCESSORS, SINKS)

LOOPS = {"asyncio", "trio", "uvloop", "sniffio"}
IMPURE = LOOPS | {
    "aiofiles",
    "anyio",
    "concurrent",
    "http",
    "httpx",
    "io",
    "multiprocessing",
    "queue",
    "selectors",
    "shutil",
    "signal",
    "socket",
    "sqlite3",
    "ssl",
    "subprocess",
    "tempfile",
    "threading",
    "urllib",
}
OUTSIDE = {  # what each part may import beside the standard library
    "L0": {"msgspec"},
    "logger": set(),
    ENCODERS: {"msgspec", "orjson", "rich"},
    # Redaction: one dump shows the values of a whole batch. OpenTelemetry's API does no I/O, and
    # of structlog only an exception is needed.
    PROCESSORS: {"opentelemetry", "orjson", "structlog"},
    FILES: {"orjson", "zstandard"},
    "engine": {"anyio"},
    SINKS: {"anyio", "aiofiles", "loguru", "rich"},
    CONFIG: {"msgspec", "watchfiles"},
    INTEGRATIONS: {"anyio", "loguru", "structlog"},  # anyio: an app's shutdown waits
    TESTING: {"anyio", "pytest"},
}

MOST_LINES = 450


def name_of(path: Path) -> str:
    """Return `engine.door` for `src/logflume/engine/door.py`; a package's own file has its name."""
    parts = path.relative_to(SRC).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def part_of(name: str) -> str:
    """Return the layer or package that a module belongs to."""
    top = name.partition(".")[0]
    if top in L0:
        return "L0"
    return "logger" if top in CALL_SITE else top


def imports(path: Path) -> tuple[set[str], set[str]]:
    """Return what a module imports: names within logflume, and top names from outside."""
    own: set[str] = set()
    outside: set[str] = set()
    package = name_of(path) if path.name == "__init__.py" else name_of(path).rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            targets = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level:
            base = package.split(".") if package else []
            base = base[: len(base) - node.level + 1] + ([node.module] if node.module else [])
            targets = [".".join(["logflume", *base, alias.name]) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            targets = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for target in targets:
            top, _, rest = target.partition(".")
            if top == "logflume":
                own.add(module_in(rest))
            else:
                outside.add(top)
    return own, outside


def module_in(dotted: str) -> str:
    """Return the longest part of a dotted name that is a module of logflume."""
    parts = dotted.split(".")
    while parts:
        path = SRC.joinpath(*parts)
        if path.with_suffix(".py").exists() or (path / "__init__.py").exists():
            return ".".join(parts)
        parts.pop()
    return ""


each_module = pytest.mark.parametrize("path", MODULES, ids=name_of)


@each_module
def test_a_module_imports_only_what_its_layer_allows(path: Path) -> None:
    own, outside = imports(path)
    name = name_of(path)
    part = part_of(name)
    if not part:  # logflume/__init__.py knows all
        return
    assert "" not in own, "nothing inside imports the package's public face"
    allowed = {
        "L0": {"L0"},
        "logger": {"L0", "logger"},
        ENCODERS: {"L0", ENCODERS},
        PROCESSORS: {"L0"},
        FILES: {"L0", FILES},
        "engine": {"L0", "logger", "engine"},
        SINKS: {"L0", ENCODERS, FILES, "engine", SINKS},
        CONFIG: {"L0", "logger", ENCODERS, PROCESSORS, "engine", SINKS, CONFIG},
        INTEGRATIONS: {"L0", "logger", ENCODERS, PROCESSORS, "engine", SINKS, INTEGRATIONS},
        TESTING: {"L0", "logger", ENCODERS, "engine", TESTING},
    }[part]
    if path.name == "__init__.py":
        allowed = allowed | {part}
    assert {n for n in own if part_of(n) not in allowed and n != name} == set()
    foreign = outside - sys.stdlib_module_names - OUTSIDE[part]
    if name != "engine.backend":
        assert foreign == set()


@each_module
def test_only_the_engine_s_backend_names_an_event_loop(path: Path) -> None:
    _, outside = imports(path)
    assert name_of(path) == "engine.backend" or not outside & LOOPS


@pytest.mark.parametrize(
    "path",
    [p for p in MODULES if part_of(name_of(p)) in ("L0", "logger", ENCODERS, PROCESSORS)],
    ids=name_of,
)
def test_the_layers_below_the_engine_are_pure(path: Path) -> None:
    _, outside = imports(path)
    assert outside & IMPURE == set()


@pytest.mark.parametrize("path", [p for p in MODULES if part_of(name_of(p)) == FILES], ids=name_of)
def test_file_work_knows_neither_loops_nor_threads(path: Path) -> None:
    _, outside = imports(path)
    assert outside & (LOOPS | {"anyio", "concurrent", "queue", "threading"}) == set()


@pytest.mark.parametrize(
    "path",
    [p for p in MODULES if p.parent.name in PLUG_INS and p.name != "__init__.py"],
    ids=name_of,
)
def test_plug_ins_of_one_kind_never_import_each_other(path: Path) -> None:
    own, _ = imports(path)
    kind = path.parent.name
    shared = f"{kind}._"  # what several of a kind build on, no plug-in by itself
    assert {name for name in own if part_of(name) == kind and not name.startswith(shared)} == set()


def test_only_the_contracts_need_pytest() -> None:
    def is_contract(name: str) -> bool:
        return name.startswith("testing.contracts")

    for path in MODULES:
        own, outside = imports(path)
        if not is_contract(name_of(path)):
            assert "pytest" not in outside
            assert not [name for name in own if is_contract(name)]


def test_importing_logflume_loads_no_part_that_users_import_themselves() -> None:
    code = "import sys, logflume; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert not {"logflume.testing", "_logflume_pytest"} & set(done.stdout.split())


@each_module
def test_a_module_is_short_enough_to_be_read(path: Path) -> None:
    lines = path.read_bytes().count(b"\n")
    assert lines <= MOST_LINES


def test_importing_logflume_loads_no_optional_dependency() -> None:
    code = "import sys, logflume; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        env=unmeasured(),
    )
    assert "logflume.integrations" not in done.stdout  # imported by who wants one
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert (
        loaded
        & {
            "httpx",
            "loguru",
            "opentelemetry",
            "pytest",
            "structlog",
            "tomllib",
            "trio",
            "uvloop",
            "watchfiles",
            "zstandard",
        }
        == set()
    )

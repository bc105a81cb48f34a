"""The public names: complete, sorted, documented, and typed for those who use them."""

from __future__ import annotations

import inspect
import pkgutil
import zipfile
from pathlib import Path
from types import ModuleType
from typing import Any, get_origin

import pytest
from hatchling.builders.wheel import WheelBuilder

import logflume
from docs import build_reference
from logflume import encoders, processors, sinks, testing
from logflume.integrations import asgi, loguru, processes, serverless, stdlib, structlog

ROOT = Path(__file__).parents[1]
PACKAGES = [
    logflume, encoders, processors, sinks, asgi, stdlib, structlog, loguru, processes, serverless,
    testing,
]  # fmt: skip
SUBPACKAGES = {"encoders", "processors", "sinks"}
COMPLETE = [logflume, encoders, processors, sinks]  # the others name their parts one by one
each_package = pytest.mark.parametrize("package", COMPLETE, ids=lambda p: p.__name__)


def public() -> list[tuple[str, Any]]:
    return [
        (f"{package.__name__}.{name}", getattr(package, name))
        for package in PACKAGES
        for name in package.__all__
    ]


def is_own(value: object) -> bool:
    """Whether this was made here; aliases of types, which do not say where, count as such."""
    where = str(getattr(value, "__module__", ""))
    return where.startswith("logflume") or get_origin(value) is not None


@each_package
def test_all_is_sorted_and_says_everything_once(package: ModuleType) -> None:
    names = package.__all__
    assert len(set(names)) == len(names)
    # Classes first, as the linter sorts them.
    assert names == sorted(names, key=lambda name: (not name[0].isupper(), name))


@each_package
def test_all_is_complete(package: ModuleType) -> None:
    modules = {info.name for info in pkgutil.iter_modules(getattr(package, "__path__", ()))}
    found = {
        name
        for name, value in vars(package).items()
        if not name.startswith("_")
        and (is_own(value) or name in SUBPACKAGES)
        and not (name in modules and isinstance(value, ModuleType) and name not in SUBPACKAGES)
    }
    imported_only = {
        name for name in found if package is not logflume and name in logflume.__all__
    } - set(package.__all__)
    internal = {"adopt_coercion"}  # how the package of sinks tells the engine of itself
    assert found - imported_only - internal == set(package.__all__)


@pytest.mark.parametrize(("name", "value"), public(), ids=[name for name, _ in public()])
def test_a_public_name_has_a_docstring(name: str, value: Any) -> None:
    if not isinstance(value, type) and not inspect.isroutine(value):
        value = type(value)  # `log`
    if inspect.isclass(value) or inspect.isroutine(value):
        assert inspect.getdoc(value), f"{name} has no docstring"


@pytest.mark.parametrize(
    ("name", "kind"),
    [(name, value) for name, value in public() if inspect.isclass(value)],
    ids=[name for name, value in public() if inspect.isclass(value)],
)
def test_its_public_methods_have_docstrings_too(name: str, kind: type) -> None:
    if getattr(kind, "_is_protocol", False):  # the class says what its methods are for
        return
    for member, value in vars(kind).items():
        if member.startswith("_") or not (inspect.isroutine(value) or isinstance(value, property)):
            continue
        assert inspect.getdoc(value), f"{name}.{member} has no docstring"


def test_the_wheel_ships_the_types_and_the_license(tmp_path: Path) -> None:
    (wheel,) = WheelBuilder(str(ROOT)).build(directory=str(tmp_path), versions=["standard"])
    files = zipfile.ZipFile(wheel).namelist()
    assert "logflume/py.typed" in files
    assert any(name.endswith("licenses/LICENSE") for name in files)
    assert not [name for name in files if name.startswith(("tests", "benchmarks", "examples"))]
    shipped = {name for name in files if name.endswith(".py")}
    assert shipped == {str(p.relative_to(ROOT / "src")) for p in (ROOT / "src").rglob("*.py")}


def test_the_reference_has_every_public_name() -> None:
    shown = {
        f"{module}.{name}" for _, module, names in build_reference.PAGES.values() for name in names
    }
    assert shown == {name for name, _ in public()} - {f"logflume.{name}" for name in SUBPACKAGES}


@pytest.mark.parametrize("page", build_reference.pages())
def test_the_reference_says_what_the_code_says(page: str) -> None:
    on_disk = (build_reference.FOLDER / page).read_text(encoding="utf-8")
    assert on_disk == build_reference.pages()[page], "run: python docs/build_reference.py"

"""The JSON Schema: up to date, valid, and of one mind with what is accepted."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from logflume import ConfigurationError, configure_from
from logflume.config import json_schema
from logflume.config.__main__ import main

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/how-to/configure-from-a-file.md"
FILE = ROOT / "docs/logflume.schema.json"
EXAMPLES = re.findall(r"^```(toml|json)\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE)


def documents() -> list[dict[str, Any]]:
    return [tomllib.loads(t) if kind == "toml" else json.loads(t) for kind, t in EXAMPLES]


def check(document: dict[str, Any]) -> bool:
    jsonschema = pytest.importorskip("jsonschema")
    validator = jsonschema.Draft202012Validator(json_schema())
    return bool(validator.is_valid(document))


def test_the_file_says_what_the_code_says() -> None:
    """docs/logflume.schema.json is generated."""
    made = json.dumps(json_schema(), indent=2) + "\n"
    command = "python -m logflume.config schema > docs/logflume.schema.json"
    assert FILE.read_text() == made, f"run: {command}"


def test_the_schema_is_one() -> None:
    """It keeps to the rules of JSON Schema, and all that it refers to is there."""
    jsonschema = pytest.importorskip("jsonschema")
    schema = json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    referred = set(re.findall(r'"#/\$defs/([^"]+)"', json.dumps(schema)))
    assert referred <= schema["$defs"].keys()


def test_the_examples_of_the_page_are_valid() -> None:
    """What the how-to shows is what the schema says."""
    shown = documents()
    assert len(shown) >= 2
    for document in shown:
        own = document.get("tool", {}).get("logflume", document)
        assert check(own), own


CONSOLE = {"sink": "console"}


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"level": "debug", "levels": {"a.b": 10}, "capacity": "${N:-100}", "redact": "${R:-true}"},
        {"routes": [CONSOLE, {"sink": {"type": "console", "color": True}}]},
        {"routes": [{"sink": {"type": "file", "path": "a", "mode": "${MODE:-384}"}}]},
        {"routes": [{**CONSOLE, "encoder": {"type": "json", "flat": "${FLAT:-true}"}}]},
        {"routes": [{**CONSOLE, "level": "error", "batch": {"max_age": 1.5}, "overflow": "drop"}]},
        {"routes": [{**CONSOLE, "filter": "builtins:callable"}]},
        {"routes": [{"sink": "tests.fakes:Collect"}, {"sink": {"type": "tests.fakes:Collect"}}]},
        {"processors": ["builtins:callable", {"type": "add", "any": {"thing": 1}}]},
    ],
)
def test_what_is_accepted_is_valid(document: dict[str, Any]) -> None:
    """The schema lets through what works."""
    configure_from(document)
    assert check(document)


@pytest.mark.parametrize(
    "document",
    [
        {"levle": "info"},
        {"capacity": "many"},
        {"redact": 3},
        {"routes": {}},
        {"routes": ["console"]},
        {"routes": [{}]},
        {"routes": [{**CONSOLE, "levle": 1}]},
        {"routes": [{**CONSOLE, "batch": 3}]},
        {"routes": [{**CONSOLE, "batch": {"max_record": 3}}]},
        {"routes": [{"sink": {"path": "a"}}]},
        {"routes": [{"sink": {"type": "file"}}]},
        {"routes": [{"sink": {"type": "file", "path": "a", "moed": 1}}]},
        {"routes": [{**CONSOLE, "encoder": {"type": "json", "flat": "maybe"}}]},
        {"routes": [{**CONSOLE, "filter": "x"}]},
        {"processors": [{"service": "shop"}]},
    ],
)
def test_what_is_refused_is_not(document: dict[str, Any]) -> None:
    """The schema shows in an editor what would be an error."""
    with pytest.raises(ConfigurationError):
        configure_from(document)
    assert not check(document)


def test_the_command_line_prints_and_checks(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`schema` prints it; `check` says whether a file is right, and what is wrong with it."""
    assert main(["schema"]) == 0
    assert json.loads(capsys.readouterr().out) == json_schema()
    path = tmp_path / "a.toml"
    path.write_text('processors = [{type = "add", a = 1}]\n')
    assert main(["check", str(path)]) == 0
    assert capsys.readouterr().out == f"{path}: 1 route, 1 processor\n"
    path.write_text('level = "loud"\n')
    assert main(["check", str(path)]) == 1
    assert "level: got 'loud'" in capsys.readouterr().err


def test_it_is_a_module_to_be_run() -> None:
    """`python -m logflume.config` works."""
    command = [sys.executable, "-W", "error", "-m", "logflume.config", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert "schema" in done.stdout

"""Finding and reading configurations: formats, places, variables."""

from __future__ import annotations

import datetime
import json
from pathlib import Path

import pytest

from logflume import ConfigurationError
from logflume.config.document import Document, find, read

TOML = """\
level = "debug"
[levels]
"app.db" = "trace"
[[routes]]
sink = { type = "file", path = "a.jsonl" }
"""
DATA = {
    "level": "debug",
    "levels": {"app.db": "trace"},
    "routes": [{"sink": {"type": "file", "path": "a.jsonl"}}],
}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LOGFLUME_CONFIG", raising=False)
    return tmp_path


def test_toml_json_and_a_dict_say_the_same(folder: Path) -> None:
    """The format makes no difference to what is read."""
    (folder / "logs.toml").write_text(TOML)
    (folder / "logs.json").write_text(json.dumps(DATA))
    assert read("logs.toml").data == read(folder / "logs.json").data == read(DATA).data == DATA


def test_a_byte_order_mark_is_no_part_of_a_file(folder: Path) -> None:
    """Editors that write one do no harm."""
    (folder / "logs.toml").write_text(TOML, encoding="utf-8-sig")
    assert read("logs.toml").data == DATA


def test_a_pyproject_holds_it_in_a_table_of_tools(folder: Path) -> None:
    """Of a pyproject.toml, `[tool.logflume]` counts; without one, it is no configuration."""
    (folder / "pyproject.toml").write_text('[tool.logflume]\nlevel = "debug"\n')
    assert read("pyproject.toml").data == {"level": "debug"}
    (folder / "pyproject.toml").write_text("[tool.other]\n")
    with pytest.raises(ConfigurationError, match=r"no table \[tool.logflume\]"):
        read("pyproject.toml")


def test_it_is_looked_for_in_order(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`LOGFLUME_CONFIG`, then logflume.toml, then pyproject.toml, else there is none."""
    assert find() is None
    assert read().data == {}
    (folder / "pyproject.toml").write_text("[tool.other]\n")
    assert find() is None
    (folder / "pyproject.toml").write_text("tool = 5\n")
    assert find() is None
    (folder / "pyproject.toml").write_text("[tool.logflume]\n")
    assert find() == Path("pyproject.toml")
    (folder / "logflume.toml").write_text(TOML)
    assert find() == Path("logflume.toml")
    assert read().path == folder / "logflume.toml"
    monkeypatch.setenv("LOGFLUME_CONFIG", "elsewhere.toml")
    assert find() == Path("elsewhere.toml")
    with pytest.raises(ConfigurationError, match=r"elsewhere\.toml: cannot be read: No such file"):
        read()


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.toml", "level = \n", r"a\.toml: .*line 1"),
        ("a.json", "{", r"a\.json: .*line 1"),
        ("a.json", "[]", r"a\.json: got \[\]; accepted: a table"),
        ("a.yaml", "", r"got 'a\.yaml'; accepted: the path of a \.toml or \.json file"),
        ("a.toml", b"\xff\xfe", r"a\.toml: .*utf-8"),
        ("a.toml", "a=" + "[" * 20_000, r"a\.toml: nested too deeply"),
        ("a.json", "[" * 200_000, r"a\.json: nested too deeply"),
        ("pyproject.toml", "tool = 5", r"there is no table \[tool.logflume\]"),
    ],
)
def test_what_cannot_be_read_is_said_with_its_place(
    folder: Path, name: str, text: str | bytes, said: str
) -> None:
    """Errors of a file name it, and the line if there is one."""
    (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ConfigurationError, match=said):
        read(name)


@pytest.mark.parametrize("source", [3, "", b"x.toml", ["x"], "a\0.toml"])
def test_a_source_is_a_path_or_a_dict(source: object) -> None:
    """Anything else is refused."""
    with pytest.raises(ConfigurationError, match="accepted: the path of a"):
        read(source)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("${HERE}", "here"),
        ("a ${HERE}/${HERE} b", "a here/here b"),
        ("${ABSENT:-else}", "else"),
        ("${ABSENT:-}", ""),
        ("${EMPTY}", ""),
        ("${EMPTY:-else}", "else"),
        ("${HERE:-else}", "here"),
        ("${ABSENT:-a:-b}", "a:-b"),
        ("$$", "$"),
        ("$${HERE}", "${HERE}"),
        ("$$$${HERE}", "$${HERE}"),
        ("$${${HERE}}", "${here}"),
        ("^a$", "^a$"),
        ("$HERE", "$HERE"),
        ("${NESTED}", "${HERE}"),
    ],
)
def test_variables_are_filled_in(text: str, filled: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a shell, where there are braces; what is filled in is not looked at again."""
    monkeypatch.setenv("HERE", "here")
    monkeypatch.setenv("EMPTY", "")
    monkeypatch.setenv("NESTED", "${HERE}")
    monkeypatch.delenv("ABSENT", raising=False)
    assert Document({"a": [{"b": text}]}).data == {"a": [{"b": filled}]}


def test_only_texts_are_filled_in() -> None:
    """Other values, and keys, stay as they are."""
    data = {"${a}": 1, "b": 1.5, "c": True, "d": datetime.date(2026, 1, 2), "e": None}
    assert Document(data).data == data


def test_a_variable_that_is_not_set_is_named_with_its_place() -> None:
    """The error says which variable, and where it is asked for."""
    data = {"routes": [{}, {"sink": {"a b": "${LOGFLUME_ABSENT}"}}]}
    with pytest.raises(ConfigurationError) as error:
        Document(data)
    assert str(error.value) == (
        'routes[1].sink."a b": the environment variable LOGFLUME_ABSENT is not set; '
        "accepted: set it, or give a default: ${LOGFLUME_ABSENT:-default}"
    )


@pytest.mark.parametrize("text", ["${", "${}", "${A", "${A-B}", "${1}", "${A B}"])
def test_what_is_no_variable_is_refused(text: str) -> None:
    """A brace that is opened has to mean something."""
    with pytest.raises(ConfigurationError, match=r"level: got .*accepted: \$\{NAME\}"):
        Document({"level": text})


def test_a_dict_that_is_in_itself_is_refused() -> None:
    """Nothing goes round in circles."""
    config: dict[str, object] = {}
    config["levels"] = config
    with pytest.raises(ConfigurationError, match=r"^levels\.levels.*: nested too deeply"):
        read(config)

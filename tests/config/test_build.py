"""From settings to pipelines: what is made of them, and what is said of those that are wrong."""

from __future__ import annotations

import io
import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal, TextIO

import pytest

import logflume
from logflume import (
    Batch,
    ConfigurationError,
    Pipeline,
    Record,
    Retry,
    Route,
    configure_from,
    encoders,
    get_logger,
    sinks,
)
from logflume.config.build import construct
from logflume.config.schema import Config
from logflume.engine.processing import Processing
from tests.fakes import Collect

log = get_logger("tests.config")


def routes_of(config: dict[str, Any]) -> list[Route]:
    return list(configure_from(config)._routes)


def route_of(**options: Any) -> Route:
    (route,) = routes_of({"routes": [options]})
    return route


def error_of(config: Any) -> str:
    with pytest.raises(ConfigurationError) as error:
        configure_from(config)
    return str(error.value)


# What is made.


def test_without_settings_it_is_the_console() -> None:
    """An empty configuration is the default pipeline; no routes have to be asked for."""
    (route,) = routes_of({})
    assert isinstance(route.sink, sinks.Console)
    assert routes_of({"routes": []}) == []


def test_a_configuration_makes_a_pipeline_that_works(tmp_path: Path) -> None:
    """Levels, processors, routes, sinks and encoders are what the file says."""
    path = tmp_path / "logflume.toml"
    path.write_text(f"""
        level = "warning"
        capacity = 1000
        [levels]
        "tests" = "debug"
        [[processors]]
        type = "add"
        service = "shop"
        [[routes]]
        sink = {{ type = "file", path = "{tmp_path}/a.jsonl" }}
        encoder = {{ type = "json", flat = true }}
        [[routes]]
        sink = {{ type = "file", path = "{tmp_path}/b.jsonl" }}
        level = "error"
    """)
    with configure_from(path) as pipeline:
        log.debug("one")
        get_logger("other").info("not taken")
        log.error("two")
    assert (tmp_path / "a.jsonl").read_text().count('"service":"shop"') == 2
    assert (tmp_path / "b.jsonl").read_text().count("\n") == 1
    assert set(pipeline.stats().routes) == {"a.jsonl", "b.jsonl"}


async def test_it_opens_on_a_loop_as_any_other() -> None:
    """What comes of a configuration is a pipeline."""
    sink = Collect()
    async with configure_from({"routes": [{"sink": sink}]}):
        await log.ainfo("one")
    assert sink.messages == ["one"]


def test_options_of_a_route_are_those_of_route() -> None:
    """Each option of `Route` can be configured, tables become what they stand for."""
    route = route_of(
        sink="console",
        name="mine",
        level="error",
        encoder="json",
        filter="builtins:callable",
        batch={"max_records": 7, "max_age": 2},
        retry={"attempts": 3},
        buffer_records=9,
        overflow="drop",
    )
    assert (route.name, route.level.name, route.buffer_records) == ("mine", "ERROR", 9)
    assert route.batch == Batch(max_records=7, max_age=2)
    assert route.retry == Retry(attempts=3)
    assert route.encoder == encoders.Json()
    assert route.filter is callable


def test_texts_become_what_options_want(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a variable holds is a text: it becomes a number or a truth value."""
    monkeypatch.setenv("N", "7")
    monkeypatch.setenv("NO", "false")
    route = route_of(
        sink="console",
        encoder={"type": "json", "flat": "${NO}"},
        batch={"max_records": "${N}", "max_age": "1.5"},
        buffer_records="${N}",
    )
    assert route.encoder == encoders.Json(flat=False)
    assert route.batch == Batch(max_records=7, max_age=1.5)
    assert route.buffer_records == 7


def test_the_environment_goes_before_the_levels(monkeypatch: pytest.MonkeyPatch) -> None:
    """`LOGFLUME_LEVEL` overrides the root and the names that it has, and no other."""
    config = {"level": "error", "levels": {"a": "error", "b": "error"}}
    monkeypatch.setenv("LOGFLUME_LEVEL", "debug,a=trace")
    thresholds = configure_from(config).thresholds
    assert [thresholds.of(name) for name in ("other", "a", "b")] == [10, 5, 40]


def test_all_settings_of_a_pipeline_can_be_configured() -> None:
    """No parameter of `Pipeline` is left out."""
    import inspect

    parameters = inspect.signature(Pipeline).parameters.keys() - {"sinks"}
    assert set(Config.__struct_fields__) == parameters | {"routes", "levels"}


def stages(pipeline: Pipeline) -> list[Any]:
    processing: Processing = pipeline._processing
    return [stage._processor for stage in processing._stages]


@pytest.mark.parametrize(("redact", "count"), [(True, 1), (False, 0), ({}, 1), ("false", 0)])
def test_redaction_is_on_unless_turned_off(redact: Any, count: int) -> None:
    """`redact` is true, false or a table of options."""
    assert len(stages(configure_from({"redact": redact}))) == count


def upper(record: Record) -> Record:
    return record.replace(message=record.message.upper())


class Shout:
    def __init__(self, *words: str, loud: bool = False) -> None:
        self.words = words
        self.loud = loud

    def __call__(self, record: Record) -> Record:
        return record


def make_upper(times: int) -> Callable[[Record], Record]:
    assert times == 2
    return upper


def test_things_of_ones_own_are_named_by_module_and_attribute() -> None:
    """Classes are constructed, other things taken as they are; a table calls what it names."""
    here = __name__
    pipeline = configure_from(
        {
            "redact": False,
            "processors": [
                f"{here}:upper",
                f"{here}:Shout",
                {"type": f"{here}:Shout", "words": ["a", "b"], "loud": True},
                {"type": f"{here}:make_upper", "times": "2"},
                upper,
            ],
            "routes": [
                {"sink": "tests.fakes:Collect"},
                {"sink": {"type": "tests.fakes:Collect", "name": "mine"}},
                {"sink": f"{here}:upper", "name": "callback"},
                {"sink": {"type": "console", "stream": "stdout"}},
            ],
        }
    )
    first, second, third, fourth, fifth = stages(pipeline)
    assert first is fourth is fifth is upper
    assert (second.words, third.words, third.loud) == ((), ("a", "b"), True)
    assert list(pipeline.stats().routes) == ["collect", "mine", "callback", "console"]
    assert list(pipeline._routes)[3].sink._outlets[0].stream is sys.stdout  # type: ignore[attr-defined]


def test_a_dict_may_hold_the_things_themselves() -> None:
    """In a program, sinks, encoders, filters and processors need no names."""
    sink, encoder = Collect(), encoders.Json()
    route = route_of(sink=sink, encoder=encoder, filter=callable, batch=Batch(max_records=3))
    assert (route.sink, route.encoder, route.filter) == (sink, encoder, callable)
    assert route.batch.max_records == 3


def test_other_packages_add_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """An entry point in `logflume.plugins` is a name for a sink, an encoder or a processor."""
    entry = metadata.EntryPoint("collector", "tests.fakes:Collect", "logflume.plugins")

    def entry_points(*, group: str, name: str) -> list[metadata.EntryPoint]:
        assert group == "logflume.plugins"
        return [entry] if name == entry.name else []

    monkeypatch.setattr(metadata, "entry_points", entry_points)
    assert isinstance(route_of(sink={"type": "collector", "name": "x"}).sink, Collect)
    said = error_of({"processors": ["collector"]})
    assert said.startswith("processors[0]: got 'collector', which is no processor")


def test_levels_inside_lists_and_tables_are_texts() -> None:
    """Where an option takes levels, a file names them."""
    filters = {"type": "filter", "levels": ["info", 40], "logger": "app"}
    rates = {"type": "sample", "rates": {"debug": 0.5}}
    assert len(stages(configure_from({"redact": False, "processors": [filters, rates]}))) == 2


# What constructors take.


@dataclass(frozen=True)
class Size:
    width: int
    height: int = 1


class Odd:
    """Has options of all kinds."""

    def __init__(
        self,
        first: int,
        /,
        *names: str,
        mode: Literal["a", "b"] = "a",
        ways: Sequence[int] = (),
        size: Size | None = None,
        file: TextIO | None = None,
        call: Callable[[], int] | None = None,
        stamp: io.StringIO | str | None = None,
        key: Callable[[], int] | str = "",
        **more: Any,
    ) -> None:
        self.given = SimpleNamespace(**{k: v for k, v in locals().items() if k != "self"})


def test_options_come_from_the_constructor() -> None:
    """Positional, repeated and free options, tables, streams and functions are all filled."""
    table = {
        "first": "3",
        "names": ["x", "y"],
        "mode": "b",
        "ways": ["1", 2],
        "size": {"width": "4"},
        "file": "stderr",
        "call": "os:getpid",
        "stamp": "text",
        "key": "os:getpid",
        "free": [1],
    }
    given = construct(Odd, table, "at").given
    assert (given.first, given.names, given.mode, given.ways) == (3, ("x", "y"), "b", [1, 2])
    assert (given.size, given.file, given.stamp) == (Size(4), sys.stderr, "text")
    assert (given.call.__name__, given.key) == ("getpid", "os:getpid")
    assert given.more == {"free": [1]}


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({}, "at.first: missing; accepted: a whole number"),
        ({"first": "x"}, "at.first: got 'x'; accepted: a whole number"),
        ({"first": 1, "names": [1]}, "at.names[0]: got 1; accepted: a string"),
        ({"first": 1, "mode": "c"}, "at.mode: got 'c'; accepted: 'a', 'b'"),
        ({"first": 1, "ways": [1, "x"]}, "at.ways[1]: got 'x'; accepted: a whole number"),
        ({"first": 1, "size": 3}, "at.size: got 3; accepted: a table for Size"),
        ({"first": 1, "size": {}}, "at.size.width: missing; accepted: a whole number"),
        (
            {"first": 1, "size": {"width": 1, "hight": 1}},
            "at.size.hight: unknown (did you mean 'height'?); accepted: width, height",
        ),
        ({"first": 1, "call": "x"}, "at.call: got 'x'; accepted: 'module:attribute'"),
        (
            {"first": 1, "file": "x"},
            "at.file: got 'x'; accepted: 'stdout', 'stderr' or 'module:attribute'",
        ),
    ],
)
def test_an_option_that_does_not_fit_is_said_with_its_place(
    table: dict[str, Any], said: str
) -> None:
    """Each error names the place, what was given and what is accepted."""
    with pytest.raises(ConfigurationError) as error:
        construct(Odd, table, "at")
    assert str(error.value) == said


class Broken:
    def __init__(self, secret: str) -> None:
        raise OSError(f"no such {secret}")

    async def send(self) -> None: ...


def test_a_constructor_that_fails_is_said_with_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever it raises; and what came from the environment is not shown."""
    monkeypatch.setenv("TOKEN", "hunter22")
    sink = {"type": f"{__name__}:Broken", "secret": "${TOKEN}"}
    said = error_of({"routes": [{"sink": sink}]})
    assert said == "routes[0].sink: OSError: no such ${TOKEN}"


def test_nor_can_it_end_the_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A module or constructor that exits has failed: on a reload, the pipeline goes on."""
    (tmp_path / "a_program.py").write_text("raise SystemExit('usage: ...')")
    monkeypatch.syspath_prepend(tmp_path)
    assert error_of({"processors": ["a_program:main"]}).endswith("SystemExit: usage: ...")
    assert error_of({"processors": [{"type": "sys:exit"}]}) == "processors[0]: SystemExit: "


# What is wrong.

CONSOLE = {"sink": "console"}


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"levle": "info"}, "levle: unknown (did you mean 'level'?); accepted: level, levels, "),
        ({"capacity": "many"}, "capacity: got 'many'; accepted: a whole number"),
        ({"capacity": 0}, "capacity: got 0; accepted: a whole number above 0"),
        ({"shutdown_timeout": -1}, "shutdown_timeout: got -1.0; accepted: a number of 0 and above"),
        ({"level": "loud"}, "level: got 'loud'; accepted: one of TRACE, "),
        ({"level": []}, "level: got []; accepted: "),
        ({"levels": {"app.db": "loud"}}, "levels.\"app.db\": got 'loud'; accepted: one of TRACE, "),
        ({"levels": "info"}, "levels: got 'info'; accepted: a table"),
        ({"redact": 3}, "redact: got 3; accepted: true or false"),
        ({"redact": {"nonsense": 1}}, "redact.nonsense: unknown"),
        ({"processors": 3}, "processors: got 3; accepted: a list"),
        ({"processors": [3]}, "processors[0]: got 3; accepted: the name of a processor, or a"),
        ({"processors": ["ad"]}, "processors[0]: got 'ad' (did you mean 'add'?); accepted: add, "),
        ({"processors": [{"a": 1}]}, "processors[0].type: missing; accepted: add, "),
        ({"routes": {}}, "routes: got {}; accepted: a list"),
        ({"routes": ["console"]}, "routes[0]: got 'console'; accepted: a table with a sink"),
        ({"routes": [CONSOLE, {}]}, "routes[1].sink: missing; accepted: callback, console, "),
        ({"routes": [{"sink": "consle"}]}, "routes[0].sink: got 'consle' (did you mean 'cons"),
        ({"routes": [{"sink": 3}]}, "routes[0].sink: got 3; accepted: the name of a sink, or a"),
        ({"routes": [{"sink": {"type": 3}}]}, "routes[0].sink.type: got 3; accepted: callback, "),
        ({"routes": [{"sink": {"type": "file"}}]}, "routes[0].sink.path: missing; accepted: "),
        (
            {"routes": [CONSOLE, {"sink": {"type": "file", "path": "a", "moed": 1}}]},
            "routes[1].sink.moed: unknown (did you mean 'mode'?); accepted: path, ",
        ),
        (
            {"routes": [CONSOLE, {"sink": {"type": "file", "path": "a", "mode": 9999}}]},
            "routes[1].sink.mode: got 9999; accepted: permissions from 0 to 0o777",
        ),
        ({"routes": [{**CONSOLE, "levle": 1}]}, "routes[0].levle: unknown (did you mean 'level'?)"),
        (
            {"routes": [{**CONSOLE, "overflow": "sometimes"}]},
            "routes[0].overflow: got 'sometimes'; accepted: drop or wait",
        ),
        ({"routes": [{**CONSOLE, "level": "loud"}]}, "routes[0].level: got 'loud'; accepted: one "),
        ({"routes": [{**CONSOLE, "batch": 3}]}, "routes[0].batch: got 3; accepted: a table for B"),
        (
            {"routes": [{**CONSOLE, "batch": {"max_age": -1}}]},
            "routes[0].batch.max_age: got -1.0; accepted: a number of 0 and above",
        ),
        (
            {"routes": [{**CONSOLE, "retry": {"atempts": 1}}]},
            "routes[0].retry.atempts: unknown (did you mean 'attempts'?); accepted: attempts, ",
        ),
        (
            {"routes": [{**CONSOLE, "encoder": "jsn"}]},
            "routes[0].encoder: got 'jsn' (did you mean 'json'?); accepted: ",
        ),
        (
            {"routes": [{**CONSOLE, "encoder": {"type": "json", "flat": "maybe"}}]},
            "routes[0].encoder.flat: got 'maybe'; accepted: true or false",
        ),
        ({"routes": [{**CONSOLE, "filter": 3}]}, "routes[0].filter: got 3; accepted: 'module:att"),
        (
            {"routes": [{**CONSOLE, "filter": "nowhere:x"}]},
            "routes[0].filter: got 'nowhere:x', which cannot be imported: ModuleNotFoundError",
        ),
        (
            {"routes": [{**CONSOLE, "name": "a"}, {**CONSOLE, "name": "a"}]},
            "routes[1].name: got 'a'; accepted: a name that no route has yet",
        ),
        ({"levels": {"": "info"}}, "a key of levels: got ''; accepted: the name of a logger"),
        ({"levels": {1: "info"}}, "a key of levels: got 1; accepted: a string"),
        ({"processors": ["math:pi"]}, "processors[0]: got 'math:pi'; accepted: something that"),
        ({"routes": [{**CONSOLE, "encoder": 5}]}, "routes[0].encoder: got 5; accepted: the name"),
    ],
)
def test_a_setting_that_means_nothing_is_said_with_its_place(
    config: dict[str, Any], said: str
) -> None:
    """Each error names the place in the document, what was given and what is accepted."""
    assert error_of(config).startswith(said)


def test_an_error_names_the_file(tmp_path: Path) -> None:
    """So that one knows which of several is meant."""
    path = tmp_path / "logs.toml"
    path.write_text('level = "loud"')
    assert error_of(path).startswith(f"{path}: level: got 'loud'; accepted: ")


@pytest.mark.parametrize("value", ["secret-token", "1", "oo"])
def test_an_error_never_shows_what_came_from_the_environment(
    monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    """It shows the variable as it is written: what it holds may be a secret."""
    monkeypatch.setenv("TOKEN", value)
    said = error_of({"routes": [CONSOLE, {**CONSOLE, "overflow": "${TOKEN}"}]})
    assert said == "routes[1].overflow: got '${TOKEN}'; accepted: drop or wait"


@pytest.mark.parametrize("value", ["secret-token", "sec'ret\\tok\"en"])
@pytest.mark.parametrize(
    "route",
    [
        {"sink": {"type": "file", "path": "a", "rotation": "at ${TOKEN}"}},
        {**CONSOLE, "filter": "${TOKEN}:x"},
    ],
)
def test_nor_does_its_traceback(
    monkeypatch: pytest.MonkeyPatch, value: str, route: dict[str, Any]
) -> None:
    """Not in the errors that it came from either, and however they quote it."""
    monkeypatch.setenv("TOKEN", value)
    with pytest.raises(ConfigurationError, match=r"\$\{TOKEN\}") as caught:
        configure_from({"routes": [route]})
    shown = "".join(traceback.format_exception(caught.value))
    assert not [text for text in (value, repr(value)[1:-1]) if text in shown]


def test_reading_a_configuration_is_left_to_those_who_do() -> None:
    """`import logflume` loads none of what reads configurations."""
    import subprocess

    code = "import sys, logflume; print(*[m for m in sys.modules if m.startswith('logflume.conf')])"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.split() == ["logflume.config"]
    assert logflume.configure_from is configure_from

"""Levels: names, numbers, and the thresholds of logger names."""

from __future__ import annotations

import enum
from functools import partial
from typing import Any

import pytest

from logflume import ConfigurationError, Level, disable, register_level
from logflume import level as level_module
from logflume.level import (
    DEBUG,
    ERROR,
    INFO,
    LEVELS,
    WARNING,
    Thresholds,
    coerce_level,
    parse_level,
    parse_spec,
)


class HostileText(str):  # noqa: SLOT000
    """Text that fails at whatever is asked of it."""

    def strip(self, *args: object) -> str:
        raise ValueError("no")

    upper = lower = strip


class Unprintable:
    def __repr__(self) -> str:
        raise ValueError("no")


class LiesAboutItsClass:
    @property
    def __class__(self) -> type:  # type: ignore[override]
        raise ValueError("no")


@pytest.mark.parametrize("name", LEVELS)
def test_a_name_is_read_in_any_case(name: str) -> None:
    """Every level is found by its name, however it is written, and by its number."""
    level = LEVELS[name]
    assert parse_level(f" {name.lower()} ") is level
    assert parse_level(level.no) is level
    assert parse_level(str(level.no)) is level
    assert parse_level(level) is level


def test_aliases_of_other_libraries_are_known() -> None:
    """WARN and FATAL are WARNING and CRITICAL."""
    assert parse_level("warn") is WARNING
    assert parse_level("fatal") is LEVELS["CRITICAL"]


def test_a_number_between_levels_is_a_level() -> None:
    """Numbers without a name keep their place in the order."""
    level = parse_level(35)
    assert (level.no, str(level)) == (35, "LEVEL35")


def test_an_int_enum_is_a_number() -> None:
    """A member of an IntEnum stands for its value, and none of its code stays in the level."""

    class Severity(enum.IntEnum):
        HIGH = 41

    assert parse_level(Severity.HIGH) == Level(41, "LEVEL41")
    assert type(parse_level(Severity.HIGH).no) is int


@pytest.mark.parametrize(
    "given",
    ["loud", "", -1, "-5", True, None, 1.5, [], pytest.param(10**5000, id="huge"), Unprintable()],
)
def test_what_is_no_level_is_refused_by_name(given: object) -> None:
    """A setting that is no level is an error that names the setting and what is accepted."""
    with pytest.raises(ConfigurationError, match=r"Route\.level: got .*accepted: .*INFO"):
        parse_level(given, "Route.level")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("no", "name"), [(-1, "LOW"), ("20", "INFO"), (True, "YES"), (20, 20), (10**9, "HIGH")]
)
def test_a_level_that_cannot_be_compared_is_not_made(no: object, name: object) -> None:
    """A Level of nonsense is refused when it is made, and not by every log call after it."""
    with pytest.raises(ConfigurationError, match="Level"):
        Level(no, name)  # type: ignore[arg-type]


def test_a_log_call_with_no_level_at_all_is_at_info() -> None:
    """Whatever is given as the level of a log call, there is one, and nothing raises."""
    for given in (None, -5, 10**5000, True, 2.5, b"INFO", Unprintable(), LiesAboutItsClass()):
        assert coerce_level(given) is INFO


@pytest.mark.parametrize("given", ["Audit", pytest.param(HostileText("audit"), id="hostile")])
def test_an_unknown_name_is_kept_at_the_number_of_info(given: str) -> None:
    """A log call at a level nobody knows shows the name that it was given."""
    level = coerce_level(given)
    assert level == Level(INFO.no, "AUDIT")
    assert type(level.name) is str


def test_a_name_without_end_is_cut() -> None:
    """The name of an unknown level is short."""
    assert len(coerce_level("x" * 10_000).name) == 64


def test_a_spec_names_the_root_and_loggers() -> None:
    """`LOGFLUME_LEVEL` holds one level for all and any number of NAME=LEVEL."""
    root, named = parse_spec(" info, app.db=debug ,noise = 40,")
    assert root is INFO
    assert named == {"app.db": DEBUG, "noise": ERROR}
    assert parse_spec("") == (None, {})


@pytest.mark.parametrize("spec", ["=debug", "app=", "app=loud", "loud", "a=b=c"])
def test_a_broken_spec_is_refused(spec: str) -> None:
    """An entry without a level, or with an unknown one, is an error that names the variable."""
    with pytest.raises(ConfigurationError, match="LOGFLUME_LEVEL"):
        parse_spec(spec)


def test_a_name_inherits_from_the_nearest_above() -> None:
    """`app.db.pool` has the level of `app.db`, or `app`, or the root, whichever comes first."""
    thresholds = Thresholds(INFO, {"app": WARNING, "app.db": DEBUG})
    assert thresholds.of("app.db.pool") == DEBUG.no
    assert thresholds.of("app.dbx") == WARNING.no
    assert thresholds.of("application") == INFO.no
    assert thresholds.of("") == INFO.no
    assert thresholds.of("..") == INFO.no


def test_levels_change_while_running() -> None:
    """`set` changes a name, or the root, and `lowest` never claims more than was ever let in."""
    thresholds = Thresholds(WARNING)
    assert thresholds.lowest == WARNING.no
    thresholds.set("app", DEBUG)
    thresholds.set(None, ERROR)
    assert (thresholds.of("app.x"), thresholds.of("other")) == (DEBUG.no, ERROR.no)
    assert thresholds.lowest == DEBUG.no
    thresholds.set("app", ERROR)
    assert thresholds.lowest == DEBUG.no  # records from before may still be on their way


@pytest.mark.parametrize("name", [5, b"app", ["app"]])
def test_what_is_no_name_of_a_logger_is_refused(name: Any) -> None:
    """Rather than set, silence or enable nothing."""
    for change in (lambda: Thresholds(INFO).set(name, DEBUG), partial(disable, name)):
        with pytest.raises(ConfigurationError, match=r"logger name: got .*; accepted: a string"):
            change()


# Levels of one's own.


@pytest.fixture
def levels(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget what a test registers."""
    monkeypatch.setattr(level_module, "LEVELS", dict(LEVELS))
    monkeypatch.setattr(level_module, "_BY_NO", dict(level_module._BY_NO))


@pytest.mark.usefixtures("levels")
def test_a_registered_level_is_known_by_name_and_number() -> None:
    """Everywhere a level is read."""
    notice = register_level(" notice ", 22, color="cyan", icon="i", severity=10)
    assert notice == Level(22, "NOTICE", "cyan", "i", 10)
    assert parse_level("Notice") is parse_level(22) is coerce_level("NOTICE") is notice
    assert parse_spec("app=notice") == (None, {"app": notice})


@pytest.mark.usefixtures("levels")
def test_a_level_may_be_registered_again_with_another_look() -> None:
    """The later look counts; the number stays."""
    register_level("NOTICE", 22)
    again = register_level("NOTICE", 22, color="red")
    assert parse_level("NOTICE") is parse_level(22) is again


@pytest.mark.usefixtures("levels")
def test_a_number_keeps_the_name_it_has() -> None:
    """A second level of the same number is known by its name only."""
    register_level("NICE", 20)
    assert parse_level(20) is INFO
    assert parse_level("nice").name == "NICE"
    register_level("WARN", 30, color="red")
    assert parse_level(30) is WARNING


@pytest.mark.usefixtures("levels")
@pytest.mark.parametrize(
    ("arguments", "setting"),
    [
        (("INFO", 21), "number of level INFO"),
        (("WARN", 31), "number of level WARN"),
        (("", 21), "level name"),
        (("a,b", 21), "level name"),
        (("a=b", 21), "level name"),
        (("21", 21), "level name"),
        (("X\x1b[31m", 21), "level name"),
        (("X\u202e", 21), "level name"),
        (("X", 21, "no such color"), "Level.color"),
        ((None, 21), "level name"),
        (("X", -1), "Level.no"),
        (("X", "21"), "Level.no"),
    ],
)
def test_a_level_that_means_nothing_is_refused(arguments: Any, setting: str) -> None:
    """Naming what is wrong with it, and registering nothing."""
    before = dict(level_module.LEVELS)
    with pytest.raises(ConfigurationError, match=rf"{setting}: got .*; accepted: "):
        register_level(*arguments[:2], **dict(zip(("color",), arguments[2:], strict=False)))
    assert before == level_module.LEVELS


@pytest.mark.parametrize(
    "look", [{"color": 5}, {"icon": 5}, {"severity": 0}, {"severity": 25}, {"severity": "x"}]
)
def test_a_look_that_means_nothing_is_refused(look: Any) -> None:
    """Naming the setting."""
    with pytest.raises(ConfigurationError, match=rf"Level\.{next(iter(look))}: got"):
        Level(22, "NOTICE", **look)

"""Severity levels: their names and numbers, and the hierarchical thresholds of logger names."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from .errors import ConfigurationError

__all__ = ["LEVELS", "Level", "Thresholds", "parse_level", "parse_spec", "register_level"]


MAX_NO = 99_999
MAX_SEVERITY = 24
_NUMBERS = f"a number from 0 to {MAX_NO}"


class Level(msgspec.Struct, frozen=True, gc=False):
    """One severity: `no` orders levels, `name` is what records show.

    `color` and `icon` are for consoles; a theme of theirs goes before. `severity` is the number
    that systems with a scale of their own are told, from 1 to 24 as in OpenTelemetry's log data
    model; None for the one that belongs to `no`.
    """

    no: int
    name: str
    color: str | None = None
    icon: str | None = None
    severity: int | None = None

    def __post_init__(self) -> None:
        if type(self.no) is not int or not 0 <= self.no <= MAX_NO:
            raise ConfigurationError.of("Level.no", self.no, _NUMBERS)
        if type(self.name) is not str:
            raise ConfigurationError.of("Level.name", self.name, "a string")
        if not isinstance(self.color, str | None):
            raise ConfigurationError.of("Level.color", self.color, "a string")
        if not isinstance(self.icon, str | None):
            raise ConfigurationError.of("Level.icon", self.icon, "a string")
        if self.severity is not None and (
            type(self.severity) is not int or not 1 <= self.severity <= MAX_SEVERITY
        ):
            raise ConfigurationError.of(
                "Level.severity", self.severity, f"a number from 1 to {MAX_SEVERITY}"
            )

    @property
    def severity_number(self) -> int:
        """The level as a SeverityNumber of OpenTelemetry's log data model, from 1 to 24.

        `severity` if that is given, else what belongs to `no`: each ten numbers have four, as in
        OpenTelemetry's own bridge from `logging`: INFO (20) is 9, 21 is 10, 22 is 11, and what is
        between there and 29 is 12. TRACE (5) is 1, and from 50 on all is FATAL, 21 to 24.
        """
        if self.severity is not None:
            return self.severity
        if self.no < 10:
            return 1 + min(max(self.no - 5, 0), 3)
        tens = min(self.no // 10, 5)
        return 1 + 4 * tens + min(self.no - 10 * tens, 3)

    def __str__(self) -> str:
        return self.name


TRACE = Level(5, "TRACE")
DEBUG = Level(10, "DEBUG")
INFO = Level(20, "INFO")
SUCCESS = Level(25, "SUCCESS")
WARNING = Level(30, "WARNING")
ERROR = Level(40, "ERROR")
CRITICAL = Level(50, "CRITICAL")

LEVELS: dict[str, Level] = {
    level.name: level for level in (TRACE, DEBUG, INFO, SUCCESS, WARNING, ERROR, CRITICAL)
}
_ALIASES = {"WARN": WARNING, "FATAL": CRITICAL, "NOTSET": Level(0, "NOTSET")}
_BY_NO = {level.no: level for level in LEVELS.values()}


def register_level(
    name: str,
    no: int,
    *,
    color: str | None = None,
    icon: str | None = None,
    severity: int | None = None,
) -> Level:
    """Make a level known by its name, which is put in capitals, and return it.

    `log.log(name, ...)`, thresholds and configurations know it from then on, in the whole process;
    pipelines that are open already, too. Again, it changes how the level looks, for records that
    are logged afterwards; how logflume's own levels look is a matter of the console's theme. From
    any thread.

        register_level("NOTICE", 22, color="cyan", icon="i")

    Raises:
        ConfigurationError: it is no name, or means another number already.
    """
    if not isinstance(name, str) or not name.strip() or set(name) & set(",="):
        raise ConfigurationError.of("level name", name, "a name without commas and equals signs")
    name = name.strip().upper()
    if not name.isprintable():
        raise ConfigurationError.of("level name", name, "a name without control characters")
    level = Level(no, name, color, icon, severity)
    if color is not None:
        from .theme import sgr  # which knows the levels

        sgr(color, "Level.color")
    known = LEVELS.get(name) or _ALIASES.get(name)
    if known is not None and known.no != no:
        raise ConfigurationError.of(f"number of level {name}", no, f"{known.no}, as it is now")
    if name.isdecimal():
        raise ConfigurationError.of("level name", name, "a name, not a number")
    own = LEVELS.get(name)  # not an alias: that would take the number from its level
    LEVELS[name] = level
    if _BY_NO.get(no) in (None, own):
        _BY_NO[no] = level
    return level


def parse_level(value: str | int | Level, setting: str = "level") -> Level:
    """Turn a name (any case) or a number into a Level.

    Raises:
        ConfigurationError: the name is unknown or the value is no level at all.
    """
    if isinstance(value, Level):
        return value
    if isinstance(value, str):
        name = value.strip().upper()
        found = LEVELS.get(name) or _ALIASES.get(name)
        if found is not None:
            return found
        if name.isdecimal() and len(name) <= len(str(MAX_NO)):
            value = int(name)
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_NO:
        no = int(value)
        return _BY_NO.get(no) or Level(no, f"LEVEL{no}")
    raise ConfigurationError.of(setting, value, f"one of {', '.join(LEVELS)} or {_NUMBERS}")


def coerce_level(value: object) -> Level:
    """Turn anything given to `log.log()` into a Level: unknown names keep INFO's number.

    Never raises.
    """
    try:
        return parse_level(value)  # type: ignore[arg-type]
    except Exception:  # not only ConfigurationError: the value may be code of somebody's own
        if issubclass(type(value), str):
            return Level(INFO.no, str.upper(value)[:64])  # type: ignore[arg-type]
        return INFO


def parse_spec(spec: str, setting: str = "LOGFLUME_LEVEL") -> tuple[Level | None, dict[str, Level]]:
    """Read `"info,app.db=debug"`: the level of everything, and the levels of logger names.

    Raises:
        ConfigurationError: an entry has no level or an unknown one.
    """
    root: Level | None = None
    named: dict[str, Level] = {}
    for entry in filter(None, (part.strip() for part in spec.split(","))):
        name, equals, level = entry.rpartition("=")
        if equals and not name.strip():
            raise ConfigurationError.of(setting, entry, "LEVEL or NAME=LEVEL")
        parsed = parse_level(level, setting)
        if equals:
            named[name.strip()] = parsed
        else:
            root = parsed
    return root, named


def name_of_logger(name: object) -> None:
    """Refuse what cannot be the name of a logger, or None for the root.

    Raises:
        ConfigurationError: naming what is accepted.
    """
    if not isinstance(name, str | None):
        raise ConfigurationError.of("logger name", name, "a string, or None for the root")


class Thresholds:
    """The level of every logger name: `app.db` inherits `app`, and that the root.

    Any thread may look and change: nothing is worked out from what another may be changing.
    """

    __slots__ = ("_ever", "_named", "root")

    def __init__(self, root: Level, named: Mapping[str, Level] | None = None) -> None:
        self._ever: list[int] = []
        self._named: dict[str, Level] = {}
        self.root = root
        self.replace(root, named or {})

    @property
    def lowest(self) -> int:
        """The lowest number that was ever set: no record is below it."""
        return min(self._ever)

    @property
    def highest(self) -> int:
        """The highest number of all: no name has a higher one."""
        return max([self.root.no, *[level.no for level in list(self._named.values())]])

    def _remember(self, level: Level) -> None:
        if level.no not in self._ever:
            self._ever.append(level.no)

    def set(self, name: str | None, level: Level) -> None:
        """Set the level of a name and of all below it; None or "" is the root.

        Raises:
            ConfigurationError: it is no name.
        """
        name_of_logger(name)
        self._remember(level)
        if name:
            self._named[name] = level
        else:
            self.root = level

    def replace(self, root: Level, named: Mapping[str, Level]) -> None:
        """Set the level of everything, and those of names; no other name keeps one of its own."""
        for level in (root, *named.values()):
            self._remember(level)
        self.root, self._named = root, dict(named)

    @property
    def names(self) -> list[str]:
        """The names that have a level of their own."""
        return list(self._named)

    def of(self, name: str) -> int:
        """Return the number below which a logger of this name says nothing."""
        named = self._named
        while named and name:
            level = named.get(name)
            if level is not None:
                return level.no
            name = name.rpartition(".")[0]
        return self.root.no


class Watchers:
    """Those that are told what the thresholds are, whenever they may have changed."""

    def __init__(self, thresholds: Callable[[], Thresholds]) -> None:
        self._thresholds = thresholds
        self._watchers: list[Callable[[Thresholds], None]] = []
        self._latest = object()

    def add(self, watcher: Callable[[Thresholds], None]) -> Callable[[], None]:
        """Tell one more, now and later; return how to stop that."""
        self._watchers.append(watcher)
        watcher(self._thresholds())
        return lambda: self._watchers.remove(watcher)

    def tell(self) -> None:
        """Tell them all, in this thread, which must hold no lock: they may take some.

        Threads that do so at once may overtake each other: who is overtaken says it again.
        """
        self._latest = object()
        said: object = None
        while said is not self._latest:
            said = self._latest
            for watcher in self._watchers.copy():
                watcher(self._thresholds())


class Lowered(Thresholds):
    """Somebody's thresholds, while loggers have to speak from a lower number on than they say."""

    __slots__ = ("_no", "ordinary")

    def __init__(self, ordinary: Thresholds, no: int) -> None:
        super().__init__(ordinary.root)
        self.ordinary = ordinary
        self._no = no

    @property
    def names(self) -> list[str]:
        """The names that have a level of their own."""
        return self.ordinary.names

    def of(self, name: str) -> int:
        """Return the number below which a logger of this name says nothing."""
        return min(self._no, self.ordinary.of(name))

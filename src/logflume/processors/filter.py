"""Which records go on."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

from ..errors import ConfigurationError
from ..level import Level, parse_level
from ..record import Record
from ..snapshot import snapshot, type_name

__all__ = ["Filter"]

Accepts: TypeAlias = Callable[[Record], bool]
Names: TypeAlias = str | Iterable[str]

_MAX_KNOWN = 4_096


class Filter:
    """Let only those records through that meet every condition given.

    Conditions, of which the cheapest are looked at first:
        min_level, max_level: the level's number is within these, both included.
        levels: the level is one of these; compared by number.
        logger: the logger's name is one of these or below it: "app.db" covers "app.db.pool".
        module, function: the call site's, one of these.
        has: the record has all these fields, whatever their values.
        fields: for each name a value that the field equals, or a function of its value. A record
            without the field does not meet it.
        where: a function of the record, sync or async. An async one is called only for records
            that meet all else.

    `~filter` lets the others through, `Filter.any(...)` what any of several does. A filter that
    does not await may be a route's, too:

        slow_or_failed = Filter.any(
            Filter(min_level="ERROR"),
            Filter(logger="app.http", fields={"seconds": lambda seconds: seconds > 1}),
        )
        Pipeline(Route("slow.jsonl", filter=slow_or_failed))
        Pipeline("app.jsonl", processors=[~Filter(fields={"path": "/health"})])

    Functions are called on the loop: sync ones must not block. If one raises, the record goes on.

    Raises:
        ConfigurationError: a condition means nothing, or none is given.
    """

    def __init__(
        self,
        *,
        min_level: str | int | Level | None = None,
        max_level: str | int | Level | None = None,
        levels: Iterable[str | int | Level] | None = None,
        logger: Names | None = None,
        module: Names | None = None,
        function: Names | None = None,
        has: Names | None = None,
        fields: Mapping[str, Any] | None = None,
        where: Callable[[Record], Any] | None = None,
    ) -> None:
        pure = _level_checks(min_level, max_level, levels) + _name_checks(logger, module, function)
        if has is not None:
            wanted = _names("has", has)
            pure.append(lambda record: wanted <= record.fields.keys())
        called: list[Accepts] = []
        if fields is not None:
            values, tests = _field_conditions(fields)
            pure += [_equals(values)] if values else []
            called = [_passes_test(name, test) for name, test in tests.items()]
        awaited = None
        if where is not None:
            if not callable(where):
                raise ConfigurationError.of("Filter.where", where, "a function of a record")
            if _is_async(where):
                awaited = where
            else:
                called.append(_sync(where))
        if not pure and not called and awaited is None:
            raise ConfigurationError.of("Filter", "no condition", "at least one condition")
        self._be(_all(pure + called), not called, awaited)

    def _be(self, accepts: Accepts, pure: bool, awaited: Callable[[Record], Any] | None) -> None:
        self._accepts = accepts
        self._pure = pure and awaited is None
        self._awaited = awaited
        self.inline = awaited is None

    @classmethod
    def any(cls, *filters: Filter) -> Filter:
        """Return a filter that lets through what any of these does.

        Raises:
            ConfigurationError: there is none, or one of them awaits.
        """
        if not filters:
            raise ConfigurationError.of("Filter.any", "no filter", "at least one filter")
        checks = [one.accepts for one in filters]

        def accepts(record: Record) -> bool:
            for check in checks:  # noqa: SIM110 - a generator costs more than the checks
                if check(record):
                    return True
            return False

        return cls._of(accepts, pure=all(one._pure for one in filters))

    def __invert__(self) -> Filter:
        accepts = self.accepts
        return self._of(lambda record: not accepts(record), pure=self._pure)

    @classmethod
    def _of(cls, accepts: Accepts, *, pure: bool) -> Filter:
        made = cls.__new__(cls)
        made._be(accepts, pure, None)
        return made

    @property
    def accepts(self) -> Accepts:
        """Whether a record is let through, as a function for where nothing is awaited.

        Raises:
            ConfigurationError: the filter awaits.
        """
        if self._awaited is not None:
            raise ConfigurationError.of(
                "Filter.where", self._awaited, "only a function that is not async, where it is used"
            )
        return self._accepts

    def __call__(self, record: Record) -> Any:
        """Return the record or None; something to await if `where` is async."""
        if not self._accepts(record):
            return None
        if self._awaited is None:
            return record
        return self._ask(record, self._awaited)

    async def _ask(self, record: Record, where: Callable[[Record], Any]) -> Record | None:
        return record if await where(record) else None

    def passes(self, records: Sequence[Record]) -> bool:
        """Whether all of these are let through; not asked of functions, which are called once."""
        return self._pure and all(map(self._accepts, records))


def _all(checks: list[Accepts]) -> Accepts:
    if len(checks) == 1:
        return checks[0]

    def accepts(record: Record) -> bool:
        for check in checks:  # noqa: SIM110 - a generator costs more than the checks
            if not check(record):
                return False
        return True

    return accepts


def _level_checks(
    min_level: str | int | Level | None,
    max_level: str | int | Level | None,
    levels: Iterable[str | int | Level] | None,
) -> list[Accepts]:
    checks: list[Accepts] = []
    if min_level is not None:
        lowest = parse_level(min_level, "Filter.min_level").no
        checks.append(lambda record: record.level.no >= lowest)
    if max_level is not None:
        highest = parse_level(max_level, "Filter.max_level").no
        checks.append(lambda record: record.level.no <= highest)
        if min_level is not None and highest < lowest:
            raise ConfigurationError.of(
                "Filter.max_level", max_level, f"a level not below min_level, {min_level!r}"
            )
    if levels is not None:
        given = [levels] if isinstance(levels, str | int | Level) else levels
        if not isinstance(given, Iterable) or isinstance(given, bytes):
            raise ConfigurationError.of("Filter.levels", levels, "levels")
        numbers = frozenset([parse_level(level, "Filter.levels").no for level in given])
        if not numbers:
            raise ConfigurationError.of("Filter.levels", levels, "at least one level")
        checks.append(lambda record: record.level.no in numbers)
    return checks


def _name_checks(
    logger: Names | None, module: Names | None, function: Names | None
) -> list[Accepts]:
    checks: list[Accepts] = []
    if logger is not None:
        checks.append(_below(_names("logger", logger)))
    if module is not None:
        modules = _names("module", module)
        checks.append(lambda record: record.site.module in modules)
    if function is not None:
        functions = _names("function", function)
        checks.append(lambda record: record.site.function in functions)
    return checks


def _names(condition: str, given: Names) -> frozenset[str]:
    names = [given] if isinstance(given, str) else given
    if isinstance(names, Iterable):
        names = frozenset(names)
        if names and all([isinstance(name, str) and name for name in names]):
            return names
    raise ConfigurationError.of(f"Filter.{condition}", given, "a name or several")


def _below(names: frozenset[str]) -> Accepts:
    """Return whether a record's logger is one of these or below; worked out once per logger."""
    known: dict[str, bool] = {}

    def accepts(record: Record) -> bool:
        logger = record.logger
        verdict = known.get(logger)
        if verdict is None:
            if len(known) >= _MAX_KNOWN:  # names made at run time must not fill the memory
                known.clear()
            verdict = any([logger == name or logger.startswith(f"{name}.") for name in names])
            known[logger] = verdict
        return verdict

    return accepts


def _field_conditions(
    fields: Mapping[str, Any],
) -> tuple[dict[str, Any], dict[str, Callable[[Any], Any]]]:
    """Return the values that fields are compared with, and the functions that they are given to."""
    if not isinstance(fields, Mapping) or not fields:
        raise ConfigurationError.of("Filter.fields", fields, "a mapping of names to conditions")
    tests = {name: value for name, value in fields.items() if callable(value)}
    for name, test in tests.items():
        if _is_async(test):
            raise ConfigurationError.of(
                f"Filter.fields[{name!r}]", test, "a value or a function that is not async"
            )
    return {name: snapshot(v) for name, v in fields.items() if name not in tests}, tests


_MISSING: Any = object()


def _equals(values: dict[str, Any]) -> Accepts:
    def accepts(record: Record) -> bool:
        fields = record.fields
        for name, value in values.items():  # noqa: SIM110 - a generator costs more
            if fields.get(name, _MISSING) != value:
                return False
        return True

    return accepts


def _passes_test(name: str, test: Callable[[Any], Any]) -> Accepts:
    def accepts(record: Record) -> bool:
        value = record.fields.get(name, _MISSING)
        return value is not _MISSING and bool(test(value))

    return accepts


def _is_async(function: Any) -> bool:
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
        getattr(function, "__call__", None)  # noqa: B004 - an object's, whose method is async
    )


def _sync(where: Callable[[Record], Any]) -> Accepts:
    def accepts(record: Record) -> bool:
        verdict = where(record)
        if verdict is not True and verdict is not False and inspect.isawaitable(verdict):
            if inspect.iscoroutine(verdict):
                verdict.close()
            raise TypeError(f"Filter.where returned {type_name(verdict)}: make it an `async def`")
        return bool(verdict)

    return accepts

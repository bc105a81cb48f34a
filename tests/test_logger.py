"""The call site: capture, levels, bound fields, options, and what never happens: an exception."""

from __future__ import annotations

import asyncio
import copy
import functools
import inspect
import pickle
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing
from typing import Any

import anyio
import pytest

import logflume
from logflume import Logger, get_logger, source
from logflume.level import LEVELS, WARNING, Thresholds
from logflume.source import refresh_thresholds
from tests.fakes import may_block
from tests.intake import Taken, captured

NAMES = [name.lower() for name in LEVELS]


@pytest.fixture(params=[True, False], ids=["at home", "from afar"])
def taken(request: pytest.FixtureRequest) -> Iterator[Taken]:
    """Take what is logged, as on the pipeline's own thread and as on another."""
    with captured(at_home=request.param) as it:
        yield it


@pytest.fixture
def log() -> Logger:
    return get_logger("tests.logger")


def line_of(function: Callable[..., Any], mark: str) -> int:
    """Return the line of a function that has this mark in a comment."""
    with may_block():
        lines, first = inspect.getsourcelines(function)
    (at,) = [number for number, line in enumerate(lines) if f"# {mark}" in line]
    return first + at


# Levels.


@pytest.mark.parametrize("name", NAMES)
async def test_every_level_has_a_method_and_a_twin(name: str, log: Logger) -> None:
    """`log.info` and `await log.ainfo` say the same, at the level of their name."""
    with captured() as taken:
        getattr(log, name)("{n}", n=1)
        await getattr(log, f"a{name}")("{n}", n=1)
        log.log(name, "{n}", n=1)
        await log.alog(name.upper(), "{n}", n=1)
    assert [(r.level.name, r.message) for r in taken.records] == [(name.upper(), "1")] * 4


def test_below_the_level_nothing_happens(log: Logger) -> None:
    """Not even the values are looked at."""

    class Untouchable:
        def __getattribute__(self, name: str) -> Any:
            raise AssertionError("looked at")

    with captured(level=WARNING) as taken:
        for name in ("trace", "debug", "info", "success"):
            assert getattr(log, name)(Untouchable(), Untouchable(), a=Untouchable()) is None
        log.opt(lazy=True).info("x", pytest.fail)
        log.log("INFO", Untouchable())
        log.log("unknown", Untouchable())
        log.warning("in")
    assert [record.message for record in taken.records] == ["in"]


@pytest.mark.parametrize("level", ["debug", "INFO", 20, 0, "unknown", None, object(), -1])
def test_is_enabled_for_tells_what_a_call_would_do(level: Any, log: Logger) -> None:
    """It is true for exactly the levels at which a call is captured."""
    for threshold in (LEVELS["INFO"], WARNING):
        with captured(level=threshold) as taken:
            log.log(level, "x")
            assert log.is_enabled_for(level) is bool(taken.records)


def test_levels_of_names_take_hold_at_once() -> None:
    """Loggers made before and after a change have the level of their name."""
    before = get_logger("app.db")
    thresholds = Thresholds(WARNING)
    with captured():
        logflume.capture.connect(Taken(at_home=True), thresholds, lambda: ("", None))
        assert not before.is_enabled_for("INFO")
        thresholds.set("app", LEVELS["DEBUG"])
        refresh_thresholds()
        assert before.is_enabled_for("DEBUG")
        assert get_logger("app.web").is_enabled_for("DEBUG")
        assert not get_logger("apple").is_enabled_for("DEBUG")


# Names.


def test_a_logger_is_named_after_the_callers_module() -> None:
    """Without a name, it is that of the calling module."""
    assert get_logger().name == __name__
    assert get_logger("").name == "root"
    assert eval("get_logger().name", {"get_logger": get_logger}) == "root"
    assert logflume.log.name == "root"


def test_a_logger_is_made_with_fields() -> None:
    """`get_logger(name, **fields)` is `get_logger(name).bind(**fields)`, whatever their names."""
    with captured() as taken:
        get_logger("x", name="field", self=1).info("m")
    assert (taken.last.logger, taken.last.fields) == ("x", {"name": "field", "self": 1})


# Fields.


@pytest.mark.parametrize(
    "name", ["self", "message", "level", "args", "fields", "depth", "exc_info"]
)
def test_any_name_is_a_field(name: str, log: Logger, taken: Taken) -> None:
    """No name of a field clashes with a parameter of any method."""
    fields: dict[str, Any] = {name: 1}
    log.info("m", **fields)
    log.log("INFO", "m", **fields)
    log.bind(**fields).info("m")
    log.opt(depth=0).info("m", **fields)
    log.opt(depth=0).log("INFO", "m", **fields)
    try:
        raise ValueError
    except ValueError:
        log.exception("m", **fields)
    with log.contextualize(**fields):
        log.info("m")
    assert [record.fields for record in taken.records] == [fields] * 7


def test_bound_fields_are_added_and_taken_off(log: Logger, taken: Taken) -> None:
    """`bind` and `unbind` return another logger and leave this one alone."""
    bound = log.bind(a=1, b=2).bind(b=3)
    bound.info("m", c=4)
    assert taken.last.fields == {"a": 1, "b": 3, "c": 4}
    bound.unbind("b", "unknown").info("m")
    assert taken.last.fields == {"a": 1}
    log.info("m")
    assert taken.last.fields == {}


def test_values_are_those_of_the_call(log: Logger, taken: Taken) -> None:
    """Later changes of a value show neither in fields nor arguments nor bound fields."""
    tags = ["a"]
    bound = log.bind(bound=tags)
    bound.info("{}", tags, call=tags)
    log.opt(depth=0).info("{}", tags, call=tags)
    bound.info("{call}", call=tags)
    tags.append("b")
    bound.info("later")
    assert [record.message for record in taken.records] == ["['a']", "['a']", "['a']", "later"]
    for record in taken.records:
        assert all(value == ["a"] for value in record.fields.values())


def test_types_are_kept(log: Logger, taken: Taken) -> None:
    """What was an int is an int in the record, bools and None are themselves."""
    values = {"i": 1, "f": 1.0, "t": True, "n": None, "b": b"x", "big": 10**30}
    log.info("m", **values)
    assert {k: (type(v), v) for k, v in taken.last.fields.items()} == {
        k: (type(v), v) for k, v in values.items()
    }


def test_any_object_is_a_message(log: Logger, taken: Taken) -> None:
    """A message that is no string is its text, taken at the call."""
    said: list[object] = ["a"]
    log.info(said)
    said.append("b")
    log.info(ValueError("wrong"))
    log.info(None)
    log.info(b"raw")
    assert [r.message for r in taken.records] == ["['a']", "wrong", "None", "b'raw'"]


# Call sites.


def test_the_call_site_is_the_caller(log: Logger, taken: Taken) -> None:
    """Every plain way of logging names the line of the call."""
    test = test_the_call_site_is_the_caller
    log.info("m")  # plain
    log.bind(a=1).info("m")  # bound
    log.unbind("a").info("m")  # unbound
    log.log("INFO", "m")  # log
    log.opt(depth=0).info("m")  # opt
    log.opt(lazy=True).log("INFO", "m")  # lazy
    log.exception("m")  # exception
    functools.partial(log.info, "m")()  # partial
    list(map(log.info, ["m"]))  # map
    with log.catch():  # catch
        raise ValueError
    marks = ["plain", "bound", "unbound", "log", "opt", "lazy", "exception", "partial", "map"]
    sites = [record.site for record in taken.records]
    assert [site.line for site in sites[:-1]] == [line_of(test, mark) for mark in marks]
    assert {site.function for site in sites} == {test.__name__}
    assert {site.file for site in sites} == {__file__}
    assert {site.module for site in sites} == {"test_logger"}


async def test_the_call_site_of_a_twin_is_the_caller(log: Logger) -> None:
    """Awaiting changes nothing: the site is where the method is called."""
    test = test_the_call_site_of_a_twin_is_the_caller
    with captured() as taken:
        await log.ainfo("m")  # plain
        await log.bind(a=1).ainfo("m")  # bound
        await log.alog("INFO", "m")  # log
        await log.opt(depth=0).ainfo("m")  # opt
        await log.opt(lazy=True).ainfo("m")  # lazy
        await log.aexception("m")  # exception
        later = log.ainfo("m")  # called
        await later
    marks = ["plain", "bound", "log", "opt", "lazy", "exception", "called"]
    assert [r.site.line for r in taken.records] == [line_of(test, mark) for mark in marks]


def test_a_wrapper_names_its_caller_by_depth(log: Logger, taken: Taken) -> None:
    """`opt(depth=n)` is the site n frames further out, through every method."""

    def wrapper(depth: int) -> None:
        log.opt(depth=depth).info("m")
        log.bind(a=1).opt(depth=depth).bind(b=1).log("INFO", "m")

    def outer() -> None:
        wrapper(2)

    wrapper(1)  # one
    outer()  # two
    lines = [record.site.line for record in taken.records]
    test = test_a_wrapper_names_its_caller_by_depth
    assert lines == [line_of(test, "one")] * 2 + [line_of(test, "two")] * 2


@pytest.mark.parametrize("depth", [1_000, 10**6, 10**30, -5])
def test_too_large_a_depth_is_no_error(depth: int, log: Logger, taken: Taken) -> None:
    """A depth beyond the stack still gives a record, with all that was said."""
    log.opt(depth=depth).info("n={n}", n=1)
    assert taken.last.message == "n=1"


def test_a_catching_decorator_names_the_caller(log: Logger, taken: Taken) -> None:
    """What `@log.catch` logs has the site of the call, the exception says where it was raised."""

    @log.catch
    def fails() -> None:
        raise ValueError("wrong")

    fails()  # here
    assert taken.last.site.line == line_of(test_a_catching_decorator_names_the_caller, "here")
    assert taken.last.exception is not None
    assert taken.last.exception.frames[-1].function.endswith("fails")


def test_thread_and_task_are_named(log: Logger) -> None:
    """A record says on which thread it was logged."""
    with captured(at_home=False) as taken:
        thread = threading.Thread(target=log.info, args=("m",), name="worker 7")
        thread.start()
        thread.join()
        log.info("m")
    assert [record.thread for record in taken.records] == ["worker 7", "MainThread"]
    assert [record.task for record in taken.records] == [None, None]


# The twins as awaitables.


async def test_a_twin_works_wherever_a_coroutine_does(log: Logger) -> None:
    """It can be started in a task group, awaited later, or more than once at a time."""
    with captured() as taken:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(log.ainfo, "started")
        pending = log.ainfo("later")
        await pending
        with anyio.fail_after(5):
            await log.ainfo("in time")
        log.ainfo("not awaited").close()
    said = [record.message for record in taken.records]
    assert said == ["started", "later", "in time", "not awaited"]


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_twin_works_in_the_ways_of_asyncio(log: Logger, anyio_backend: str) -> None:
    """`create_task`, `gather` and `wait_for` take it for the coroutine it stands for."""
    with captured() as taken:
        await asyncio.create_task(log.ainfo("task"))
        assert await asyncio.gather(log.ainfo("one"), log.ainfo("two")) == [None, None]
        await asyncio.wait_for(log.ainfo("in time"), 5)
    assert len(taken.records) == 4


# Exceptions.


def test_exception_logs_the_one_being_handled(log: Logger, taken: Taken) -> None:
    """`log.exception` is at ERROR, with the exception; without one, it is a plain record."""
    try:
        raise ValueError("wrong")
    except ValueError:
        log.exception("failed {n}", n=1)
    assert (taken.last.level.name, taken.last.message) == ("ERROR", "failed 1")
    assert taken.last.exception is not None
    assert taken.last.exception.message == "wrong"
    log.exception("nothing")
    assert taken.last.exception is None


def test_forms_of_giving_an_exception(log: Logger, taken: Taken) -> None:
    """`opt(exception=)` takes True, an exception and an exc_info, also a false exception."""

    class FalseError(Exception):
        def __bool__(self) -> bool:
            return False

    error = FalseError("wrong")
    try:
        raise error
    except FalseError:
        for form in (True, error, sys.exc_info()):
            log.opt(exception=form).warning("m")
            assert taken.last.exception is not None
            assert taken.last.exception.message == "wrong"
    for nothing in (False, None, (None, None, None), "text", 5):
        log.opt(exception=nothing).info("m")  # type: ignore[arg-type]
        assert taken.last.exception is None


def test_exception_goes_with_other_options(log: Logger, taken: Taken) -> None:
    """`opt(depth=1).exception(...)` has the exception and the wrapper's caller."""

    def wrapper() -> None:
        log.opt(depth=1).exception("m")

    try:
        raise ValueError("wrong")
    except ValueError:
        wrapper()  # here
    assert taken.last.exception is not None
    assert taken.last.site.line == line_of(test_exception_goes_with_other_options, "here")


# Lazy values.


def test_lazy_values_are_called_at_the_call(log: Logger, taken: Taken) -> None:
    """With `lazy`, callables among arguments and fields are called, others are values."""
    log.opt(lazy=True).info("{} {a}", lambda: 1, a=lambda: [2], b=3)
    assert taken.last.message == "1 [2]"
    assert taken.last.fields == {"a": [2], "b": 3}


def test_lazy_values_nobody_wants_are_not_called(log: Logger, taken: Taken) -> None:
    """If no route takes records of this level, nothing is called."""
    taken.wanted = False
    log.opt(lazy=True).info("{a}", a=pytest.fail)


def test_a_lazy_value_that_fails_is_a_marker(log: Logger, taken: Taken) -> None:
    """What raises costs its own value only."""
    log.opt(lazy=True).info("{a} {b}", a=lambda: 1 / 0, b=lambda: 2)
    assert taken.last.message == "<lazy value failed: ZeroDivisionError> 2"


async def test_async_lazy_values_are_awaited_by_the_twin(log: Logger) -> None:
    """`ainfo` awaits what async callables return, also if that fails."""

    async def value() -> int:
        await anyio.lowlevel.checkpoint()
        return 5

    async def fails() -> int:
        raise ValueError("secret")

    with captured() as taken:
        await log.opt(lazy=True).ainfo("{} {a} {b}", value, a=value, b=fails)
    assert taken.last.message == "5 5 <lazy value failed: ValueError>"


# Catch.


def test_catch_swallows_and_logs(log: Logger, taken: Taken) -> None:
    """An exception of the block is logged and goes no further; others and none pass."""
    with log.catch():
        raise ValueError("wrong")
    assert taken.last.exception is not None
    with pytest.raises(KeyboardInterrupt), log.catch():
        raise KeyboardInterrupt
    with pytest.raises(KeyError), log.catch(ValueError):
        raise KeyError
    with log.catch():
        pass
    assert len(taken.records) == 1


def test_catch_has_choices(log: Logger, taken: Taken) -> None:
    """The level, the message, raising again and the default are the caller's to choose."""
    catch = log.catch(ValueError, level="warning", message="oh", reraise=True)
    with pytest.raises(ValueError, match="wrong"), catch:
        raise ValueError("wrong")
    assert (taken.last.level, taken.last.message) == (WARNING, "oh")

    @log.catch((KeyError, ValueError), default=7)
    def fails() -> int:
        raise ValueError

    assert fails() == 7


def test_catch_keeps_the_function_as_it_is(log: Logger, taken: Taken) -> None:
    """Name, arguments and result of a decorated function are its own."""

    @log.catch()
    def add(a: int, *, b: int) -> int:
        """Add."""
        return a + b

    assert add(1, b=2) == 3
    assert (add.__name__, add.__doc__) == ("add", "Add.")
    assert not taken.records


def test_catch_on_a_generator(log: Logger, taken: Taken) -> None:
    """Items, sent values and the result pass; what is raised ends it quietly."""

    @log.catch(default="default")
    def generator() -> Iterator[Any]:
        got = yield 1
        yield got
        raise ValueError("wrong")

    items: Any = generator()
    assert next(items) == 1
    assert items.send("sent") == "sent"
    with pytest.raises(StopIteration) as stop:
        next(items)
    assert stop.value.value == "default"
    assert len(taken.records) == 1


async def test_catch_on_async_functions(log: Logger) -> None:
    """A coroutine function is awaited inside; cancellation passes."""

    @log.catch(default=7)
    async def fails() -> int:
        await anyio.lowlevel.checkpoint()
        raise ValueError("wrong")

    @log.catch
    async def waits() -> None:
        await anyio.sleep_forever()

    with captured() as taken:
        assert await fails() == 7
        with anyio.move_on_after(0) as scope:
            await waits()
    assert scope.cancelled_caught
    assert len(taken.records) == 1


async def test_catch_on_an_async_generator(log: Logger) -> None:
    """Items, sent and thrown values pass both ways, and closing it closes the one inside."""
    closed: list[str] = []

    @log.catch
    async def generator() -> AsyncIterator[Any]:
        try:
            got = yield 1
            try:
                yield got
            except KeyError as error:
                yield repr(error)
            raise ValueError("wrong")
        finally:
            await anyio.lowlevel.checkpoint()
            closed.append("inside")

    with captured() as taken:
        items: Any = generator()
        assert await anext(items) == 1
        assert await items.asend("sent") == "sent"
        assert await items.athrow(KeyError("thrown")) == "KeyError('thrown')"
        with pytest.raises(StopAsyncIteration):
            await anext(items)
        assert len(taken.records) == 1
        async with aclosing(generator()) as items:  # type: ignore[type-var]
            await anext(items)
        assert closed == ["inside", "inside"]
        assert len(taken.records) == 1


# Copies.


@pytest.mark.parametrize(
    "clone", [copy.copy, copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))]
)
@pytest.mark.parametrize("option", [{}, {"depth": 0}], ids=["plain", "with options"])
def test_a_logger_can_be_pickled_and_copied(clone: Any, option: Any, log: Logger) -> None:
    """A copy has the name and the fields, and the level of the name where it is."""
    bound = log.bind(a=[1])
    copied = clone(bound.opt(**option) if option else bound)
    with captured() as taken:
        copied.info("m")
    assert (taken.last.logger, taken.last.fields) == (log.name, {"a": [1]})
    assert "tests.logger" in repr(copied)


# What never happens.


class Hostile:
    """An object that raises at everything."""

    def _no(self, *args: object, **kwargs: object) -> Any:
        raise RuntimeError("no")

    __str__ = __repr__ = __format__ = __eq__ = __iter__ = __len__ = __bool__ = _no
    __call__ = __index__ = __float__ = __getattr__ = _no
    __hash__ = None  # type: ignore[assignment]
    __class__ = property(_no)  # type: ignore[assignment]


def test_a_hostile_object_in_every_place(log: Logger, taken: Taken) -> None:
    """Wherever an object that raises at everything is given, one record comes out."""
    bad: Any = Hostile()
    calls: list[Callable[[], object]] = [
        lambda: log.info(bad),
        lambda: log.info("{} {a}", bad, a=bad),
        lambda: log.info("%s", bad),
        lambda: log.log(bad, "m"),
        lambda: log.bind(a=bad).info("m {a}"),
        lambda: log.opt(lazy=True).info("{a}", bad, a=bad),
        lambda: log.opt(lazy=True).info("{a}", a=lambda: bad),
        lambda: log.opt(exception=bad).info("m"),
        lambda: log.exception(bad, bad, a=bad),
    ]
    for number, call in enumerate(calls, 1):
        call()
        assert len(taken.records) == number
        assert taken.last.message is not None
        assert "logflume.capture_error" not in taken.last.fields


def test_an_intake_that_breaks_does_not_reach_the_caller(log: Logger) -> None:
    """Even if the engine itself fails, a log call returns."""

    class Broken(Taken):
        def submit(self, record: object) -> None:
            raise RuntimeError("a bug")

        submit_from_afar = submit

    with captured():
        logflume.capture.connect(Broken(at_home=False), Thresholds(WARNING), lambda: ("", None))
        assert log.error("m") is None
        assert log.opt(depth=0).error("m") is None


# Libraries that are silenced.


@pytest.fixture
def switches(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Forget what a test silences."""
    monkeypatch.setattr(source, "_switches", {})
    yield
    monkeypatch.undo()
    refresh_thresholds()


@pytest.mark.usefixtures("switches")
def test_a_silenced_name_says_nothing_at_any_level() -> None:
    """Nor do those below it, made before or afterwards; others are not concerned."""
    with captured() as taken:
        before = get_logger("lib.db")
        logflume.disable("lib")
        before.critical("no")
        get_logger("lib").critical("no")
        get_logger("lib.new").critical("no")
        assert not before.is_enabled_for("CRITICAL")
        get_logger("library").info("yes")
        logflume.enable("lib")
        before.info("again")
    assert [r.message for r in taken.records] == ["yes", "again"]


@pytest.mark.usefixtures("switches")
def test_the_nearest_name_decides_who_is_silent() -> None:
    """`lib` may be silent while `lib.db` is not, and everything but one name."""
    with captured() as taken:
        logflume.disable(None)
        logflume.enable("lib")
        logflume.disable("lib.db")
        for name in ("app", "lib", "lib.db", "lib.db.pool", "lib.web"):
            get_logger(name).info(name)
    assert [r.message for r in taken.records] == ["lib", "lib.web"]


def test_a_call_without_a_message_logs_its_fields() -> None:
    """The message is empty then; nothing is raised."""
    with captured() as taken:
        log = get_logger("app")
        log.info()
        log.warning(user="ann")
        log.opt(depth=0).error(n=1)
        log.log("INFO")
        log.exception()
    assert [(r.message, r.fields) for r in taken.records] == [
        ("", {}),
        ("", {"user": "ann"}),
        ("", {"n": 1}),
        ("", {}),
        ("", {}),
    ]

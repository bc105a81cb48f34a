"""Exceptions as plain data."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from logflume.exception import MAX_FRAMES, MAX_LINKED, ExceptionInfo, Frame, take_exception


def caught(raiser: Any) -> BaseException:
    try:
        raiser()
    except BaseException as error:
        return error
    raise AssertionError("nothing was raised")


def taken(error: object) -> ExceptionInfo:
    info = take_exception(error)
    assert info is not None
    return info


def fail() -> None:
    raise ValueError("wrong")


class Hostile(Exception):  # noqa: N818
    """An exception of which nothing can be read."""

    def _no(self, *args: object) -> Any:
        raise RuntimeError("no")

    __str__ = __repr__ = __bool__ = __eq__ = _no  # type: ignore[assignment]
    __hash__ = None  # type: ignore[assignment]
    __notes__ = __cause__ = __context__ = __traceback__ = property(_no)  # type: ignore[assignment]


class HostileGroup(ExceptionGroup[Exception]):
    @property
    def exceptions(self) -> Any:  # type: ignore[override]
        raise RuntimeError("no")


def test_what_was_raised_and_where() -> None:
    """Type, message and frames, from the outermost call to the raise."""
    info = taken(caught(fail))
    assert (info.type, info.message) == ("ValueError", "wrong")
    assert [frame.function for frame in info.frames] == ["caught", "fail"]
    assert info.frames[-1].file == __file__
    assert info.frames[-1].line == fail.__code__.co_firstlineno + 1


def test_a_class_of_a_module_is_named_with_it() -> None:
    """Classes that are not built in are shown with their module."""
    assert taken(Hostile()).type == f"{__name__}.Hostile"


def test_cause_and_context_are_told_apart() -> None:
    """`raise ... from` is a cause; an exception during handling a context, unless suppressed."""

    def chained(how: str) -> None:
        try:
            fail()
        except ValueError as error:
            if how == "from":
                raise KeyError("k") from error
            if how == "none":
                raise KeyError("k") from None
            raise KeyError("k")  # noqa: B904 - that is the point

    info = taken(caught(lambda: chained("from")))
    assert info.cause is not None
    assert (info.cause.message, info.context) == ("wrong", None)
    info = taken(caught(lambda: chained("during")))
    assert info.context is not None
    assert (info.context.message, info.cause) == ("wrong", None)
    info = taken(caught(lambda: chained("none")))
    assert (info.cause, info.context) == (None, None)


def test_notes_are_kept() -> None:
    """Notes (PEP 678) are text, in order."""
    error = ValueError("wrong")
    error.add_note("first")
    error.add_note("second")
    assert taken(error).notes == ["first", "second"]


def test_groups_hold_their_members() -> None:
    """A group has its members, groups among them, each with its own frames."""
    inner = ExceptionGroup("inner", [caught(fail)])  # type: ignore[list-item]
    info = taken(ExceptionGroup("outer", [KeyError("k"), inner]))
    assert info.message == "outer (2 sub-exceptions)"
    assert [member.type for member in info.group] == ["KeyError", "ExceptionGroup"]
    assert info.group[1].group[0].frames[-1].function == "fail"


def test_a_large_group_says_what_is_left_out() -> None:
    """A group with more members than are kept says how many are missing."""
    info = taken(ExceptionGroup("many", [ValueError(n) for n in range(1_000)]))
    assert len(info.group) == MAX_LINKED
    assert info.group[-1].message == f"{1_000 - MAX_LINKED + 1} members left out"


def test_cycles_end() -> None:
    """Exceptions that name each other, or themselves, are each taken once."""
    one, two = ValueError("one"), ValueError("two")
    one.__cause__, two.__context__ = two, one
    info = taken(one)
    assert info.cause is not None
    assert (info.cause.message, info.cause.context) == ("two", None)
    one.__cause__ = one
    assert taken(one).cause is None
    assert len(taken(one).walk()) == 1


def test_long_chains_are_bounded() -> None:
    """A chain of a thousand causes is cut, and does not exhaust the stack."""
    first = error = ValueError("first")
    for n in range(1_000):
        error.__cause__ = error = ValueError(n)
    assert len(taken(first).walk()) == MAX_LINKED


def test_long_tracebacks_keep_both_ends() -> None:
    """Of a deep recursion the first and the last frames are kept, and the gap is told."""

    def recurse(n: int) -> None:
        if n:
            recurse(n - 1)
        fail()

    info = taken(caught(lambda: recurse(300)))
    assert len(info.frames) == MAX_FRAMES + 1
    assert info.frames[0].function == "caught"
    assert info.frames[-1].function == "fail"
    assert "frames left out" in info.frames[MAX_FRAMES // 2].function


def test_a_recursion_error_is_taken() -> None:
    """The traceback of endless recursion is one like any other."""

    def endless() -> None:
        endless()

    assert taken(caught(endless)).type == "RecursionError"


def test_hostile_exceptions_are_taken_with_what_can_be_read() -> None:
    """An exception whose attributes raise gives its type and frames, and no exception."""

    def hostile() -> None:
        raise Hostile("x")

    info = taken(caught(hostile))
    assert info.message == "<unprintable Hostile: RuntimeError>"
    assert info.notes == ["<unreadable notes: RuntimeError>"]
    assert info.frames[-1].function.endswith("hostile")
    group = taken(HostileGroup("g", [ValueError("in")]))
    assert group.group[0].message == "in"


def test_a_false_exception_is_an_exception() -> None:
    """One that is false by its length or `__bool__` is taken all the same."""

    class Empty(Exception):  # noqa: N818
        def __len__(self) -> int:
            return 0

    assert taken(Empty("x")).message == "x"


def test_messages_are_bounded() -> None:
    """The text of an exception is cut, and says so."""
    assert taken(ValueError("x" * 10**6)).message.endswith("<1000000 characters>")


def test_forms_in_which_an_exception_is_given() -> None:
    """True is the one being handled; an exception, and `exc_info`, are what they are."""
    error = ValueError("wrong")
    assert take_exception(True) is None
    try:
        raise error
    except ValueError:
        for form in (True, 1, error, sys.exc_info()):
            assert taken(form).message == "wrong"
        assert take_exception(False) is None
        assert take_exception(None) is None


@pytest.mark.parametrize("given", [(), (1, 2), (None, None, None), ("a", "b", "c"), "x", 0, []])
def test_what_is_no_exception_is_none(given: object) -> None:
    """Whatever else is given, there is no exception, and none is raised."""
    assert take_exception(given) is None


def test_plain_data_leaves_out_what_is_not_there() -> None:
    """`to_dict` has type, message and frames always, the rest where there is one."""
    error = caught(fail)
    shown = taken(error).to_dict()
    assert shown.keys() == {"type", "message", "frames"}
    assert shown["frames"][-1].keys() == {"file", "line", "function"}
    error.add_note("note")
    error.__cause__ = KeyError("k")
    shown = taken(ExceptionGroup("g", [error])).to_dict()  # type: ignore[list-item]
    assert shown["group"][0]["notes"] == ["note"]
    assert shown["group"][0]["cause"]["type"] == "KeyError"


def test_a_frame_knows_which_part_of_its_line_was_run() -> None:
    """In characters of the line without its indentation, also where bytes are more than these."""
    namespace: dict[str, Any] = {}
    line = "    žluť = 1 + {}['k'] + 2"
    exec(compile(f"def fails():\n{line}\n", "made", "exec"), namespace)
    frame = taken(caught(namespace["fails"])).frames[-1]
    frame.show(f"{line}\n")
    assert frame.source == line.strip()
    assert frame.span is not None
    assert frame.source[slice(*frame.span)] == "{}['k']"
    assert frame == Frame("made", 2, "fails", frame.source, frame.span, None, frame.lasti)
    frame.show(line)  # again changes nothing
    assert frame.span is not None


def test_a_part_over_several_lines_ends_with_the_first() -> None:
    """Only the line of the frame is shown; a whole line has no part."""
    namespace: dict[str, Any] = {}
    source = "def fails():\n    x = int(\n        'a')\ndef whole():\n    int('a')\n"
    exec(compile(source, "made", "exec"), namespace)
    frame = taken(caught(namespace["fails"])).frames[-1]
    frame.show("    x = int(\n")
    assert frame.span == (4, 8)
    frame = taken(caught(namespace["whole"])).frames[-1]
    frame.show("    int('a')\n")
    assert (frame.source, frame.span) == ("int('a')", None)


def test_a_line_that_is_not_the_one_that_ran_harms_nothing() -> None:
    """The file may have changed since, or be empty."""
    for line in ("", "\n", "x", "é" * 40, "   \ud800"):
        frame = taken(caught(fail)).frames[-1]
        frame.show(line)
        assert frame.source == (line.strip() or None)
    bare = Frame("f", 1, "g")
    bare.show("  x = 1\n")
    assert (bare.source, bare.span) == ("x = 1", None)

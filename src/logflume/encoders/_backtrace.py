"""An exception as Python shows it: causes first, source lines with carets, notes, group members.

Only lays out what the record holds. The source lines were read in a worker thread before the record
came to any encoder, so nothing here touches a file.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ..escape import escape
from ..exception import ExceptionInfo, Frame
from ._cells import cells, painted
from ._message import lines_of

__all__ = ["CAUSE", "CONTEXT", "backtrace", "said_lines", "span_of", "stack_trace"]

CAUSE = "The above exception was the direct cause of the following exception:"
CONTEXT = "During handling of the above exception, another exception occurred:"

Form = Callable[[str], str]

PLAIN = dict.fromkeys(("trace", "source", "caret", "error", "mark"), "")


def stack_trace(info: ExceptionInfo) -> str:
    """Return an exception as one text, in which nothing is escaped: for formats that do that."""
    return "\n".join(backtrace(info, form=str))


def backtrace(
    info: ExceptionInfo,
    indent: str = "",
    styles: Mapping[str, str] = PLAIN,
    *,
    mark: str = "",
    form: Form = escape,
) -> list[str]:
    """Return the lines of an exception, painted in the styles of the theme's parts.

    With a `mark`, what the exception says may have several lines, each further one marked; without
    one, it has the given form, in which line breaks are escapes. A source line and the carets below
    it are one entry.
    """
    trace, error = styles["trace"], styles["error"]
    lines: list[str] = []
    for linked, words in ((info.cause, CAUSE), (info.context, CONTEXT)):
        if linked is not None:
            lines += backtrace(linked, indent, styles, mark=mark, form=form)
            lines.append(painted(trace, f"{indent}{words}"))
    if info.frames:
        lines.append(painted(trace, f"{indent}Traceback (most recent call last):"))
    for frame in info.frames:
        lines += _frame_lines(frame, f"{indent}  ", styles, form)
    margin = f"{indent}{painted(styles['mark'], mark)} "
    for said in said_lines(info, several=bool(mark), form=form):
        lines.append(painted(error, f"{indent}{said[0]}"))
        lines += [margin + painted(error, line) for line in said[1:]]
    for number, member in enumerate(info.group, 1):
        lines.append(painted(trace, f"{indent}  member {number} of {len(info.group)}:"))
        lines += backtrace(member, f"{indent}    ", styles, mark=mark, form=form)
    return lines


def said_lines(info: ExceptionInfo, *, several: bool, form: Form = escape) -> list[list[str]]:
    """Return what an exception says, and each of its notes: one line, or several."""
    said = f"{info.type}: {info.message}" if info.message else info.type
    return [lines_of(text) if several else [form(text)] for text in (said, *info.notes)]


def _frame_lines(frame: Frame, indent: str, styles: Mapping[str, str], form: Form) -> list[str]:
    trace = styles["trace"]
    if not frame.line and frame.file == "...":  # stands for the frames that were left out
        return [painted(trace, f"{indent}... {form(frame.function)}")]
    where = f'{indent}File "{form(frame.file)}", line {frame.line}, in {form(frame.function)}'
    if not frame.source:
        return [painted(trace, where)]
    style = styles["source"]
    if frame.span is None:
        return [painted(trace, where), painted(style, f"{indent}  {form(frame.source)}")]
    before, run, after = span_of(frame, form)
    caret = styles["caret"]
    source = f"{indent}  {painted(style, before)}{painted(caret, run)}{painted(style, after)}"
    carets = " " * (len(indent) + 2 + cells(before)) + painted(caret, "^" * cells(run))
    return [painted(trace, where), f"{source}\n{carets}" if run else source]


def span_of(frame: Frame, form: Form = escape) -> tuple[str, str, str]:
    """Return the source line in three parts, in this form; the middle one is what was being run."""
    source = frame.source or ""
    start, end = frame.span or (len(source), len(source))
    if source.isascii() and source.isprintable():
        return source[:start], source[start:end], source[end:]
    return form(source[:start]), form(source[start:end]), form(source[end:])

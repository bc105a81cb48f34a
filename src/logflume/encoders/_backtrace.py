"""An exception as Python shows it: causes first, source lines with carets, notes, group members.

Only lays out what the record holds. The source lines were read in a worker thread before the record
came to any encoder, so nothing here touches a file.
"""

from __future__ import annotations

from ..escape import escape
from ..exception import ExceptionInfo, Frame
from ._cells import Piece, cells
from ._message import lines_of

__all__ = ["CAUSE", "CONTEXT", "backtrace", "said_lines", "span_of"]

CAUSE = "The above exception was the direct cause of the following exception:"
CONTEXT = "During handling of the above exception, another exception occurred:"


def backtrace(
    info: ExceptionInfo, indent: str, *, mark: str = "", room: int | None = None
) -> list[list[Piece]]:
    """Return the lines of an exception, each as pieces that name their part of the theme.

    With a `mark`, what the exception says may have several lines, each further one marked; without
    one, line breaks in it are escapes. Carets are left out where the source line is wider than
    `room`, and so will be folded.
    """
    lines: list[list[Piece]] = []
    for linked, words in ((info.cause, CAUSE), (info.context, CONTEXT)):
        if linked is not None:
            lines += backtrace(linked, indent, mark=mark, room=room)
            lines.append([("trace", f"{indent}{words}")])
    if info.frames:
        lines.append([("trace", f"{indent}Traceback (most recent call last):")])
    for frame in info.frames:
        lines += _frame_lines(frame, f"{indent}  ", room)
    for said in said_lines(info, several=bool(mark)):
        first, *more = said
        lines.append([("error", f"{indent}{first}")])
        lines += [[("", indent), ("mark", f"{mark} "), ("error", line)] for line in more]
    for number, member in enumerate(info.group, 1):
        lines.append([("trace", f"{indent}  member {number} of {len(info.group)}:")])
        lines += backtrace(member, f"{indent}    ", mark=mark, room=room)
    return lines


def said_lines(info: ExceptionInfo, *, several: bool) -> list[list[str]]:
    """Return what an exception says, and each of its notes: one line, or several."""
    said = f"{info.type}: {info.message}" if info.message else info.type
    return [lines_of(text) if several else [escape(text)] for text in (said, *info.notes)]


def _frame_lines(frame: Frame, indent: str, room: int | None) -> list[list[Piece]]:
    if not frame.line and frame.file == "...":  # stands for the frames that were left out
        return [[("trace", f"{indent}... {escape(frame.function)}")]]
    where = f'File "{escape(frame.file)}", line {frame.line}, in {escape(frame.function)}'
    lines: list[list[Piece]] = [[("trace", f"{indent}{where}")]]
    if not frame.source:
        return lines
    before, run, after = span_of(frame)
    source: list[Piece] = [
        ("", f"{indent}  "),
        ("source", before),
        ("caret", run),
        ("source", after),
    ]
    lines.append([piece for piece in source if piece[1]])
    if run and (room is None or sum([cells(text) for _, text in source]) <= room):
        blanks = " " * (len(indent) + 2 + cells(before))
        lines.append([("", blanks), ("caret", "^" * cells(run))])
    return lines


def span_of(frame: Frame) -> tuple[str, str, str]:
    """Return the source line in three parts, escaped; the middle one is what was being run."""
    source = frame.source or ""
    start, end = frame.span or (len(source), len(source))
    return escape(source[:start]), escape(source[start:end]), escape(source[end:])

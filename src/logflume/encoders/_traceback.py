"""Exceptions as Python shows them, from what a record knows of them."""

from __future__ import annotations

from collections.abc import Callable

from ..exception import ExceptionInfo

__all__ = ["traceback_lines"]

_LINKS = (
    ("cause", "The above exception was the direct cause of the following exception:"),
    ("context", "During handling of the above exception, another exception occurred:"),
)


def traceback_lines(
    info: ExceptionInfo, indent: str = "", form: Callable[[str], str] = str
) -> list[str]:
    """Return an exception's lines, causes first, members of a group indented below it.

    `form` is applied to all that came with the exception, where it may break lines.
    """
    lines: list[str] = []
    for link, words in _LINKS:
        linked: ExceptionInfo | None = getattr(info, link)
        if linked is not None:
            lines += [*traceback_lines(linked, indent, form), f"{indent}{words}"]
    if info.frames:
        lines.append(f"{indent}Traceback (most recent call last):")
    for frame in info.frames:
        file, function = form(frame.file), form(frame.function)
        lines.append(f'{indent}  File "{file}", line {frame.line}, in {function}')
        if frame.source:
            lines.append(f"{indent}    {form(frame.source)}")
    said = f"{info.type}: {info.message}" if info.message else info.type
    lines.append(f"{indent}{form(said)}")
    lines += [f"{indent}{form(note)}" for note in info.notes]
    for number, member in enumerate(info.group, 1):
        lines.append(f"{indent}  member {number} of {len(info.group)}:")
        lines += traceback_lines(member, f"{indent}    ", form)
    return lines

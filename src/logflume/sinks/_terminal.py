"""What a stream can show: whether it is a terminal or a notebook, its colours and its width.

Only asks the stream, the system and the environment. Nothing here raises: a stream that cannot say
what it is, is none of these.
"""

from __future__ import annotations

import os
import stat
import sys
from typing import Any, Protocol

__all__ = [
    "columns_of",
    "enable_sequences",
    "encoding_of",
    "is_notebook",
    "is_terminal",
    "wants_color",
]

_VIRTUAL_TERMINAL = 0x0004  # ENABLE_VIRTUAL_TERMINAL_PROCESSING
_LEAST_COLUMNS = 20


def wants_color(stream: Any) -> bool:
    """Whether to colour what goes to a stream.

    `NO_COLOR` (no-color.org) and `FORCE_COLOR`, set to anything but the empty string, decide;
    otherwise a terminal that is not "dumb" gets colours, a notebook, and PyCharm's console.
    """
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR"):
        return True
    if is_notebook(stream):
        return True
    if os.environ.get("TERM") == "dumb":
        return False
    return is_terminal(stream) or _is_pycharm(stream)


def is_notebook(stream: Any) -> bool:
    """Whether what is written to a stream shows in a Jupyter notebook (ipykernel's `OutStream`):
    no terminal, and with the terminal of the server behind its `fileno`, if it has one at all."""
    return type(stream).__module__.partition(".")[0] == "ipykernel"


def is_terminal(stream: Any) -> bool:
    """Whether a stream says that it is a terminal."""
    try:
        return bool(stream.isatty())
    except Exception:
        return False


def _is_pycharm(stream: Any) -> bool:
    """Whether this is the console of PyCharm, which is a pipe but shows colours."""
    if "PYCHARM_HOSTED" not in os.environ or stream is None:
        return False
    if not any(stream is std for std in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__)):
        return False
    try:
        return not stat.S_ISREG(os.fstat(stream.fileno()).st_mode)
    except Exception:
        return False


def columns_of(stream: Any) -> int | None:
    """Return how many cells a row of the stream's terminal has; None where rows have no end."""
    if is_notebook(stream) or not is_terminal(stream):
        return None
    try:
        columns = os.get_terminal_size(stream.fileno()).columns
    except Exception:  # looks like a terminal, but is none
        return None
    if os.name == "nt":  # old consoles break the line behind a row that is full
        columns -= 1
    return columns if columns >= _LEAST_COLUMNS else None  # some say 0, when they do not know


def encoding_of(stream: Any) -> str:
    """Return the encoding of a text stream; what goes to others is UTF-8."""
    encoding = getattr(stream, "encoding", None)
    return encoding if isinstance(encoding, str) and encoding else "utf-8"


class Kernel(Protocol):
    """The three functions of Windows that its consoles need."""

    def handle_of(self, fd: int, /) -> int: ...

    def mode_of(self, handle: int, /) -> int | None: ...

    def set_mode(self, handle: int, mode: int, /) -> bool: ...


def enable_sequences(stream: Any, kernel: Kernel | None = None) -> bool:
    """Let a Windows console understand ANSI sequences; whether the stream does from now on.

    What is no console of Windows (a file, a pipe, the terminal of MSYS) does, as far as anyone can
    tell, and so does everything elsewhere.
    """
    if kernel is None:
        if os.name != "nt":
            return True
        kernel = _kernel()
    try:
        handle = kernel.handle_of(stream.fileno())
        mode = kernel.mode_of(handle)
    except Exception:
        return True
    if mode is None or mode & _VIRTUAL_TERMINAL:
        return True
    # Windows Terminal understands them whatever it answers.
    return kernel.set_mode(handle, mode | _VIRTUAL_TERMINAL) or bool(os.environ.get("WT_SESSION"))


def _kernel() -> Any:
    import ctypes
    import msvcrt
    from types import SimpleNamespace

    kernel: Any = ctypes.WinDLL("kernel32", use_last_error=True)  # type: ignore[attr-defined, unused-ignore]

    def mode_of(handle: int) -> int | None:
        mode = ctypes.c_ulong()
        known = kernel.GetConsoleMode(ctypes.c_void_p(handle), ctypes.byref(mode))
        return mode.value if known else None

    def set_mode(handle: int, mode: int) -> bool:
        return bool(kernel.SetConsoleMode(ctypes.c_void_p(handle), ctypes.c_ulong(mode)))

    handle_of = msvcrt.get_osfhandle  # type: ignore[attr-defined, unused-ignore]
    return SimpleNamespace(handle_of=handle_of, mode_of=mode_of, set_mode=set_mode)

"""Writes docs/reference/ from the docstrings: `python docs/build_reference.py`.

A test compares the pages with what this makes of the code, so they cannot go stale.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
from pathlib import Path
from typing import Any

import logflume
from logflume import encoders, processors, protocols, sinks, testing
from logflume.integrations import asgi, loguru, processes, serverless, stdlib, structlog

FOLDER = Path(__file__).parent / "reference"

PAGES: dict[str, tuple[str, str, list[Any]]] = {
    "loggers": (
        "Loggers and context",
        "logflume",
        [
            *("get_logger", "log", "Logger", "context", "current_context", "override"),
            *("Level", "scope", "Scope", "register_level", "enable", "disable"),
        ],
    ),
    "pipelines": ("Pipelines and routes", "logflume", ["Pipeline", "Route", "Batch", "Retry"]),
    "configuration": ("Configuration", "logflume", ["configure_from"]),
    "ledger": ("The ledger", "logflume", ["Stats", "Counts", "RouteCounts", "FlushReport"]),
    "records": ("Records", "logflume", ["Record", "ExceptionInfo", "Frame"]),
    "plug-ins": (
        "What plugs in",
        "logflume",
        ["Sink", "SinkBatch", "Encoder", "Processor", "Theme"],
    ),
    "errors": (
        "Errors",
        "logflume",
        ["LogflumeError", "ConfigurationError", "PipelineError", "Retryable", "Rejected"],
    ),
    "encoders": ("Encoders", "logflume.encoders", encoders.__all__),
    "processors": ("Processors", "logflume.processors", processors.__all__),
    "sinks": ("Sinks", "logflume.sinks", sinks.__all__),
    "asgi": ("ASGI", "logflume.integrations.asgi", asgi.__all__),
    "stdlib": ("The standard library's logging", "logflume.integrations.stdlib", stdlib.__all__),
    "structlog": ("structlog", "logflume.integrations.structlog", structlog.__all__),
    "processes": ("Processes", "logflume.integrations.processes", processes.__all__),
    "serverless": ("Serverless functions", "logflume.integrations.serverless", serverless.__all__),
    "loguru": ("loguru", "logflume.integrations.loguru", loguru.__all__),
    "testing": ("Testing", "logflume.testing", testing.__all__),
}
MODULES = {
    "logflume": logflume,
    "logflume.encoders": encoders,
    "logflume.processors": processors,
    "logflume.sinks": sinks,
    "logflume.integrations.asgi": asgi,
    "logflume.integrations.stdlib": stdlib,
    "logflume.integrations.structlog": structlog,
    "logflume.integrations.loguru": loguru,
    "logflume.integrations.processes": processes,
    "logflume.integrations.serverless": serverless,
    "logflume.testing": testing,
}


def _described(alias: str) -> str:
    """Return the string below a type alias in `protocols.py`: it is no attribute of the alias."""
    source = Path(inspect.getfile(protocols)).read_text()
    found = re.search(rf'^{alias}: TypeAlias.*?"""(.*?)"""', source, re.DOTALL | re.MULTILINE)
    assert found is not None
    return found[1]


DESCRIBED = {  # names whose docstring cannot be read from the value
    "log": "A ready logger, named `root`. See `Logger`.",
    "Processor": _described("Processor"),
}
INTERNAL = {  # what the parts of the engine say to each other
    "Pipeline": {
        "door",
        "is_dormant",
        "leave_behind",
        "start_over",
        "tell_lost",
        "runs_in_thread",
        "shutdown_timeout",
        "start_thread",
        "wants",
    },
    "Record": {"bare", "origins"},
    "RequestControl": {"apply_to"},
    "Scope": {"end", "move_here", "run_at_home", "until"},
    "SinkBatch": {"rest", "without"},
}
SETTINGS_ONLY = {"Route"}  # made by users, called by the pipeline alone
NOTE = "<!-- Written by docs/build_reference.py; change the docstrings. -->\n\n"


def signature(name: str, value: Any) -> str:
    """Return a signature as it is written in the code, one parameter per line if it is long."""
    if getattr(value, "_is_protocol", False):
        return f"{name}(Protocol)"
    try:
        shape = inspect.signature(value)
    except (TypeError, ValueError):
        return name
    if inspect.isclass(value):
        shape = shape.replace(return_annotation=inspect.Signature.empty)
    parameters = [p for p in shape.parameters.values() if p.name != "self"]
    shape = shape.replace(parameters=parameters)
    text = re.sub(r"<function ([\w.]+) at 0x[0-9a-f]+>", r"\1", f"{name}{shape}")
    text = re.sub(r"<[^<>]+ at 0x[0-9a-f]+>", "...", text)
    text = re.sub(r"\b(?:[a-z_]+\.)+(?=[A-Z])", "", text.replace("'", ""))
    if len(text) <= 96 or not parameters:
        return text
    opening, _, rest = text.partition("(")
    inside, _, closing = rest.rpartition(")")
    return f"{opening}(\n    {_split(inside)},\n){closing}"


def _split(parameters: str) -> str:
    """Break a list of parameters at its outermost commas."""
    depth = 0
    parts = [""]
    for character in parameters:
        depth += (character in "([{") - (character in ")]}")
        if character == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
    return ",\n    ".join(part.strip() for part in parts)


def prefix(value: Any) -> str:
    """Return `async ` for what is awaited."""
    return "async " if inspect.iscoroutinefunction(value) else ""


def code(text: str) -> str:
    """Return a block that is highlighted, but no example to be run."""
    return f"```py\n{text}\n```\n"


def methods(kind: type) -> list[tuple[str, Any]]:
    """Return the public methods and properties that a class or its own bases define."""
    own = [base for base in kind.__mro__ if base.__module__.startswith("logflume")]
    names = dict.fromkeys(name for base in own for name in vars(base))
    found = [(name, inspect.getattr_static(kind, name)) for name in names]
    fields = {f.name for f in dataclasses.fields(kind)} if dataclasses.is_dataclass(kind) else set()
    return [
        (name, value)
        for name, value in found
        if not name.startswith("_")
        and name not in fields
        and (inspect.isroutine(value) or isinstance(value, property | classmethod))
    ]


def entry(name: str, value: Any) -> str:
    """Return the section of one public name."""
    text = f"## {name}\n\n"
    if name in DESCRIBED:
        return f"{text}{DESCRIBED[name]}\n"
    kind = "class " if inspect.isclass(value) else prefix(value)
    text += code(kind + signature(name, value)) + f"\n{inspect.getdoc(value)}\n"
    for method, member in methods(value) if inspect.isclass(value) else []:
        if name in SETTINGS_ONLY or method in INTERNAL.get(name, ()):
            continue
        text += f"\n### {name}.{method}\n\n"
        if isinstance(member, property):
            hint = inspect.get_annotations(member.fget).get("return", "") if member.fget else ""
            text += code(f"{method}: {hint}") + "\n"
        else:
            function = getattr(value, method)
            text += code(prefix(function) + signature(method, function)) + "\n"
        said = inspect.getdoc(member)
        text += f"{said}\n" if said else ""
    return text


def pages() -> dict[str, str]:
    """Return the text of every page by its file's name."""
    made = {}
    index = "# Reference\n\n"
    for stem, (title, module, names) in PAGES.items():
        sections = [entry(name, getattr(MODULES[module], name)) for name in names]
        made[f"{stem}.md"] = f"{NOTE}# {title}\n\nFrom `{module}`.\n\n" + "\n".join(sections)
        listed = ", ".join(f"`{name}`" for name in names)
        index += f"- [{title}]({stem}.md) (`{module}`): {listed}\n"
    made["index.md"] = NOTE + index
    return made


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for file, text in pages().items():
        (FOLDER / file).write_text(text, encoding="utf-8")

"""The examples of README and docs run, and print what the pages say they print.

The Python blocks of a page run in order, as one program, in an empty folder. A `text` block right
after a Python block is what that block prints, to stdout and stderr; times of day may differ, and
`...` stands for anything.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]

_FENCE = re.compile(r"^```(\w*)$")
_CLOCK = re.compile(r"\b\d\d:\d\d:\d\d\.\d{3}\b")
_LINK = re.compile(r"\[[^\]]*\]\(([^)#\s]+)(?:#[^)]*)?\)")
_MARK = "=== block"


def blocks(page: Path) -> list[tuple[int, str, list[str]]]:
    """Return the fenced blocks of a page: number of the first line, language, lines."""
    found: list[tuple[int, str, list[str]]] = []
    inside = False
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
        fence = _FENCE.match(line)
        if fence and not inside:
            found.append((number, fence[1], []))
        elif not fence and inside:
            found[-1][2].append(line)
        inside = inside != bool(fence)
    assert not inside, f"{page}: a block is not closed"
    return found


def program(page: Path) -> str:
    """Return a page's Python blocks at the lines where the page has them."""
    lines = [""] * len(page.read_text(encoding="utf-8").splitlines())
    for number, language, block in blocks(page):
        if language == "python":
            lines[number - 1] = f"print('\\n{_MARK} {number}')"
            lines[number : number + len(block)] = block
    return "\n".join(lines) + "\n"


def outputs(page: Path) -> dict[int, str]:
    """Return what the page says its blocks print, by the line where the block begins."""
    text = page.read_text(encoding="utf-8").splitlines()
    shown: dict[int, str] = {}
    for (number, language, block), (after, next_language, output) in pairwise(blocks(page)):
        between = text[number + len(block) + 1 : after - 1]
        if language == "python" and next_language == "text" and not any(between):
            shown[number] = "\n".join(output)
    return shown


def pattern(output: str) -> str:
    """Return a regular expression for an output as a page shows it."""
    lines = [
        ".*".join(re.escape(part) for part in _CLOCK.sub("<time>", line).rstrip().split("..."))
        for line in output.strip().splitlines()
    ]
    return "\n".join(lines)


def matches(output: str, printed: str) -> bool:
    told = "\n".join(line.rstrip() for line in _CLOCK.sub("<time>", printed).strip().splitlines())
    return re.fullmatch(pattern(output), told, re.DOTALL) is not None


WITH_CODE = [page for page in PAGES if any(lang == "python" for _, lang, _ in blocks(page))]


@pytest.mark.parametrize("page", WITH_CODE, ids=lambda p: str(p.relative_to(ROOT)))
def test_the_examples_of_a_page_run(page: Path, tmp_path: Path) -> None:
    script = tmp_path / f"{page.stem}_.py"
    script.write_text(program(page), encoding="utf-8")
    folder = tmp_path / "empty"
    folder.mkdir()
    done = subprocess.run(
        [sys.executable, "-u", "-W", "error", script],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        timeout=60,
        check=False,
        env={k: v for k, v in os.environ.items() if k not in ("LOGFLUME_LEVEL", "FORCE_COLOR")},
    )
    assert done.returncode == 0, done.stdout
    printed = {
        int(number): text
        for number, text in re.findall(
            rf"\n{_MARK} (\d+)\n(.*?)(?=\n{_MARK} |\Z)", done.stdout, re.DOTALL
        )
    }
    for number, output in outputs(page).items():
        assert matches(output, printed[number]), (
            f"{page.name}:{number} says\n{output}\nbut it printed\n{printed[number]}"
        )


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    for target in _LINK.findall(page.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


@pytest.mark.parametrize("heading", ["Quick start", "Tests"])
def test_the_first_block_of_readme_is_one_command_line(heading: str) -> None:
    section = (ROOT / "README.md").read_text(encoding="utf-8").split(f"\n## {heading}\n")[1]
    first = re.search(r"^```\w*\n(.*?)\n```$", section, re.DOTALL | re.MULTILINE)
    assert first is not None
    assert len(first[1].splitlines()) == 1


def test_the_tests_of_the_guarantees_exist() -> None:
    page = (ROOT / "docs/guarantees.md").read_text(encoding="utf-8")
    named = set(re.findall(r"\btest_\w+", page))
    tests = "".join(path.read_text(encoding="utf-8") for path in ROOT.glob("tests/**/test_*.py"))
    assert named - set(re.findall(r"def (test_\w+)", tests)) == set()

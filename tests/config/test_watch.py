"""Reloading when the file changes, with the real watchfiles and real files."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import anyio
import pytest
from anyio import to_thread

from logflume import ConfigurationError, Pipeline, configure_from, get_logger

pytest.importorskip("watchfiles")

log = get_logger("tests.watch")


def text(*names: str, level: str = "info") -> str:
    routes = [f'[[routes]]\nsink = "tests.fakes:Collect"\nname = "{name}"\n' for name in names]
    return f'level = "{level}"\n{"".join(routes)}'


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "logflume.toml"
    path.write_text(text("first"))
    return path


async def until_routes(pipeline: Pipeline, *names: str) -> None:
    with anyio.fail_after(20):
        while list(pipeline.stats().routes) != list(names):
            await anyio.sleep(0.02)


def replace(path: Path, said: str) -> None:
    """As editors do: another file takes the place of the old one."""
    new = path.with_suffix(".new")
    new.write_text(said)
    os.replace(new, path)


async def test_a_change_of_the_file_is_taken_on(file: Path) -> None:
    """Written to or replaced, it is read again; a wrong one changes nothing, the next one does."""
    pipeline = await to_thread.run_sync(lambda: configure_from(file, watch=True))
    async with pipeline:
        await until_routes(pipeline, "first")
        await to_thread.run_sync(file.write_text, text("first", "second"))
        await until_routes(pipeline, "first", "second")
        await to_thread.run_sync(replace, file, text("third"))
        await until_routes(pipeline, "third")
        (route,) = pipeline._routes
        await to_thread.run_sync(file.write_text, text("fourth", level="loud"))
        await route.sink.until(2)  # type: ignore[attr-defined]
        taken, stays = route.sink.records  # type: ignore[attr-defined]
        assert (taken.logger, taken.level.name) == ("logflume", "INFO")
        assert stays.message.startswith("Configuration stays as it was: ")
        assert "level: got 'loud'; accepted: " in stays.message
        assert list(pipeline.stats().routes) == ["third"]
        await to_thread.run_sync(file.write_text, text("fifth"))
        await until_routes(pipeline, "fifth")


def test_a_script_is_reloaded_too(file: Path) -> None:
    """A pipeline in a thread of its own watches as well; and closing does not wait for that."""
    with configure_from(file, watch=True) as pipeline:
        file.write_text(text("second"))
        anyio.run(until_routes, pipeline, "second")


async def test_what_is_no_change_of_what_it_says_is_none(file: Path) -> None:
    """Touching the file, or writing the same, does not read it again."""
    pipeline = await to_thread.run_sync(lambda: configure_from(file, watch=True))
    async with pipeline:
        await to_thread.run_sync(replace, file, text("first"))
        await to_thread.run_sync((file.parent / "other.txt").write_text, "")
        await to_thread.run_sync(replace, file, text("first", "second"))
        await until_routes(pipeline, "first", "second")
        route = pipeline._routes.everyone[0]
        await route.sink.until(1)  # type: ignore[attr-defined]
        assert pipeline.stats().routes["first"].received == 1  # of the one change


def test_only_a_file_can_be_watched() -> None:
    """A dict does not change by itself."""
    with pytest.raises(ConfigurationError, match="accepted: only for a configuration from a file"):
        configure_from({}, watch=True)


def test_without_watchfiles_it_says_what_to_install(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The extra is named when the pipeline is made, not when it runs."""
    monkeypatch.setitem(sys.modules, "watchfiles", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'logflume\[watch\]'"):
        configure_from(file, watch=True)

"""Which rotated files are deleted."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from logflume import ConfigurationError
from logflume.files.retention import OldFile, Retention, retention_of
from tests.fakes import name_of_case

NOW = 1_700_000_000.0
DAY = 86_400

some_files = st.lists(
    st.builds(
        OldFile,
        path=st.integers(0, 10**6).map(lambda n: Path(f"/var/log/app.{n}.jsonl")),
        size=st.integers(0, 1_000),
        time=st.floats(NOW - 10 * DAY, NOW + DAY),
    ),
    unique_by=lambda file: file.path,
)


def old_files(*sizes: int) -> list[OldFile]:
    """Make files of these sizes, the first rotated an hour ago, each a day older than the last."""
    return [
        OldFile(Path(f"app.{n}.jsonl"), size, NOW - 3_600 - n * DAY) for n, size in enumerate(sizes)
    ]


def test_a_number_keeps_the_newest() -> None:
    """An int is how many rotated files stay."""
    files = old_files(1, 1, 1, 1)
    assert retention_of(2).doomed(files, NOW) == [files[3], files[2]]
    assert retention_of(4).doomed(files, NOW) == retention_of(9).doomed(files, NOW) == []


@pytest.mark.parametrize("age", ["2 days", timedelta(days=2), "48 h"])
def test_an_age_counts_from_the_rotation(age: object) -> None:
    """Files rotated longer ago than that go; one from the future stays."""
    files = [*old_files(1, 1, 1, 1), OldFile(Path("future"), 1, NOW + 10 * DAY)]
    assert retention_of(age).doomed(files, NOW) == [files[3], files[2]]
    assert retention_of("1 day").doomed([OldFile(Path("just"), 1, NOW - DAY)], NOW) == []


def test_a_size_is_of_all_together() -> None:
    """The newest stay while they fit; after the first that does not, none does."""
    files = old_files(600, 300, 200, 50)
    assert retention_of("1 kB").doomed(files, NOW) == [files[3], files[2]]
    assert retention_of("1.2 kB").doomed(files, NOW) == []
    assert retention_of("100 B").doomed(files, NOW) == files[::-1]


def test_a_function_chooses() -> None:
    """It gets the files, the newest first, and names files or paths; strangers are left alone."""
    files = old_files(1, 2, 3)
    seen: list[list[OldFile]] = []

    def choose(given: list[OldFile]) -> list[OldFile | Path]:
        seen.append(list(given))
        chosen: list[OldFile | Path] = [given[0], files[1].path, Path("/etc/passwd")]
        given.clear()
        return chosen

    assert retention_of(choose).doomed(files[::-1], NOW) == [files[1], files[0]]
    assert retention_of([choose, 2]).doomed(files, NOW) == files[::-1]
    assert seen == [files, files]
    assert retention_of(lambda files: None).doomed(files, NOW) == []


def test_what_a_function_raises_comes_out() -> None:
    """Nothing is deleted on behalf of a broken rule: the sink tells of it."""
    with pytest.raises(ZeroDivisionError):
        retention_of(lambda files: 1 / 0).doomed(old_files(1), NOW)


@given(files=some_files, count=st.integers(1, 9), kb=st.integers(1, 4), days=st.integers(1, 12))
@settings(max_examples=200, deadline=None)
def test_all_rules_hold_at_once(files: list[OldFile], count: int, kb: int, days: int) -> None:
    """What stays obeys every rule, what goes breaks one; no older file outlives a newer one."""
    doomed = retention_of([count, f"{kb} kB", f"{days} days"]).doomed(files, NOW)
    kept = sorted((f for f in files if f not in doomed), key=lambda f: (f.time, f.path))
    assert doomed == sorted(doomed, key=lambda f: (f.time, f.path))
    assert len(kept) + len(doomed) == len(files)
    assert len(kept) <= count
    assert sum(file.size for file in kept) <= kb * 1_000
    assert all(NOW - file.time <= days * DAY for file in kept)
    if doomed:
        newest = doomed[-1]
        assert all((newest.time, newest.path) < (file.time, file.path) for file in kept)
        assert (
            len(kept) == count
            or NOW - newest.time > days * DAY
            or sum(file.size for file in kept) + newest.size > kb * 1_000
        )


def test_no_rule_deletes_nothing() -> None:
    """Without `retention` files stay for ever."""
    assert not retention_of(None)
    assert retention_of(None).doomed(old_files(1, 2), NOW) == []
    assert all(map(retention_of, [1, "1 day", "1 MB", lambda files: []]))


def test_a_retention_shows_what_was_given() -> None:
    """The repr is what the user knows."""
    assert repr(retention_of(["14 days", 10])) == "Retention('14 days', 10)"
    assert repr(retention_of(None)) == repr(Retention()) == "Retention()"


async def asynchronous(files: list[OldFile]) -> list[OldFile]:
    return files


@pytest.mark.parametrize(
    "given",
    [
        0, -1, True, 1.5, "", "10", "ten files", "0 B", "daily", "00:00", timedelta(0),
        int, asynchronous, object(), [], (), [None], [[1]], {1}, {},
    ],
    ids=name_of_case,
)  # fmt: skip
def test_what_means_nothing_is_refused(given: Any) -> None:
    """Anything else is an error that names the setting, what was given, and what is accepted."""
    with pytest.raises(ConfigurationError, match=r'File\.retention: got .*accepted: .*"14 days"'):
        retention_of(given)

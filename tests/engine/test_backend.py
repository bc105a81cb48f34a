"""What anyio does not say about loops."""

from __future__ import annotations

import sys
import types

import pytest

from logflume import Pipeline, get_logger
from logflume.engine.backend import in_trio
from tests.fakes import Collect


def test_trio_that_another_thread_is_importing_costs_no_record(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A module is among the loaded ones before its names are there: nothing runs in it yet."""
    sink = Collect()
    with Pipeline(sink):
        monkeypatch.setitem(sys.modules, "trio", types.ModuleType("trio"))
        assert not in_trio()
        get_logger("app").info("logged meanwhile")
        monkeypatch.undo()
    assert [record.message for record in sink.records] == ["logged meanwhile"]

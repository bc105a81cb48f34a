"""The pytest plugin of logflume: the fixture `logs`.

Beside the package, not in it: pytest imports plugins in every run, and what is in a package brings
all of it along. This loads nothing but pytest, which is there.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from logflume.testing import Logs

# Before it is imported, so that its assertions show values, as those of a test module do.
pytest.register_assert_rewrite("logflume.testing.contracts")


@pytest.fixture
def logs(request: pytest.FixtureRequest) -> Iterator[Logs]:
    """Take what logflume's loggers say in this test, from TRACE on; shown if the test fails.

    A `logflume.testing.Logs`: `logs.find(...)`, `logs.assert_logged(...)`.
    """
    from logflume.testing import capture

    with capture() as taken:
        yield taken
    if len(taken):
        request.node.add_report_section("teardown", "logs", str(taken))

"""Patterns that are compiled when they are first used."""

from __future__ import annotations

import copy
import pickle
import re
import subprocess
import sys

import pytest

from logflume import processors
from logflume.pattern import lazy_pattern
from tests.intake import record_of

PROGRAM = """
import re
compiled = []
compile_now = re.compile

def told(text, flags=0):
    compiled.append(str(text))
    return compile_now(text, flags)

import logflume, logging
re.compile = told
with logflume.Pipeline(logflume.Route(print, encoder=None)) as pipeline:
    log = logflume.get_logger("app").bind(service="api")
    {call}
print(any("AKIA" in text for text in compiled))
"""


def test_it_does_what_a_compiled_one_does() -> None:
    """With its flags, and by all methods."""
    lazy, compiled = lazy_pattern(r"a(.)\nb", re.DOTALL), re.compile(r"a(.)\nb", re.DOTALL)
    for text in ("a\n\nb", "ax\nb ay\nb", "none"):
        assert [match.span(1) for match in lazy.finditer(text)] == [
            match.span(1) for match in compiled.finditer(text)
        ]
        assert lazy.findall(text) == compiled.findall(text)
        assert lazy.sub("-", text) == compiled.sub("-", text)
        assert bool(lazy.match(text)) is bool(compiled.match(text))
    assert lazy.pattern == compiled.pattern


@pytest.mark.parametrize("used", [True, False])
def test_it_can_be_copied_and_pickled(used: bool) -> None:
    """As a compiled one, and what holds one, as processors do."""
    lazy = lazy_pattern("A", re.IGNORECASE)
    assert not used or lazy.match("a")
    for same in (copy.copy(lazy), copy.deepcopy(lazy), pickle.loads(pickle.dumps(lazy))):
        assert same.match("a")
    redact = pickle.loads(pickle.dumps(processors.Redact(hash_key=b"k" * 16)))
    assert redact(record_of("m", password="hunter2")).fields["password"] != "hunter2"


@pytest.mark.parametrize(
    ("call", "compiled"),
    [
        ('log.info("User {user} logged in", user="alice", n=1)', False),
        ('log.info("key AKIAIOSFODNN7EXAMPLE")', True),
    ],
)
def test_the_shapes_of_secrets_are_compiled_where_there_may_be_one(
    call: str, compiled: bool
) -> None:
    """A program that logs nothing of the kind never pays for them."""
    program = PROGRAM.replace("{call}", call)
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    assert run.stdout.splitlines()[-1] == str(compiled)
    assert "AKIAIOSFODNN7EXAMPLE" not in run.stdout

"""Redaction: what passes is clean, what is clean comes out as it went in, twice is as once."""

from __future__ import annotations

import decimal
import pathlib
from typing import Any

import hypothesis.strategies as st
import msgspec
from hypothesis import HealthCheck, given, settings

from logflume import Record
from logflume.exception import ExceptionInfo
from logflume.processors import Redact
from logflume.record import Extra
from tests.intake import record_of

THOROUGH = settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])

# Whole secrets and what they are made of, so that halves meet in templates, lists and fields.
PIECES = [
    "password", "token", "api_key", "X-Api-Key", "api key", "Authorization", "cookie", "secretary",
    "=", ":", ": ", "==", "=>", " ", "  ", "\t", "\n", "-", "--", "'", '"', '\\"', "{", "}", "[",
    "]", "(", ")", ",", ";", "&", "?", "/", "@", "://", ".", "\\", "\x1f", "\0", "é", "\u017f",
    "\u212a", "\ud800", "Bearer", "bearer ", "Basic ", "dXNlcjpwYXNz", "eyJhbGciOiJI", ".eyJzdWIi",
    ".x", "AKIA", "IOSFODNN7EXAMPLE", "ghp_", "0123456789abcdef", "xoxb-", "12345678", "glpat-",
    "4111", "4111111111111111", "411111111111", "1", "0.", "5555-5555-5555-4444", "hunter2",
    "user", "ann", "http", "postgres://u:p@h", "-----BEGIN RSA PRIVATE KEY-----", "a@b.example",
    "[redacted]", "none", "did", "x" * 12, "{user}", "{n}", "{}", "%s", "sk-", "hf_",
]  # fmt: skip
texts = st.lists(st.sampled_from(PIECES) | st.text(max_size=3), max_size=6).map("".join)
names = st.sampled_from(["user", "n", "p", "password", "token_count", "Api-Key", "x"]) | texts
numbers = (
    st.sampled_from([4111111111111111, -4111111111111111, 378282246310005, 4111111111111110])
    | st.integers()
    | st.integers(10**12, 10**20)
)
scalars = (
    texts
    | numbers
    | numbers.filter(lambda n: abs(n) < 10**300).map(float)
    | st.floats()
    | st.booleans()
    | st.none()
    | texts.map(lambda text: text.encode("utf-8", "replace"))
    | st.binary(max_size=8)
    | st.integers(10**12, 10**19).map(decimal.Decimal)
    | texts.map(pathlib.PurePosixPath)
    | st.uuids()
    | st.datetimes()
)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(names | numbers, inner, max_size=3)
        | st.tuples(inner, inner)
    ),
    max_leaves=5,
)
mappings = st.dictionaries(names, values, max_size=3)


@st.composite
def records(draw: Any) -> Record:
    record = record_of("m").replace(
        template=draw(texts),
        call_fields=draw(mappings),
        bound=draw(st.sampled_from([{}, {"request": "r-7f3a91"}]) | mappings),
        context=draw(st.just({}) | mappings),
        args=tuple(draw(st.just([]) | st.lists(values, max_size=2))),
    )
    kind = draw(st.integers(0, 9))
    if kind == 0:
        info = ExceptionInfo("ValueError", draw(texts), notes=[draw(texts)])
        record.extra = Extra(exception=ExceptionInfo("KeyError", "k", cause=info))
    elif kind == 1:
        record.message  # noqa: B018 - keeps what it makes
    elif kind == 2:
        record = record.replace(fields=draw(mappings), message=draw(texts))
    return record


OPTIONS = [
    {},
    {"emails": True},
    {"cards": False},
    {"names": ["user", "x*"], "keep": ["password"]},
    {"hash_key": b"key"},
    {"patterns": ["did|[0-9]{4}"]},
    {"replacement": "*"},
]
options = st.sampled_from(OPTIONS)


def state(record: Record) -> bytes:
    return repr(msgspec.structs.astuple(record)[:-2]).encode("utf-8", "backslashreplace")


@given(batch=st.lists(records(), min_size=1, max_size=4), options=options)
@THOROUGH
def test_what_passes_would_come_out_as_it_went_in(
    batch: list[Record], options: dict[str, Any]
) -> None:
    """A batch passes only if each record, on its own, comes back as the same object."""
    redact = Redact(**options)
    for _ in range(2):  # the second time with all that is kept from the first
        if redact.passes(batch):
            for record in batch:
                assert Redact(**options)(record) is record
                assert redact(record) is record
    if not redact.passes(batch):
        for record in batch:
            here, alone = redact(record), Redact(**options)(record)
            assert (here is record) == (alone is record)
            assert state(here) == state(alone)
            assert here.message == alone.message


@given(record=records(), options=options)
@THOROUGH
def test_redacting_twice_changes_nothing_more(record: Record, options: dict[str, Any]) -> None:
    """What was redacted is not redacted again: fields stay as they are, and so does the message.

    But of text like that of arguments, which stands in quotes and brackets, a second look may take
    a character more.
    """
    redact = Redact(**options)
    once = redact(record)
    twice = redact(once)
    if record.args:
        assert twice.fields == once.fields
    else:
        assert twice is once or twice.to_dict() == once.to_dict()


SECRET = "s3cr3tV4lue77"
CARRIERS = [
    "password={}", "token: {}", '"api_key": "{}"', "'client_secret': '{}'", "Bearer {}",
    "postgres://app:{}@db/shop", "https://x.example/?a=1&access_token={}&b=2",
    "Authorization: Bearer {}", "Cookie: a=b; sid={}", '{{"password": "{}"}}', "--password {}",
    '{{\\"secret\\": \\"{}\\"}}', "credentials={{'a': ['{}']}}",
]  # fmt: skip
plain = st.sampled_from(["ok", "alice", "all is well", "", "x=1", "é"])


@st.composite
def leaking(draw: Any) -> Record:
    """A record that holds the secret at some place where it can be known."""
    told = draw(st.sampled_from(CARRIERS)).format(SECRET)
    word = draw(plain)
    nest = draw(
        st.sampled_from([lambda v: v, lambda v: [1, {"k": (v,)}], lambda v: {"a": {"b": v}}])
    )
    ways: list[Any] = [
        lambda: record_of("m {v}", v=nest(told)),
        lambda: record_of(f"{word} {told}"),
        lambda: record_of(told + " {v}", v=word),
        lambda: record_of("{v}", v=nest({"password": SECRET})),
        lambda: record_of("{v}", v=[("cookie", SECRET), (b"x", b"y")]),
        lambda: record_of("login {password} of {user}", password=SECRET, user=word),
        lambda: record_of("password={p} {w}", p=SECRET, w=word),
        lambda: record_of("{k}={p}", k="token", p=SECRET),
        lambda: record_of("Bearer {p}", p=SECRET),
        lambda: record_of("http://{user}:{p}@host/", user="u", p=SECRET),
        lambda: record_of("password=%s %s", SECRET, word),
        lambda: record_of("{} is {}", word, told),
        lambda: record_of("m", v=told.encode()),
        lambda: record_of("m", **{told: word}),
        lambda: record_of("m", v={told: {told: word}}),
        lambda: record_of("m").replace(fields={"Api-Key": SECRET}, message=told),
        lambda: record_of("m").replace(
            exception=ExceptionInfo("E", told, notes=[told], group=[ExceptionInfo("E", told)])
        ),
    ]
    record: Record = draw(st.sampled_from(ways))()
    if draw(st.booleans()):
        record.message  # noqa: B018 - keeps what it makes
    return record


@given(record=leaking(), hashed=st.booleans())
@THOROUGH
def test_nothing_of_a_known_secret_is_left(record: Record, hashed: bool) -> None:
    """Not in what is shown, and not in what is kept."""
    redact = Redact(hash_key=b"k" * 16) if hashed else Redact()
    assert not redact.passes([record])
    redacted = redact(record)
    assert SECRET not in repr(redacted.to_dict())
    assert SECRET.encode() not in state(redacted)
    assert SECRET not in redacted.message

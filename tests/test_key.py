"""Which records belong together, and what is known of those that do, bounded in memory."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from logflume import ConfigurationError
from logflume.key import Latest, brief, key_of
from tests.intake import record_of

LONG = "x" * 100_000


class Odd:
    """Cannot be looked up, nor shown."""

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        raise ValueError


VALUES: dict[str, Any] = {
    "None": None,
    "bool": True,
    "int": 7,
    "a vast int": 10**6_000,
    "float": -1.5,
    "nan": float("nan"),
    "text": "r-1",
    "a long text": LONG,
    "a lone surrogate": "\udc80" * 1_000,
    "bytes": b"r-1",
    "UUID": uuid.UUID(int=1),
    "list": [1, 2],
    "dict": {"a": [1]},
    "tuple": (1, "a", [2]),
    "a long text inside": ((LONG,),),
    "what cannot be shown": Odd(),
}


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
def test_any_value_gives_a_key_that_is_small_and_can_be_looked_up(value: Any) -> None:
    """Equal values give equal keys, and those of long ones are short."""
    first, second = (key_of("k", lambda record: value)(record_of()) for _ in range(2))
    assert {first: 1}[second] == 1
    assert len(repr(first)) < 1_000
    assert key_of("k", "id")(record_of(id=value)) == key_of("k", "id")(record_of(id=value))


def test_different_values_give_different_keys() -> None:
    """Also if only the end of a long text differs."""
    values = [None, "", "a", "b", LONG, LONG + "y", [1], [2], (1,), ("1",), 10**6_000, 10**6_001]
    of_id = key_of("k", lambda record: record.fields["id"])
    assert len({of_id(record_of(id=value)) for value in values}) == len(values)


def test_a_record_without_the_field_has_none() -> None:
    """As one whose field is None."""
    assert key_of("k", "id")(record_of(other=1)) is None


def test_a_key_is_a_name_or_a_callable() -> None:
    """Anything else is refused while configuring."""
    with pytest.raises(ConfigurationError, match=r"^Sample\.key: got 7; "):
        key_of("Sample.key", 7)  # type: ignore[arg-type]


def test_short_texts_stay_as_they_are() -> None:
    """Long ones become 16 bytes."""
    assert brief("r-1") == "r-1"
    assert len(brief(LONG)) == 16


def test_the_key_used_longest_ago_makes_room() -> None:
    """The others keep their state."""
    latest: Latest[list[int]] = Latest(2, list)
    first, second = latest.of("a"), latest.of("b")
    assert latest.of("a") is first
    latest.of("c")
    assert latest.of("a") is first
    assert latest.of("b") is not second
    assert len(latest) == 2

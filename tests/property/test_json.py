"""JSON: what the parser reads equals what was logged."""

from __future__ import annotations

import json
from typing import Any

import hypothesis.strategies as st
from hypothesis import given, settings

from logflume.encoders import Json
from tests.intake import record_of

QUICK = settings(max_examples=200, deadline=None)

text = st.text(st.characters(exclude_categories=["Cs"]))
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-(10**60), 10**60)
    | st.floats(allow_nan=False, allow_infinity=False)
    | text,
    lambda inner: st.lists(inner) | st.dictionaries(text, inner),
    max_leaves=20,
)
fields = st.dictionaries(text, values)


def typed(value: Any) -> Any:
    """Tell 1, 1.0 and True apart, which compare as equal."""
    if isinstance(value, dict):
        return {key: typed(item) for key, item in value.items()}
    if isinstance(value, list):
        return [typed(item) for item in value]
    return type(value), value


@given(message=text, fields=fields)
@QUICK
def test_native_values_come_back(message: str, fields: dict[str, Any]) -> None:
    """Values that JSON has a type for are read back equal and of the same type."""
    record = record_of("m", **fields).replace(message=message)
    read = json.loads(Json().encode(record))
    assert typed(read["fields"]) == typed(fields)
    assert read["message"] == message
    assert read == record.to_dict()


@given(fields=fields)
@QUICK
def test_flat_loses_no_field(fields: dict[str, Any]) -> None:
    """With `flat`, every field is at the top, under its name or its name and underscores."""
    record = record_of("m").replace(fields=fields)
    read = json.loads(Json(flat=True).encode(record))
    own = record.to_dict()
    del own["fields"]
    assert len(read) == len(own) + len(fields)
    for name, value in own.items():
        assert read[name] == value


@given(messages=st.lists(text, max_size=20))
@QUICK
def test_a_message_alone_is_its_line(messages: list[str]) -> None:
    """Every message of a file of lines comes back as it was, in order."""
    encoder = Json()
    lines = b"".join([encoder.encode(record_of(message)) for message in messages]).split(b"\n")
    assert lines.pop() == b""
    assert [json.loads(line)["message"] for line in lines] == messages

"""Values that every place takes."""

import json
from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from everturn.tools.kit.values import flaw_in, plain

_text = st.text(st.characters(exclude_categories=()), max_size=5)
_any_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | _text | st.just(2**70),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_text, inner, max_size=3),
)


def nested(levels: int) -> Any:
    value: Any = "end"
    for _ in range(levels):
        value = [value]
    return value


@given(_any_json)
def test_what_is_made_plain_can_be_written_everywhere(value: Any) -> None:
    made = plain(value)
    assert flaw_in(made) is None
    orjson.dumps(made)
    JsonPlusSerializer().dumps_typed(made)
    json.dumps(made, allow_nan=False).encode()
    assert "\\u0000" not in json.dumps(made)
    if flaw_in(value) is None:
        assert made == value


def test_what_is_too_deep_is_left_out() -> None:
    assert flaw_in(nested(3), 3) is None
    assert str(flaw_in(nested(4), 3)).endswith("it is nested too deeply")
    assert plain(nested(4), 3) == [[[None]]]
    orjson.dumps(plain(nested(100_000)))


def test_a_path_is_not_endless() -> None:
    assert len(str(flaw_in({"x" * 1000: "\0"}))) < 200


def test_large_numbers_become_texts() -> None:
    assert plain(2**70) == "1180591620717411303424"
    assert plain(10**100_000).startswith("0x")


def test_what_is_no_json_is_left_alone() -> None:
    assert plain({1: b"\xff", "s": {1}}) == {1: b"\xff", "s": {1}}

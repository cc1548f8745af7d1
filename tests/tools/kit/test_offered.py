"""Names and schemas as every provider takes them."""

import re
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.tools import StructuredTool

from everturn.tools.kit.offered import offered_name, offered_parameters, offered_schema


@pytest.mark.parametrize("name", ["calculator", "_x", "get-page", "x" * 64])
def test_a_name_that_every_provider_takes_stays(name: str) -> None:
    assert offered_name(name) == name


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("files.read/v1", "files_read_v1_"),
        ("two words", "two_words_"),
        ("2fast", "tool_2fast_"),
        ("-dash", "dash_"),
        ("한글", "tool_"),
        ("x" * 65, "x" * 55 + "_"),
    ],
)
def test_another_name_keeps_what_it_can(name: str, kept: str) -> None:
    assert offered_name(name).startswith(kept)
    assert offered_name(name) == offered_name(name)


@given(st.text(min_size=1))
def test_any_name_becomes_one_that_every_provider_takes(name: str) -> None:
    assert re.fullmatch("[A-Za-z_][A-Za-z0-9_-]{0,63}", offered_name(name))


def test_names_that_look_alike_stay_apart() -> None:
    names = ["a.b", "a/b", "a b", "a_b", "a..b", "한글", "한국", "x" * 65, "x" * 66, "A.b"]
    assert max(Counter(map(offered_name, names)).values()) == 1


EMPTY = {"type": "object", "properties": {}}
POINT = {"type": "object", "properties": {"x": {"type": "number"}}}


@pytest.mark.parametrize(
    ("schema", "offered"),
    [
        ({}, EMPTY),
        (True, EMPTY),
        ({"type": "object"}, EMPTY),
        ({"properties": {"x": {"type": "number"}}}, POINT),
        ({"$ref": "#/$defs/P", "$defs": {"P": POINT}}, POINT),
        ({"anyOf": [POINT, {"type": "null"}]}, POINT),
        ({"type": "object", "properties": True, "required": ["x"]}, {**EMPTY, "required": []}),
        ({**POINT, "required": "x", "$schema": "http://json-schema.org/draft-07/schema#"}, POINT),
    ],
)
def test_arguments_are_an_object_with_properties(schema: Any, offered: dict[str, Any]) -> None:
    assert offered_parameters(schema) == offered


@pytest.mark.parametrize(
    ("schema", "offered"),
    [
        (True, {}),
        (False, {}),
        ({"$ref": "#/$defs/P"}, POINT),
        ({"$ref": "#/$defs/P", "description": "where"}, {**POINT, "description": "where"}),
        ({"$ref": "#/$defs/a~1b"}, {"type": "string"}),
        ({"$ref": "#/$defs/missing"}, {}),
        ({"$ref": "https://elsewhere.example/schema"}, {}),
        ({"type": "array"}, {"type": "array", "items": {}}),
        ({"type": "array", "items": True}, {"type": "array", "items": {}}),
        ({"items": {"$ref": "#/$defs/P"}}, {"items": POINT}),
        ({"anyOf": [{"$ref": "#/$defs/P"}, True]}, {"anyOf": [POINT, {}]}),
        ({"additionalProperties": False}, {"additionalProperties": False}),
        ({"default": {"$ref": "data"}}, {"default": {"$ref": "data"}}),
    ],
)  # fmt: skip
def test_a_property_has_no_references_and_is_an_object(schema: Any, offered: Any) -> None:
    whole = {
        "type": "object",
        "properties": {"it": schema},
        "$defs": {"P": POINT, "a/b": {"type": "string"}},
    }
    assert offered_parameters(whole) == {"type": "object", "properties": {"it": offered}}


def test_properties_may_be_called_as_keywords_are() -> None:
    named = {name: {"type": "string"} for name in ("$ref", "items", "title", "$defs", "anyOf")}
    assert offered_parameters({"type": "object", "properties": named})["properties"] == named


def test_references_that_lead_in_a_circle_end() -> None:
    tree = {"type": "object", "properties": {"children": {"items": {"$ref": "#/$defs/T"}}}}
    found = offered_parameters({"$ref": "#/$defs/T", "$defs": {"T": tree}})
    assert found["properties"]["children"] == {"items": {}}


def test_references_that_would_fill_the_prompt_are_left_out() -> None:
    def twice(n: int) -> dict[str, Any]:
        return {"properties": {side: {"$ref": f"#/$defs/{n + 1}"} for side in "ab"}}

    found = offered_parameters({**twice(0), "$defs": {str(n): twice(n) for n in range(1, 40)}})
    assert len(str(found)) < 20_000


def test_a_tool_of_plain_json_is_offered_and_called() -> None:
    def nothing(**args: Any) -> str:
        return str(args)

    made = StructuredTool.from_function(
        nothing, name="odd.one", description="Do.\0", args_schema={"$ref": "#/missing"}
    )
    function = offered_schema(made)["function"]
    assert function["name"] == offered_name("odd.one")
    assert function["description"] == "Do.\ufffd"
    assert function["parameters"] == EMPTY
    assert made.invoke({"a": 1}) == "{'a': 1}"

"""Schemas that callers write, and answers that models write: what fits, and what is refused."""

import json
from typing import Any

import pytest

from everturn.graph.errors import InvalidSchema
from everturn.graph.models.response_format import fitted, response_format
from everturn.graph.models.response_schema import MAX_ANSWER, schema_of
from everturn.graph.offline.filling import can_fill, filled

CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TREE = {
    "properties": {"left": {"anyOf": [{"$ref": "#"}, {"$ref": "#"}]}, "leaf": {"type": "string"}}
}


@pytest.mark.parametrize(
    ("text", "flaw"),
    [
        ('{"city": "Seoul"}', None),
        ('```json\n{"city": "Seoul"}\n```', None),
        ('\n ```\n{"city": "서울"}``` ', None),
        ('{"city": 1}', 'city: 1 is not of type "string"'),
        ("{}", '"city" is a required property'),
        ('Here: {"city": "Seoul"}', "it is not JSON and nothing else"),
        ('{"city": "Seoul"', "it is not JSON and nothing else"),
        ("", "it is not JSON and nothing else"),
        ("[" * 100_000, "it is not JSON and nothing else"),
        ('{"city": "x", "n": NaN}', "n: NaN and Infinity are no numbers in JSON"),
        ('{"city": "x", "n": %s}' % ("9" * 5000), "n: the number is too large"),
        ('{"city": "a\\u0000b"}', "city: "),
        ('{"city": "\\ud800"}', "city: "),
        ('{"city": "%s"}' % ("x" * MAX_ANSWER), f"it is longer than {MAX_ANSWER} characters"),
    ],
)
def test_an_answer_is_read(text: str, flaw: str | None) -> None:
    value, found = schema_of(CITY).read(text)
    assert (found is None) == (flaw is None)
    assert (found or "").startswith(flaw or "")
    assert flaw or value["city"] in {"Seoul", "서울"}


def test_a_format_is_checked_and_the_draft_is_the_schemas_own() -> None:
    dated = schema_of({"type": "string", "format": "date"})
    assert dated.flaw("2026-11-29") is None
    assert dated.flaw("tomorrow") is not None
    old = {"$schema": "http://json-schema.org/draft-04/schema#", "maximum": 5}
    assert schema_of({**old, "exclusiveMaximum": True}).flaw(5) is not None


def test_a_pattern_that_never_ends_does_not_hold_anybody_up() -> None:
    assert schema_of({"pattern": "^(a+)+\\1$"}).flaw("a" * 40 + "b") is not None


def test_a_recursive_schema_is_checked_without_looking_for_the_place() -> None:
    """To name the place would take 2^30 steps."""
    tree: dict[str, Any] = {"leaf": 1}
    for _ in range(30):
        tree = {"left": tree}
    assert schema_of(TREE).flaw(tree) == "it does not fit the schema"
    assert schema_of(TREE).flaw({"left": {"leaf": "green"}}) is None


@pytest.mark.parametrize(("count", "flaw"), [(1000, "does not fit"), (40_000, "too many values")])
def test_what_there_is_to_check_is_bounded(count: int, flaw: str) -> None:
    kinds = {"items": {"anyOf": [{"const": number} for number in range(1500)]}}
    assert flaw in str(schema_of(kinds).flaw([-1] * count))


def _chain(length: int, width: int) -> dict[str, Any]:
    links = {f"d{n}": {"anyOf": [{"$ref": f"#/$defs/d{n + 1}"}] * width} for n in range(length)}
    return {"$ref": "#/$defs/d0", "$defs": {**links, f"d{length}": {"type": "string"}}}


def _hidden(chain: dict[str, Any]) -> dict[str, Any]:
    """Put a chain below names of the caller's that are also words of JSON Schema."""
    refers, moved = "#/$defs/", "#/$defs/default/"
    links = json.loads(json.dumps(chain["$defs"]).replace(refers, moved))
    return {"properties": {"default": {"$ref": f"{moved}d0"}}, "$defs": {"default": links}}


@pytest.mark.parametrize(
    "schema", [_chain(30, 2), _chain(600, 1), _chain(3, 100), _hidden(_chain(24, 2))]
)
def test_references_may_not_multiply(schema: dict[str, Any]) -> None:
    with pytest.raises(InvalidSchema):
        schema_of(schema)


@pytest.mark.parametrize(
    "schema",
    [
        *({"type": 5}, {"$ref": "#/properties/a"}, {"$ref": "other.json"}, {"$id": "http://x/"}),
        *({"minLength": "x"}, {"pattern": "[" * 500}, {"$schema": "http://example.com/unknown"}),
        {"const": "\0"},
        {"default": float("nan")},
        json.loads('{"not": ' * 40 + "{}" + "}" * 40),
    ],
)
def test_what_is_no_schema_is_refused(schema: dict[str, Any]) -> None:
    with pytest.raises(InvalidSchema, match="response_schema: "):
        schema_of(schema)


def test_a_reference_may_have_any_name() -> None:
    schema = {"$ref": "#/$defs/A%20b~1c", "$defs": {"A b/c": {"type": "string"}}}
    assert schema_of(schema).flaw(1) is not None


def test_data_inside_a_schema_is_no_reference() -> None:
    schema = {"properties": {"$ref": {"type": "string"}}, "default": {"$ref": "http://x/y"}}
    assert schema_of(schema).flaw({"$ref": "any"}) is None


@pytest.mark.parametrize(
    ("changes", "strict"),
    [
        ({"additionalProperties": False}, True),
        ({}, False),
        ({"additionalProperties": False, "required": []}, False),
        ({"additionalProperties": False, "allOf": []}, False),
        ({"additionalProperties": False, "properties": {"city": {"type": "object"}}}, False),
        ({"additionalProperties": False, "properties": {"city": {"items": CITY}}}, False),
        ({"additionalProperties": False, "properties": {"city": True}}, False),
        ({"additionalProperties": False, "required": "city"}, False),
    ],
)
def test_strict_is_asked_for_where_openai_takes_it(changes: dict[str, Any], strict: bool) -> None:
    sent = response_format({**CITY, **changes})["json_schema"]
    assert sent.get("strict", False) == strict


def test_a_schema_that_is_no_object_is_said_in_words() -> None:
    schema = {"type": "array", "items": {"type": "string"}}
    messages = [{"role": "user", "content": "hi"}]
    body = {"messages": messages, "response_format": response_format(schema)}
    told = fitted(body, None, refused=False)
    assert "response_format" not in told
    assert [message["role"] for message in told["messages"]] == ["system", "user"]
    assert json.dumps(schema) in told["messages"][0]["content"]
    assert body["messages"] == messages  # the caller's own is left alone


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"type": "string"}, "words"),
        ({"properties": {"answer": {"type": "string"}}}, {"answer": "words"}),
        (
            {
                "properties": {"source": {"type": ["string", "null"]}, "text": {"type": "string"}},
                "required": ["source", "text"],
                "type": "object",
            },
            {"source": None, "text": "words"},
        ),
    ],
)
def test_the_offline_model_fills_in_words(schema: dict[str, Any], value: Any) -> None:
    assert filled(schema, "words")[1] == value


@pytest.mark.parametrize(
    "schema",
    [
        CITY,
        {"type": "integer"},
        {"type": "object", "properties": {"answer": {"type": "integer"}}},
        {"type": "object", "properties": {"answer": {"enum": ["yes", "no"]}}},
        {
            "type": "object",
            "properties": {"answer": {"type": "string"}, "sure": {"type": "boolean"}},
            "required": ["answer", "sure"],
        },
    ],
)
def test_the_offline_model_makes_nothing_up(schema: dict[str, Any]) -> None:
    assert not can_fill(schema)

"""The OpenAPI document: every route explained, every error as it is sent."""

from typing import Any
from uuid import UUID

import pytest

from tests.service import Client


@pytest.fixture
def document(client: Client) -> dict[str, Any]:
    response = client.get("/openapi.json")
    assert response.status_code == 200
    found: dict[str, Any] = response.json()
    return found


def test_every_route_is_explained(document: dict[str, Any]) -> None:
    for path, methods in document["paths"].items():
        for method, route in methods.items():
            assert route["summary"], (method, path)
            assert route["description"], (method, path)
            assert route["tags"], (method, path)


def test_every_error_is_a_problem(document: dict[str, Any]) -> None:
    for methods in document["paths"].values():
        for route in methods.values():
            for status, response in route["responses"].items():
                if int(status) >= 400:
                    assert list(response["content"]) == ["application/problem+json"]
                    schema = response["content"]["application/problem+json"]["schema"]
                    assert schema == {"$ref": "#/components/schemas/Problem"}
    assert "detail" in document["components"]["schemas"]["Problem"]["properties"]


def test_the_contract_of_a_message(document: dict[str, Any]) -> None:
    fields = document["components"]["schemas"]["MessageRequest"]["properties"]
    words, blocks = fields["message"]["anyOf"]
    assert (words["type"], words["minLength"]) == ("string", 1)
    assert (blocks["type"], blocks["minItems"], blocks["maxItems"]) == ("array", 1, 100)
    assert fields["use_tools"]["default"] is True
    assert (fields["temperature"]["default"], fields["max_tokens"]["default"]) == (0.7, 1000)
    assert (fields["temperature"]["minimum"], fields["temperature"]["maximum"]) == (0, 2)
    assert (fields["max_tokens"]["minimum"], fields["max_tokens"]["maximum"]) == (1, 4000)


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/runs/wait", "POST"),
        ("GET", "/runs/stream", "POST"),
        ("GET", "/runs/batch", "POST"),
        ("GET", "/runs/cancel", "POST"),
        ("GET", "/runs/crons", "POST"),
        ("PATCH", "/runs/crons/search", "POST"),
        ("DELETE", "/runs/crons/count", "POST"),
        ("GET", f"/threads/{UUID(int=1)}/runs/wait", "POST"),
        ("DELETE", f"/threads/{UUID(int=1)}/runs/crons", "POST"),
        ("PATCH", "/threads/search", "POST"),
        ("DELETE", "/threads/prune", "POST"),
        ("DELETE", "/assistants/search", "POST"),
        ("POST", "/threads/1", "DELETE, GET, PATCH"),
        ("OPTIONS", "/store/items", "DELETE, GET, PUT"),
        ("TRACE", "/api/chat/sessions", "DELETE, GET"),
        ("HEAD", f"/threads/{UUID(int=1)}/history", "GET, POST"),
        ("PUT", "/ok", "GET, HEAD"),
    ],
)
def test_a_wrong_method_is_told_the_right_ones(
    client: Client, method: str, path: str, allowed: str
) -> None:
    refused = client.request(method, path)
    assert refused.status_code == 405
    assert refused.headers["allow"] == allowed
    assert refused.headers["content-type"] == "application/problem+json"


def test_every_route_that_takes_a_body_documents_what_may_be_wrong_with_it(
    document: dict[str, Any],
) -> None:
    for methods in document["paths"].values():
        for route in methods.values():
            assert "500" in route["responses"]
            if "requestBody" in route:
                assert {"413", "422"} <= route["responses"].keys()
            if "parameters" in route:
                assert "422" in route["responses"]
    assert "HTTPValidationError" not in document["components"]["schemas"]


def test_no_body_of_the_services_own_routes_has_members_that_are_ignored(
    document: dict[str, Any],
) -> None:
    schemas, asked = document["components"]["schemas"], set()
    for path, methods in document["paths"].items():
        if not path.startswith(("/api/", "/invoke", "/stream")):
            continue  # clients of LangGraph's routes send what other servers know
        for body in (each["requestBody"] for each in methods.values() if "requestBody" in each):
            schema = body["content"]["application/json"]["schema"]
            for choice in schema.get("anyOf", [schema]):
                if "$ref" in choice:
                    asked.add(choice["$ref"].rpartition("/")[2])
    assert {"NewMemory", "ChangedMemory"} <= asked
    assert {
        name for name in asked if schemas[name].get("additionalProperties") is not False
    } == set()


def test_what_select_leaves_may_be_left_out(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    for found in ("FoundAssistant", "FoundThread", "SelectedCron", "SelectedRun", "SelectedState"):
        assert "required" not in schemas[found]
    for whole in ("AssistantModel", "ThreadModel", "CronModel", "RunModel"):
        assert schemas[whole]["required"]

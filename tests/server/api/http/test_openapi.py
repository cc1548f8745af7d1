"""The OpenAPI document: every route explained, every error as it is sent."""

from typing import Any

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
    assert fields["message"]["minLength"] == 1
    assert fields["use_tools"]["default"] is True
    assert (fields["temperature"]["default"], fields["max_tokens"]["default"]) == (0.7, 1000)
    assert (fields["temperature"]["minimum"], fields["temperature"]["maximum"]) == (0, 2)
    assert (fields["max_tokens"]["minimum"], fields["max_tokens"]["maximum"]) == (1, 4000)

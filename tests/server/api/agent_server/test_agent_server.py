"""What Studio and other web pages need: access from their origin, JSON as text, a version."""

from pathlib import Path

import pytest

from everturn.server.api.http.cors import origin_pattern
from tests.service import Client, serving

STUDIO = "https://smith.langchain.com"
PLAIN = {"content-type": "text/plain;charset=UTF-8"}


def preflight(client: Client, origin: str) -> dict[str, str]:
    answer = client.options(
        "/threads/search",
        headers={
            "origin": origin,
            "access-control-request-method": "POST",
            "access-control-request-headers": "content-type,x-api-key,last-event-id",
            "access-control-request-private-network": "true",
        },
    )
    return dict(answer.headers, status=str(answer.status_code))


@pytest.mark.parametrize(
    "origin", [STUDIO, "https://eu.smith.langchain.com", "http://localhost:3000"]
)
def test_studio_and_pages_of_this_machine_may_call(client: Client, origin: str) -> None:
    asked = preflight(client, origin)
    assert asked["status"] == "200"
    assert asked["access-control-allow-origin"] == origin
    assert asked["access-control-allow-private-network"] == "true"
    assert "last-event-id" in asked["access-control-allow-headers"]
    answer = client.post("/threads/search", json={"limit": 1}, headers={"origin": origin})
    assert answer.headers["access-control-allow-origin"] == origin
    exposed = answer.headers["access-control-expose-headers"]
    for header in ("content-location", "location", "x-pagination-total", "x-pagination-next"):
        assert header in exposed


def test_a_web_page_can_read_errors_too(client: Client) -> None:
    for path, status in (("/threads/nope", 422), ("/nowhere", 404)):
        answer = client.get(path, headers={"origin": STUDIO})
        assert answer.status_code == status
        assert answer.headers["access-control-allow-origin"] == STUDIO


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "https://smith.langchain.com.evil.example",
        "http://localhost.evil.example",
        "http://localhost:3000.evil.example/",
        "https://smithXlangchain.com",
        "null",
    ],
)
def test_no_other_page_may(client: Client, origin: str) -> None:
    asked = preflight(client, origin)
    assert asked["status"] == "400"
    assert "access-control-allow-origin" not in asked
    # A browser sends this without asking first: it must not do anything.
    blind = client.post("/threads", content=b"{}", headers={**PLAIN, "origin": origin})
    assert blind.status_code == 403
    assert "access-control-allow-origin" not in blind.headers


def test_json_sent_as_text_is_read(client: Client) -> None:
    body = b'{"metadata": {"from": "studio"}}'
    for headers in (PLAIN, {}, {**PLAIN, "origin": STUDIO}):
        made = client.post("/threads", content=body, headers=headers)
        assert made.status_code == 200
        assert made.json()["metadata"] == {"from": "studio"}
    same = {**PLAIN, "origin": f"http://{client.base_url.host}:{client.base_url.port}"}
    assert client.post("/threads", content=body, headers=same).status_code == 200
    assert client.post("/threads", content=b"{", headers=PLAIN).status_code == 422
    form = {"content-type": "application/x-www-form-urlencoded"}
    assert client.post("/threads", content=body, headers=form).status_code == 422
    assert client.post("/invoke", content=b"{}", headers=PLAIN).status_code == 422


def test_the_origins_are_a_setting(data_dir: Path) -> None:
    with serving(data_dir, cors_origins="https://*.mine.example, https://other.example/") as client:
        assert preflight(client, "https://a.mine.example")["status"] == "200"
        assert preflight(client, "https://other.example")["status"] == "200"
        for origin in (STUDIO, "https://mine.example", "https://a.mine.example.evil"):
            assert preflight(client, origin)["status"] == "400"


def test_none_and_all() -> None:
    assert origin_pattern("*") == ".*"
    assert origin_pattern(" , ") == origin_pattern("") == "(?!)"


def test_info_says_what_clients_look_at(client: Client) -> None:
    info = client.get("/info").json()
    assert tuple(map(int, info["version"].split("."))) > (0, 4, 35)
    assert info["flags"]["assistants"] is True
    assert info["langgraph_py_version"]
    assert info["everturn_version"]

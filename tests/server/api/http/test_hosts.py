"""Pages of others: a name that they give this machine, and changes that they ask for."""

import socket
from pathlib import Path

import pytest

from everturn.server.api.http.hosts import OwnNames
from tests.service import Client, serving

FOREIGN = "https://evil.example"


@pytest.mark.parametrize(
    "host",
    ["localhost", "LOCALHOST:2024", "app.localhost", "127.0.0.1", "127.1.2.3:80", "[::1]:2024"],
)
def test_names_of_this_machine_are_answered(client: Client, host: str) -> None:
    assert client.get("/ok", headers={"host": host}).status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        *("evil.example", "evil.example:2024", "localhost.evil.example", "127.0.0.1.evil.example"),
        *("0.0.0.0", "10.0.0.1", "[2001:db8::1]", "", "localhost:x", "user@localhost", "a b"),
        *("localhost,evil.example", "localhost/evil.example"),
    ],
)
@pytest.mark.parametrize("path", ["/ok", "/threads/search", "/docs", "/no-such-route"])
def test_a_foreign_name_gets_421_that_names_the_setting(
    client: Client, host: str, path: str
) -> None:
    answer = client.get(path, headers={"host": host})
    assert answer.status_code == 421
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["type"] == "misdirected-request"
    assert "EVERTURN_ALLOWED_HOSTS" in answer.json()["detail"]
    assert not host or host not in answer.text


@pytest.mark.parametrize("hosts", [(), ("localhost", "evil.example"), ("localhost", "localhost")])
def test_a_request_has_exactly_one_host(client: Client, hosts: tuple[str, ...]) -> None:
    lines = "".join(f"Host: {host}\r\n" for host in hosts)
    request = f"GET /ok HTTP/1.1\r\n{lines}Connection: close\r\n\r\n"
    with socket.create_connection((client.base_url.host, client.base_url.port or 0)) as raw:
        raw.sendall(request.encode())
        status = raw.makefile("rb").readline().split()[1]
    assert status in {b"421", b"400"}


def test_more_names_are_a_setting(data_dir: Path) -> None:
    with serving(data_dir, allowed_hosts="chat.example, *.team.example") as client:
        for host in ("chat.example", "Chat.Example.:443", "a.team.example", "a.b.team.example"):
            assert client.get("/ok", headers={"host": host}).status_code == 200, host
        for host in ("xchat.example", "team.example", "evil.example"):
            assert client.get("/ok", headers={"host": host}).status_code == 421, host


def test_bound_to_all_addresses_it_answers_to_addresses_and_to_the_machines_name() -> None:
    names = OwnNames("0.0.0.0", "")
    assert "10.1.2.3:2024" in names
    assert "[2001:db8::1]" in names
    assert f"{socket.gethostname()}:2024" in names
    assert "localhost" in names
    assert "evil.example" not in names
    assert "evil.example" in OwnNames("0.0.0.0", "*")
    assert "my-machine" in OwnNames("my-machine", "")


@pytest.mark.parametrize("origin", [FOREIGN, "null", "http://evil.localhost.example", ""])
@pytest.mark.parametrize("content", [b"", b"{}"])
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/threads"),
        ("POST", "/runs/cancel"),
        ("DELETE", "/threads/00000000-0000-0000-0000-000000000000"),
        ("PATCH", "/threads/00000000-0000-0000-0000-000000000000"),
        ("PUT", "/store/items"),
        ("POST", "/api/chat/session"),
        ("POST", "/no-such-route"),
    ],
)
def test_a_foreign_page_changes_nothing(
    client: Client, origin: str, method: str, path: str, content: bytes
) -> None:
    answer = client.request(method, path, content=content, headers={"origin": origin})
    assert answer.status_code == 403
    assert answer.json()["type"] == "foreign-origin"
    assert "EVERTURN_CORS_ORIGINS" in answer.json()["detail"]


def test_pages_that_may_call_do(client: Client) -> None:
    own = f"http://{client.base_url.host}:{client.base_url.port}"
    for origin in (own, "https://smith.langchain.com", "http://localhost:3000"):
        assert client.post("/threads", json={}, headers={"origin": origin}).status_code == 200
    preflight = {"origin": "https://smith.langchain.com", "access-control-request-method": "POST"}
    assert client.options("/threads", headers=preflight).status_code == 200


def test_a_foreign_page_may_read_what_is_open_to_all(client: Client) -> None:
    answer = client.get("/ok", headers={"origin": FOREIGN})
    assert answer.status_code == 200
    assert "access-control-allow-origin" not in answer.headers

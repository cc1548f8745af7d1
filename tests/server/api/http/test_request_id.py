"""`X-Request-ID`: in, out, and in the log of all that the request leads to."""

import json
import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.service import Process, process
from tests.waiting import PATIENCE

pytestmark = pytest.mark.clock

MADE = re.compile("[0-9a-f]{32}")
RUN = {"assistant_id": "simple", "input": {"messages": [{"role": "user", "content": "Hi"}]}}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    with process(tmp_path_factory.mktemp("ids") / "data") as running:
        running.url()
        yield running


@pytest.fixture
def client(service: Process) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=service.url_found, timeout=PATIENCE) as client:
        yield client


def turn(service: Process, thread_id: str) -> dict[str, Any]:
    line: dict[str, Any] = json.loads(service.says('"api_request"', thread_id))
    return line


@pytest.mark.parametrize("sent", ["a", "x" * 128, '{"~!"}', "0af7651916cd43dd8448eb211c80319c"])
def test_a_clients_id_comes_back(sent: str, client: httpx.Client) -> None:
    for path in ("/ok", "/threads/x", "/no-such-route"):
        answer = client.get(path, headers={"X-Request-ID": sent})
        assert answer.headers.get_list("x-request-id") == [sent]
    page = {"Origin": "https://smith.langchain.com"}
    exposed = client.get("/ok", headers=page).headers["access-control-expose-headers"]
    assert "x-request-id" in exposed


@pytest.mark.parametrize("sent", [[], [""], ["x" * 129], ["a b"], ["a\tb"], ["\xe9"], ["a", "b"]])
def test_what_is_no_id_is_replaced(sent: list[str], client: httpx.Client) -> None:
    headers = [(b"X-Request-ID", each.encode("latin-1")) for each in sent]
    made = [client.get("/ok", headers=headers).headers["x-request-id"] for _ in range(2)]
    assert all(map(MADE.fullmatch, made))
    assert made[0] != made[1]


def test_the_log_of_a_turn_names_the_request(service: Process, client: httpx.Client) -> None:
    headers = {"X-Request-ID": "of-a-chat"}
    answer = client.post("/api/chat/message", json={"message": "Hi"}, headers=headers)
    assert turn(service, answer.json()["session_id"])["request_id"] == "of-a-chat"


def test_so_does_that_of_a_run_whose_client_has_left(
    service: Process, client: httpx.Client
) -> None:
    thread = client.post("/threads", json={}).json()["thread_id"]
    headers = {"X-Request-ID": "of-a-run"}
    client.post(f"/threads/{thread}/runs", json=RUN, headers=headers).raise_for_status()
    assert turn(service, thread)["request_id"] == "of-a-run"


def test_a_run_that_is_taken_later_is_no_requests(service: Process, client: httpx.Client) -> None:
    thread = client.post("/threads", json={}).json()["thread_id"]
    later = {**RUN, "after_seconds": 1}
    headers = {"X-Request-ID": "of-long-ago"}
    client.post(f"/threads/{thread}/runs", json=later, headers=headers).raise_for_status()
    assert "request_id" not in turn(service, thread)
    client.post("/api/chat/message", json={"message": "Hi"}).raise_for_status()
    lines = [json.loads(line) for line in service.log if '"api_request"' in line]
    assert all(line.get("request_id") != "of-long-ago" for line in lines)


def test_requests_on_one_connection_are_told_apart(service: Process) -> None:
    host, port = service.url_found.removeprefix("http://").split(":")
    import socket

    asked = "".join(
        f"GET /ok HTTP/1.1\r\nHost: {host}\r\n{sent}\r\n"
        for sent in ("X-Request-ID: one\r\n", "", "X-Request-ID: three\r\nConnection: close\r\n")
    )
    with socket.create_connection((host, int(port)), timeout=PATIENCE) as raw:
        raw.sendall(asked.encode())
        said = raw.makefile("rb").read().decode().lower()
    found = re.findall(r"x-request-id: (\S+)", said)
    assert [found[0], found[2]] == ["one", "three"]
    assert MADE.fullmatch(found[1])

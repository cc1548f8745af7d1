"""Runs of one thread are carried out in the order in which they arrived, by whichever door."""

import json
import random
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from everturn.server.runs import execution
from tests.service import Client, serving

TOY = json.dumps({"graphs": {"toy": str(Path(__file__).parents[1] / "toy_graph.py") + ":graph"}})
DOORS = ("runs", "runs/wait", "runs/stream", "chat", "invoke")
HOOK = "http://127.0.0.1:9/hook"


def arrived(client: Client, doors: Sequence[str], most: float) -> list[str]:
    """Post one run a door, each on a connection of its own, and return what was said in order.

    Args:
        client: of the service, which serves `toy`.
        doors: of `DOORS`, in order.
        most: seconds between two requests, at most.
    """
    session = client.post("/api/chat/session", json={}).json()["session_id"]
    address = (client.base_url.host, client.base_url.port or 0)
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_connection(address)) for _ in doors]
        for number, (door, connection) in enumerate(zip(doors, sockets, strict=True)):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.sendall(_request(session, door, str(number)))
            time.sleep(random.uniform(0, most))
        answers = [connection.makefile("rb").read() for connection in sockets]
    assert [answer for answer in answers if not answer.startswith(b"HTTP/1.1 200")] == []
    last = {"messages": [{"role": "user", "content": "last"}], "words": "x"}
    body = {"assistant_id": "toy", "input": last}
    state = client.post(f"/threads/{session}/runs/wait", json=body).json()
    return [each["content"] for each in state["messages"] if each["type"] == "human"]


def _request(session: str, door: str, text: str) -> bytes:
    said = {"messages": [{"role": "user", "content": text}], "words": "x"}
    path, body = f"/threads/{session}/{door}", {"assistant_id": "toy", "input": said}
    if door == "chat":
        path, body = (
            "/api/chat/message",
            {"message": text, "session_id": session, "agent": "toy"},
        )
    elif door == "invoke":
        path, body = "/invoke", {"thread_id": session, "input": said, "graph": "toy"}
    content = json.dumps(body).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(content)}\r\nConnection: close\r\n\r\n".encode() + content


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    folder = tmp_path_factory.mktemp("order")
    (folder / "langgraph.json").write_text(TOY)
    with serving(folder / "data", config=folder / "langgraph.json") as client:
        yield client


@pytest.mark.parametrize("most", [0.0, 0.01])
def test_runs_go_in_the_order_of_their_arrival(toy: Client, most: float) -> None:
    for _ in range(3):
        doors = random.sample(DOORS * 2, k=8)
        assert arrived(toy, doors, most) == [*map(str, range(8)), "last"], doors


def test_runs_that_wait_for_long_keep_their_place(
    toy: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each looks who is before it, and sees runs whose end is not committed yet."""
    monkeypatch.setattr(execution, "_LONG_WAIT", 0.0)
    for _ in range(3):
        doors = random.sample(DOORS * 2, k=8)
        assert arrived(toy, doors, 0.01) == [*map(str, range(8)), "last"], doors


def test_a_run_that_is_refused_holds_nobody_up(toy: Client) -> None:
    thread = toy.post("/threads", json={}).json()["thread_id"]

    def post(**more: Any) -> int:
        body: Mapping[str, Any] = {"assistant_id": "toy", "input": {"words": "x"}, **more}
        return toy.post(f"/threads/{thread}/runs/wait", json=body).status_code

    for wrong in ({"assistant_id": "none"}, {"assistant_id": str(uuid4())}, {"webhook": HOOK}):
        assert post(**wrong) in {404, 422}
        assert post() == 200

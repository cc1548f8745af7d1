"""Lists of what is large: an answer that says what to ask for, and bounded memory."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from everturn.checkpoints.bounds import MAX_LIST_BYTES
from tests.service import Client, serving

GRAPH = """
from operator import add
from typing import Annotated, TypedDict
from langgraph.graph import START, StateGraph

class State(TypedDict, total=False):
    log: Annotated[list[str], add]
    kind: str

builder = StateGraph(State)
builder.add_node("one", lambda state: {})
builder.add_edge(START, "one")
graph = builder.compile()
"""
PIECE = "x" * 3_000_000


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    folder: Path = tmp_path_factory.mktemp("large")
    (folder / "large_graph.py").write_text(GRAPH)
    config = folder / "langgraph.json"
    config.write_text('{"dependencies": ["."], "graphs": {"large": "./large_graph.py:graph"}}')
    with serving(folder / "data", config=config) as served:
        yield served


def new_thread(client: Client, metadata: dict[str, str]) -> str:
    made = client.post("/threads", json={"metadata": {"graph_id": "large", **metadata}})
    assert made.status_code == 200, made.text
    return str(made.json()["thread_id"])


def grow(client: Client, thread_id: str, times: int) -> None:
    """Make the thread's state longer by a piece, again and again."""
    for _ in range(times):
        update = {"values": {"log": [PIECE], "kind": "grown"}, "as_node": "one"}
        assert client.post(f"/threads/{thread_id}/state", json=update).status_code == 200


def refused(client: Client, path: str, body: Mapping[str, object]) -> str:
    answer = client.post(path, json=body)
    assert answer.status_code == 422, answer.text[:200]
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["type"] == "list-too-large"
    return str(problem["detail"])


def test_a_page_of_large_threads_says_to_ask_for_fewer(client: Client) -> None:
    ids = [new_thread(client, {"of": "metadata", "large": PIECE}) for _ in range(17)]
    wanted = {"metadata": {"of": "metadata"}, "limit": 100}
    assert "limit" in refused(client, "/threads/search", wanted)
    few = client.post("/threads/search", json={**wanted, "limit": 5})
    assert len(few.json()) == 5
    chosen = client.post("/threads/search", json={**wanted, "select": ["thread_id"]})
    assert {each["thread_id"] for each in chosen.json()} == set(ids)
    assert client.post("/threads/prune", json={"thread_ids": ids}).json() == {"pruned_count": 17}


def test_a_long_history_says_to_ask_for_fewer(client: Client) -> None:
    thread_id = new_thread(client, {"of": "history"})
    grow(client, thread_id, 5)  # 3, 6, 9, 12 and 15 MB
    assert "limit" in refused(client, f"/threads/{thread_id}/history", {"limit": 100})
    answer = client.get(f"/threads/{thread_id}/history?limit=100")
    assert answer.status_code == 422
    newest = client.post(f"/threads/{thread_id}/history", json={"limit": 2}).json()
    assert [len(each["values"]["log"]) for each in newest] == [5, 4]


def test_the_values_of_many_threads_say_to_ask_for_fewer(client: Client) -> None:
    for _ in range(3):
        grow(client, new_thread(client, {"of": "values"}), 4)
    assert 3 * 4 * len(PIECE) > MAX_LIST_BYTES
    wanted = {"metadata": {"of": "values"}}
    refused(client, "/threads/search", wanted)
    refused(client, "/threads/search", {**wanted, "values": {"kind": "grown"}})
    chosen = {**wanted, "values": {"kind": "grown"}, "limit": 1, "select": ["thread_id"]}
    assert len(client.post("/threads/search", json=chosen).json()) == 1
    counted = client.post("/threads/count", json={**wanted, "values": {"kind": "grown"}})
    assert counted.json() == 3

"""A client that reads gets every event of a run, however large its state is."""

import json
from pathlib import Path

import pytest

from everturn.server.streams import feed
from tests.service import serving

GRAPH = """
from langgraph.graph import END, START, StateGraph
from typing_extensions import TypedDict

class State(TypedDict, total=False):
    count: int
    filling: str

async def step(state: State) -> dict:
    return {"count": state.get("count", 0) + 1, "filling": "x" * 3_000_000}

def more(state: State) -> str:
    return "step" if state["count"] < 12 else END

builder = StateGraph(State).add_node("step", step).add_edge(START, "step")
graph = builder.add_conditional_edges("step", more).compile()
"""


def test_large_states_are_streamed_whole(data_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "large.py").write_text(GRAPH)
    config = tmp_path / "langgraph.json"
    config.write_text(json.dumps({"graphs": {"large": "./large.py:graph"}}))
    with serving(data_dir, config=config) as client:
        body = {"assistant_id": "large", "input": {"count": 0}, "stream_mode": "values"}
        events = client.events("/runs/stream", body)
    assert [each.name for each in events] == ["metadata", *["values"] * 13]
    assert [each.data.get("count") for each in events[1:]] == list(range(13))
    assert feed.Feed._unread_of_all == 0


def test_what_is_kept_for_listeners_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed, "_UNREAD_BYTES", 1_000_000)
    runs = [feed.Feed(name, feed.NoLog()) for name in ("a", "b")]
    for run in runs:
        run._listeners["who does not read"] = feed.BEGINNING
        for _ in range(20):
            run.publish("values", b"x" * 200_000)
    kept = sum(run._bytes for run in runs)
    assert kept < 2 * feed._MAX_BYTES + 1_000_000 + 2 * 200_000
    for run in runs:
        run._listeners.clear()
        run._trim()
    assert feed.Feed._unread_of_all == 0

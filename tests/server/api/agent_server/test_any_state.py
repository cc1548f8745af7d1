"""Whatever a graph keeps in its state, every thread, list, search and stream can be read."""

import json
import threading
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, HumanMessage
from pydantic import BaseModel

from tests.server.shelf import SHELF
from tests.service import ROOT, Client, serving

ANY = ROOT / "tests" / "server" / "any_graph.py"
MODES = ["values", "updates", "messages", "messages-tuple", "custom", "debug", "tasks", "events"]
Json = dict[str, Any]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    folder = tmp_path_factory.mktemp("any")
    config = folder / "langgraph.json"
    config.write_text(json.dumps({"graphs": {"any": f"{ANY}:graph"}}))
    with serving(folder / "data", config=config) as client:
        yield client


class Model(BaseModel):
    inside: Any


class Broken(BaseModel):
    inside: Any

    def model_dump(self, **_: Any) -> dict[str, Any]:
        raise RuntimeError("no dump")


@dataclass
class Record:
    inside: Any


class Colour(Enum):
    RED = "red"
    PAIR = (1, "\ud800")


class Silent:
    def __str__(self) -> str:
        raise ValueError("no words")

    __repr__ = __str__


def _itself() -> list[Any]:
    loop: list[Any] = [1]
    loop.append({"loop": loop})
    return loop


def _deep(levels: int) -> Json:
    deep: Json = {}
    for _ in range(levels):
        deep = {"inside": deep}
    return deep


_texts = st.text(
    st.characters(categories=[], include_characters="a\0\ud800\udfff\u2028é😀"), max_size=4
)
_json = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(-1e6, 1e6) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
_single = st.one_of(
    _texts,
    st.floats(),
    st.integers() | st.sampled_from([2**64, -(2**70), 10**30, 10**400]),
    st.sampled_from([Colour.RED, Colour.PAIR, Decimal("1.50"), UUID(int=7), 1 + 2j, b"\xff\x00"]),
    st.sampled_from([datetime(2026, 1, 1, tzinfo=UTC), timedelta(seconds=3), range(3), Path("/x")]),
    st.sampled_from([np.float32(1.5), np.array([1.0, np.nan]), np.array([1j]), np.array(["a"])]),
    st.sampled_from([HumanMessage("\ud800 hi"), AIMessage("", id="1"), ValueError("\ud800\0")]),
    st.builds(Silent) | st.builds(threading.Lock) | st.builds(object) | st.just(lambda: 1),
    st.builds(_itself) | st.builds(_deep, st.sampled_from([150, 400, 3000])),
    st.sampled_from([Silent, Model]),
)
_odd = st.recursive(
    _single,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.tuples(inner, inner),
        st.builds(Model, inside=inner),
        st.builds(Broken, inside=inner),
        st.builds(Record, inside=inner),
        st.builds(lambda each: deque([each]), inner),
        st.dictionaries(
            st.one_of(_texts, st.integers(), st.tuples(_texts), st.none(), st.sampled_from(Colour)),
            inner,
            max_size=3,
        ),
        st.builds(lambda each: AIMessage("x", additional_kwargs={"more": each}), inner),
    ),
    max_leaves=6,
)


def strict(response: httpx.Response) -> Any:
    """Parse an answer as orjson does: no NaN, no half of a surrogate pair; never a 500."""
    assert response.status_code < 500, (response.request.url, response.text)
    return orjson.loads(response.content)


def events(response: httpx.Response) -> list[tuple[str, Any]]:
    lines = [line for line in response.text.split("\r\n") if line.startswith(("event:", "data:"))]
    names, data = lines[::2], lines[1::2]
    return [
        (name[len("event: ") :], orjson.loads(each[len("data: ") :]))
        for name, each in zip(names, data, strict=True)
    ]


def new_thread(client: Client) -> str:
    return str(strict(client.post("/threads", json={"metadata": {"of": "any"}}))["thread_id"])


def all_of(client: Client, thread: str) -> Json:
    """Read a thread in every way there is; its state must be one of them."""
    state = strict(client.get(f"/threads/{thread}/state?subgraphs=true"))
    strict(client.get(f"/threads/{thread}"))
    strict(client.post(f"/threads/{thread}/history", json={"limit": 10}))
    strict(client.post(f"/threads/{thread}/copy"))
    strict(client.get(f"/threads/{thread}/runs"))
    found = strict(client.post("/threads/search", json={"limit": 100, "metadata": {"of": "any"}}))
    assert thread in {each["thread_id"] for each in found}
    strict(client.post("/threads/search", json={"values": {"no": "thread"}, "ids": [thread]}))
    extract = {"last": "values.messages[-1].content"}
    strict(client.post("/threads/search", json={"ids": [thread], "extract": extract}))
    strict(client.post("/store/items/search", json={"namespace_prefix": ["any"], "limit": 100}))
    assert "values" in state, state
    return dict(state)


def run(client: Client, thread: str, **how: Any) -> Any:
    return strict(client.post(f"/threads/{thread}/runs/wait", json={"assistant_id": "any", **how}))


@settings(max_examples=25)
@given(_odd, st.sampled_from(["return", "list", "write", "ask", "raise", "store"]))
def test_what_a_node_does_with_any_value_can_be_read(served: Client, value: Any, do: str) -> None:
    SHELF["value"] = value
    asked = {"do": do, "shelf": "value"}
    thread = new_thread(served)
    body = {"assistant_id": "any", "input": asked, "stream_mode": MODES}
    streamed = events(served.post(f"/threads/{thread}/runs/stream", json=body))
    assert [name for name, _ in streamed[:1]] == ["metadata"]
    all_of(served, thread)
    run(served, thread, input=asked)
    all_of(served, thread)
    # Without a checkpoint: what cannot be stored is answered all the same.
    strict(served.post("/runs/wait", json={"assistant_id": "any", "input": asked}))
    # The thread goes on.
    assert run(served, thread, input={"do": "nothing", "value": 1})["value"] == 1


@settings(max_examples=15)
@given(_json, _json)
def test_any_json_is_kept(served: Client, value: Any, messages: Any) -> None:
    thread = new_thread(served)
    sent = {"value": value, "messages": messages, "several": [value], "strict": [value]}
    assert run(served, thread, input=sent) == sent
    assert all_of(served, thread)["values"] == sent


@pytest.mark.parametrize(
    "value",
    [_itself(), [threading.Lock(), Silent()], Model(inside=_deep(400))],
    ids=["itself", "silent", "deep"],
)
def test_no_question_ends_the_service(served: Client, value: Any) -> None:
    SHELF["value"] = value
    thread = new_thread(served)
    body = {"assistant_id": "any", "input": {"do": "ask", "shelf": "value"}}
    for modes in (["tasks"], MODES):
        # LangGraph copies what a node asks, in a callback of the event loop.
        events(served.post(f"/threads/{thread}/runs/stream", json={**body, "stream_mode": modes}))
        all_of(served, thread)

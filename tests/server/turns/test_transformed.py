"""Graphs with stream transformers of their own: what these make is streamed with all the rest."""

from typing import Any

import orjson
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.stream import ProtocolEvent, StreamChannel, StreamTransformer
from langgraph.types import interrupt

from everturn.server.api.http.json import dumps
from everturn.server.streams.feed import Cursor
from everturn.server.streams.modes import PROTOCOL_MODES, Parts
from everturn.server.streams.protocol import Final, Projection
from everturn.server.streams.protocol import ProtocolEvent as Told
from everturn.server.turns.transformed import transformed
from tests.server.streams.protocol_types import checked


class Counted(StreamTransformer):
    """Counts the pieces of messages, in a channel of its own."""

    def __init__(self, scope: tuple[str, ...] = ()) -> None:
        super().__init__(scope)
        self._count = 0
        self._channel: StreamChannel[dict[str, int]] = StreamChannel("counted")

    def init(self) -> dict[str, Any]:
        return {"counted": self._channel}

    def process(self, event: ProtocolEvent) -> bool:
        if event["method"] == "messages":
            self._count += 1
            self._channel.push({"count": self._count})
        return True


async def speak(state: MessagesState) -> dict[str, Any]:
    model = GenericFakeChatModel(messages=iter([AIMessage(content="hello there")]))
    return {"messages": [await model.ainvoke(state["messages"])]}


async def ask(state: MessagesState) -> dict[str, Any]:
    interrupt("Go on?")
    return {}


def compiled() -> Any:
    team = StateGraph(MessagesState).add_node("speak", speak).add_edge(START, "speak").compile()
    graph = StateGraph(MessagesState).add_node("team", team).add_node("ask", ask)
    graph.add_edge(START, "team").add_edge("team", "ask")
    return graph.compile(checkpointer=InMemorySaver(), transformers=[Counted])


async def told() -> list[dict[str, Any]]:
    projection, parts = Projection("r1", 1), Parts(PROTOCOL_MODES)
    events: list[Told] = [*projection.take(Cursor(1, 1), "metadata", b"{}")]
    number = 1
    config: Any = {"configurable": {"thread_id": "t1"}}
    asked = {"messages": [("user", "Hi")]}
    async for part in transformed(
        compiled(), asked, config, {"stream_mode": [], "subgraphs": True}
    ):
        for name, data in parts.named(part):
            number += 1
            events += projection.take(Cursor(1, number), name, dumps(data))
    events += projection.end(Final("interrupted"))
    return [checked(orjson.loads(event.as_json())) for event in events]


async def test_each_channel_is_told_and_the_transformers_own() -> None:
    events = await told()
    methods = {event["method"] for event in events}
    assert {"values", "updates", "messages", "tasks", "checkpoints", "custom"} <= methods
    assert {"lifecycle", "input.requested"} <= methods
    spoken = [e["params"] for e in events if e["method"] == "messages"]
    assert {next(iter(p["namespace"])).partition(":")[0] for p in spoken} == {"team"}
    text = "".join(p["data"].get("delta", {}).get("text", "") for p in spoken)
    assert text == "hello there"
    started = spoken[0]["data"]["id"]
    assert {p["data"]["message_id"] for p in spoken[1:]} == {started}
    custom = [e["params"]["data"] for e in events if e["method"] == "custom"]
    assert custom[-1] == {"name": "counted", "payload": {"count": len(spoken)}}
    lives = [e["params"]["data"]["event"] for e in events if e["method"] == "lifecycle"]
    assert lives == ["running", "started", "completed", "interrupted"]


async def test_no_event_comes_twice() -> None:
    tasks = [e["params"]["data"] for e in await told() if e["method"] == "tasks"]
    keys = [(task["id"], "result" in task) for task in tasks]
    assert len(keys) == len(set(keys)) == 6

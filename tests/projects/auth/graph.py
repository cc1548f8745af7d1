"""Graphs that say who they take the caller for."""

import asyncio
from pathlib import Path
from typing import Annotated, Any, cast

from langchain_core.messages import AIMessage, AnyMessage
from langchain_core.runnables import RunnableConfig, RunnableLambda
from langgraph.graph import START, StateGraph
from langgraph.graph.message import add_messages
from langgraph.pregel import Pregel
from langgraph.runtime import Runtime
from langgraph.types import interrupt
from langgraph_sdk.runtime import ServerRuntime
from typing_extensions import TypedDict


class State(TypedDict, total=False):
    messages: Annotated[list[AnyMessage], add_messages]
    until: str
    asks: bool
    seen: dict[str, Any]


async def begin(state: State) -> State:
    return {}


async def look(state: State, config: RunnableConfig, runtime: Runtime[Any]) -> State:
    while state.get("until") and not Path(state.get("until", "")).exists():  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    await RunnableLambda(lambda words: words).ainvoke("inside", config)
    if state.get("asks"):
        interrupt("Shall I?")
    configurable = config.get("configurable", {})
    user = configurable.get("langgraph_auth_user")
    server = runtime.server_info
    seen = {
        "identity": user.identity if user else None,
        "item": user["identity"] if user else None,
        "team": user.team["name"] if user and "team" in user else None,
        "name": user.display_name if user else None,
        "id": configurable.get("langgraph_auth_user_id"),
        "permissions": configurable.get("langgraph_auth_permissions"),
        "user_id": configurable.get("user_id"),
        "runtime": server.user.identity if server and server.user else None,
    }
    said = AIMessage(f"Hello {seen['name']}", id="said")
    return {"seen": seen, "messages": [said]}


builder = StateGraph(State).add_node(begin)
builder.add_node("look", cast("Any", look))  # its types name no such combination
graph = builder.add_edge(START, "begin").add_edge("begin", "look").compile()

made_for: list[tuple[str, str | None]] = []


def make(config: RunnableConfig, runtime: ServerRuntime[Any]) -> Pregel[Any, Any, Any, Any]:
    """Write down for whom, and what for, the graph is made."""
    user = runtime.user
    configured = config.get("configurable", {}).get("langgraph_auth_user_id")
    assert configured == (user.identity if user else None)
    made_for.append((runtime.access_context, configured))
    made = str(made_for)

    async def node(state: State) -> State:
        return {"seen": {"made_for": made}}

    return StateGraph(State).add_node("node", node).add_edge(START, "node").compile()


class Plain(TypedDict, total=False):
    words: str


async def same(state: Plain) -> Plain:
    return {"words": state.get("words", "")}


plain = StateGraph(Plain).add_node("same", same).add_edge(START, "same").compile()

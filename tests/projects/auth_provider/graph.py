"""A graph that greets who asks."""

from typing import Annotated

from langchain_core.messages import AIMessage, AnyMessage
from langchain_core.runnables import RunnableConfig
from langgraph.graph import START, StateGraph
from langgraph.graph.message import add_messages
from typing_extensions import TypedDict


class State(TypedDict):
    messages: Annotated[list[AnyMessage], add_messages]


async def greet(state: State, config: RunnableConfig) -> dict[str, list[AnyMessage]]:
    user = config["configurable"]["langgraph_auth_user"]
    return {"messages": [AIMessage(f"Hello {user['email']}")]}


graph = StateGraph(State).add_node(greet).add_edge(START, "greet").compile()

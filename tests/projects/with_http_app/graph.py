"""A graph beside routes of the project's own."""

from typing import Any

from langchain_core.messages import AIMessage
from langgraph.graph import START, MessagesState, StateGraph


def echo(state: MessagesState) -> dict[str, Any]:
    return {"messages": [AIMessage(state["messages"][-1].text)]}


graph = StateGraph(MessagesState).add_node(echo).add_edge(START, "echo").compile()

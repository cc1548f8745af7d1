"""Which node comes next: pure functions from the state, one a node that has a choice.

START -> model --tool calls--> tools -> model
           |--answer--> END
           '--failure--> fallback_router --candidate--> model
                            |--none left----> offline -> END   (offline <-> tools)
                            '--bad key-----> stop -> END
"""

from typing import Literal

from langchain_core.messages import AIMessage

from everturn.graph.state import State
from everturn.graph.steps.window import calls_tools, open_calls


def after_model(state: State) -> Literal["tools", "fallback_router", "__end__"]:
    """A failure goes to the router, tool calls to the tools, an answer to the caller."""
    if _failed(state):
        return "fallback_router"
    return "tools" if _calls_tools(state) else "__end__"


def after_tools(state: State) -> Literal["tools", "model", "offline"]:
    """Results go back to the node that asked for them; a tool that paused is called once more."""
    if open_calls(state["messages"]):
        return "tools"
    return "offline" if state.get("route", {}).get("degraded") else "model"


def after_fallback_router(state: State) -> Literal["model", "offline", "stop"]:
    """Follow what the router decided."""
    match state.get("route"):
        case {"mode": "stopped"}:
            return "stop"
        case {"mode": "offline"}:
            return "offline"
        case _:
            return "model"


def after_offline(state: State) -> Literal["tools", "__end__"]:
    """The offline model calls tools like any other."""
    return "tools" if _calls_tools(state) else "__end__"


def after_chat_model(state: State) -> Literal["fallback_router", "__end__"]:
    """Without tools, an answer is the end."""
    return "fallback_router" if _failed(state) else "__end__"


def after_simple_model(state: State) -> Literal["stop", "__end__"]:
    """With one model call, a failure is the end as well."""
    return "stop" if _failed(state) else "__end__"


def _failed(state: State) -> bool:
    return state.get("route", {}).get("failed", False)


def _calls_tools(state: State) -> bool:
    last = next(reversed(state["messages"]), None)
    return isinstance(last, AIMessage) and calls_tools(last)

"""What a node finds in its runtime."""

from typing import Any, TypedDict

from langchain_core.runnables import RunnableConfig
from langgraph.config import get_store, get_stream_writer
from langgraph.graph import START, StateGraph
from langgraph.runtime import Runtime, get_runtime


class State(TypedDict, total=False):
    seen: dict[str, Any]


async def node(state: State, config: RunnableConfig, runtime: Runtime[Any]) -> State:
    runtime.stream_writer({"writer": "runtime"})
    get_stream_writer()({"writer": "config"})
    assert runtime.store is not None
    await runtime.store.aput(("runtime",), "key", {"value": 1})
    found = await runtime.store.aget(("runtime",), "key")
    info, server = runtime.execution_info, runtime.server_info
    configurable = config.get("configurable", {})
    public = sorted(key for key in configurable if not key.startswith("__"))
    return {
        "seen": {
            "store": found.value if found else None,
            "same_store": get_store() is runtime.store,
            "execution": info
            and {
                "thread_id": info.thread_id,
                "run_id": info.run_id,
                "attempt": info.node_attempt,
                "first": info.node_first_attempt_time is not None,
                "task": bool(info.task_id),
                "checkpoint": bool(info.checkpoint_id),
                "ns": info.checkpoint_ns.partition(":")[0],
            },
            "server": server
            and {
                "assistant_id": server.assistant_id,
                "graph_id": server.graph_id,
                "user": repr(server.user),
            },
            "previous": runtime.previous,
            "drain": runtime.drain_requested,
            "context": runtime.context,
            "get_runtime": get_runtime().server_info == server,
            "configurable": public,
        }
    }


graph = StateGraph(State).add_node(node).add_edge(START, "node").compile()
wrapped = StateGraph(State).add_node("inner", graph).add_edge(START, "inner").compile()

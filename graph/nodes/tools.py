"""The node `tools`: carries out the calls of one model turn, side by side."""

from collections.abc import Awaitable, Sequence
from datetime import UTC, datetime
from typing import Protocol

from langchain_core.messages import ToolMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import BaseTool
from langgraph.prebuilt import ToolNode
from langgraph.prebuilt.tool_node import ToolInvocationError
from structlog import get_logger

from graph.nodes.model import Update
from graph.state import State

log = get_logger(__name__)


class ToolsNode(Protocol):
    """What LangGraph calls with the state and the run's config."""

    def __call__(self, state: State, config: RunnableConfig) -> Awaitable[Update]: ...


def tools_node(tools: Sequence[BaseTool]) -> ToolsNode:
    """Return the node that answers each call under its `tool_call_id`, in the order of the calls.

    An unknown tool, wrong arguments or a tool that raises is answered too: the model reads what
    went wrong and may try again.
    """
    execute = ToolNode(tools, handle_tool_errors=_explain)

    async def node(state: State, config: RunnableConfig) -> Update:
        results: Update = await execute.ainvoke(state, config)
        now = datetime.now(UTC).isoformat()
        for result in results["messages"]:
            if isinstance(result, ToolMessage):
                result.additional_kwargs["timestamp"] = now
        return results

    return node


def _explain(error: Exception) -> str:
    """Say what the model may know: wrong arguments in full, a tool's own failure by class only."""
    if isinstance(error, ToolInvocationError):
        return error.message
    log.warning("tool_failed", error=type(error).__name__, exc_info=error)
    return f"The tool failed with {type(error).__name__}. Do without it, or try once more."

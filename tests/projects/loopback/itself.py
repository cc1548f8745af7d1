"""Graphs that ask another graph of the same server by a `RemoteGraph`."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.graph import START, StateGraph
from langgraph.pregel.remote import RemoteGraph
from langgraph_sdk import get_client
from worker import Count


@asynccontextmanager
async def graph(config: RunnableConfig) -> AsyncIterator[Any]:
    """Call it in a node: it has a thread of its own."""
    async with _remote(config) as remote:

        async def far(state: Count) -> Any:
            return await remote.ainvoke(dict(state))

        yield StateGraph(Count).add_node(far).add_edge(START, "far")


@asynccontextmanager
async def as_node(config: RunnableConfig) -> AsyncIterator[Any]:
    """Make it a node: it is sent the thread that its own caller holds."""
    async with _remote(config) as remote:
        yield StateGraph(Count).add_node("far", remote).add_edge(START, "far")


@asynccontextmanager
async def _remote(config: RunnableConfig) -> AsyncIterator[RemoteGraph]:
    url = config.get("configurable", {}).get("url")
    async with get_client(url=url, api_key=None) as client:
        yield RemoteGraph("worker", client=client)

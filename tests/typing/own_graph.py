"""Graphs with our saver as a user writes them. Never run: mypy and pyright read it."""

import asyncio
from typing import TypedDict, assert_type

from langchain_core.messages import HumanMessage
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.serde.encrypted import EncryptedSerializer
from langgraph.graph import END, START, StateGraph
from redis.asyncio import Redis

from everturn.checkpoints.errors import CheckpointsError, StoreUnavailable
from everturn.checkpoints.redis import AsyncRedisSaver, RedisSaver
from everturn.graph.agent import graph as agent
from everturn.graph.chat import graph as chat
from everturn.graph.context import Context


class State(TypedDict):
    """A counter."""

    count: int


def count(state: State) -> State:
    """Count on."""
    return {"count": state["count"] + 1}


builder = StateGraph(State)
builder.add_node("count", count)
builder.add_edge(START, "count")
builder.add_edge("count", END)


async def asynchronous() -> int:
    """Compile a graph of one's own with a saver that makes its client."""
    async with AsyncRedisSaver.from_url("redis://localhost", ttl=3600, keep=50) as saver:
        assert_type(saver, AsyncRedisSaver)
        own = builder.compile(checkpointer=saver)
        state = await own.ainvoke({"count": 1}, {"configurable": {"thread_id": "t1"}})
        async for found in saver.alist({"configurable": {"thread_id": "t1"}}, limit=3):
            print(found.metadata)
        await saver.adelete_thread("t1")
        return int(state["count"])


async def with_a_client(client: Redis, key: bytes) -> None:
    """Serve Everturn's agent elsewhere, with a client of one's own and encryption."""
    serde = EncryptedSerializer.from_pycryptodome_aes(key=key)
    saver = AsyncRedisSaver(client, prefix="mine", serde=serde)
    checkpointer: BaseCheckpointSaver[str] = saver
    mine = agent.builder.compile(checkpointer=checkpointer)
    try:
        await mine.ainvoke(
            {"messages": [HumanMessage("hello")]},
            {"configurable": {"thread_id": "t2"}},
            context=Context(free_only=True),
        )
    except StoreUnavailable as error:
        raise RuntimeError(str(error)) from error
    except CheckpointsError:
        return


def synchronous() -> int:
    """Do the same without an event loop."""
    with RedisSaver.from_url("unix:///run/redis.sock?db=1") as saver:
        assert_type(saver, RedisSaver)
        own = builder.compile(checkpointer=saver)
        state = own.invoke({"count": 1}, {"configurable": {"thread_id": "t1"}})
        latest = saver.get_tuple({"configurable": {"thread_id": "t1"}})
        print(latest and latest.checkpoint["id"], chat.name)
        return int(state["count"])


asyncio.run(asynchronous())
synchronous()

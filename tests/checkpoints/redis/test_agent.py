"""The project's own agent on the saver: interrupts, forks, copies and prunes of a conversation."""

from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.runnables import RunnableConfig
from langgraph.pregel import Pregel

from everturn.checkpoints.redis import AsyncRedisSaver
from everturn.graph.agent import builder
from everturn.graph.state import Input
from tests.checkpoints.redis.samples import listed, named, place

Agent = Pregel[Any, Any, Any, Any]


@pytest.fixture
def agent(saver: AsyncRedisSaver) -> Agent:
    """Answered by the offline model: no provider has a key here."""
    return builder.compile(checkpointer=saver, name="agent")


def thread(thread_id: str = "thread") -> RunnableConfig:
    return {"configurable": {"thread_id": thread_id}}


def asking(text: str) -> Input:
    return Input(messages=[HumanMessage(text)])


async def texts(agent: Agent, config: RunnableConfig) -> list[str]:
    """What was said, the calls of tools as their names."""
    state = await agent.aget_state(config)
    return [
        message.tool_calls[0]["name"]
        if isinstance(message, AIMessage) and message.tool_calls
        else message.text
        for message in state.values["messages"]
    ]


async def test_an_interrupt_waits_in_the_store_and_is_resumed(
    saver: AsyncRedisSaver, url: str, prefix: str
) -> None:
    paused: Agent = builder.compile(checkpointer=saver, interrupt_before=["tools"])
    await paused.ainvoke(asking("Calculate 6 * 7"), thread())
    assert (await paused.aget_state(thread())).next == ("tools",)
    async with AsyncRedisSaver.from_url(url, prefix=prefix) as another:  # as after a restart
        resumed: Agent = builder.compile(checkpointer=another)
        answer = await resumed.ainvoke(None, thread())
        assert "42" in answer["messages"][-1].text
        assert (await resumed.aget_state(thread())).next == ()


async def test_a_fork_from_an_old_checkpoint_leaves_its_sibling_alone(agent: Agent) -> None:
    await agent.ainvoke(asking("Calculate 1 + 1"), thread())
    begun = (await agent.aget_state(thread())).config
    await agent.ainvoke(asking("Calculate 2 + 2"), thread())
    sibling = (await agent.aget_state(thread())).config
    said = await texts(agent, sibling)
    await agent.ainvoke(asking("Calculate 3 + 3"), begun)
    forked = await texts(agent, thread())
    assert forked[4] == "Calculate 3 + 3"
    assert "6" in forked[-1]
    assert not any("2 + 2" in text for text in forked)
    assert await texts(agent, sibling) == said


async def test_a_copy_goes_its_own_way(agent: Agent, saver: AsyncRedisSaver) -> None:
    await agent.ainvoke(asking("Calculate 1 + 1"), thread())
    await saver.acopy_thread("thread", "copy")
    assert await texts(agent, thread("copy")) == await texts(agent, thread())
    assert await listed(saver, place("copy")) == await listed(saver, place())
    await agent.ainvoke(asking("Calculate 2 + 2"), thread("copy"))
    assert len(await texts(agent, thread("copy"))) == 2 * len(await texts(agent, thread()))


async def test_a_pruned_conversation_goes_on(agent: Agent, saver: AsyncRedisSaver) -> None:
    for number in range(3):
        await agent.ainvoke(asking(f"Calculate {number} + 1"), thread())
    said = await texts(agent, thread())
    newest = named((await agent.aget_state(thread())).config)["checkpoint_id"]
    await saver.aprune(["thread"])
    assert await listed(saver, place()) == [newest]
    assert await texts(agent, thread()) == said
    await agent.ainvoke(asking("What did I ask you first?"), thread())
    assert "0 + 1" in (await texts(agent, thread()))[-1]

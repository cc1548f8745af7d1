"""The answers of tool calls: kept while their step goes on, and gone when it is stored."""

import asyncio
from typing import Any, TypedDict

import pytest
from langchain_core.messages import ToolMessage
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.serde.encrypted import EncryptedSerializer
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.config import get_config
from langgraph.graph import START, StateGraph
from langgraph.types import Command

from everturn.checkpoints.errors import StaleWriter
from everturn.checkpoints.redis import AsyncRedisSaver
from everturn.checkpoints.redis.keyspace import Keyspace
from everturn.checkpoints.redis.saver import ThreadSaver
from tests.checkpoints.redis.samples import ToyCipher, looking_into, named, place, put


def node(checkpoint: RunnableConfig, task: str = "tools:1", **more: Any) -> RunnableConfig:
    """The config of a node in the step that follows a checkpoint."""
    thread_id, ns = named(checkpoint)["thread_id"], named(checkpoint)["checkpoint_ns"]
    inside = f"{ns}|{task}" if ns else task
    return place(thread_id, inside, checkpoint_map={ns: named(checkpoint)["checkpoint_id"]}, **more)


def answer(text: str, call_id: str = "c") -> ToolMessage:
    return ToolMessage(text, tool_call_id=call_id, name="tool", artifact={"more": [1]})


class Said(TypedDict):
    """A state."""

    said: list[str]


@pytest.mark.parametrize("durability", ["async", "sync", "exit"])
async def test_calls_wait_until_the_step_that_asks_for_them_is_stored(
    saver: AsyncRedisSaver, monkeypatch: pytest.MonkeyPatch, durability: Any
) -> None:
    put_at_once = ThreadSaver.aput

    async def put_slowly(*given: Any) -> RunnableConfig:
        await asyncio.sleep(0.05)
        return await put_at_once(*given)

    monkeypatch.setattr(ThreadSaver, "aput", put_slowly)
    found = []

    async def asks(state: Said) -> Said:
        return {"said": ["call it"]}

    async def calls(state: Said) -> Said:
        await saver.astored(get_config())
        stored = await saver.aget_tuple({"configurable": {"thread_id": "calls"}})
        found.append(stored.checkpoint["channel_values"].get("said") if stored else None)
        return {"said": ["called"]}

    builder = StateGraph(Said).add_sequence([asks, calls]).add_edge(START, "asks")
    config: RunnableConfig = {"configurable": {"thread_id": "calls"}}
    graph = builder.compile(checkpointer=saver)
    await graph.ainvoke({"said": []}, config, durability=durability)
    assert found == [None if durability == "exit" else ["call it"]]
    # A graph with a checkpointer of its own, or none, has no checkpoints here: nothing waits.
    await builder.compile(checkpointer=InMemorySaver()).ainvoke({"said": []}, config)
    await builder.compile().ainvoke({"said": []})


@pytest.mark.parametrize("ns", ["", "sub:1"])
async def test_answers_are_kept_until_their_step_is_stored(saver: AsyncRedisSaver, ns: str) -> None:
    config = await put(saver, place(ns=ns))
    assert await saver.akept_answers(node(config)) == {}
    made: dict[str, Any] = {
        "a": answer("x" * 10_000),
        "\0 odd": answer("ü"),
        "command": Command(update={"messages": [answer("done")], "note": 1}, goto="there"),
        "several": [answer("one"), Command(update={"messages": [answer("two")]}, goto="x")],
    }
    for call_id, each in made.items():
        await saver.akeep_answer(node(config), call_id, each)
    assert await saver.akept_answers(node(config)) == made
    await put(saver, place("other"))
    await put(saver, place(ns="elsewhere"))
    await put(saver, place(ns=ns))
    assert await saver.akept_answers(node(config)) == made
    child = await put(saver, config)
    assert await saver.akept_answers(node(config)) == {}
    assert await saver.akept_answers(node(child)) == {}


async def test_an_answer_leaves_nothing_behind(
    saver: AsyncRedisSaver, url: str, prefix: str
) -> None:
    config = await put(saver, place(), {"c": 1})
    with looking_into(url) as client:
        index, data = Keyspace(prefix).thread("thread")
        before = client.zcard(index), client.hlen(data)
        await saver.akeep_answer(node(config), "a", answer("x" * 100_000))
        await put(saver, config, {"c": 1})
        after = client.zcard(index), client.hlen(data)
    assert after == (before[0] + 1, before[1] + 2)  # a checkpoint and its channel


async def test_the_first_answer_stays(saver: AsyncRedisSaver) -> None:
    config = await put(saver, place())
    for text in ("first", "second"):
        await saver.akeep_answer(node(config), "a", answer(text))
    assert await saver.akept_answers(node(config)) == {"a": answer("first")}


async def test_who_was_overtaken_keeps_nothing(saver: AsyncRedisSaver) -> None:
    config = await put(saver, place(__fence=1))
    await saver.akept_answers(node(config, __fence=2))
    with pytest.raises(StaleWriter, match="was taken over"):
        await saver.akeep_answer(node(config, __fence=1), "a", answer("late"))
    await saver.akeep_answer(node(config, __fence=2), "a", answer("right"))
    assert await saver.akept_answers(node(config)) == {"a": answer("right")}


async def test_answers_live_as_long_as_their_checkpoint(
    saver: AsyncRedisSaver, url: str, prefix: str
) -> None:
    first = await put(saver, place())
    await saver.akeep_answer(node(first), "a", answer("old"))
    last = await put(saver, place())
    await saver.akeep_answer(node(last), "a", answer("new"))
    await saver.aprune(["thread"])
    assert await saver.akept_answers(node(first)) == {}
    assert await saver.akept_answers(node(last)) == {"a": answer("new")}
    await saver.acopy_thread("thread", "copy")
    copied = place("copy", "", named(last)["checkpoint_id"])
    assert await saver.akept_answers(node(copied)) == {"a": answer("new")}
    await saver.adelete_thread("thread")
    await saver.akeep_answer(node(last), "b", answer("late"))
    with looking_into(url) as client:
        assert not client.exists(Keyspace(prefix).thread("thread")[0])


async def test_nothing_is_kept_where_no_step_is_stored(saver: AsyncRedisSaver) -> None:
    """Without memory, and in a run that is stored at its end only."""
    config = await put(saver, place())
    nowhere: list[RunnableConfig] = [
        {},
        {"configurable": {"checkpoint_ns": "tools:1"}},
        node(config, __pregel_durability="exit"),
    ]
    for where in nowhere:
        await saver.akeep_answer(where, "a", answer("x"))
        assert await saver.akept_answers(where) == {}
    assert await saver.akept_answers(node(config)) == {}


async def test_what_cannot_be_stored_is_not_kept(saver: AsyncRedisSaver) -> None:
    config = await put(saver, place())
    await saver.akeep_answer(node(config), "a", Command(update={"x": object()}))
    assert await saver.akept_answers(node(config)) == {}


async def test_answers_are_encrypted(url: str, prefix: str) -> None:
    serde = EncryptedSerializer(ToyCipher(), JsonPlusSerializer(allowed_msgpack_modules=None))
    async with AsyncRedisSaver.from_url(url, prefix=prefix, serde=serde) as saver:
        config = await put(saver, place())
        await saver.akeep_answer(node(config), "a", answer("a secret"))
        assert await saver.akept_answers(node(config)) == {"a": answer("a secret")}
        with looking_into(url) as client:
            stored = client.hgetall(Keyspace(prefix).thread("thread")[1])
        assert not any(b"secret" in value for value in stored.values())

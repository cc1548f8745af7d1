"""The tools of memory with LangGraph's own store, as its development server has it, and without."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langgraph.store.memory import InMemoryStore

from everturn.graph.agent import graph
from everturn.graph.steps.memories import _within, with_memories
from everturn.tools.providers.memories.alike import same
from everturn.tools.providers.memories.memories import (
    InvalidMemory,
    Memories,
    MemoryNotFound,
    TooManyMemories,
)
from everturn.tools.providers.memories.memory import Memory
from everturn.tools.providers.memories.settings import MemorySettings
from everturn.tools.providers.memories.whose import label_of, namespace_of

SETTINGS = MemorySettings.model_validate({})


async def said(served: Any, text: str, **context: Any) -> str:
    done = await served.ainvoke({"messages": [("user", text)]}, context=context)
    return str(done["messages"][-1].content)


async def test_under_another_server(monkeypatch: pytest.MonkeyPatch) -> None:
    served = graph.copy({"store": InMemoryStore()})
    assert "I will remember" in await said(served, "Remember that I like tea")
    assert "I like tea" in await said(served, "What do you know about me?")
    assert "tea" not in await said(served, "What do you know about me?", user="bob")
    assert "forgotten" in await said(served, "Forget that I like tea")
    assert "nothing" in await said(served, "What do you know about me?")


async def test_without_a_store_they_say_so() -> None:
    served = graph.copy({"store": None})
    answer = await said(served, "Remember that I like tea")
    assert "There is no long-term memory here" in answer


@pytest.fixture
def memories() -> Memories:
    return Memories(InMemoryStore(), namespace_of(None, None), SETTINGS)


async def test_nearly_the_same_at_once_is_one_memory(memories: Memories) -> None:
    kept = await asyncio.gather(*(memories.remember("She likes tea.") for _ in range(10)))
    assert len({each.memory.id for each in kept}) == 1
    assert [each.change for each in kept].count("new") == 1
    assert len(await memories.search(limit=20)) == 1


async def test_one_replaces_another(memories: Memories) -> None:
    first = await memories.remember("She lives in Seoul.", thread_id="t1")
    other = await memories.remember("She lives in Busan now.", thread_id="t2")
    assert [each.id for each in other.like] == [first.memory.id]
    kept = await memories.remember("She lives in Jeju.", replaces=first.memory.id)
    assert (kept.change, kept.memory.id) == ("changed", first.memory.id)
    assert kept.memory.thread_id == "t1"
    assert kept.memory.created_at == first.memory.created_at
    with pytest.raises(MemoryNotFound):
        await memories.remember("x", replaces="none")
    assert {each.text for each in await memories.search(limit=9)} == {
        *("She lives in Jeju.", "She lives in Busan now.")
    }


async def test_bounds() -> None:
    few = MemorySettings.model_validate({"memory_limit": 2, "memory_size": 20})
    memories = Memories(InMemoryStore(), namespace_of(None, None), few)
    for text in ("", " \n", "x" * 21, "x" * 1_000_000):
        with pytest.raises(InvalidMemory):
            await memories.remember(text)
    await memories.remember("one")
    await memories.remember("two")
    with pytest.raises(TooManyMemories):
        await memories.remember("three")
    with pytest.raises(InvalidMemory):
        await memories.change((await memories.search(limit=1))[0].id, "x" * 21, None)


@pytest.mark.parametrize(
    ("one", "other", "alike"),
    [
        ("She likes tea.", "she likes TEA", True),
        ("그는 서울에 산다.", "그는 서울에 산다", True),
        ("Room 12 is hers.", "Room 21 is hers.", False),
        ("Her brother Tom lives in Paris.", "Her brother Tim lives in Paris.", False),
        ("She likes tea.", "She dislikes tea.", False),
        ("", "", True),
        ("🎉", "🎉", True),
        ("🎉", "💔", False),
        ("The train is from Rome to Oslo.", "The train is from Oslo to Rome.", False),
        ("The balance is 5.", "The balance is -5.", False),
        ("She writes C++.", "She writes C.", False),
    ],
)
def test_what_is_the_same(one: str, other: str, alike: bool) -> None:
    assert same(one, other) is alike


@given(st.text(), st.text())
def test_no_two_names_have_one_label(one: str, other: str) -> None:
    labels = label_of(one), label_of(other)
    assert (labels[0] == labels[1]) is (one == other)
    for label in labels:
        assert label
        assert "." not in label
        assert len(label.encode()) <= 300


def memory(text: str) -> Memory:
    now = datetime.now(UTC)
    return Memory("id", text, "fact", None, now, now)


@given(st.lists(st.text(max_size=300), max_size=20), st.integers(1, 500))
def test_what_joins_never_takes_more_than_its_budget(texts: list[str], tokens: int) -> None:
    taken = _within([memory(text) for text in texts], tokens)
    assert sum(len(text.encode(errors="replace")) / 3 + 2 for text in taken) <= tokens
    assert [text for text in texts if text in taken][: len(taken)] or not taken
    joined = with_memories("Be brief.", taken)
    assert joined.startswith("Be brief.")
    assert len(joined.split("\n")) == (len(taken) + 3 if taken else 1)

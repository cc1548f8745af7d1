"""Answers that are kept, on the agent's graph: who is given them, and which never are."""

import asyncio
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import tool

from everturn.graph import agent
from everturn.graph.cache.kept import Kept
from everturn.graph.cache.key import caller_name, owner_part
from everturn.graph.cache.response_cache import MemoryAnswers, ResponseCache
from everturn.graph.cache.settings import CacheSettings
from everturn.graph.context import Context
from everturn.graph.guards.guards import Guards
from everturn.graph.guards.settings import GuardSettings
from everturn.graph.models.provider import Models
from everturn.graph.services import Services
from everturn.graph.state import Input
from everturn.graph.summaries.settings import SummarySettings
from everturn.graph.summaries.summaries import Summaries
from everturn.tools.kit.declare import declare
from everturn.tools.kit.discovery import Discovery
from everturn.tools.kit.settings import ToolSettings
from everturn.tools.kit.toolbox import Toolbox
from tests.provider import FakeProvider, Fault, Reply, ToolCall
from tests.waiting import eventually

Given = Callable[..., Any]


@declare(cache=60)
@tool
def kept_tool(word: str) -> str:
    """Say a word backwards."""
    return word[::-1]


@tool
def other_tool(word: str) -> str:
    """Send a word somewhere."""
    return f"sent {word}"


class World(NamedTuple):
    """A provider, and what a server shares with the runs that ask it."""

    provider: FakeProvider
    services: Services
    cache: ResponseCache
    uses: list[str]

    async def ask(
        self, *said: str, caller: str | None = None, speaker: str = "", **choices: Any
    ) -> AIMessage:
        """Ask once, and return the answer."""
        config: RunnableConfig = {
            "configurable": {
                "__everturn": self.services,
                **({"langgraph_auth_user_id": caller} if caller else {}),
            },
            "metadata": {"graph_id": "agent", "lc_agent_name": speaker},
        }
        done = await agent.graph.ainvoke(
            Input(messages=[HumanMessage(each) for each in said or ("hello",)]),
            config,
            context=Context(**{"cache": True, **choices}),
        )
        answer = done["messages"][-1]
        assert isinstance(answer, AIMessage)
        return answer

    @property
    def calls(self) -> int:
        """How often a model was asked."""
        return sum(self.provider.calls(f"model-{name}") for name in "abc")


@pytest.fixture
def world(fake_provider: FakeProvider, models: Models) -> World:
    uses: list[str] = []
    cache = ResponseCache(CacheSettings(), count=uses.append)
    tools = {each.name: each for each in (kept_tool, other_tool)}
    box = Toolbox(Discovery(tools), settings=ToolSettings())
    fake_provider.script("model-a", Reply("A whole answer, with words in it.", cost=0.25))
    summaries = Summaries(SummarySettings(summary=False))
    services = Services(models=models, tools=box, answers=cache, summaries=summaries)
    return World(fake_provider, services, cache, uses)


def route(answer: AIMessage) -> dict[str, Any]:
    found: dict[str, Any] = answer.response_metadata["route"]
    return found


async def test_who_asks_the_same_is_given_the_same_and_pays_nothing(world: World) -> None:
    first, again = await world.ask(), await world.ask()
    assert world.calls == 1
    assert world.uses == ["miss", "hit"]
    assert again.text == first.text
    assert again.id != first.id
    assert route(first)["mode"] == "primary"
    assert (route(again)["mode"], route(again)["model"]) == ("cache", "model-a")
    assert 0 <= route(again)["cached"]["age"] < 60
    assert "cost" not in again.response_metadata
    assert again.usage_metadata
    assert again.usage_metadata["total_tokens"] == 0
    if world.provider.profile.name == "openrouter":
        assert route(again)["cached"]["cost_saved"] == 0.25


async def test_it_is_off_where_nobody_asks_for_it(world: World) -> None:
    for _ in range(2):
        await world.ask(cache=None)
        await world.ask(cache=False)
    assert (world.calls, world.uses) == (4, [])


async def test_a_setting_switches_it_on_and_a_caller_off(world: World) -> None:
    settings = CacheSettings(response_cache=60)
    by_setting = world._replace(
        services={**world.services, "answers": ResponseCache(settings, count=world.uses.append)}
    )
    for _ in range(2):
        await by_setting.ask(cache=None)
    await by_setting.ask(cache=False)
    assert (world.calls, world.uses) == (2, ["miss", "hit"])


@pytest.mark.parametrize(
    "other",
    [
        {"caller": "ada"},
        {"temperature": 0.5},
        {"max_tokens": 100},
        {"model": "model-a"},
        {"use_fallback": False},
        {"system_prompt": "Be brief."},
        {"use_tools": False},
        {"tools": ["kept_tool"]},
        {"prefer": "cheapest"},
    ],
)
async def test_another_question_is_another_question(world: World, other: dict[str, Any]) -> None:
    await world.ask()
    await world.ask(**other)
    assert world.calls == 2
    assert world.uses == ["miss", "miss"]


async def test_what_changes_no_answer_asks_the_same(world: World) -> None:
    await world.ask()
    await world.ask(stream_policy="buffer", window=3, offline_answer=False, cache=60)
    assert world.uses == ["miss", "hit"]


async def test_no_caller_is_given_anothers_answer(world: World) -> None:
    world.provider.script("model-a", "for ada", "for bob", "for nobody")
    said = {who: (await world.ask(caller=who)).text for who in ("ada", "bob", None)}
    again = {who: (await world.ask(caller=who)).text for who in ("ada", "bob", None)}
    assert said == again == {"ada": "for ada", "bob": "for bob", None: "for nobody"}


async def test_what_is_forgotten_of_one_stays_of_another(world: World) -> None:
    for who in ("ada", "bob"):
        await world.ask(caller=who)
    cache = world.cache
    assert await cache.forget(owner_part(caller_name("ada"))) == 1
    for who in ("ada", "bob"):
        await world.ask(caller=who)
    assert world.uses == ["miss", "miss", "miss", "hit"]


async def test_no_cache_asks_anew_and_keeps_the_new_answer(world: World) -> None:
    world.provider.script("model-a", "old", "new", "never")
    said = [(await world.ask(cache=each)).text for each in (True, "no-cache", True)]
    assert said == ["old", "new", "new"]
    assert world.uses == ["miss", "bypassed", "hit"]


async def test_an_answer_older_than_the_caller_takes_is_not_used(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.provider.script("model-a", "old", "new")
    await world.ask(cache=3600)
    monkeypatch.setattr(Kept, "age", property(lambda kept: 100.0))
    assert (await world.ask(cache=200)).text == "old"
    assert (await world.ask(cache=50)).text == "new"
    assert world.uses == ["miss", "hit", "bypassed"]


# What is never kept


@pytest.mark.parametrize(
    "step",
    [Reply("cut in the mid", finish_reason="length"), Reply("", tool_calls=[ToolCall("nothing")])],
    ids=["cut by max_tokens", "a wrong call"],
)
async def test_what_is_not_whole_is_not_kept(world: World, step: Reply) -> None:
    world.provider.script("model-a", step, "whole", step, "whole")
    await world.ask()
    before = world.calls
    await world.ask()
    assert world.calls > before


async def test_the_offline_models_answer_is_not_kept(world: World) -> None:
    for name in "abc":
        world.provider.script(f"model-{name}", Fault(500))
    for _ in range(2):
        assert route(await world.ask())["mode"] == "offline"
    assert "hit" not in world.uses


async def test_what_a_guard_has_blocked_is_not_kept(world: World) -> None:
    guards = Guards.of(GuardSettings(guard_deny=["secret"]))
    guarded = world._replace(services={**world.services, "guards": guards})
    world.provider.script("model-a", "the secret word")
    for _ in range(2):
        answer = await guarded.ask()
        assert "secret" not in answer.text
    assert guarded.uses == ["miss", "miss"]


async def test_a_guard_that_came_later_sees_what_was_kept(world: World) -> None:
    world.provider.script("model-a", "the secret word")
    await world.ask()
    guards = Guards.of(GuardSettings(guard_deny=["secret"]))
    guarded = world._replace(services={**world.services, "guards": guards})
    answer = await guarded.ask()
    assert route(answer)["mode"] == "cache"
    assert "secret" not in answer.text


async def test_a_turn_that_calls_a_tool_without_a_cache_is_not_kept(world: World) -> None:
    call = Reply("", tool_calls=[ToolCall("other_tool", {"word": "x"})])
    world.provider.script("model-a", call, "done", call, "done again")
    assert [(await world.ask()).text for _ in range(2)] == ["done", "done again"]
    assert world.uses == ["miss", "miss"]  # the second calls do not even look


async def test_a_turn_that_calls_a_tool_with_one_is(world: World) -> None:
    call = Reply("", tool_calls=[ToolCall("kept_tool", {"word": "abc"})])
    world.provider.script("model-a", call, "cba", "never")
    answers = [await world.ask() for _ in range(2)]
    assert [each.text for each in answers] == ["cba", "cba"]
    assert world.uses == ["miss", "miss", "hit", "hit"]
    assert world.calls == 2


async def test_a_kept_call_is_made_and_its_answer_asked_for_by_the_first_choice(
    world: World,
) -> None:
    """The run has asked no model yet: what follows a kept answer is no fallback."""
    call = Reply("", tool_calls=[ToolCall("kept_tool", {"word": "abc"})])
    world.provider.script("model-a", call, "cba", "new")
    await world.ask()
    cache = world.cache
    store = cache._store
    assert isinstance(store, MemoryAnswers)
    store._drop(list(store._kept)[-1])
    answer = await world.ask()
    assert answer.text == "new"
    assert (route(answer)["mode"], "cached" in route(answer)) == ("primary", False)


async def test_a_kept_answer_is_given_while_no_model_can_be_asked(world: World) -> None:
    await world.ask()
    for name in "abc":
        world.provider.script(f"model-{name}", Fault(500))
    assert route(await world.ask("another"))["mode"] == "offline"
    assert route(await world.ask())["mode"] == "cache"


# Many at once


async def test_of_those_who_ask_at_once_one_asks(world: World) -> None:
    world.provider.script("model-a", Reply("slow", first_token=0.3))
    answers = await asyncio.gather(*(world.ask() for _ in range(8)))
    assert {each.text for each in answers} == {"slow"}
    assert world.calls == 1
    assert sorted(world.uses) == ["joined"] * 7 + ["miss"]


async def test_where_the_first_fails_each_asks_for_itself(world: World) -> None:
    world.provider.script("model-a", Fault(500, retry_after=0))
    world.provider.script("model-b", "from the second")
    answers = await asyncio.gather(*(world.ask() for _ in range(4)))
    assert {each.text for each in answers} == {"from the second"}


async def test_one_who_is_cancelled_leaves_the_question_to_another(world: World) -> None:
    world.provider.script("model-a", Reply("slow", first_token=0.5), "quick")
    first = asyncio.create_task(world.ask())
    await eventually(lambda: world.calls)
    others = [asyncio.create_task(world.ask()) for _ in range(3)]
    await asyncio.sleep(0.05)
    first.cancel()
    assert {(await each).text for each in others} == {"quick"}
    assert world.calls == 2


# As it is given


async def test_it_names_who_speaks(world: World) -> None:
    first, again = await world.ask(speaker="editor"), await world.ask(speaker="editor")
    assert world.uses == ["miss", "hit"]
    assert (first.name, again.name) == ("editor", "editor")


async def test_it_is_streamed_as_any_answer_is(world: World) -> None:
    text = "word after word " * 50
    world.provider.script("model-a", Reply(text))
    await world.ask()
    pieces: list[Any] = [
        piece
        async for piece in agent.graph.astream(
            Input(messages=[HumanMessage("hello")]),
            {
                "configurable": {"__everturn": world.services},
                "metadata": {"graph_id": "agent"},
            },
            context=Context(cache=True),
            stream_mode="messages",
        )
    ]
    assert world.uses == ["miss", "hit"]
    assert len(pieces) > 5
    assert len({message.id for message, _ in pieces}) == 1
    assert "".join(message.content for message, _ in pieces) == text


async def test_thoughts_are_kept_too(world: World) -> None:
    world.provider.script("model-a", Reply("the answer", reasoning="a thought"))
    first, again = await world.ask(), await world.ask()
    assert first.additional_kwargs.get("reasoning_content")
    for name in ("reasoning_content",):
        assert again.additional_kwargs[name] == first.additional_kwargs[name]


async def test_a_kept_call_has_an_id_that_no_other_call_of_the_thread_has(world: World) -> None:
    call = Reply("", tool_calls=[ToolCall("kept_tool", {"word": "abc"})])
    world.provider.script("model-a", call, "cba")
    messages: list[Any] = [HumanMessage("hello")]
    for _ in range(2):
        done = await agent.graph.ainvoke(
            Input(messages=messages),
            {"configurable": {"__everturn": world.services}},
            context=Context(cache=True, window=1),
        )
        messages = [*done["messages"], HumanMessage("hello")]
    ids = [each.tool_call_id for each in messages if isinstance(each, ToolMessage)]
    assert len(set(ids)) == 2
    assert world.uses == ["miss", "miss", "hit", "hit"]


# The store of one process


async def test_it_holds_so_many_bytes_and_drops_what_ends_first() -> None:
    now = 0.0
    store = MemoryAnswers(10, clock=lambda: now)
    await store.keep("a", "12345", 5)
    await store.keep("b", "12345", 3)
    await store.keep("c", "123", 9)
    assert [await store.find(key, 1) for key in "abc"] == ["12345", None, "123"]
    await store.keep("d", "x" * 11, 9)
    assert [await store.find(key, 1) for key in "acd"] == [None, None, None]
    await store.keep("e", "1", 5)
    now = 6.0
    assert await store.find("e", 1) is None

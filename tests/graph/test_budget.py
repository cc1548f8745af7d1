"""A run's budget, as the nodes keep to it: asked before each call of a model, told what it took."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from langchain_core.messages import AnyMessage, HumanMessage
from langchain_core.runnables import RunnableConfig
from pydantic import HttpUrl, SecretStr

from everturn.graph import agent
from everturn.graph.budget import Settle
from everturn.graph.context import Context
from everturn.graph.models.provider import Models, open_models
from everturn.graph.state import Input
from tests.graph.conftest import BareModelSettings
from tests.provider import KEY, FakeProvider, Fault, Offer, Reply, ToolCall
from tests.waiting import eventually

Share = Callable[..., RunnableConfig]

CALLS = Reply(tool_calls=[ToolCall("calculator", {"expression": "1 + 1"})], cost=0.25)


class Spent(Exception):
    """The budget's own error."""

    route: Any = None


class Wallet:
    """A budget that writes down what is asked of it, and refuses after so many calls."""

    errors: tuple[type[Exception], ...] = (Spent,)

    def __init__(self, calls: int = 100, tools: int = 100) -> None:
        self.reserved: list[tuple[int, float]] = []
        self.taken: list[tuple[int, float]] = []
        self._calls, self._tools = calls, tools

    async def reserve(self, tokens: int, dollars: float) -> Settle:
        if len(self.reserved) == self._calls:
            raise Spent
        self.reserved.append((tokens, dollars))

        async def settle(tokens: int, dollars: float) -> None:
            await asyncio.sleep(0)
            self.taken.append((tokens, dollars))

        return settle

    def check_tools(self, calls: int, place: str = "") -> None:
        if calls > self._tools:
            raise Spent


def put_into(config: RunnableConfig, wallet: Wallet) -> None:
    """Share a budget as a server does."""
    config.get("configurable", {})["__everturn"]["budget"] = wallet


@pytest.fixture
def within(models: Models, share: Share) -> Callable[..., Any]:
    """Run the agent within a budget; returns the messages."""

    async def run(wallet: Wallet, *asked: AnyMessage, **choices: Any) -> list[AnyMessage]:
        config = share(models)
        put_into(config, wallet)
        messages = list(asked) or [HumanMessage("hello")]
        context = Context(**choices)
        done = await agent.graph.ainvoke(Input(messages=messages), config, context=context)
        found: list[AnyMessage] = done["messages"]
        return found

    return run


async def test_what_is_set_aside_is_more_than_what_a_call_takes(
    fake_provider: FakeProvider, models: Models, within: Callable[..., Any]
) -> None:
    fake_provider.offer(Offer("model-a", prompt_price="0.001", completion_price="0.01"))
    await models.refresh()
    fake_provider.script("model-a", "word " * 200)
    wallet = Wallet()
    answer = (await within(wallet, max_tokens=1000))[-1]
    ((tokens, dollars),), (taken,) = wallet.reserved, wallet.taken
    assert taken == (answer.usage_metadata["total_tokens"], answer.response_metadata["cost"])
    assert 1000 + taken[0] - answer.usage_metadata["output_tokens"] <= tokens < 4000
    assert dollars == pytest.approx(1000 * 0.01 + (tokens - 1000) * 0.001)
    assert taken[1] < dollars


async def test_an_answer_of_any_length_is_reckoned_as_the_longest_one_may_ask_for(
    fake_provider: FakeProvider, within: Callable[..., Any]
) -> None:
    wallet = Wallet()
    await within(wallet, max_tokens=1000)
    await within(wallet)
    assert wallet.reserved[1][0] - wallet.reserved[0][0] == 3000


async def test_pictures_and_letters_of_any_language_are_reckoned(
    fake_provider: FakeProvider, within: Callable[..., Any]
) -> None:
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 40_000}}
    wallet = Wallet()
    contents: list[Any] = ["hi", "가" * 1000, [{"type": "text", "text": "hi"}, picture]]
    for content in contents:
        await within(wallet, HumanMessage(content))
    plain, korean, pictured = (tokens for tokens, _ in wallet.reserved)
    assert korean - plain == 999
    assert pictured - plain == 1_500


async def test_attempts_that_failed_are_counted_as_far_as_they_came(
    fake_provider: FakeProvider, within: Callable[..., Any]
) -> None:
    fake_provider.script("model-a", Fault(500))
    fake_provider.script("model-b", Reply("", cost=0.25))  # empty, but billed
    fake_provider.script(
        "model-c", Fault("cut", after=3, reply=Reply("one two three four five")), "So."
    )
    wallet = Wallet()
    await within(wallet)
    refused, empty, broken, *_ = wallet.taken
    assert len(wallet.taken) == fake_provider.calls()
    assert refused == (0, 0.0)
    assert empty[1] == 0.25
    assert broken[0] > 50  # its prompt, and the words that came


async def test_without_a_price_of_the_providers_own_the_catalogues_counts(share: Share) -> None:
    with FakeProvider(profile="vllm") as provider:
        provider.script("m", "Four words, no less.")
        settings = BareModelSettings(
            base_url=HttpUrl(provider.url), openai_api_key=SecretStr(KEY), models=["m"]
        )
        async with open_models(settings) as models:
            prices = {"prompt": "0.5", "completion": "2"}
            models.catalogue.update([{"id": "m", "pricing": prices}])
            wallet, config = Wallet(), share(models)
            put_into(config, wallet)
            done = await agent.graph.ainvoke(Input(messages=[HumanMessage("hello")]), config)
    used = done["messages"][-1].usage_metadata
    assert wallet.taken == [
        (used["total_tokens"], 0.5 * used["input_tokens"] + 2 * used["output_tokens"])
    ]


async def test_a_budget_ends_a_run_between_two_calls(
    fake_provider: FakeProvider, within: Callable[..., Any]
) -> None:
    fake_provider.script("model-a", CALLS)
    wallet = Wallet(calls=3)
    with pytest.raises(Spent):
        await within(wallet)
    assert fake_provider.calls() == 3  # and no other model is asked
    assert [dollars for _, dollars in wallet.taken] == [0.25] * 3


async def test_a_refusal_says_which_models_have_failed_before(
    fake_provider: FakeProvider, within: Callable[..., Any]
) -> None:
    fake_provider.script("model-a", Fault(500))
    with pytest.raises(Spent) as caught:
        await within(Wallet(calls=1))
    assert [each["model"] for each in caught.value.route["tried"]] == ["model-a"]
    assert fake_provider.calls() == 1


@pytest.mark.clock
async def test_a_call_that_is_broken_off_is_counted(
    fake_provider: FakeProvider, models: Models, share: Share
) -> None:
    fake_provider.script("model-a", Fault("stall", after=2, reply=Reply("one two three")))
    wallet, config = Wallet(), share(models)
    put_into(config, wallet)
    asked = Input(messages=[HumanMessage("hello")])
    async for _ in agent.graph.astream(asked, config, stream_mode="messages"):
        break  # a word has come; the node is cancelled
    ((tokens, _),) = await eventually(lambda: wallet.taken)
    assert tokens > 0


async def test_a_turn_calls_so_many_tools_and_no_more(
    fake_provider: FakeProvider, within: Callable[..., Any]
) -> None:
    twice = Reply(tool_calls=[CALLS.tool_calls[0], ToolCall("calculator", {"expression": "2 + 2"})])
    fake_provider.script("model-a", CALLS, twice, "Done.")
    assert (await within(Wallet(tools=3)))[-1].text == "Done."
    fake_provider.script("model-a", CALLS, twice, "Done.")
    with pytest.raises(Spent):
        await within(Wallet(tools=2))


async def test_providers_are_asked_to_count(
    fake_provider: FakeProvider, within: Callable[..., Any]
) -> None:
    await within(Wallet(), stream_usage=False)
    assert fake_provider.requests[-1].counts_tokens


async def test_the_offline_model_takes_nothing(
    fake_provider: FakeProvider, within: Callable[..., Any]
) -> None:
    fake_provider.script("*", Fault(402))
    wallet = Wallet()
    assert (await within(wallet))[-1].response_metadata["route"]["mode"] == "offline"
    assert len(wallet.reserved) == fake_provider.calls()
    assert all(taken == (0, 0.0) for taken in wallet.taken)

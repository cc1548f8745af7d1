"""Whoever folds the stream and obeys its resets has the final state: for all faults and cuts."""

import asyncio
from collections.abc import Iterator
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, AIMessageChunk, AnyMessage, HumanMessage
from langchain_core.runnables import RunnableConfig
from pydantic import HttpUrl, SecretStr

from everturn.graph import agent
from everturn.graph.context import Context
from everturn.graph.errors import RequestRefused
from everturn.graph.models.provider import open_models
from everturn.graph.services import Services
from everturn.graph.state import Input
from tests.graph.conftest import CHAIN, BareModelSettings
from tests.provider import KEY, FakeProvider, Fault, Reply, ToolCall
from tests.provider.script import FaultName

pytestmark = pytest.mark.slow

_STATUSES = (404, 408, 429, 500, 529)
_CALLS = [ToolCall("calculator", {"expression": "17 * 3"}), ToolCall("calculator", {"x": 1})]

replies = st.builds(
    Reply,
    text=st.text("ab é한\n", max_size=30),
    tool_calls=st.lists(st.sampled_from(_CALLS), max_size=2),
)
faults = st.builds(
    Fault,
    st.sampled_from([*_STATUSES, *get_args(FaultName)]),
    after=st.integers(0, 8),
    reply=st.none() | replies,
)
scripts = st.lists(
    st.lists(faults | replies, min_size=1, max_size=4), min_size=len(CHAIN), max_size=len(CHAIN)
)


@pytest.fixture(scope="module")
def provider() -> Iterator[FakeProvider]:
    with FakeProvider() as running:
        yield running


class Fold:
    """What a client has on its screen."""

    def __init__(self) -> None:
        self.shown: dict[str, AIMessageChunk] = {}

    def take(self, mode: str, data: Any) -> None:
        if mode == "custom" and data["type"] == "reset":
            taken_back = self.shown.pop(data["message_id"])
            assert len(taken_back.text) == data["chars"]
        elif mode == "messages" and isinstance(data[0], AIMessageChunk):
            before = self.shown.get(str(data[0].id))
            self.shown[str(data[0].id)] = before + data[0] if before else data[0]
        elif mode == "messages" and isinstance(data[0], AIMessage):  # shown at once
            whole = AIMessageChunk(content=data[0].content, tool_calls=data[0].tool_calls)
            self.shown[str(data[0].id)] = whole

    def said(self) -> list[tuple[str, list[Any]]]:
        """Text and tool calls, but for what has neither."""
        each = [(m.text, [(c["name"], c["args"]) for c in m.tool_calls]) for m in self._messages()]
        return [(text, calls) for text, calls in each if text or calls]

    def _messages(self) -> list[AIMessageChunk]:
        return list(self.shown.values())


async def _run(provider: FakeProvider, policy: Any) -> tuple[Fold, list[AnyMessage]]:
    made = BareModelSettings(
        base_url=HttpUrl(provider.url),
        openai_api_key=SecretStr(KEY),
        models=list(CHAIN),
        first_token_timeout=0.05,
        stall_timeout=0.05,
    )
    fold, final = Fold(), list[AnyMessage]()
    async with open_models(made) as models:
        config: RunnableConfig = {"configurable": {"__everturn": Services(models=models)}}
        async for mode, data in agent.graph.astream(
            Input(messages=[HumanMessage("Hello there")]),
            config,
            context=Context(stream_policy=policy, max_tool_rounds=3),
            stream_mode=["messages", "custom", "values"],
        ):
            if mode == "values":
                assert isinstance(data, dict)
                final = data["messages"]
            fold.take(str(mode), data)
    return fold, final


@settings(max_examples=30)
@given(script=scripts, policy=st.sampled_from(["restart", "buffer"]))
def test_a_folded_stream_is_the_final_state(
    provider: FakeProvider, script: list[list[Fault | Reply]], policy: str
) -> None:
    for model, steps in zip(CHAIN, script, strict=True):
        provider.script(model, *steps, "The end.")
    try:
        fold, final = asyncio.run(_run(provider, policy))
    except RequestRefused:
        return  # two models agreed: there is no final state
    said = [m for m in final if isinstance(m, AIMessage)]
    assert fold.said() == [
        (m.text, [(call["name"], call["args"]) for call in m.tool_calls]) for m in said
    ]
    assert len({m.id for m in said}) == len(said)

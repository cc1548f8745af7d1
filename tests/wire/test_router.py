"""Every fault of every provider: known for what it is, and answered by another model."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from langchain_core.messages import HumanMessage
from pydantic import HttpUrl, SecretStr

from everturn.graph import agent
from everturn.graph.context import Context
from everturn.graph.models.call import Call
from everturn.graph.models.failures import Failure, failure_of
from everturn.graph.models.provider import Models, open_models
from everturn.graph.state import Input
from tests.graph.conftest import BareModelSettings
from tests.graph.models.test_failures import DEADLINES, TABLE
from tests.provider import KEY, FakeProvider, Fault, chaos
from tests.provider.profiles import NAMES
from tests.provider.script import FaultName

pytestmark = pytest.mark.slow

CHAIN = ["model-a", "model-b", "model-c"]
SILENT = ("silent", "stall", "keepalive")
NAMELESS = {"ollama": "unavailable", "lmstudio": "malformed"}
"""What an error inside a 200 is taken for where it does not say of what kind it is."""


@asynccontextmanager
async def opened(profile: str, **settings: Any) -> AsyncIterator[tuple[FakeProvider, Models]]:
    """A provider, and models of it under generous deadlines."""
    with FakeProvider(profile=profile) as provider:
        chosen: dict[str, Any] = {
            "base_url": HttpUrl(provider.url),
            "openai_api_key": SecretStr(KEY),
            "models": CHAIN,
            "first_token_timeout": 60.0,
            "stall_timeout": 60.0,
        }
        async with open_models(BareModelSettings(**{**chosen, **settings})) as models:
            yield provider, models
        assert provider.keyless == []


async def _failure(models: Models, name: str, *, stream: bool) -> Failure | None:
    call, model = Call(), models.network_model(name)
    try:
        if stream:
            _ = [chunk async for chunk in model.astream("hello", call=call)]
        else:
            await model.ainvoke("hello", call=call)
    except Exception as error:
        return failure_of(error, midway=call.answer.started)
    return None


async def _kinds(profile: str, table: list[tuple[Fault, str]], **settings: Any) -> list[Any]:
    """What each fault is taken for; half of the answers are streamed."""
    async with opened(profile, **settings) as (provider, models):
        for number, (fault, _) in enumerate(table):
            provider.script(f"m{number}", fault)
        found = await asyncio.gather(
            *(
                _failure(models, f"m{number}", stream=bool(number % 2))
                for number in range(len(table))
            )
        )
    return [failure and failure.kind for failure in found]


def _expected(profile: str, table: list[tuple[Fault, str]]) -> list[str]:
    nameless = NAMELESS.get(profile)
    return [
        nameless if nameless and str(fault.kind).startswith("error_in") else kind
        for fault, kind in table
    ]


@pytest.mark.parametrize("profile", NAMES)
async def test_a_fault_is_known_for_what_it_is(profile: str) -> None:
    table = [(fault, kind) for fault, kind in TABLE if fault.kind not in SILENT]
    assert await _kinds(profile, table) == _expected(profile, table)


async def test_silence_is_known_for_what_it_is() -> None:
    """All of them side by side, since what takes time here is the silence."""
    for kind, deadlines in DEADLINES.items():
        table = [(fault, known) for fault, known in TABLE if known == kind]
        found = await asyncio.gather(*(_kinds(profile, table, **deadlines) for profile in NAMES))
        assert dict(zip(NAMES, found, strict=True)) == {
            profile: _expected(profile, table) for profile in NAMES
        }


@pytest.mark.parametrize("profile", NAMES)
async def test_a_limit_is_read_where_the_provider_writes_it(profile: str) -> None:
    waits = [Fault(429, retry_after=70), Fault(429, reset_after=70)]
    async with opened(profile) as (provider, models):
        for fault in waits:
            provider.script("m", fault)
            failure = await _failure(models, "m", stream=True)
            assert failure is not None
            said = provider.profile.limits(fault) or "retryDelay" in str(
                provider.profile.failure(fault, 429, provider.requests[-1])
            )
            assert failure.kind == "rate_limited"
            assert failure.retry_after == (pytest.approx(70, abs=30) if said else None)


async def _answer(models: Models, text: str, *, stream: bool) -> tuple[str, str]:
    """What is answered, and what is shown of it on the way."""
    config: Any = {"configurable": {"__everturn": {"models": models}}}
    asked = Input(messages=[HumanMessage(text)])
    if not stream:
        done = await agent.graph.ainvoke(asked, config, context=Context())
        return done["messages"][-1].text, done["messages"][-1].text
    shown: dict[str, str] = {}
    values: Any = {}
    parts: Any = agent.graph.astream(
        asked, config, context=Context(), stream_mode=["messages", "custom", "values"]
    )
    async for mode, data in parts:
        if mode == "messages" and data[0].type in {"ai", "AIMessageChunk"}:
            shown[data[0].id] = shown.get(data[0].id, "") + data[0].text
        elif mode == "custom" and isinstance(data, dict) and data["type"] == "reset":
            shown.pop(data["message_id"], None)
        elif mode == "values":
            values = data
    return values["messages"][-1].text, "".join(shown.values())


@pytest.mark.parametrize("profile", NAMES)
async def test_in_chaos_every_turn_gets_a_whole_answer(profile: str) -> None:
    """Of the calls 30 % fail, in the ways in which a provider fails that are no one's fault."""
    faults: list[int | FaultName] = [
        429,
        500,
        503,
        "cut",
        "reset",
        "error_in_200",
        "error_in_stream",
    ]
    async with opened(profile) as (provider, models):
        provider.script("*", chaos(0.3, *faults, seed=7))
        texts = [f"one two three {number}" for number in range(24)]
        answers = await asyncio.gather(
            *(_answer(models, text, stream=bool(n % 2)) for n, text in enumerate(texts))
        )
    assert answers == [(f"You said: {text}",) * 2 for text in texts]
    assert sum(isinstance(request.served, Fault) for request in provider.requests) > 5

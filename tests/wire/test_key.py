"""Every request to a provider carries its key, however it comes to be sent."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from langchain_core.messages import HumanMessage
from pydantic import HttpUrl, SecretStr

from everturn.graph import agent
from everturn.graph.context import Context
from everturn.graph.models import settings as model_settings
from everturn.graph.models.provider import Models, open_models
from everturn.graph.state import Input
from tests.graph.conftest import BareModelSettings
from tests.provider import KEY, FakeProvider, Fault

CHAIN = ["model-a", "model-b"]


@pytest.fixture(params=["OPENAI_API_KEY", "OPENROUTER_API_KEY"])
async def models(
    request: pytest.FixtureRequest, fake_provider: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Models]:
    """Models whose key comes from one of the two settings."""
    url = HttpUrl(fake_provider.url)
    chosen: dict[str, Any] = {"base_url": url, "openai_api_key": SecretStr(KEY)}
    if request.param == "OPENROUTER_API_KEY":
        monkeypatch.setattr(model_settings, "OPENROUTER", url)
        chosen = {"openrouter_api_key": SecretStr(KEY)}
    made = BareModelSettings(
        **chosen, models=CHAIN, first_token_timeout=30.0, stall_timeout=30.0, hedge_after=0.05
    )
    async with open_models(made) as opened:
        yield opened


async def _answer(models: Models, text: str = "hello") -> dict[str, Any]:
    config: Any = {"configurable": {"__everturn": {"models": models}}}
    asked = Input(messages=[HumanMessage(text)])
    done = await agent.graph.ainvoke(asked, config, context=Context())
    route: dict[str, Any] = done["messages"][-1].response_metadata["route"]
    return route


def _checked(provider: FakeProvider, calls: int) -> None:
    given = [request.headers.get("authorization") for request in provider.requests]
    assert given == [f"Bearer {KEY}"] * calls
    assert provider.keyless == []


async def test_an_answer_that_is_waited_for(models: Models, fake_provider: FakeProvider) -> None:
    answer = await models.network_model("model-a").ainvoke("hello")
    assert answer.text == "You said: hello"
    _checked(fake_provider, 1)


async def test_an_answer_that_is_streamed(models: Models, fake_provider: FakeProvider) -> None:
    stream = models.network_model("model-a").astream("hello")
    assert "".join([chunk.text async for chunk in stream]) == "You said: hello"
    _checked(fake_provider, 1)


async def test_the_rival_of_a_model_that_is_silent(
    models: Models, fake_provider: FakeProvider
) -> None:
    fake_provider.script("model-a", Fault("silent"))
    assert (await _answer(models))["model"] == "model-b"
    _checked(fake_provider, 2)


async def test_a_model_that_is_tried_again_after_a_pause(
    models: Models, fake_provider: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_provider.script("model-a", Fault("reset"), "Back.")
    assert (await _answer(models))["model"] == "model-b"
    now = models.breaker._clock()
    monkeypatch.setattr(models.breaker, "_clock", lambda: now + 3600)
    assert (await models.breaker.view())["model-a"].state == "half_open"
    assert (await _answer(models))["model"] == "model-a"
    _checked(fake_provider, 3)


async def test_the_list_of_models(models: Models, fake_provider: FakeProvider) -> None:
    fake_provider.script("model-a", "Hello.")
    assert await models.refresh() == 1
    _checked(fake_provider, 0)

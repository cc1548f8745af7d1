"""The graph by itself: no server, a fake provider on loopback."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from langchain_core.runnables import RunnableConfig

from graph.models.provider import Models, open_models
from graph.models.settings import ModelSettings
from graph.services import Services
from tests.provider import FakeProvider

CHAIN = ("model-a", "model-b", "model-c")


def model_settings(**values: Any) -> ModelSettings:
    """Settings that no `.env` of the developer reaches."""
    return ModelSettings(_env_file=None, **values)


@pytest.fixture
async def models(fake_provider: FakeProvider) -> AsyncIterator[Models]:
    """Three models of the fake provider, in order."""
    settings = model_settings(
        base_url=fake_provider.url, openai_api_key="sk-test", models=list(CHAIN), stall_timeout=1.0
    )
    async with open_models(settings) as opened:
        yield opened


@pytest.fixture
def lend() -> Callable[[Models], RunnableConfig]:
    """Make the config with which a server lends its models to a run."""

    def config(models: Models) -> RunnableConfig:
        return {"configurable": {"__everturn": Services(models=models)}}

    return config

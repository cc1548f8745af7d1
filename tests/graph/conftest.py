"""The graph by itself: no server, a fake provider on loopback."""

from collections.abc import AsyncIterator, Callable

import pytest
from langchain_core.runnables import RunnableConfig
from pydantic import HttpUrl, SecretStr
from pydantic_settings import SettingsConfigDict

from everturn.graph.models.provider import Models, open_models
from everturn.graph.models.settings import ModelSettings
from everturn.graph.services import Services
from tests.provider import KEY, FakeProvider

CHAIN = ("model-a", "model-b", "model-c")


class BareModelSettings(ModelSettings):
    """Settings that no `.env` of the developer reaches."""

    model_config = SettingsConfigDict(env_file=None)


@pytest.fixture
async def models(fake_provider: FakeProvider) -> AsyncIterator[Models]:
    """Three models of the fake provider, in order."""
    settings = BareModelSettings(
        base_url=HttpUrl(fake_provider.url),
        openai_api_key=SecretStr(KEY),
        models=list(CHAIN),
    )
    async with open_models(settings) as opened:
        yield opened


@pytest.fixture
def share() -> Callable[..., RunnableConfig]:
    """Make the config with which a server shares its models with a run."""

    def config(models: Models, **configurable: str) -> RunnableConfig:
        return {"configurable": {"__everturn": Services(models=models), **configurable}}

    return config

"""Two processes, one Redis: what one has learned of a dead model, the other need not."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest
from langchain_core.messages import HumanMessage
from pydantic import HttpUrl, SecretStr
from redis.asyncio import Redis

from everturn.checkpoints.shared.circuits import RedisCircuits
from everturn.graph import agent
from everturn.graph.models import circuits
from everturn.graph.models.provider import open_models
from everturn.graph.services import Services
from everturn.graph.state import Input
from tests.graph.conftest import CHAIN, BareModelSettings
from tests.provider import KEY, FakeProvider, Fault
from tests.service import ROOT
from tests.waiting import PATIENCE


async def turn(provider_url: str, redis_url: str, prefix: str) -> dict[str, Any]:
    """Run one turn in a process of its own, as it were: nothing is known but what Redis holds."""
    settings = BareModelSettings(
        base_url=HttpUrl(provider_url), openai_api_key=SecretStr(KEY), models=list(CHAIN)
    )
    async with Redis.from_url(redis_url) as redis:
        shared = RedisCircuits(redis, settings.account, prefix)
        async with open_models(settings, shared) as models:
            done = await agent.graph.ainvoke(
                Input(messages=[HumanMessage("hello")]),
                {"configurable": {"__everturn": Services(models=models)}},
            )
    route: dict[str, Any] = done["messages"][-1].response_metadata["route"]
    return route


def _elsewhere(*arguments: str) -> dict[str, Any]:
    ran = subprocess.run(
        [sys.executable, "-c", f"from {__name__} import main; main()", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=True,
    )
    route: dict[str, Any] = json.loads(ran.stdout.splitlines()[-1])
    return route


def main() -> None:
    """Print the route of one turn."""
    from everturn.graph.models import provider

    provider.ALLOW_NETWORK_MODELS = False
    print(json.dumps(asyncio.run(turn(*sys.argv[1:]))))


@pytest.fixture
async def prefix() -> AsyncIterator[str]:
    name = f"test-{uuid4().hex}"
    yield name
    async with Redis.from_url(os.environ["TEST_REDIS_URL"]) as redis:
        async for key in redis.scan_iter(f"{{{name}:*"):
            await redis.delete(key)


async def test_a_dead_model_is_dead_for_both(
    fake_provider: FakeProvider, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("_COOL", "_MAX_COOL"):  # longer than the start of the other process may take
        monkeypatch.setattr(circuits, name, 600.0)
    fake_provider.script("model-a", Fault("reset"))
    where = fake_provider.url, os.environ["TEST_REDIS_URL"], prefix
    first = await turn(*where)
    assert [attempt["failure"] for attempt in first["tried"]] == ["unreachable"]
    second = await asyncio.to_thread(_elsewhere, *where)
    assert (second["model"], second["tried"]) == ("model-b", [])
    assert fake_provider.calls("model-a") == 1


async def test_a_redis_that_is_down_costs_no_answer(fake_provider: FakeProvider) -> None:
    fake_provider.script("model-a", Fault("reset"))
    route = await turn(fake_provider.url, "redis://127.0.0.1:1", "nobody")
    assert route["model"] == "model-b"

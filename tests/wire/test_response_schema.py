"""A schema for the answer, at every provider: sent as it takes it, or said in words."""

import json
from typing import Any

import pytest
from langchain_core.messages import HumanMessage
from pydantic import HttpUrl, SecretStr

from everturn.graph import agent
from everturn.graph.context import Context
from everturn.graph.models.provider import open_models
from everturn.graph.state import Input
from tests.graph.conftest import BareModelSettings
from tests.provider import KEY, FakeProvider
from tests.provider.profiles import NAMES

CLOSED = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
OPEN = {"type": "object", "properties": {"city": {"type": "string", "minLength": 2}}}
LIST = {"type": "array", "items": {"type": "string"}}
IN_WORDS = {"deepseek", "llamacpp", "gemini", "groq"}
"""They take no schema, or none beside tools."""


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("profile", NAMES)
async def test_every_provider_is_asked_as_it_takes_it(profile: str, *, stream: bool) -> None:
    with FakeProvider(profile=profile) as provider:
        settings = BareModelSettings(
            base_url=HttpUrl(provider.url), openai_api_key=SecretStr(KEY), models=["model-a"]
        )
        async with open_models(settings) as models:
            for schema, value in ((CLOSED, {"city": "Seoul"}), (OPEN, {}), (LIST, ["Seoul"])):
                provider.script("model-a", json.dumps(value))
                for _ in range(2):
                    answer = await _answer(models, schema, stream=stream)
                    assert answer.response_metadata["parsed"] == value
                    assert answer.response_metadata["route"]["tried"] == []
                body = provider.requests[-1].body
                in_words = profile in IN_WORDS or schema is LIST
                assert ("response_format" in body) != in_words
                assert (json.dumps(schema) in str(body["messages"][0]["content"])) == in_words
        refused = [request.refused for request in provider.requests if request.refused]
        assert len([said for said in refused if "chema" in said or "ormat" in said]) <= 1


async def _answer(models: Any, schema: dict[str, Any], *, stream: bool) -> Any:
    config: Any = {"configurable": {"__everturn": {"models": models}}}
    asked, context = Input(messages=[HumanMessage("Which?")]), Context(response_schema=schema)
    if not stream:
        done = await agent.graph.ainvoke(asked, config, context=context)
        return done["messages"][-1]
    last: Any = None
    parts: Any = agent.graph.astream(
        asked, config, context=context, stream_mode=["messages", "values"]
    )
    async for mode, data in parts:
        last = data if mode == "values" else last
    return last["messages"][-1]

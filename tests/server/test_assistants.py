"""Assistants as LangGraph's own SDK finds them."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest
from langgraph_sdk import get_client
from langgraph_sdk.client import LangGraphClient
from langgraph_sdk.errors import NotFoundError

from tests.service import Client

AGENT = "fe096781-5601-53d2-b2f6-0d3403f7e9ca"  # on every server: uuid5 of the graph's name


@pytest.fixture
async def sdk(client: Client) -> AsyncIterator[LangGraphClient]:
    opened = get_client(url=str(client.base_url))
    yield opened
    await opened.aclose()


async def test_each_graph_has_an_assistant(sdk: LangGraphClient) -> None:
    found = await sdk.assistants.search(metadata={"created_by": "system"})
    assert {each["graph_id"] for each in found} == {"agent", "chat", "simple"}
    assert [each["assistant_id"] for each in found if each["graph_id"] == "agent"] == [AGENT]
    assert await sdk.assistants.count(graph_id="chat") == 1
    assert await sdk.assistants.search(metadata={"created_by": "nobody"}) == []
    assert [each["name"] for each in await sdk.assistants.search(name="SIM")] == ["simple"]
    page = await sdk.assistants.search(limit=1, offset=1, sort_by="name", sort_order="asc")
    assert [each["name"] for each in page] == ["chat"]


async def test_by_id_and_by_name(sdk: LangGraphClient) -> None:
    assert await sdk.assistants.get(AGENT) == await sdk.assistants.get("agent")
    for unknown in (str(uuid4()), "nobody"):
        with pytest.raises(NotFoundError, match="agent, chat, simple"):
            await sdk.assistants.get(unknown)


async def test_the_graph_is_drawn(sdk: LangGraphClient) -> None:
    drawn = await sdk.assistants.get_graph("agent", xray=True)
    nodes = {node["id"] for node in drawn["nodes"]}
    assert nodes >= {"__start__", "model", "tools", "fallback_router", "offline", "stop"}
    assert {"source": "__start__", "target": "model"} in drawn["edges"]


async def test_schemas(sdk: LangGraphClient) -> None:
    schemas: Any = await sdk.assistants.get_schemas("agent")
    assert schemas["graph_id"] == "agent"
    for name in ("input_schema", "output_schema", "state_schema"):
        assert "messages" in schemas[name]["properties"], name
    assert "use_fallback" in schemas["context_schema"]["properties"]
    assert await sdk.assistants.get_subgraphs("agent") == {}

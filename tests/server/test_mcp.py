"""Tools of an MCP server, used by the agent over the chat API."""

import os
import re
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import HttpUrl

from everturn.tools.kit.mcp.settings import McpServer
from tests.provider import KEY, FakeProvider, Reply, Request, ToolCall
from tests.service import Client, serving
from tests.waiting import eventually_sync

pytestmark = pytest.mark.slow

WORLD = str(Path(__file__).parents[1] / "tools" / "kit" / "mcp" / "world.py")


def say_results(request: Request) -> Reply:
    """Answer with what the last tool said."""
    return Reply(text=str(request.messages[-1]["content"]))


def source(client: Client) -> dict[str, Any]:
    found: dict[str, Any] = client.get("/api/tools").json()["sources"][0]
    return found


def wait_until_healthy(client: Client) -> None:
    eventually_sync(lambda: source(client)["health"] == "healthy")


def test_a_server_that_is_killed_in_mid_conversation(
    data_dir: Path, fake_provider: FakeProvider
) -> None:
    pid = Reply(tool_calls=[ToolCall("world_pid", {})])
    servers = {"world": McpServer(command=sys.executable, args=[WORLD])}
    with serving(
        data_dir,
        base_url=HttpUrl(fake_provider.url),
        openai_api_key=KEY,
        models=["model-a"],
        mcp_servers=servers,
    ) as client:
        wait_until_healthy(client)
        names = {tool["name"] for tool in client.get("/api/tools").json()["tools"]}
        assert names >= {"world_greet", "calculator"}
        fake_provider.script("model-a", pid, say_results)
        first = client.ask("Who are you?")
        assert first["tools_used"] == ["world_pid"]
        os.kill(int(first["response"]), signal.SIGKILL)

        fake_provider.script("model-a", pid, say_results)
        meanwhile = client.ask("And now?", first["session_id"])
        assert meanwhile["response"]  # an answer, whatever became of the tool

        wait_until_healthy(client)
        fake_provider.script("model-a", pid, say_results)
        after = client.ask("And again?", first["session_id"])
        assert after["response"] not in {"", first["response"]}
        assert after["tools_used"] == ["world_pid"]


def test_a_server_that_goes_while_its_call_waits_to_be_approved(
    data_dir: Path, fake_provider: FakeProvider, tmp_path: Path
) -> None:
    once = f"mkdir {tmp_path}/started && exec {sys.executable} {WORLD}"
    asks_who = Reply(tool_calls=[ToolCall("world_pid", {})])
    greet = ToolCall("world_greet", {"name": "Ada"})
    calculate = ToolCall("calculator", {"expression": "6 * 7"})
    with serving(
        data_dir,
        base_url=HttpUrl(fake_provider.url),
        openai_api_key=KEY,
        models=["model-a"],
        mcp_servers={"world": McpServer(command="sh", args=["-c", once])},
        approve_tools=["*_greet", "calculator"],
    ) as client:
        wait_until_healthy(client)
        fake_provider.script("model-a", asks_who, say_results)
        running = int(client.ask("Who are you?")["response"])
        fake_provider.script("model-a", Reply(tool_calls=[greet, calculate]), say_results)
        waits = client.ask("Greet Ada", tools=["world_greet", "calculator"])
        assert [call["name"] for call in waits["calls"]] == ["world_greet", "calculator"]
        os.kill(running, signal.SIGKILL)
        fake_provider.script("model-a", asks_who, say_results)
        assert "went away" in client.ask("Who are you now?")["response"]
        eventually_sync(lambda: source(client)["health"] != "healthy")
        fake_provider.script("model-a", say_results)
        approve = [{"id": call["id"], "type": "approve"} for call in waits["calls"]]
        path = f"/api/chat/session/{waits['session_id']}/resume"
        done = client.post(path, json={"decisions": approve})
        assert done.status_code == 200, done.text
        assert "42" in done.json()["response"]


def test_tools_with_names_and_schemas_that_providers_refuse(
    data_dir: Path, fake_provider: FakeProvider
) -> None:
    odd = WORLD.replace("world.py", "odd_world.py")
    with serving(
        data_dir,
        base_url=HttpUrl(fake_provider.url),
        models=["model-a"],
        openai_api_key="sk-test",
        mcp_servers={"odd": McpServer(command=sys.executable, args=[odd])},
        approve_tools=["odd_files.*"],
    ) as client:
        wait_until_healthy(client)
        client.ask("What is there?")
        offered = fake_provider.requests[-1].tools
        assert len([name for name in offered if name.startswith("odd_")]) == 7
        for name, function in offered.items():
            assert re.fullmatch("[A-Za-z_][A-Za-z0-9_-]{0,63}", name)
            assert function["parameters"]["type"] == "object"
            assert isinstance(function["parameters"]["properties"], dict)
            assert not {"$ref", "$defs", "anyOf"} & function["parameters"].keys()
            assert "$ref" not in str(function["parameters"])
        for name in [name for name in offered if name.startswith("odd_") and "read" not in name]:
            step = Reply(tool_calls=[ToolCall(name, {"it": 1})])
            fake_provider.script("model-a", step, say_results)
            assert client.ask("Call it")["response"].endswith(' {"it": 1}')

        # Everywhere but on the wire the tool has its own name.
        own = "odd_files.read/v1"
        (wire,) = (name for name in offered if name.startswith("odd_files"))
        read = Reply(tool_calls=[ToolCall(wire, {"path": "/x"})])
        fake_provider.script("model-a", read, say_results)
        waits = client.ask("Read it", tools=[own])
        assert [call["name"] for call in waits["calls"]] == [own]
        path = f"/api/chat/session/{waits['session_id']}/resume"
        decisions = [{"id": waits["calls"][0]["id"], "type": "approve"}]
        done = client.post(path, json={"decisions": decisions}).json()
        assert done["response"] == 'files.read/v1 {"path": "/x"}'
        assert done["tools_used"] == [own]
        asked = fake_provider.requests[-1].messages[-2]
        assert asked["tool_calls"][0]["function"]["name"] == wire
        tools = {tool["name"]: tool for tool in client.get("/api/tools").json()["tools"]}
        assert (tools[own]["calls"], tools[own]["approval"]) == (1, True)
        assert f'tool_calls_total{{status="success",tool="{own}"}}' in client.get("/metrics").text

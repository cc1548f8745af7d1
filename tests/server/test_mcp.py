"""Tools of an MCP server, used by the agent over the chat API."""

import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from pydantic import HttpUrl

from tests.provider import FakeProvider, Reply, Request, ToolCall
from tests.service import Client, serving
from tools.kit.mcp.settings import McpServer

WORLD = str(Path(__file__).parents[1] / "tools" / "kit" / "mcp" / "world.py")


def say_results(request: Request) -> Reply:
    """Answer with what the last tool said."""
    return Reply(text=str(request.messages[-1]["content"]))


def source(client: Client) -> dict[str, Any]:
    found: dict[str, Any] = client.get("/api/tools").json()["sources"][0]
    return found


def wait_until_healthy(client: Client) -> None:
    for _ in range(400):
        if source(client)["health"] == "healthy":
            return
        time.sleep(0.05)
    raise AssertionError(source(client))


def test_a_server_that_is_killed_in_mid_conversation(
    data_dir: Path, fake_provider: FakeProvider
) -> None:
    pid = Reply(tool_calls=[ToolCall("world_pid", {})])
    servers = {"world": McpServer(command=sys.executable, args=[WORLD])}
    with serving(
        data_dir,
        base_url=HttpUrl(fake_provider.url),
        models=["model-a"],
        openai_api_key="sk-test",
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

"""A server of tools that is out to harm: its lists, its schemas and its results cost one answer."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from everturn.tools.kit.mcp.settings import McpServer
from tests.hostile.turns import DOORS, Rig, rig
from tests.provider import Reply, ToolCall
from tests.tools.kit.mcp.hostile_world import NAMES, RESULTS, SCHEMAS
from tests.waiting import eventually_sync

pytestmark = pytest.mark.slow

WORLD = str(Path(__file__).parents[1] / "tools" / "kit" / "mcp" / "hostile_world.py")


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    servers = {"w": McpServer(command=sys.executable, args=[WORLD])}
    with rig(
        tmp_path_factory.mktemp("tools") / "data", mcp_servers=servers, turn_timeout=30.0
    ) as it:
        eventually_sync(lambda: it.client.get("/api/tools").json()["sources"][0]["tools"])
        yield it


def test_what_it_lists_is_bounded_and_can_be_offered(running: Rig) -> None:
    listed = running.client.get("/api/tools").json()["tools"]
    ours = [tool for tool in listed if tool["origin"] == "mcp:w"]
    assert len(SCHEMAS) < len(ours) <= 128
    assert not {"w_large"} & {tool["name"] for tool in ours}
    running.take("message", ["fine"])
    running.behave("fine")
    running.client.ask("hi")
    offered = running.provider.requests[-1].tools
    assert all(0 < len(name) <= 64 for name in offered)
    assert len(json.dumps(list(offered.values()))) < 2_000_000
    assert "passwd" not in json.dumps(list(offered.values()))


@pytest.mark.parametrize("name", [*SCHEMAS, *NAMES, *RESULTS])
def test_whatever_it_answers_the_thread_goes_on(running: Rig, name: str) -> None:
    door = DOORS[len(name) % len(DOORS)]
    args: dict[str, Any] = {"__everturn": {}, "config": {"configurable": {}}, "state": []}
    running.take(door, [Reply(tool_calls=[ToolCall(f"w_{name}", args)]), "done"])

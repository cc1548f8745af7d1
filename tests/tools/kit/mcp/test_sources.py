"""Tools of real MCP servers: processes on stdio, and one that listens on loopback."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from langchain_core.tools import ToolException
from pydantic import ValidationError
from pydantic_settings import SettingsConfigDict

from everturn.tools.kit.mcp import sources
from everturn.tools.kit.mcp.settings import McpSettings
from everturn.tools.kit.mcp.sources import McpServerLost, McpSource, open_mcp
from tests.checkpoints.redis.servers import free_ports
from tests.waiting import PATIENCE, eventually

pytestmark = pytest.mark.clock

WORLD = str(Path(__file__).with_name("world.py"))


class BareMcpSettings(McpSettings):
    model_config = SettingsConfigDict(env_file=None)


def stdio(**more: Any) -> dict[str, Any]:
    return {"command": sys.executable, "args": [WORLD], **more}


@asynccontextmanager
async def connected(
    servers: dict[str, Any], patience: float = PATIENCE
) -> AsyncIterator[list[McpSource]]:
    settings = BareMcpSettings(mcp_servers=servers, mcp_timeout=patience)
    async with open_mcp(settings) as sources:
        yield list(sources)


async def call(source: McpSource, name: str, /, **args: Any) -> str:
    tool = next(tool for tool in source.tools() if tool.name == name)
    answer = await tool.ainvoke({"type": "tool_call", "id": "1", "name": name, "args": args})
    return str(answer.text)


@pytest.fixture(params=["stdio", "http"])
async def source(request: pytest.FixtureRequest) -> AsyncIterator[McpSource]:
    if request.param == "stdio":
        async with connected({"world": stdio()}) as (opened,):
            await eventually(lambda: bool(opened.tools()))
            yield opened
        return
    port = free_ports(1)[0]
    started = subprocess.Popen([sys.executable, WORLD, str(port)])
    try:
        async with connected({"world": {"url": f"http://127.0.0.1:{port}/mcp"}}) as (opened,):
            await eventually(lambda: bool(opened.tools()))
            yield opened
    finally:
        started.kill()
        started.wait()


async def test_tools_are_called_by_the_server_s_name_and_theirs(source: McpSource) -> None:
    assert source.name == "mcp:world"
    assert source.health().status == "healthy"
    assert await call(source, "world_greet", name="Ada") == "Hello, Ada!"
    greet = next(tool for tool in source.tools() if tool.name == "world_greet")
    assert greet.description == "Greet somebody."
    answers = await asyncio.gather(
        *(call(source, "world_greet", name=str(number)) for number in range(20))
    )
    assert answers == [f"Hello, {number}!" for number in range(20)]


async def test_a_tool_that_fails_is_told(source: McpSource) -> None:
    assert "as told" in await call(source, "world_fail")
    assert source.health().status == "healthy"


async def test_new_tools_are_found(source: McpSource) -> None:
    before = source.tools()
    await call(source, "world_learn")
    await eventually(lambda: source.tools() is not before)
    assert await call(source, "world_learned") == "new"


async def test_a_call_can_be_given_up(source: McpSource) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await call(source, "world_sleep", seconds=3600)
    assert await call(source, "world_greet", name="Ada") == "Hello, Ada!"


async def test_a_server_that_is_busy_with_a_call_is_not_taken_for_dead(
    source: McpSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, seconds in (("_WATCH_SECONDS", 0.2), ("_PING_SECONDS", 0.2), ("_PONG_SECONDS", 2)):
        monkeypatch.setattr(sources, name, seconds)
    running = await call(source, "world_pid")
    assert await call(source, "world_block", seconds=4.5) == "done"
    assert source.health().status == "healthy"
    assert await call(source, "world_pid") == running


async def test_a_server_that_dies_in_a_call_comes_back() -> None:
    async with connected({"world": stdio()}) as (source,):
        await eventually(lambda: bool(source.tools()))
        running = int(await call(source, "world_pid"))
        waiting = asyncio.create_task(call(source, "world_sleep", seconds=3600))
        await asyncio.sleep(0.2)
        os.kill(running, signal.SIGKILL)
        with pytest.raises(McpServerLost):
            await asyncio.wait_for(waiting, PATIENCE)
        await eventually(lambda: bool(source.tools()) and source.health().status == "healthy")
        assert int(await call(source, "world_pid")) != running


async def test_a_listening_server_that_goes_and_returns() -> None:
    port = free_ports(1)[0]
    command = [sys.executable, WORLD, str(port)]
    started = subprocess.Popen(command)
    try:
        async with connected({"world": {"url": f"http://127.0.0.1:{port}/mcp"}}) as (source,):
            await eventually(lambda: bool(source.tools()))
            started.kill()
            started.wait()
            with pytest.raises(ToolException):
                await asyncio.wait_for(call(source, "world_greet", name="Ada"), PATIENCE)
            await eventually(lambda: source.health().status == "down")
            assert source.tools() == ()
            started = subprocess.Popen(command)
            await eventually(lambda: bool(source.tools()))
            assert await call(source, "world_greet", name="Ada") == "Hello, Ada!"
    finally:
        started.kill()
        started.wait()


async def test_servers_do_not_stand_in_each_other_s_way(tmp_path: Path) -> None:
    servers = {
        "one": stdio(env={"WORLD_NOISE": "1"}),
        "two": stdio(),
        "missing": {"command": "/nowhere/program"},
        "deaf": {"url": f"http://127.0.0.1:{free_ports(1)[0]}/mcp"},
        "silent": stdio(env={"WORLD_SILENT": str(tmp_path / "asked")}),
    }
    async with connected(servers) as sources:
        one, two, missing, deaf, silent = sources
        await eventually(lambda: bool(one.tools() and two.tools()))
        assert await call(one, "one_greet", name="x") == await call(two, "two_greet", name="x")
        await eventually(lambda: missing.health().reason == "its program is not there")
        await eventually((tmp_path / "asked").exists)
        await eventually(lambda: deaf.health().reason not in {"", "not connected yet"})
        assert deaf.tools() == missing.tools() == silent.tools() == ()


async def test_a_server_that_is_silent_is_told(tmp_path: Path) -> None:
    silent = stdio(env={"WORLD_SILENT": str(tmp_path / "asked")})
    async with connected({"silent": silent}, patience=1) as (source,):
        await eventually(lambda: source.health().reason == "it does not answer")
        assert source.tools() == ()


async def test_a_program_gets_no_more_than_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "s3cret")
    async with connected({"world": stdio(env={"NAMED": "1"})}) as (source,):
        await eventually(lambda: bool(source.tools()))
        names = (await call(source, "world_environment")).split()
    assert "NAMED" in names
    assert "OPENAI_API_KEY" not in names


@pytest.mark.parametrize(
    ("servers", "says"),
    [
        ({"x": {}}, "either `command` .* or `url`"),
        ({"x": {"command": "a", "url": "http://h"}}, "either `command` .* or `url`"),
        ({"x": {"command": "a", "headers": {"k": "v"}}}, "`headers` go with `url`"),
        ({"x": {"url": "http://h", "args": ["a"]}}, "go with `command`"),
        ({"x": {"url": "nowhere"}}, "valid URL"),
        ({"a b": {"command": "a"}}, "match pattern"),
        ({"x": {"command": "a", "type": "stdio"}}, "type"),
    ],
)
def test_settings_that_are_wrong(servers: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        BareMcpSettings(mcp_servers=servers)


def test_keys_are_not_shown() -> None:
    settings = BareMcpSettings.model_validate(
        {"mcp_servers": {"x": {"url": "http://h", "headers": {"Authorization": "s3cret"}}}}
    )
    assert "s3cret" not in repr(settings)
    assert "s3cret" not in settings.model_dump_json()

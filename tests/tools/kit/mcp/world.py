"""A real MCP server for tests: over stdio, or over streamable HTTP on a port."""

import asyncio
import os
import sys
import time
from pathlib import Path

from mcp.server.fastmcp import Context, FastMCP

port = int(sys.argv[1]) if len(sys.argv) > 1 else 0
world = FastMCP("world", port=port, log_level="ERROR")


@world.tool()
def greet(name: str) -> str:
    """Greet somebody."""
    return f"Hello, {name}!"


@world.tool()
def pid() -> str:
    """Say which process this is."""
    return str(os.getpid())


@world.tool()
def environment() -> str:
    """Say which variables there are."""
    return " ".join(sorted(os.environ))


@world.tool()
def fail() -> str:
    """Fail."""
    raise ValueError("as told")


@world.tool()
async def sleep(seconds: float) -> str:
    """Take a while."""
    await asyncio.sleep(seconds)
    return "done"


@world.tool()
def block(seconds: float) -> str:
    """Take a while, and answer nothing else meanwhile."""
    time.sleep(seconds)
    return "done"


@world.tool()
async def learn(context: Context) -> str:  # type: ignore[type-arg]  # of three types that do not matter here
    """Have one tool more."""
    world.add_tool(lambda: "new", name="learned", description="What was learned.")
    await context.session.send_tool_list_changed()
    return "learned"


if __name__ == "__main__":
    if os.environ.get("WORLD_NOISE"):
        sys.stderr.write("noise\n" * 100_000)
    if path := os.environ.get("WORLD_SILENT"):
        Path(path).touch()
        sys.stdin.read()
    world.run("streamable-http" if port else "stdio")

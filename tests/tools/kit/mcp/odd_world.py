"""A real MCP server on stdio whose tools have names and schemas that providers refuse."""

import asyncio
import json
from typing import Any

from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server
from mcp.types import TextContent, Tool

POINT = {"type": "object", "properties": {"x": {"type": "number"}}}
TOOLS = {
    "files.read/v1": {"type": "object", "properties": {"path": {"type": "string"}}},
    "bare": {"type": "object"},
    "nothing": {},
    "any": {"type": "object", "properties": {"it": True, "list": {"type": "array"}}},
    "refers": {"properties": {"to": {"$ref": "#/$defs/P"}, "lost": {"$ref": "#/no"}},
               "$defs": {"P": POINT}},
    "either": {"anyOf": [POINT, {"type": "object"}]},
    "a_very_long_name_" + "x" * 80: {"type": "object"},
}  # fmt: skip

server: Server[Any, Any] = Server("odd")


@server.list_tools()  # type: ignore[no-untyped-call, untyped-decorator]  # mcp's own
async def tools() -> list[Tool]:
    return [Tool(name=name, description="", inputSchema=schema) for name, schema in TOOLS.items()]


@server.call_tool(validate_input=False)  # type: ignore[untyped-decorator]  # mcp's own
async def call(name: str, arguments: dict[str, Any]) -> list[TextContent]:
    return [TextContent(type="text", text=f"{name} {json.dumps(arguments)}")]


async def main() -> None:
    async with stdio_server() as (reading, writing):
        await server.run(reading, writing, server.create_initialization_options())


if __name__ == "__main__":
    asyncio.run(main())

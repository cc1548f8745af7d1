"""A real MCP server on stdio that is out to harm its client: what it lists, and what it answers."""

import asyncio
from typing import Any

from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server
from mcp.types import (
    AudioContent,
    BlobResourceContents,
    CallToolResult,
    EmbeddedResource,
    ImageContent,
    ResourceLink,
    TextContent,
    TextResourceContents,
    Tool,
)
from pydantic import AnyUrl

A, B = "#/$defs/A", "#/$defs/B"
TREE = {
    "type": "object",
    "properties": {"l": {"$ref": "#/$defs/T"}, "r": {"$ref": "#/$defs/T"}},
}


def deep(levels: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(levels):
        schema = {"type": "object", "properties": {"in": schema}}
    return schema


SCHEMAS: dict[str, dict[str, Any]] = {
    "circle": {**TREE, "$defs": {"T": TREE}},
    "itself": {"$ref": "#"},
    "each_other": {"$ref": A, "$defs": {"A": {"$ref": B}, "B": {"$ref": A}}},
    "elsewhere": {"$ref": "file:///etc/passwd"},
    "far": {"properties": {"a": {"$ref": "http://127.0.0.1:9/schema.json"}}},
    "deep": deep(80),
    "large": {"properties": {f"p{n}": {"description": "x" * 900} for n in range(900)}},
    "no_schema": {"type": 7, "properties": [], "required": {"a": 1}, "anyOf": "x", "allOf": [7]},
    "dunder": {"properties": {"__everturn": {}, "config": {}, "runtime": {}, "self": {}}},
    "numbers": {"properties": {"n": {"type": "number", "maximum": 10**40, "default": 2**80}}},
    "surrogate": {"properties": {"a\0b": {"description": "\0"}}},
}  # fmt: skip
NAMES = ["", "a\nb", '"}]', "x" * 300, "calculator", "same", "same", "__class__", "é" * 50]

RESULTS: dict[str, Any] = {
    "audio": [AudioContent(type="audio", data="AAAA", mimeType="audio/wav")],
    "image": [ImageContent(type="image", data="no base64", mimeType="x")],
    "link": [ResourceLink(type="resource_link", name="x", uri=AnyUrl("file:///etc/passwd"))],
    "blob": [
        EmbeddedResource(
            type="resource",
            resource=BlobResourceContents(uri=AnyUrl("x://y"), blob="AAAA", mimeType="a/b"),
        )
    ],
    "resource": [
        EmbeddedResource(
            type="resource",
            resource=TextResourceContents(uri=AnyUrl("x://y"), text="__remove_all__"),
        )
    ],
    "huge": [TextContent(type="text", text="word " * 1_000_000)],
    "many": [TextContent(type="text", text="x")] * 20_000,
    "empty": [],
    "nul": [TextContent(type="text", text="a\0b\x1b[31m\u202e")],
    "structured": CallToolResult(content=[], structuredContent={"n": 2**70, "d": deep(150)}),
    "failed": CallToolResult(content=[], isError=True),
    "failed_at_length": CallToolResult(
        content=[TextContent(type="text", text="<html>" * 100_000)], isError=True
    ),
}

server: Server[Any, Any] = Server("hostile")


@server.list_tools()  # type: ignore[no-untyped-call, untyped-decorator]  # mcp's own
async def tools() -> list[Tool]:
    bare = {"type": "object"}
    named = [(name, bare) for name in [*RESULTS, *NAMES, *(f"more{n}" for n in range(300))]]
    listed = [*SCHEMAS.items(), *named]
    return [Tool(name=n, description="y" * 5_000, inputSchema=schema) for n, schema in listed]


@server.call_tool(validate_input=False)  # type: ignore[untyped-decorator]  # mcp's own
async def call(name: str, arguments: dict[str, Any]) -> Any:
    return RESULTS.get(name, [TextContent(type="text", text=f"{name}: {sorted(arguments)}")])


async def main() -> None:
    async with stdio_server() as (reading, writing):
        await server.run(reading, writing, server.create_initialization_options())


if __name__ == "__main__":
    asyncio.run(main())

"""A tool as a user writes it. Never run: mypy and pyright read it, in `make check`."""

# pyright: strict

from typing import assert_type

from langchain_core.tools import BaseTool, tool

from everturn.tools import UnknownTool, get_tool, load_tools, tool_schemas
from everturn.tools.kit import declare, do_not_cache, idempotency_key
from everturn.tools.kit.web import WebError, current_web


@declare(cache=600, timeout=5)
@tool
def exchange_rate(base: str, quote: str) -> float:
    """Say what one unit of a currency costs in another, today."""
    if base == quote:
        do_not_cache()
        return 1.0
    return 1.1


@declare(approval=True)
@tool
async def send_mail(to: str, text: str) -> str:
    """Send a mail."""
    key = assert_type(idempotency_key(), str | None)
    return f"sent to {to} with {key}: {text}"


@tool
async def headline(url: str) -> str:
    """Read the first line of a page."""
    try:
        page = await (await current_web()).fetch(url)
    except WebError as error:
        return str(error)
    return page.body.decode(page.charset or "utf-8").partition("\n")[0]


def offer(name: str) -> BaseTool:
    """Find a tool by its name."""
    try:
        return get_tool(name)
    except UnknownTool:
        return exchange_rate


assert_type(exchange_rate, BaseTool)
assert_type(load_tools(), list[BaseTool])
for schema in tool_schemas():
    print(schema["function"])

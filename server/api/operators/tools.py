"""The tools a model may call, and how each of them is doing."""

from typing import Any, Literal

from pydantic import BaseModel, Field

from everturn.server.api.http.deps import ToolboxDep
from everturn.server.api.http.strict_json import Router

router = Router(prefix="/api", tags=["tools"])

Status = Literal["healthy", "degraded", "down"]


class Tool(BaseModel):
    """One tool, and what it has done since the start of the process that answers."""

    name: str
    description: str
    parameters: dict[str, Any] = Field(description="JSON Schema of its arguments.")
    origin: str = Field(description="The file that defines it, or the source it comes from.")
    health: Status
    reason: str = Field(description="What is wrong with it; empty where nothing is.")
    approval: bool = Field(description="A person must approve each call.")
    cache_seconds: float | None = Field(
        description="Seconds a result is good for; null where results are never used again."
    )
    calls: int
    errors: int = Field(description="Calls without a result, whatever the cause.")
    cache_hits: int = Field(description="Calls answered by a result that another call had made.")


class Source(BaseModel):
    """Where tools come from that are not in files, such as a server of tools."""

    name: str
    health: Status
    reason: str
    tools: int = Field(description="How many it offers now.")


class ToolList(BaseModel):
    """The tools there are now, sorted by name, and all sources of tools."""

    tools: list[Tool]
    sources: list[Source]


@router.get(
    "/tools",
    summary="List the tools",
    description="Every tool that a model may call now, with its schema, where it comes from, its "
    "health and its figures; and the sources that tools come from, those that are down included.",
)
async def list_tools(toolbox: ToolboxDep) -> ToolList:
    return ToolList(
        tools=[Tool.model_validate(tool) for tool in toolbox.overview()],
        sources=[Source.model_validate(source) for source in toolbox.sources()],
    )

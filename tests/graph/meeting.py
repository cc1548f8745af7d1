"""Tools that show that calls are under way at once: none answers before all have been called."""

import asyncio

from langchain_core.tools import BaseTool, StructuredTool
from pydantic_settings import SettingsConfigDict

from everturn.tools.kit.discovery import Discovery
from everturn.tools.kit.settings import ToolSettings
from everturn.tools.kit.toolbox import Toolbox
from tests.waiting import PATIENCE


class BareToolSettings(ToolSettings):
    """Settings that no `.env` of the developer reaches."""

    model_config = SettingsConfigDict(env_file=None)


def meeting(parties: int, *names: str) -> Toolbox:
    """Return tools of these names that all wait for each other; one by one they would fail."""
    barrier = asyncio.Barrier(parties)

    async def come() -> str:
        """Come."""
        await barrier.wait()
        return "all are here"

    tools: dict[str, BaseTool] = {
        name: StructuredTool.from_function(coroutine=come, name=name) for name in names
    }
    return Toolbox(Discovery(tools), settings=BareToolSettings(tool_timeout=PATIENCE))

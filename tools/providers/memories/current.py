"""Finds the memories of the user for whom a tool or a node is running."""

import asyncio
from collections.abc import Mapping
from functools import cache
from typing import Any

from langgraph.store.base import BaseStore

from everturn.tools.kit.web.current import SERVICES_KEY
from everturn.tools.providers.memories.memories import Memories
from everturn.tools.providers.memories.settings import MemorySettings
from everturn.tools.providers.memories.whose import caller_of, namespace_of


async def current_settings(config: Mapping[str, Any]) -> MemorySettings:
    """Return the settings of the server that runs this, or those of the environment.

    Raises:
        ValidationError: without a server, the settings of the environment are wrong.
    """
    services = config.get("configurable", {}).get(SERVICES_KEY) or {}
    shared: MemorySettings | None = services.get("memory")
    if shared is not None:
        return shared
    return await asyncio.to_thread(_from_environment)


async def current_memories(
    store: BaseStore | None, config: Mapping[str, Any], user: str | None
) -> Memories | None:
    """Return the memories of a user; `None` where there is no store, or they are switched off."""
    settings = await current_settings(config)
    if store is None or settings.memory == "off":
        return None
    caller = caller_of(config.get("configurable", {}))
    return Memories(store, namespace_of(caller, user), settings)


@cache
def _from_environment() -> MemorySettings:
    return MemorySettings()  # reads `.env`

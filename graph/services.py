"""What the server shares with the nodes: found in the run's config, or made from the environment.

`configurable["__everturn"]` reaches nodes, tools and subgraphs and stays out of checkpoints.
LangGraph's own development server does not set it; there the environment decides.
"""

import asyncio
from collections.abc import Callable
from functools import cache
from threading import Lock
from types import MappingProxyType
from typing import NotRequired, TypedDict, TypeVar, cast

from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.config import patch_config
from langgraph.config import get_config

from everturn.graph.budget import Budget
from everturn.graph.cache.response_cache import ResponseCache
from everturn.graph.cache.settings import CacheSettings
from everturn.graph.context import Context
from everturn.graph.guards.guards import Guards
from everturn.graph.guards.settings import GuardSettings
from everturn.graph.models.provider import Models
from everturn.graph.models.settings import ModelSettings
from everturn.graph.summaries.settings import SummarySettings
from everturn.graph.summaries.summaries import Summaries
from everturn.tools import find_tools
from everturn.tools.kit.settings import ToolSettings
from everturn.tools.kit.toolbox import Offer, Toolbox
from everturn.tools.kit.web import Web
from everturn.tools.kit.web.current import SERVICES_KEY
from everturn.tools.providers.memories.settings import MEMORY_TOOLS, MemorySettings

T = TypeVar("T")

_making = Lock()


class Services(TypedDict):
    """The value of `configurable["__everturn"]`."""

    models: Models
    tools: NotRequired[Toolbox]
    """Missing: those that are found in files."""
    web: NotRequired[Web]
    """Outgoing requests of tools; a tool finds it with `current_web`."""
    budget: NotRequired[Budget]
    """What this run may spend; missing: anything."""
    memory: NotRequired[MemorySettings]
    """What is remembered of users; missing: as the environment says."""
    guards: NotRequired[Guards | None]
    """Missing or `None`: none is switched on."""
    answers: NotRequired[ResponseCache]
    """Answers that are kept; missing: in this process, as the environment says."""
    summaries: NotRequired[Summaries]
    """What sums up long conversations; missing: in this process, as the environment says."""
    turn_timeout: NotRequired[float]
    """Seconds this turn may take; missing: as many as the settings of the models say."""


async def current_models() -> Models:
    """Return the models of the server that runs this node, or those of the environment.

    Raises:
        ValidationError: without a server, the settings of the environment are wrong.
        WrongTransport: without a server, a file of certificates or the proxy cannot be used.
    """
    services = _services()
    return services["models"] if services else await _once(_models_from_environment)


async def current_toolbox() -> Toolbox:
    """Return the tools of the server that runs this node, or those of the environment.

    Raises:
        ValidationError: without a server, the settings of the environment are wrong.
    """
    services = _services()
    if services and "tools" in services:
        return services["tools"]
    return await _once(_tools_from_environment)


def current_budget() -> Budget | None:
    """Return what this run may spend; None is anything, as it is without a server."""
    services = _services()
    return services.get("budget") if services else None


def current_turn_timeout(models: Models) -> float:
    """Return the seconds that this turn may take."""
    services, all_have = _services(), models.settings.turn_timeout
    return services.get("turn_timeout", all_have) if services else all_have


async def current_guards() -> Guards | None:
    """Return the guards of the server that runs this node, or those of the environment.

    Raises:
        ValidationError, GuardMissing: without a server, the settings of the environment are wrong.
    """
    services = _services()
    return services.get("guards") if services else await _once(_guards_from_environment)


async def current_response_cache() -> ResponseCache:
    """Return the response cache of the server that runs this node, or one of this process.

    Raises:
        ValidationError: without a server, the settings of the environment are wrong.
    """
    services = _services()
    if services and "answers" in services:
        return services["answers"]
    return await _once(_answers_from_environment)


async def current_summaries() -> Summaries:
    """Return what sums up for the server that runs this node, or one of this process.

    Raises:
        ValidationError: without a server, the settings of the environment are wrong.
    """
    services = _services()
    if services and "summaries" in services:
        return services["summaries"]
    return await _once(_summaries_from_environment)


async def offered_tools(context: Context, *, tools: bool = True) -> Offer:
    """Return the tools that a run may use now: none at a node that takes no `tools`."""
    toolbox = await current_toolbox()
    if not (tools and context.use_tools):
        return toolbox.offer(())
    return toolbox.offer(context.tools, without=() if context.use_memory else MEMORY_TOOLS)


def place_of(config: RunnableConfig) -> str:
    """Name the graph that a node of this config is in: empty for that of the run itself."""
    return str(config.get("configurable", {}).get("checkpoint_ns") or "").rpartition("|")[0]


async def for_agent(config: RunnableConfig, budget: Budget, seconds: float) -> RunnableConfig:
    """Return a config for an agent inside of this run, with a budget and a time of its own."""
    inner = Services(**(_services() or {"models": await current_models()}))
    inner.setdefault("tools", await current_toolbox())
    inner.setdefault("guards", await current_guards())
    inner["budget"], inner["turn_timeout"] = budget, seconds
    return patch_config(config, configurable={SERVICES_KEY: MappingProxyType(inner)})


def _services() -> Services | None:
    return cast("Services | None", get_config().get("configurable", {}).get(SERVICES_KEY))


async def _once(make: Callable[[], T]) -> T:
    """Return what a cached function made, or have it made in a thread: it reads files.

    LangGraph's development server ends a run that reads a file on its event loop. The lock keeps
    turns that start at the same time from importing the same tool files side by side.
    """

    def call() -> T:
        with _making:
            return make()

    return await asyncio.to_thread(call)


@cache
def _models_from_environment() -> Models:
    models = Models(ModelSettings())
    models.connect()  # imports the provider's client and reads certificates
    return models


@cache
def _tools_from_environment() -> Toolbox:
    settings = ToolSettings()
    off = MemorySettings().memory == "off"
    found = find_tools(settings.tool_paths)
    return Toolbox(found, settings=settings, without=MEMORY_TOOLS if off else ())


@cache
def _answers_from_environment() -> ResponseCache:
    return ResponseCache(CacheSettings())


@cache
def _summaries_from_environment() -> Summaries:
    return Summaries(SummarySettings())


@cache
def _guards_from_environment() -> Guards | None:
    return Guards.of(GuardSettings.read())

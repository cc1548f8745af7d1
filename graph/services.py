"""What the server lends to the nodes: found in the run's config, or made from the environment.

`configurable["__everturn"]` reaches nodes, tools and subgraphs and stays out of checkpoints.
LangGraph's own development server does not set it; there the environment decides.
"""

from functools import cache
from typing import NotRequired, TypedDict, cast

from langgraph.config import get_config

from everturn.graph.context import Context
from everturn.graph.models.provider import Models
from everturn.graph.models.settings import ModelSettings
from everturn.tools import find_tools
from everturn.tools.kit.settings import ToolSettings
from everturn.tools.kit.toolbox import Offer, Toolbox
from everturn.tools.kit.web import Web

SERVICES_KEY = "__everturn"


class Services(TypedDict):
    """The value of `configurable["__everturn"]`."""

    models: Models
    tools: NotRequired[Toolbox]
    """Missing: those that are found in files."""
    web: NotRequired[Web]
    """The way out of tools, which find it by themselves."""


def current_models() -> Models:
    """Return the models of the server that runs the node which asks."""
    services = _lent()
    return services["models"] if services else _models_from_environment()


def current_toolbox() -> Toolbox:
    """Return the tools of the server that runs the node which asks."""
    services = _lent()
    lent = services.get("tools") if services else None
    return lent or _tools_from_environment()


def offered_tools(context: Context, *, tools: bool = True) -> Offer:
    """Return the tools that a run may use now: none at a node that takes no `tools`."""
    return current_toolbox().offer(context.tools if tools and context.use_tools else ())


def _lent() -> Services | None:
    return cast("Services | None", get_config().get("configurable", {}).get(SERVICES_KEY))


@cache
def _models_from_environment() -> Models:
    return Models(ModelSettings())


@cache
def _tools_from_environment() -> Toolbox:
    settings = ToolSettings()
    return Toolbox(find_tools(settings.tool_paths), settings=settings)

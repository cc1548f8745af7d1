"""What the server lends to the nodes: found in the run's config, or made from the environment.

`configurable["__everturn"]` reaches nodes, tools and subgraphs and stays out of checkpoints.
LangGraph's own development server does not set it; there the environment decides.
"""

from functools import cache
from typing import NotRequired, TypedDict, cast

from langgraph.config import get_config

from graph.models.provider import Models
from graph.models.settings import ModelSettings
from tools.kit.web import Web

SERVICES_KEY = "__everturn"


class Services(TypedDict):
    """The value of `configurable["__everturn"]`."""

    models: Models
    web: NotRequired[Web]
    """The way out of tools, which find it by themselves."""


def current_models() -> Models:
    """Return the models of the server that runs the node which asks."""
    services = cast("Services | None", get_config().get("configurable", {}).get(SERVICES_KEY))
    return services["models"] if services else _models_from_environment()


@cache
def _models_from_environment() -> Models:
    return Models(ModelSettings())

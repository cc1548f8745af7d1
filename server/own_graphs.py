"""Which of the served graphs are Everturn's own, and so ask the models of its settings."""

from everturn.graph.context import Context
from everturn.graph.models.settings import ModelSettings
from everturn.server.environment import WrongSetting
from everturn.server.projects.graphs import Graphs
from everturn.server.settings import Settings


def asks_our_models(graphs: Graphs) -> bool | None:
    """Whether a graph, or one inside of it, takes the context that our nodes read.

    `None` where only a graph that a factory makes may do so: it is not known yet.
    """
    served = [graphs.fixed(name) for name in graphs.names]
    fixed = [graph for graph in served if graph is not None]
    inner = [each for graph in fixed for _, each in graph.get_subgraphs(recurse=True)]
    schemas = [getattr(graph, "context_schema", None) for graph in (*fixed, *inner)]
    if any(isinstance(schema, type) and issubclass(schema, Context) for schema in schemas):
        return True
    return None if None in served else False


def provider_of(settings: Settings, *, asked: bool | None) -> ModelSettings:
    """Return whom the models of Everturn's own graphs ask; nobody where none of them is served.

    Args:
        settings: as they were read.
        asked: see `asks_our_models`.

    Raises:
        WrongSetting: it is needed and cannot be asked.
    """
    if asked is False or (asked is None and settings.refused_models):
        return settings.models.without_provider()
    if settings.refused_models:
        raise WrongSetting(settings.refused_models)
    return settings.models


def remembers(graphs: Graphs) -> str | None:
    """Return the graph of ours that calls tools, and so may remember; `None` for none."""
    for name in graphs.names:
        graph = graphs.fixed(name)
        if graph is not None and graph.context_schema is Context and "tools" in graph.nodes:
            return name
    return None

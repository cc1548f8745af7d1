"""Which of the served graphs are Everturn's own, and so ask the models of its settings."""

from everturn.graph.context import Context
from everturn.server.projects.graphs import Graphs


def asks_our_models(graphs: Graphs) -> bool:
    """Whether a graph, or one inside of it, takes the context that our nodes read.

    A graph that a factory makes is not known yet, and counts as the project's own.
    """
    fixed = [graph for name in graphs.names if (graph := graphs.fixed(name)) is not None]
    inner = [each for graph in fixed for _, each in graph.get_subgraphs(recurse=True)]
    return any(getattr(graph, "context_schema", None) is Context for graph in (*fixed, *inner))

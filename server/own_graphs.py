"""Which of the served graphs are Everturn's own, and so ask the models of its settings."""

from everturn.graph.context import Context
from everturn.server.projects.graphs import Graphs


def asks_our_models(graphs: Graphs) -> bool | None:
    """Whether a graph, or one inside of it, takes the context that our nodes read.

    `None` where only a graph that a factory makes may do so: it is not known yet.
    """
    served = [graphs.fixed(name) for name in graphs.names]
    fixed = [graph for graph in served if graph is not None]
    inner = [each for graph in fixed for _, each in graph.get_subgraphs(recurse=True)]
    if any(getattr(graph, "context_schema", None) is Context for graph in (*fixed, *inner)):
        return True
    return None if None in served else False

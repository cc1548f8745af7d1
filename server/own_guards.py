"""The guards of Everturn's own graphs, and what goes into these."""

from typing import Any

from everturn.graph.context import Context
from everturn.graph.guards.guards import Count, Guards
from everturn.graph.guards.own import GuardMissing
from everturn.graph.guards.settings import GuardSettings
from everturn.graph.incoming import admitted
from everturn.server.environment import WrongSetting
from everturn.server.projects.graphs import Graph


def guards_of(settings: GuardSettings, count: Count) -> Guards | None:
    """Return the guards that are switched on; `None` where none is. Imports files.

    Raises:
        WrongSetting: a guard of one's own cannot be used.
    """
    try:
        return Guards.of(settings, count)
    except GuardMissing as error:
        raise WrongSetting(str(error)) from error


async def admitted_to(guards: Guards | None, graph: Graph, given: Any) -> Any:
    """Return what a client would write into a graph, as it may be; a user's own takes all.

    Raises:
        InvalidContent: a character of it is not taken.
    """
    return await admitted(given, guards) if graph.context_schema is Context else given

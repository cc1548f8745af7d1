"""The store of a project: what `store` in `langgraph.json` says of long-term memory."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import Any, cast

from langgraph.store.base import BaseStore, IndexConfig, TTLConfig

from everturn.checkpoints.sql.store import Meaning, open_store
from everturn.server.errors import ConfigError
from everturn.server.projects.config import Store
from everturn.server.projects.factories import entered
from everturn.server.projects.project import Project

OpenStore = Callable[[Any, Meaning | None], AbstractAsyncContextManager[BaseStore]]
"""From the open database, and what makes vectors where the project says nothing of that, to a
store; one's own store has no use for either."""


def load_store(project: Project) -> OpenStore:
    """Return what opens the project's store: its own at `store.path`, or else the service's.

    Raises:
        ConfigError: naming the file, the key and the reason.
        StoreMisconfigured: the index cannot be used, and why.
    """
    config = project.keys.store or Store()
    if config.path is not None:
        return partial(_open_own, project.load(config.path, "store.path"), project)
    meaning = load_meaning(project)
    ttl = cast("TTLConfig", config.ttl.model_dump()) if config.ttl else None
    return partial(_open_ours, meaning, ttl)


def load_meaning(project: Project) -> Meaning | None:
    """Return what makes vectors, as the project's `store.index` says; `None` where it says nothing.

    Raises:
        ConfigError: naming the file, the key and the reason.
        StoreMisconfigured: the index cannot be used, and why.
    """
    config = project.keys.store or Store()
    if config.path is not None or config.index is None:
        return None
    embed: Any = config.index.embed
    if embed.rpartition(":")[0].endswith(".py"):
        embed = project.load(embed, "store.index.embed")
    index = {**config.index.model_dump(), "embed": embed}
    return Meaning(cast("IndexConfig", index), name=config.index.embed)


def _open_ours(
    own: Meaning | None, ttl: TTLConfig | None, database: Any, meaning: Meaning | None
) -> AbstractAsyncContextManager[BaseStore]:
    return open_store(database, meaning=own or meaning, ttl=ttl)


@asynccontextmanager
async def _open_own(
    made: Any, project: Project, _database: object, _meaning: object
) -> AsyncIterator[BaseStore]:
    """Open a project's own store: one that is there, or what a factory makes."""
    if callable(made) and not isinstance(made, BaseStore):
        made = made()
    async with entered(made) as store:
        if not isinstance(store, BaseStore):
            raise ConfigError(
                f"{project.name}: store.path: is a {type(store).__name__}, not a BaseStore."
            )
        yield store

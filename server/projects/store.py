"""The store of a project: what `store` in `langgraph.json` says of long-term memory."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, cast

from langgraph.store.base import BaseStore, IndexConfig, TTLConfig
from pydantic import BaseModel, Field, ValidationError
from structlog import get_logger

import everturn.checkpoints.checkpointer
from everturn.checkpoints.sql.store import Meaning, open_store
from everturn.server.errors import ConfigError
from everturn.server.projects.factories import entered
from everturn.server.projects.project import Project

log = get_logger(__name__)

OpenStore = Callable[[Any], AbstractAsyncContextManager[BaseStore]]
"""From the open database to a store; one's own store has no use for it."""


class _Index(BaseModel):
    dims: int = Field(gt=0)
    embed: str
    fields: list[str] | None = None


class _TTL(BaseModel):
    refresh_on_read: bool = True
    default_ttl: float | None = Field(default=None, gt=0)
    sweep_interval_minutes: float | None = Field(default=None, gt=0)


class _Store(BaseModel):
    path: str | None = None
    index: _Index | None = None
    ttl: _TTL | None = None


def load_store(project: Project) -> OpenStore:
    """Return what opens the project's store: its own at `store.path`, or else the service's.

    Raises:
        ConfigError: naming the file, the key and the reason.
        StoreMisconfigured: the index cannot be used, and why.
    """
    try:
        config = _Store.model_validate(project.section("store"))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(key) for key in first["loc"])
        raise ConfigError(f"{project.path}: store.{where}: {first['msg']}.") from None
    if config.path is not None:
        return partial(_open_own, project.load(config.path, "store.path"), project)
    meaning = None
    if config.index is not None:
        embed: Any = config.index.embed
        if embed.rpartition(":")[0].endswith(".py"):
            embed = project.load(embed, "store.index.embed")
        index = {**config.index.model_dump(), "embed": embed}
        meaning = Meaning(cast("IndexConfig", index))
    ttl = cast("TTLConfig", config.ttl.model_dump()) if config.ttl else None
    return partial(open_store, meaning=meaning, ttl=ttl)


@asynccontextmanager
async def _open_own(made: Any, project: Project, _database: object) -> AsyncIterator[BaseStore]:
    """Open a project's own store: one that is there, or what a factory makes."""
    if callable(made) and not isinstance(made, BaseStore):
        made = made()
    async with entered(made) as store:
        if not isinstance(store, BaseStore):
            raise ConfigError(
                f"{project.path}: store.path: is a {type(store).__name__}, not a BaseStore."
            )
        yield store


def warn_of_checkpointer(project: Project) -> None:
    """Say that a project's own checkpointer is not used.

    A run is guarded against a second writer and against a crash by what only the service's saver
    does. The entry of the service's own file, for LangGraph's development server, names that one.
    """
    path = str(project.section("checkpointer").get("path") or "")
    ours = Path(everturn.checkpoints.checkpointer.__file__)
    if path and (project.folder / path.rpartition(":")[0]).resolve() != ours.resolve():
        log.warning(
            "checkpointer_not_used",
            config=str(project.path),
            path=path,
            instead="threads are kept in the Redis of REDIS_URL, or in the data folder",
        )

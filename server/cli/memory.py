"""`everturn memory reindex`: what memories are found by is made anew, where the model changed."""

import asyncio
import sys
from collections.abc import Mapping

from everturn.checkpoints.errors import CheckpointsError
from everturn.checkpoints.sql.store.filling import Filled, Filling
from everturn.graph.models.failures import CallFailed
from everturn.graph.models.provider import open_models
from everturn.server.cli.config import load_settings
from everturn.server.cli.stores import InUse, open_rows
from everturn.server.environment import WrongSetting
from everturn.server.errors import ConfigError
from everturn.server.observe.logs import configure_logs
from everturn.server.own_embeddings import meaning_of
from everturn.server.projects.imports import off_the_loop
from everturn.server.projects.project import read_project
from everturn.server.projects.store import load_meaning
from everturn.server.settings import Settings


def reindex(named: Mapping[str, str]) -> int:
    """Do it, beside a running service or without one, and say what was done."""
    configure_logs("WARNING")
    try:
        filled = asyncio.run(_reindex(load_settings(named)))
    except (WrongSetting, ConfigError, CheckpointsError, InUse, CallFailed) as error:
        print(f"everturn: {error}", file=sys.stderr)
        return 1
    print(f"{filled.texts} texts in the store, {filled.made} made anew.")
    return 0


async def _reindex(settings: Settings) -> Filled:
    named = "config" in settings.server.model_fields_set
    project = read_project(settings.server.config, named=named)
    async with open_rows(settings.stores) as database, open_models(settings.models) as models:
        own = await off_the_loop(lambda: load_meaning(project))
        return await Filling(database, own or await meaning_of(models)).reindex()

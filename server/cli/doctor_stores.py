"""`everturn doctor`: how the stores are."""

import asyncio
from collections.abc import AsyncIterator

from everturn.checkpoints.checkup.finding import Finding
from everturn.checkpoints.checkup.folder import look_at_folder
from everturn.checkpoints.checkup.orphans import look_for_orphans
from everturn.checkpoints.checkup.servers import look_at_database, look_at_redis
from everturn.checkpoints.errors import CheckpointsError
from everturn.checkpoints.local.data_dir import published_address
from everturn.checkpoints.settings import StoreSettings
from everturn.checkpoints.shared.peers import living_processes
from everturn.server.cli.stores import Stores, open_stores


def look_at_stores(settings: StoreSettings, *, repair: bool) -> list[tuple[str, str, str]]:
    """Look at the stores as they are, beside a service that may use them.

    Args:
        settings: which they are.
        repair: put right what can be put right without a risk.

    Returns:
        Rows of weight (`ok`, `warning`, `error` or `repaired`), what it is about, and what it says.
    """
    return asyncio.run(_look(settings, repair=repair))


async def _look(settings: StoreSettings, *, repair: bool) -> list[tuple[str, str, str]]:
    rows = []
    try:
        async for found in _findings(settings):
            weight: str = found.weight
            if found.repair is not None and repair:
                await found.repair()
                weight = "repaired"
            rows.append((weight, found.about, found.says))
    except CheckpointsError as error:
        rows.append(("error", "stores", str(error)))
    return rows


async def _findings(settings: StoreSettings) -> AsyncIterator[Finding]:
    embedded = not (settings.redis_url and settings.database_url)
    if embedded and not settings.data_dir.is_dir():
        says = f"there is no data folder {str(settings.data_dir)!r} yet: the first start makes it"
        yield Finding("ok", "stores", says)
        return
    if embedded:
        for finding in look_at_folder(settings.data_dir):
            yield finding
    async with open_stores(settings) as stores:
        async for finding in look_at_redis(stores.redis):
            yield finding
        async for finding in look_at_database(stores.database):
            yield finding
        living = await _living(settings, stores)
        async for finding in look_for_orphans(*stores, living):
            yield finding


async def _living(settings: StoreSettings, stores: Stores) -> list[str] | None:
    """The processes of the service; None where one runs whose name is not known."""
    if settings.redis_url and settings.database_url:
        return await living_processes(stores.redis, stores.prefix)
    return None if published_address(settings.data_dir) else []

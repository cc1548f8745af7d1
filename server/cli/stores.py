"""The stores that the settings name, for commands that look after them."""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager, nullcontext
from typing import TYPE_CHECKING, NamedTuple

from everturn.checkpoints.errors import DataDirError, StoreMisconfigured
from everturn.checkpoints.local.data_dir import hold_data_dir
from everturn.checkpoints.sql.database import Database, open_database

if TYPE_CHECKING:  # the client of Redis: commands that need the database alone do without
    from collections.abc import AsyncIterator
    from pathlib import Path

    from pydantic import SecretStr

    from everturn.checkpoints.connect import Client
    from everturn.checkpoints.settings import StoreSettings


class Stores(NamedTuple):
    """Where everything is kept."""

    redis: Client
    prefix: str
    database: Database


class InUse(Exception):
    """A service uses the stores, and must not meanwhile."""


@asynccontextmanager
async def open_stores(settings: StoreSettings) -> AsyncIterator[Stores]:
    """Open the stores as they are, beside a service that may use them.

    Raises:
        DataDirError: there is no data folder.
        StoreMisconfigured, StoreUnavailable: as for the service; say what to do.
    """
    from everturn.checkpoints.connect import open_memory

    folder, redis_url = settings.data_dir, revealed(settings.redis_url)
    database_url = revealed(settings.database_url)
    if not (redis_url and database_url):
        _check_there(folder)
    async with (
        open_memory(redis_url, folder, appendfsync=settings.appendfsync) as redis,
        open_database(database_url, folder, migrate=False) as database,
    ):
        yield Stores(redis, settings.redis_prefix, database)


@asynccontextmanager
async def open_unused_stores(settings: StoreSettings) -> AsyncIterator[Stores]:
    """Open the stores, which no service uses, and bring them to the tables of today.

    Raises:
        InUse: a service uses them.
        DataDirError: another process holds the data folder, or it cannot be used.
        StoreMisconfigured, StoreUnavailable: as for the service; say what to do.
    """
    from everturn.checkpoints.connect import open_memory
    from everturn.checkpoints.shared.peers import living_processes

    folder, redis_url = settings.data_dir, revealed(settings.redis_url)
    database_url = revealed(settings.database_url)
    shared = bool(redis_url and database_url)
    with nullcontext(folder) if shared else hold_data_dir(folder) as held:
        async with open_memory(redis_url, held, appendfsync=settings.appendfsync) as redis:
            if shared and await living_processes(redis, settings.redis_prefix):
                raise InUse("A service uses these stores: stop all of its processes first.")
            async with open_database(database_url, held) as database:
                yield Stores(redis, settings.redis_prefix, database)


@asynccontextmanager
async def open_rows(settings: StoreSettings, *, new: bool = False) -> AsyncIterator[Database]:
    """Open the database alone, beside a service that may use it.

    One of an older version is first brought to the tables of today, where no service uses it.

    Args:
        settings: name it.
        new: make the data folder if there is none.

    Raises:
        InUse, DataDirError: it would have to be brought there, and a service uses it.
        DataDirError: there is no data folder, or it cannot be used.
        StoreMisconfigured, StoreUnavailable: as for the service; say what to do.
    """
    url, folder = revealed(settings.database_url), settings.data_dir
    if url is None and not new:
        _check_there(folder)
    async with AsyncExitStack() as opened:
        try:
            rows = await opened.enter_async_context(open_database(url, folder, migrate=False))
        except StoreMisconfigured:
            async with open_unused_stores(settings):
                pass
            rows = await opened.enter_async_context(open_database(url, folder, migrate=False))
        yield rows


def _check_there(folder: Path) -> None:
    if not folder.is_dir():
        raise DataDirError(
            f"there is no data folder {str(folder)!r}: name it with --data-dir or "
            "EVERTURN_DATA_DIR, or the stores with REDIS_URL and DATABASE_URL"
        )


def revealed(value: SecretStr | None) -> str | None:
    """A secret, in clear."""
    return value.get_secret_value() if value else None

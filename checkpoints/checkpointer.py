"""The service's memory for LangGraph's own tools: what `checkpointer` in langgraph.json names.

A run of the development server on a thread goes on with the same conversation: it opens the Redis
that the settings name, or the Valkey of the data folder, which a running service may own.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from everturn.checkpoints.connect import open_memory
from everturn.checkpoints.local.data_dir import prepare_data_dir
from everturn.checkpoints.redis import AsyncRedisSaver
from everturn.checkpoints.settings import StoreSettings


@asynccontextmanager
async def open_checkpointer() -> AsyncIterator[AsyncRedisSaver]:
    """Open the saver that the service would open with the same settings.

    Raises:
        StoreMisconfigured, StoreUnavailable, DataDirError: as for the service; say what to do.
    """
    settings = StoreSettings()
    url = settings.redis_url.get_secret_value() if settings.redis_url else None
    data_dir = settings.data_dir if url else prepare_data_dir(settings.data_dir)
    async with open_memory(url, data_dir, appendfsync=settings.appendfsync) as redis:
        yield AsyncRedisSaver(redis, prefix=settings.redis_prefix)

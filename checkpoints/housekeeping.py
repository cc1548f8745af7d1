"""What both stores hold, how long it is kept, and giving back the room of what is gone."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from everturn.checkpoints.connect import Client
from everturn.checkpoints.redis.space import redis_space, rewrite_file
from everturn.checkpoints.settings import StoreSettings
from everturn.checkpoints.sql.database import Database
from everturn.checkpoints.sql.retention import Retention
from everturn.checkpoints.sql.space import Space

_REWRITE_SECONDS = 60.0
_LOOK_SECONDS = 0.1


class Freed(NamedTuple):
    """Rows that were deleted, by what they were."""

    runs: int
    history: int
    webhooks: int


class Stored(NamedTuple):
    """Bytes; 0 where a store does not say."""

    sql: int
    redis: int
    """Of all keys at the server."""
    aof: int
    """Of the append-only file."""


class Housekeeping:
    """Looks after both stores of a service; methods raise CheckpointsError where one fails."""

    def __init__(self, settings: StoreSettings, database: Database, redis: Client) -> None:
        self._settings = settings
        self._rows, self._space = Retention(database), Space(database)
        self._redis = redis
        self._embedded = settings.redis_url is None

    async def free(self) -> Freed:
        """Delete what has been kept for as long as the settings say."""
        kept, rows = self._settings, self._rows
        return Freed(
            runs=await rows.runs(_ago(kept.keep_runs)) if kept.keep_runs else 0,
            history=await rows.history(_ago(kept.keep_history)) if kept.keep_history else 0,
            webhooks=await rows.webhooks("delivered", _ago(kept.keep_delivered))
            + await rows.webhooks("dead", _ago(kept.keep_dead_letters)),
        )

    async def give_back(self) -> None:
        """Give back room, in steps so small that turns go on beside them."""
        await self._space.give_back()
        if self._embedded:
            await rewrite_file(self._redis)

    async def shrink(self) -> None:
        """Give back all the room there is. Turns wait while an old SQLite file is written anew."""
        await self._space.write_anew()
        await self._space.give_back(0)
        await self._space.close_log()
        if self._embedded and await rewrite_file(self._redis, least=0):
            async with asyncio.timeout(_REWRITE_SECONDS):
                while (await redis_space(self._redis)).rewriting:  # noqa: ASYNC110 - it tells nobody
                    await asyncio.sleep(_LOOK_SECONDS)

    async def stored(self) -> Stored:
        """Measure both stores."""
        redis = await redis_space(self._redis)
        return Stored(await self._space.used(), redis.data, redis.file)


def _ago(days: float) -> datetime:
    return datetime.now(UTC) - timedelta(days=days)

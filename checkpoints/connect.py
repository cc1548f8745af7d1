"""The Redis that holds session memory: the one that is named, or the embedded Valkey."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext, suppress
from pathlib import Path

from redis.asyncio import Redis, RedisCluster
from redis.exceptions import RedisError

from everturn.checkpoints.local.embedded import open_embedded
from everturn.checkpoints.local.valkey.process import AppendFsync
from everturn.checkpoints.redis.connect import check_server, create_async_client

Client = Redis | RedisCluster


@asynccontextmanager
async def open_memory(
    url: str | None, data_dir: Path, *, appendfsync: AppendFsync = "everysec"
) -> AsyncIterator[Redis | RedisCluster]:
    """Connect to `url`, or to a Valkey of our own in `data_dir` where there is none.

    Raises:
        StoreMisconfigured: the server answers but cannot serve; says what to change.
        StoreUnavailable: the server does not answer.
    """
    async with nullcontext(url) if url else open_embedded(data_dir, appendfsync=appendfsync) as at:
        client = create_async_client(at)
        try:
            await check_server(client)
            yield client
        finally:
            with suppress(RedisError):  # a server that hangs: nothing waits for it any more
                await client.aclose()

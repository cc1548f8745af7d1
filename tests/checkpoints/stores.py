"""Real stores for the tests beside this file: databases of one's own, Redis, a cluster."""

import asyncio
import os
import socket
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4

from redis import Redis as SyncRedis
from redis.asyncio import Redis, RedisCluster
from sqlalchemy import URL, make_url, text
from sqlalchemy.ext.asyncio import create_async_engine

ROOT = Path(__file__).parents[2]
REDIS_URL = os.environ.get("TEST_REDIS_URL", "redis://127.0.0.1:6379/0")
POSTGRES = make_url(
    os.environ.get("TEST_DATABASE_URL", "postgresql://postgres@127.0.0.1:5432/postgres")
).set(drivername="postgresql+asyncpg")


@asynccontextmanager
async def postgres_database() -> AsyncIterator[URL]:
    """A new, empty database that is dropped at the end."""
    name = f"everturn_test_{uuid4().hex}"
    await in_postgres(f"CREATE DATABASE {name}")
    try:
        yield POSTGRES.set(database=name)
    finally:
        await in_postgres(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


async def in_postgres(statement: str) -> None:
    """Run a statement of the server's owner."""
    admin = create_async_engine(POSTGRES, isolation_level="AUTOCOMMIT")
    try:
        async with admin.connect() as connection:
            await connection.execute(text(statement))
    finally:
        await admin.dispose()


class Store(NamedTuple):
    """A Redis and the beginning of all names that a test may use there."""

    client: Redis | RedisCluster
    prefix: str


@asynccontextmanager
async def redis_store(cluster_port: int | None = None) -> AsyncIterator[Store]:
    """The Redis that is there, or the cluster at a port."""
    prefix = f"test-{uuid4().hex}"
    if cluster_port is not None:
        async with RedisCluster("127.0.0.1", cluster_port) as cluster:
            yield Store(cluster, prefix)
        return
    async with Redis.from_url(REDIS_URL) as client:
        try:
            yield Store(client, prefix)
        finally:
            async for key in client.scan_iter(match=f"*{prefix}*", count=1000):
                await client.delete(key)


@contextmanager
def one_node_cluster() -> Iterator[int]:
    """The port of a Redis Cluster of one node: it refuses what spans slots as a large one does."""
    port, bus = _free_ports(2)
    with tempfile.TemporaryDirectory() as folder, SyncRedis(port=port) as node:
        options = f"--port {port} --cluster-port {bus} --cluster-enabled yes --bind 127.0.0.1"
        server = subprocess.Popen(
            ["redis-server", *options.split(), "--save", "", "--dir", folder],
            stdout=subprocess.DEVNULL,
        )
        try:
            node.cluster("ADDSLOTSRANGE", 0, 16383)  # redis-py tries until the server is there
            while "ok" not in str(node.cluster("INFO")["cluster_state"]):
                time.sleep(0.05)
            yield port
        finally:
            server.terminate()
            server.wait()


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Wait for something that nobody announces."""
    for _ in range(600):
        if await condition():
            return
        await asyncio.sleep(0.05)
    raise TimeoutError("it did not happen within half a minute")


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports: list[int] = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports

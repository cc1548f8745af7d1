"""Real stores for the tests beside this file: databases of one's own, Redis, a cluster."""

import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
from redis.asyncio import Redis, RedisCluster
from sqlalchemy import URL, Connection, Executable, Result, make_url, text
from sqlalchemy.ext.asyncio import create_async_engine

from everturn.checkpoints.sql.database import Database
from tests.checkpoints.redis.servers import redis_binary, serving_cluster

ROOT = Path(__file__).parents[2]
REDIS_URL = os.environ.get("TEST_REDIS_URL", "redis://127.0.0.1:6379/0")
POSTGRES = make_url(
    os.environ.get("TEST_DATABASE_URL", "postgresql://postgres@127.0.0.1:5432/postgres")
).set(drivername="postgresql+asyncpg")


@asynccontextmanager
async def postgres_database() -> AsyncIterator[URL]:
    """A new, empty database that is dropped at the end; skips where no PostgreSQL answers."""
    name = f"everturn_test_{uuid4().hex}"
    try:
        await in_postgres(f"CREATE DATABASE {name}")
    except OSError:
        pytest.skip(f"no PostgreSQL answers at {POSTGRES}: see TEST_DATABASE_URL")
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


async def in_database(
    database: Database, statement: Executable, seconds: float | None = None
) -> Result[Any]:
    """Execute one statement; its rows are read, to be looked at at leisure."""

    def work(connection: Connection) -> Result[Any]:
        result = connection.execute(statement)
        return result.freeze()() if result.returns_rows else result

    return await database.write(work, seconds=seconds)


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
    binary = redis_binary()
    if binary is None:
        pytest.skip("no Redis or Valkey server is installed for a cluster")
    with serving_cluster(binary, nodes=1) as url:
        port = urlsplit(url.partition(",")[0]).port
        assert port is not None
        yield port

"""Real stores for the tests beside this file: databases of one's own, Redis, a cluster."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from time import monotonic
from typing import Any, NamedTuple
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
from redis.asyncio import Redis, RedisCluster
from sqlalchemy import URL, Connection, Executable, Result, make_url, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine
from sqlalchemy.pool import NullPool

from everturn.checkpoints.sql.database import Database, open_database
from everturn.checkpoints.sql.tables import SCHEMA, metadata
from tests.checkpoints.redis.servers import redis_binary, serving_cluster

ROOT = Path(__file__).parents[2]
REDIS_URL = os.environ.get("TEST_REDIS_URL", "redis://127.0.0.1:6379/0")
POSTGRES = make_url(
    os.environ.get("TEST_DATABASE_URL", "postgresql://postgres@127.0.0.1:5432/postgres")
).set(drivername="postgresql+asyncpg")


@asynccontextmanager
async def new_postgres_database() -> AsyncIterator[URL]:
    """A new, empty database that is dropped at the end; skips where no PostgreSQL answers."""
    url = await _create()
    try:
        yield url
    finally:
        await _drop(url)


@asynccontextmanager
async def postgres_database() -> AsyncIterator[URL]:
    """A database with today's tables and no rows; skips where no PostgreSQL answers.

    To make one and to drop it costs a second, so one that a test has left is emptied and lent
    again, unless the test did more to it than to write rows. The last test's are dropped by
    `drop_left_databases`.
    """
    lent = await _left_by_another_test() or await _made()
    try:
        yield lent.url
    finally:
        _left.append(lent)


async def drop_left_databases() -> None:
    """Drop what this process has lent to its tests."""
    while _left:
        await _drop(_left.pop().url)


class _Lent(NamedTuple):
    """A database, and what its tables were when it was made."""

    url: URL
    tables: str


_left: list[_Lent] = []

# All that is not the server's own, each with the number that is another if it is made anew.
_TABLES = f"""
SELECT string_agg(thing, ' ' ORDER BY thing) FROM (
    SELECT concat('schema ', oid) FROM pg_namespace WHERE nspname !~ '^pg_'
    UNION ALL SELECT concat('class ', oid, relname) FROM pg_class WHERE oid >= 16384
    UNION ALL SELECT concat('column ', attrelid, attname, attnum, atttypid, attnotnull, atthasdef)
        FROM pg_attribute WHERE attrelid >= 16384
    UNION ALL SELECT concat('constraint ', oid) FROM pg_constraint WHERE oid >= 16384
    UNION ALL SELECT concat('function ', oid) FROM pg_proc WHERE oid >= 16384
    UNION ALL SELECT concat('trigger ', oid) FROM pg_trigger
    UNION ALL SELECT concat('extension ', oid) FROM pg_extension
    UNION ALL SELECT concat('option ', setrole, setconfig) FROM pg_db_role_setting
        WHERE setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database())
    UNION ALL SELECT concat('version ', version_num) FROM {SCHEMA}.everturn_version
) AS things (thing)
"""
_OTHERS = (
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
    " AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
)
_BYTES = (
    "SELECT sum(pg_total_relation_size(oid)) FROM pg_class"
    f" WHERE relnamespace = '{SCHEMA}'::regnamespace AND relkind = 'r'"
)
_MOST_BYTES = 4 << 20  # dead rows stay where they were
_EMPTY = ";".join(
    (
        *(f"DELETE FROM {SCHEMA}.{table.name}" for table in reversed(metadata.sorted_tables)),
        "PERFORM setval(oid, 1, false) FROM pg_class WHERE relkind = 'S' AND oid >= 16384",
    )
)
_LEAVING_SECONDS = 1.0
"""Within which connections that were closed are gone; what stays is of a process that goes on."""


async def _made() -> _Lent:
    url = await _create()
    async with open_database(url.render_as_string(hide_password=False), Path()):
        pass
    async with _connected(url) as connection:
        return _Lent(url, await connection.scalar(text(_TABLES)))


async def _left_by_another_test() -> _Lent | None:
    while _left:
        lent = _left.pop()
        try:
            async with _connected(lent.url) as connection:
                if await _emptied(connection, lent):
                    return lent
        except (OSError, SQLAlchemyError):
            pass  # it was dropped, or takes no connections
        await _drop(lent.url)
    return None


async def _emptied(connection: AsyncConnection, lent: _Lent) -> bool:
    end = monotonic() + _LEAVING_SECONDS
    while await connection.scalar(text(_OTHERS)):
        if monotonic() > end:
            return False
        await asyncio.sleep(0.01)
    if await connection.scalar(text(_TABLES)) != lent.tables:
        return False
    if await connection.scalar(text(_BYTES)) > _MOST_BYTES:
        return False
    await connection.exec_driver_sql(f"DO $$ BEGIN {_EMPTY}; END $$")
    return True


async def _create() -> URL:
    name = f"everturn_test_{uuid4().hex}"
    try:
        await in_postgres(f"CREATE DATABASE {name}")
    except OSError:
        pytest.skip(f"no PostgreSQL answers at {POSTGRES}: see TEST_DATABASE_URL")
    return POSTGRES.set(database=name)


async def _drop(url: URL) -> None:
    await in_postgres(f"DROP DATABASE IF EXISTS {url.database} WITH (FORCE)")


async def in_postgres(statement: str) -> None:
    """Run a statement of the server's owner."""
    async with _connected(POSTGRES) as connection:
        await connection.execute(text(statement))


@asynccontextmanager
async def _connected(url: URL) -> AsyncIterator[AsyncConnection]:
    """A connection by which each statement is a transaction."""
    engine = create_async_engine(url, isolation_level="AUTOCOMMIT", poolclass=NullPool)
    try:
        async with engine.connect() as connection:
            yield connection
    finally:
        await engine.dispose()


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

"""The two stores themselves: versions, what keeps them from losing data, and their clocks."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from redis.asyncio import Redis, RedisCluster
from sqlalchemy import Connection, func, select, text

from everturn.checkpoints.checkup.finding import Finding
from everturn.checkpoints.redis.failures import redis_errors
from everturn.checkpoints.redis.info import infos
from everturn.checkpoints.sql.database import Database

_CLOCKS_APART = 1.0
"""Seconds: less, and the order of what two processes write at one moment is all that differs."""
_CHECK_SECONDS = 600.0


async def look_at_redis(client: Redis | RedisCluster) -> AsyncIterator[Finding]:
    """Look at a Redis; that it can serve at all was seen when it was opened.

    Of a cluster each primary is looked at.
    """
    with redis_errors():
        servers = await infos(client)
    for address, info in servers.items():
        node: Any = {"target_nodes": client.get_node(node_name=address)} if address else {}  # type: ignore[union-attr]
        with redis_errors():
            asked = datetime.now(UTC)
            seconds, microseconds = await client.time(**node)
            answered = datetime.now(UTC)
        there = datetime.fromtimestamp(int(seconds) + int(microseconds) / 1e6, UTC)
        version = f"version {info.get('valkey_version') or info['redis_version']}"
        of_node = [Finding("ok", "redis", version), *_keeping(info)]
        if address and not info.get("connected_slaves"):
            says = "it has no replica: when it is lost, so is what it holds"
            of_node.append(Finding("warning", "redis", says))
        for each in (*of_node, _clock("redis", there, asked, answered)):
            yield replace(each, says=f"{address}: {each.says}") if address else each


def _keeping(info: dict[str, Any]) -> Iterator[Finding]:
    policy = info.get("maxmemory_policy", "noeviction")
    if info.get("maxmemory") and policy != "noeviction":
        says = f"maxmemory-policy {policy} deletes conversations when memory is short: noeviction"
        yield Finding("warning", "redis", says)
    if not info.get("aof_enabled"):
        says = "what is not yet in a snapshot is lost when it is killed: set appendonly yes"
        yield Finding("warning", "redis", says)
    for name in ("rdb_last_bgsave_status", "aof_last_write_status", "aof_last_bgrewrite_status"):
        if info.get(name, "ok") != "ok":
            yield Finding("error", "redis", f"{name} is {info[name]}: see its log and its disk")


async def look_at_database(database: Database) -> AsyncIterator[Finding]:
    """Look at the database; its tables are those of this version, or it were not open."""
    if database.dialect.name == "sqlite":
        flaws = await database.search(_flaws, seconds=_CHECK_SECONDS)
        yield Finding("ok", "database", f"SQLite {await database.read(_sqlite_version)}")
        if flaws != ["ok"]:
            says = f"it is damaged, restore a backup: {'; '.join(flaws[:3])}"
            yield Finding("error", "database", says)
        return
    asked = datetime.now(UTC)
    there, version = await database.read(_postgresql)
    yield Finding("ok", "database", f"PostgreSQL {version}")
    yield _clock("database", there, asked, datetime.now(UTC))


def _flaws(connection: Connection) -> list[str]:
    return [str(each) for each in connection.scalars(text("PRAGMA quick_check(3)"))]


def _sqlite_version(connection: Connection) -> str:
    return str(connection.scalar(select(func.sqlite_version())))


def _postgresql(connection: Connection) -> tuple[datetime, str]:
    query = text("SELECT clock_timestamp(), current_setting('server_version')")
    moment, version = connection.execute(query).one()
    return moment, version


def _clock(about: str, there: datetime, asked: datetime, answered: datetime) -> Finding:
    """Compare a clock with ours: what the trip took is no difference."""
    early, late = (asked - there).total_seconds(), (there - answered).total_seconds()
    apart = max(early, late, 0.0)
    if apart > _CLOCKS_APART:
        where = "behind" if early > late else "ahead of"
        return Finding("warning", about, f"its clock is {apart:.1f} s {where} ours: use NTP")
    return Finding("ok", about, "its clock agrees with ours")

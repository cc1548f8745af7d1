"""Clients for the URLs we take, and the check that the server behind one can serve.

    redis://[user:password@]host[:port][/db]      rediss:// with TLS
    unix://[user:password@]/path/of/socket[?db=0]
    redis+cluster://[user:password@]host[:port][,host[:port]…]
    redis+sentinel://[user:password@]host[:port][,host[:port]…]/service[/db]
        with ?sentinel_username=…&sentinel_password=… if the sentinels want a login

`rediss+cluster://` and `rediss+sentinel://` use TLS, with the sentinels too. Options of redis-py's
connections go into the query, as in redis-py's own URLs: ssl_ca_certs=/path/ca.pem for an authority
that the system does not know, ssl_certfile=… and ssl_keyfile=… if the server wants a certificate.

Redis answers before its replicas have what it stored: a primary that is lost can take with it what
it acknowledged last. `min-replicas-to-write` in redis.conf bounds that.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

import redis
import redis.asyncio as aio
from redis import cluster, sentinel
from redis import connection as connections
from redis.asyncio import cluster as aio_cluster
from redis.asyncio import sentinel as aio_sentinel
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import ExponentialWithJitterBackoff
from redis.retry import Retry

from everturn.checkpoints.errors import StoreMisconfigured
from everturn.checkpoints.redis.cluster import AsyncCluster, Cluster
from everturn.checkpoints.redis.connections import better
from everturn.checkpoints.redis.failures import CALL_FAILED, hangs, translate

_OLDEST = (6, 2)
_PORT, _SENTINEL_PORT = 6379, 26379
_SENTINEL = "sentinel_"
_FILES = ("ssl_ca_certs", "ssl_ca_path", "ssl_certfile", "ssl_keyfile")

# Every wait for an answer has an end (seconds), so that a caller learns within 2 s that the server
# hangs: 4 MB, a page of a listing, arrive in that time at 25 Mbit/s, and the longest script took
# 0.4 s, to copy a thread of 470 MB. `?socket_timeout=` in the URL is for what is slower and well. A
# server that refuses connections is asked again and reported after some 0.5 s; one that takes a
# call and says nothing is not: it would say nothing again.
_TIMEOUTS: dict[str, Any] = {"socket_timeout": 1.5, "socket_connect_timeout": 1.5}
_RETRIES = 3
_ASKED_AGAIN = (redis.ConnectionError,)
_BACKOFF = ExponentialWithJitterBackoff(base=0.05, cap=0.5)
# redis-py's usual pool raises at once when all connections are taken. Our callers queue, but not
# for ever (seconds). Up to 40 may be in use for long: by pops that wait for a thread (`locks`) and
# reads that wait for an answer (`flights`); a process needs some for all else. `?max_connections=`
# in the URL is for a server that has fewer, or more.
_POOL: dict[str, Any] = {"max_connections": 64, "timeout": 20}


def _may_help(error: Exception) -> bool:
    return not hangs(error)


class _Retry(Retry):
    """Retries nothing after a silence: the next answer would take as long."""

    def call_with_retry(
        self, do: Any, fail: Any, is_retryable: Any = None, with_failure_count: bool = False
    ) -> Any:
        return super().call_with_retry(do, fail, is_retryable or _may_help, with_failure_count)


class _AsyncRetry(AsyncRetry):
    """As `_Retry`, but asynchronous."""

    async def call_with_retry(
        self, do: Any, fail: Any, is_retryable: Any = None, with_failure_count: bool = False
    ) -> Any:
        return await super().call_with_retry(
            do, fail, is_retryable or _may_help, with_failure_count
        )


class _BlockingSentinelPool(sentinel.SentinelConnectionPool, redis.BlockingConnectionPool):
    """Finds the primary through Sentinel, lets callers queue, and closes what it opened."""

    def disconnect(self, inuse_connections: bool = True) -> None:
        super().disconnect(inuse_connections)
        if inuse_connections:  # else there is a new primary, to be asked for
            for client in self.sentinel_manager.sentinels:
                client.connection_pool.disconnect()


class _AsyncBlockingSentinelPool(aio_sentinel.SentinelConnectionPool, aio.BlockingConnectionPool):
    """Finds the primary through Sentinel, lets callers queue, and closes what it opened."""

    async def disconnect(self, inuse_connections: bool = True) -> None:
        await super().disconnect(inuse_connections)
        if inuse_connections:  # else there is a new primary, to be asked for
            for client in self.sentinel_manager.sentinels:
                await client.connection_pool.disconnect()


@dataclass(frozen=True)
class _Classes:
    """What redis-py has twice, under the same names. It types little of it, hence Any."""

    client: Any
    pool: Any
    cluster: Any
    cluster_node: Any
    sentinel: Any
    sentinel_pool: Any
    retry: Any


_SYNC = _Classes(
    client=redis.Redis,
    pool=redis.BlockingConnectionPool,
    cluster=Cluster,
    cluster_node=cluster.ClusterNode,
    sentinel=sentinel.Sentinel,
    sentinel_pool=_BlockingSentinelPool,
    retry=_Retry,
)
_ASYNC = _Classes(
    client=aio.Redis,
    pool=aio.BlockingConnectionPool,
    cluster=AsyncCluster,
    cluster_node=aio_cluster.ClusterNode,
    sentinel=aio_sentinel.Sentinel,
    sentinel_pool=_AsyncBlockingSentinelPool,
    retry=_AsyncRetry,
)


_urls: WeakKeyDictionary[Any, str] = WeakKeyDictionary()
"""Of asynchronous clients, for their twins."""


def create_async_client(url: str) -> aio.Redis | aio.RedisCluster:
    """An asynchronous client for a URL as above; it connects when it is first used.

    Replies are bytes. Raises StoreMisconfigured for a URL that it cannot read.
    """
    client = _create(_ASYNC, url)
    _urls[client] = url
    return cast("aio.Redis | aio.RedisCluster", client)


def create_client(url: str) -> redis.Redis | redis.RedisCluster:
    """As `create_async_client`, but synchronous; for a cluster it connects at once."""
    return cast("redis.Redis | redis.RedisCluster", _create(_SYNC, url))


def create_twin(client: aio.Redis | aio.RedisCluster) -> redis.Redis | redis.RedisCluster:
    """A synchronous client of the server of one that `create_async_client` made."""
    return create_client(_urls[client])


async def check_server(client: aio.Redis | aio.RedisCluster) -> None:
    """Raises StoreUnavailable or StoreMisconfigured, with what to do, if it cannot serve."""
    try:
        info = await client.info()
        await client.eval("return 1", 0)
    except CALL_FAILED as error:
        raise translate(error, served=False) from error
    _judge(info, is_cluster=isinstance(client, aio.RedisCluster))


def check_sync_server(client: redis.Redis | redis.RedisCluster) -> None:
    """As `check_server`, for a synchronous client."""
    try:
        info = client.info()
        client.eval("return 1", 0)
    except CALL_FAILED as error:
        raise translate(error, served=False) from error
    _judge(info, is_cluster=isinstance(client, redis.RedisCluster))


def _judge(info: Mapping[str, Any], *, is_cluster: bool) -> None:
    version = str(info["redis_version"])
    if tuple(int(part) for part in version.split(".")[:2]) < _OLDEST:
        raise StoreMisconfigured(
            f"Redis {version} is too old: the checkpointer needs 6.2 or newer, or Valkey."
        )
    if info.get("cluster_enabled") and not is_cluster:
        raise StoreMisconfigured(
            "This Redis is a node of a cluster: use redis+cluster://host:port."
        )
    if info.get("role") == "slave" and not is_cluster:
        raise StoreMisconfigured("This Redis is a read-only replica: give the primary's address.")


def _create(classes: _Classes, url: str) -> Any:
    try:
        target = _read(url)
        options = {**_TIMEOUTS, "retry": _retry(classes, _RETRIES), **target.options}
        if target.kind == "cluster":
            nodes = [classes.cluster_node(*host) for host in target.hosts]
            options["retry"] = _retry(classes, 0)
            return classes.cluster(startup_nodes=nodes, **options)
        if target.kind == "sentinel":
            one_try = {"retry": _retry(classes, 0), **target.sentinel_options}
            sentinels = classes.sentinel(target.hosts, sentinel_kwargs=one_try)
            pool = {"connection_pool_class": classes.sentinel_pool, **_POOL, **options}
            client = sentinels.master_for(target.service, **pool)
            found = client.connection_pool
            found.connection_class = better(found.connection_class)
            return client
        pool = classes.pool.from_url(url, **{**_POOL, **options})
        pool.connection_class(**pool.connection_kwargs)  # connects nowhere; knows its options
        pool.connection_class = better(pool.connection_class)
        return classes.client.from_pool(pool)
    except (ValueError, TypeError) as error:  # a TypeError is an option that redis-py lacks
        raise StoreMisconfigured(f"The Redis URL cannot be read: {error}") from None
    except CALL_FAILED as error:  # a synchronous cluster client connects when it is made
        raise translate(error, served=False) from error


def _retry(classes: _Classes, retries: int) -> Any:
    return classes.retry(_BACKOFF, retries, _ASKED_AGAIN)


@dataclass(frozen=True)
class _Target:
    """What a URL says; `options` are redis-py's, without host and port."""

    kind: str
    hosts: list[tuple[str, int]]
    service: str
    options: dict[str, Any]
    sentinel_options: dict[str, Any]


def _read(url: str) -> _Target:
    parts = urlsplit(url)
    scheme, _, kind = parts.scheme.partition("+")
    if parts.scheme == "unix":
        if not parts.path:
            raise ValueError("it names no socket, as in unix:///path/of/socket.")
        return _Target("", [], "", {}, {})
    if scheme not in {"redis", "rediss"} or kind not in {"", "cluster", "sentinel"}:
        raise ValueError(
            f"it begins with {parts.scheme!r}, not with redis://, rediss://, unix://, "
            "redis+cluster:// or redis+sentinel://."
        )
    login, at, hosts = parts.netloc.rpartition("@")
    path = parts.path.strip("/").split("/")
    service = path.pop(0) if kind == "sentinel" else ""
    if kind == "sentinel" and not service:
        raise ValueError("it names no service, as in redis+sentinel://host:26379/service.")
    if not kind and "," in hosts:
        raise ValueError("several hosts are for redis+cluster:// and redis+sentinel://.")
    port = _SENTINEL_PORT if kind == "sentinel" else _PORT
    addresses = [_address(host, port) for host in hosts.split(",")]
    database = "/".join(path)
    if database and not database.isdecimal():
        raise ValueError("its path is no database: that is a number, as in redis://host/0.")
    parse: Any = connections.parse_url
    options = parse(f"{scheme}://{login}{at}host/{database}?{parts.query}")
    if kind == "cluster" and options.get("db"):
        raise ValueError("a cluster has no databases but 0.")
    del options["host"]
    options.pop("connection_class", None)
    if kind and scheme == "rediss":  # a pool of one server reads it in the URL
        options["ssl"] = True
    sentinel_options = {
        name.removeprefix(_SENTINEL): options.pop(name)
        for name in list(options)
        if name.startswith(_SENTINEL)
    }
    _check_files(options)
    # The sentinels have a login of their own, but speak TLS on the same terms.
    tls = {name: value for name, value in options.items() if name.startswith("ssl")}
    return _Target(kind, addresses, service, options, _TIMEOUTS | tls | sentinel_options)


def _check_files(options: Mapping[str, Any]) -> None:
    """Else they are missed with every connection, which looks as if the server were away."""
    for name in _FILES:
        if name in options and not Path(options[name]).exists():
            raise ValueError(f"its {name} names no file: {options[name]}.")


def _address(host: str, default_port: int) -> tuple[str, int]:
    parts = urlsplit(f"//{host}")
    try:
        port = parts.port
    except ValueError:  # whose text may be a piece of a password
        raise ValueError(
            "a port must be a number up to 65535; write / ? # and @ in a password as %2F %3F %23 "
            "and %40."
        ) from None
    return parts.hostname or "localhost", port or default_port

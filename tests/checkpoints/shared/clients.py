"""Each of the servers that the service runs with, by the service's own client."""

from collections.abc import AsyncIterator
from uuid import uuid4

import pytest

from everturn.checkpoints.connect import open_memory
from everturn.checkpoints.redis.connect import create_async_client
from tests.checkpoints.stores import REDIS_URL, Store, redis_store


@pytest.fixture(params=["embedded", "redis", "cluster"])
async def store(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Store]:
    """A server, and the beginning of all names that a test may use there."""
    if request.param == "embedded":
        async with open_memory(None, tmp_path_factory.mktemp("memory") / "data") as client:
            yield Store(client, "test")
    elif request.param == "cluster":
        cluster = create_async_client(request.getfixturevalue("cluster_url"))
        yield Store(cluster, f"test-{uuid4().hex}")
        await cluster.aclose()
    else:
        async with redis_store() as named:
            client = create_async_client(REDIS_URL)
            yield Store(client, named.prefix)
            await client.aclose()

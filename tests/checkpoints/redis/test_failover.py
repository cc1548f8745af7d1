"""A primary that is killed, and its replica that takes over: behind sentinels, and in a cluster."""

import asyncio
import gc
import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest

from everturn.checkpoints.errors import StoreUnavailable
from everturn.checkpoints.redis import AsyncRedisSaver, RedisSaver
from everturn.checkpoints.redis.keyspace import Keyspace
from tests.checkpoints.redis.primaries import primary_of
from tests.checkpoints.redis.replicas import replicated
from tests.checkpoints.redis.samples import checkpoint, named, place
from tests.waiting import PATIENCE

pytestmark = pytest.mark.clock

THREADS = [f"thread-{number}" for number in range(12)]


@pytest.fixture(params=["sentinel", "cluster"])
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    with replicated(request.param) as found:
        yield found


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
        key = Keyspace("lg").thread(THREADS[0])[0]
        pid, enough = primary_of(key, url), asyncio.Event()

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

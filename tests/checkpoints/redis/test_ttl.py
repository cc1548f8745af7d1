"""Time to live: of a thread as a whole, renewed by every use, expiring for real."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from langgraph.checkpoint.base import ChannelVersions

from everturn.checkpoints.redis import AsyncRedisSaver
from everturn.checkpoints.redis.keyspace import Keyspace
from tests.checkpoints.redis.samples import checkpoint, listed, looking_into, place, put
from tests.waiting import eventually


@pytest.fixture
async def saver(url: str, prefix: str) -> AsyncIterator[AsyncRedisSaver]:
    async with AsyncRedisSaver.from_url(url, prefix=prefix, ttl=1000) as opened:
        yield opened


def times_to_live(url: str, prefix: str, thread_id: str = "thread") -> list[int]:
    """Seconds, of both keys; -1 for ever, -2 not there."""
    with looking_into(url) as client:
        return [client.ttl(key) for key in Keyspace(prefix).thread(thread_id)]


def shorten(url: str, prefix: str, seconds: int) -> None:
    with looking_into(url) as client:
        for key in Keyspace(prefix).thread("thread"):
            client.expire(key, seconds)


Use = Callable[[AsyncRedisSaver, Any], Awaitable[object]]
USES: dict[str, Use] = {
    "get_tuple": lambda saver, config: saver.aget_tuple(config),
    "latest": lambda saver, _: saver.aget_tuple(place()),
    "put": lambda saver, config: put(saver, config, {"c": 2}),
    "put_writes": lambda saver, config: saver.aput_writes(config, [("c", 1)], "task"),
    "list": lambda saver, _: listed(saver, place()),
    "list of all namespaces": lambda saver, _: listed(saver, place(ns=None)),
    "history": lambda saver, config: saver.aget_delta_channel_history(
        config=config, channels=["c"]
    ),
}


@pytest.mark.parametrize("use", USES)
async def test_every_use_renews_the_whole_thread(
    saver: AsyncRedisSaver, url: str, prefix: str, use: str
) -> None:
    config = await put(saver, place(), {"c": 1})
    shorten(url, prefix, 100)
    await USES[use](saver, config)
    assert all(900 < left <= 1000 for left in times_to_live(url, prefix))


async def test_looking_at_all_threads_renews_none(
    saver: AsyncRedisSaver, url: str, prefix: str
) -> None:
    await put(saver, place(), {"c": 1}, {"run_id": "r"})
    shorten(url, prefix, 100)
    assert len(await listed(saver, None)) == 1
    await saver.adelete_for_runs(["other"])
    assert all(left <= 100 for left in times_to_live(url, prefix))


async def test_a_thread_has_a_time_of_its_own(
    saver: AsyncRedisSaver, url: str, prefix: str
) -> None:
    config = await put(saver, place(__ttl=50), {"c": 1})
    await saver.aget_tuple(place())
    await saver.aput_writes(config, [("c", 1)], "task")
    assert all(0 < left <= 50 for left in times_to_live(url, prefix))
    await saver.aget_tuple(place(__ttl=5000))
    await put(saver, config, {"c": 1})
    assert all(4000 < left <= 5000 for left in times_to_live(url, prefix))


async def test_a_thread_may_stay_for_ever(saver: AsyncRedisSaver, url: str, prefix: str) -> None:
    config = await put(saver, place(), {"c": 1})
    await put(saver, place(__ttl=0), {"c": 1})
    assert times_to_live(url, prefix) == [-1, -1]
    await saver.aget_tuple(config)
    assert times_to_live(url, prefix) == [-1, -1]


async def test_without_a_time_to_live_a_thread_stays(url: str, prefix: str) -> None:
    async with AsyncRedisSaver.from_url(url, prefix=prefix) as saver:
        await put(saver, place(), {"c": 1})
        assert times_to_live(url, prefix) == [-1, -1]


async def test_reading_a_thread_that_is_not_there_makes_none(
    saver: AsyncRedisSaver, url: str, prefix: str
) -> None:
    assert await saver.aget_tuple(place(__ttl=50, __fence=5)) is None
    assert times_to_live(url, prefix) == [-2, -2]


async def test_an_active_thread_keeps_a_channel_that_never_changes(
    saver: AsyncRedisSaver, url: str, prefix: str
) -> None:
    versions: ChannelVersions = {"old": "1", "new": "1"}
    made = checkpoint({"old": "kept" * 5000, "new": 0}, versions)
    config = await saver.aput(place(), made, {}, versions)
    for step in range(2):
        shorten(url, prefix, 100)
        versions = {"old": "1", "new": f"{step + 2}"}
        made = checkpoint({"old": "kept" * 5000, "new": step}, versions)
        config = await saver.aput(config, made, {}, {"new": versions["new"]})
        assert all(900 < left <= 1000 for left in times_to_live(url, prefix))
    found = await saver.aget_tuple(place())
    assert found is not None
    assert found.checkpoint["channel_values"] == {"old": "kept" * 5000, "new": 1}


async def test_an_expired_thread_is_gone_whole(url: str, prefix: str) -> None:
    async with AsyncRedisSaver.from_url(url, prefix=prefix, ttl=1) as saver:
        config = await put(saver, place(), {"c": "x" * 10_000})
        await saver.aput_writes(config, [("c", 1)], "task")
        await eventually(lambda: times_to_live(url, prefix) == [-2, -2])
        assert await saver.aget_tuple(config) is None
        assert await listed(saver, place()) == []
        # The run goes on: what it holds in memory is stored again, whole.
        versions: ChannelVersions = {"c": "1", "d": "2"}
        made = checkpoint({"c": "x" * 10_000, "d": 1}, versions)
        await saver.aput(config, made, {}, {"d": "2"})
        found = await saver.aget_tuple(place())
        assert found is not None
        assert found.checkpoint["channel_values"] == {"c": "x" * 10_000, "d": 1}
        assert found.pending_writes == []


@pytest.mark.parametrize("url", ["valkey"], indirect=True)
@pytest.mark.parametrize("bad", [-1, 1.5, "60", True, 2**31])
async def test_a_time_to_live_is_a_whole_number(saver: AsyncRedisSaver, bad: object) -> None:
    with pytest.raises(ValueError, match="__ttl"):
        await put(saver, place(__ttl=bad))

"""Results that are good for a while: made once, by whoever comes first, in any process."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from langchain_core.messages import ToolMessage
from redis.asyncio import Redis

import everturn.checkpoints.shared.tool_cache
from everturn.checkpoints.shared.tool_cache import RedisResultStore
from everturn.tools.kit.cache import Made, MemoryStore, ResultStore, ToolCache, key_of
from tests.waiting import PATIENCE

pytestmark = pytest.mark.clock

ROOT = Path(__file__).parents[3]


def message(text: str = "result", **more: Any) -> ToolMessage:
    return ToolMessage(text, tool_call_id="c", **more)


class Maker:
    """Makes an answer, and counts how often."""

    def __init__(self, answer: ToolMessage | None = None, seconds: float = 0.0) -> None:
        self.made = 0
        self.answer = answer or message()
        self.seconds = seconds
        self.started = asyncio.Event()

    async def __call__(self) -> Made:
        self.made += 1
        self.started.set()
        await asyncio.sleep(self.seconds)
        return Made(self.answer, keep=True)


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that is slow must not look like a Redis that hangs."""
    monkeypatch.setattr(everturn.checkpoints.shared.tool_cache, "_TIMEOUT", PATIENCE)


@pytest.fixture
async def redis() -> AsyncIterator[Redis]:
    async with Redis.from_url(os.environ["TEST_REDIS_URL"]) as client:
        yield client


@pytest.fixture
async def prefix(redis: Redis) -> AsyncIterator[str]:
    name = f"test-{uuid4().hex}"
    yield name
    async for key in redis.scan_iter(f"{{{name}:*"):
        await redis.delete(key)


@pytest.fixture(params=["memory", "redis"])
async def store(request: pytest.FixtureRequest, redis: Redis, prefix: str) -> ResultStore:
    return MemoryStore() if request.param == "memory" else RedisResultStore(redis, prefix)


async def test_an_answer_is_made_once_and_then_found(store: ResultStore) -> None:
    cache, maker = ToolCache(store), Maker(message("süß"))
    assert (await cache.answer("k", 60, 60, maker))[1] == "miss"
    answer, use = await cache.answer("k", 60, 60, maker)
    assert (answer.content, answer.status, use) == ("süß", "success", "hit")
    assert (await cache.answer("other", 60, 60, maker))[1] == "miss"
    assert maker.made == 2


async def test_blocks_are_kept_as_they_are(store: ResultStore) -> None:
    blocks: list[str | dict[str, Any]] = [{"type": "text", "text": "a"}, "b"]
    cache, maker = ToolCache(store), Maker(ToolMessage(blocks, tool_call_id="c"))
    await cache.answer("k", 60, 60, maker)
    assert (await cache.answer("k", 60, 60, maker))[0].content == blocks
    assert maker.made == 1


async def test_a_result_is_good_for_its_time_only(store: ResultStore) -> None:
    cache, maker = ToolCache(store), Maker()
    await cache.answer("k", 0.05, 60, maker)
    await asyncio.sleep(0.1)
    assert (await cache.answer("k", 0.05, 60, maker))[1] == "miss"


@pytest.mark.parametrize(
    "answer",
    [
        message(status="error"),
        message(artifact=object()),
        ToolMessage([{"x": {1, 2}}], tool_call_id="c"),
    ],
)
async def test_failures_and_what_is_no_text_are_not_kept(
    store: ResultStore, answer: ToolMessage
) -> None:
    cache, maker = ToolCache(store), Maker(answer)
    for _ in range(2):
        assert (await cache.answer("k", 60, 60, maker))[1] == "miss"
    assert maker.made == 2


async def test_what_may_not_be_kept_is_not(store: ResultStore) -> None:
    async def make() -> Made:
        return Made(message(), keep=False)

    cache = ToolCache(store)
    await cache.answer("k", 60, 60, make)
    assert (await cache.answer("k", 60, 60, make))[1] == "miss"


async def test_many_who_ask_at_once_wait_for_one(store: ResultStore) -> None:
    cache, maker = ToolCache(store), Maker(seconds=0.1)
    found = await asyncio.gather(*[cache.answer("k", 60, 60, maker) for _ in range(50)])
    assert maker.made == 1
    assert [use for _, use in found].count("joined") == 49
    assert {answer.content for answer, _ in found} == {"result"}


async def test_they_share_its_failure_and_the_next_one_tries_anew(store: ResultStore) -> None:
    cache, maker = ToolCache(store), Maker(message(status="error"), seconds=0.05)
    found = await asyncio.gather(*[cache.answer("k", 60, 60, maker) for _ in range(10)])
    assert maker.made == 1
    assert all(answer.status == "error" for answer, _ in found)
    await cache.answer("k", 60, 60, maker)
    assert maker.made == 2


async def test_when_the_one_is_stopped_another_takes_over(store: ResultStore) -> None:
    cache, maker = ToolCache(store), Maker(seconds=0.2)
    first = asyncio.create_task(cache.answer("k", 60, 60, maker))
    await maker.started.wait()
    others = [asyncio.create_task(cache.answer("k", 60, 60, maker)) for _ in range(5)]
    await asyncio.sleep(0)
    first.cancel()
    found = await asyncio.gather(*others)
    assert maker.made == 2
    assert [use for _, use in found].count("joined") == 4


async def test_two_processes_make_it_once(redis: Redis, prefix: str) -> None:
    caches = [ToolCache(RedisResultStore(redis, prefix)) for _ in range(4)]  # as if each had one
    maker = Maker(seconds=0.2)
    found = await asyncio.gather(
        *[cache.answer("k", 60, 60, maker) for cache in caches for _ in range(10)]
    )
    assert maker.made == 1
    assert {answer.content for answer, _ in found} == {"result"}


async def test_another_process_is_not_kept_by_a_failure_or_a_stop(
    redis: Redis, prefix: str
) -> None:
    one, other = (ToolCache(RedisResultStore(redis, prefix)) for _ in range(2))
    failing, maker = Maker(message(status="error"), seconds=0.1), Maker()
    first = asyncio.create_task(one.answer("k", 60, 600, failing))
    await failing.started.wait()
    assert (await asyncio.wait_for(other.answer("k", 60, 600, maker), PATIENCE))[
        0
    ].status == "success"
    await first
    slow = Maker(seconds=60)
    first = asyncio.create_task(one.answer("k2", 60, 600, slow))
    await slow.started.wait()
    waiting = asyncio.create_task(other.answer("k2", 60, 600, maker))
    await asyncio.sleep(0.05)
    first.cancel()
    assert (await asyncio.wait_for(waiting, PATIENCE))[0].status == "success"


async def test_when_a_process_dies_its_lease_ends(redis: Redis, prefix: str) -> None:
    dead = RedisResultStore(redis, prefix)
    assert await dead.find("k", 0.3) is None  # and is never heard of again
    maker = Maker()
    answer, use = await asyncio.wait_for(
        ToolCache(RedisResultStore(redis, prefix)).answer("k", 60, 60, maker), PATIENCE
    )
    assert (answer.content, use, maker.made) == ("result", "miss", 1)


async def test_a_result_that_comes_after_its_lease_takes_nobody_elses(
    redis: Redis, prefix: str
) -> None:
    late, now = RedisResultStore(redis, prefix), RedisResultStore(redis, prefix)
    assert await late.find("k", 0.05) is None
    await asyncio.sleep(0.1)
    assert await now.find("k", 600) is None
    await late.give_up("k")
    third = asyncio.create_task(RedisResultStore(redis, prefix).find("k", 600))
    await asyncio.sleep(0.05)
    assert not third.done()  # it waits for `now`
    await now.keep("k", '"x"', 30)
    assert await asyncio.wait_for(third, PATIENCE) == '"x"'


async def test_without_redis_tools_are_asked_without_a_cache(redis: Redis, prefix: str) -> None:
    maker = Maker()
    async with Redis.from_url("redis://127.0.0.1:1", retry=None) as nobody:
        cache = ToolCache(RedisResultStore(nobody, prefix))
        for _ in range(3):
            answer, use = await cache.answer("k", 60, 60, maker)
            assert (answer.content, use) == ("result", "uncached")
    assert maker.made == 3


async def test_a_redis_that_hangs_is_asked_only_once(
    prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(everturn.checkpoints.shared.tool_cache, "_TIMEOUT", 0.5)
    end, asked = asyncio.Event(), list[object]()

    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(reader)
        await end.wait()
        writer.close()

    hanging = await asyncio.start_server(hang, "127.0.0.1", 0)
    port = hanging.sockets[0].getsockname()[1]
    maker = Maker()
    async with Redis(port=port) as client:
        cache = ToolCache(RedisResultStore(client, prefix))
        for _ in range(5):
            assert (await cache.answer("k", 60, 60, maker))[1] == "uncached"
    assert len(asked) == 1
    end.set()
    hanging.close()
    await hanging.wait_closed()


async def test_the_memory_of_a_process_is_bounded() -> None:
    clock = [0.0]
    store = MemoryStore(most=3, characters=100, clock=lambda: clock[0])
    for n in range(4):
        await store.keep(f"k{n}", "x", 10)
    assert [await store.find(f"k{n}", 1) for n in range(4)] == [None, "x", "x", "x"]
    await store.find("k1", 1)
    await store.keep("big", "y" * 99, 10)  # k1 was used last, so it is what stays
    assert [await store.find(key, 1) for key in ("k1", "k2", "k3")] == ["x", None, None]
    await store.keep("huge", "z" * 101, 10)
    assert await store.find("huge", 1) is None
    clock[0] = 10
    assert await store.find("k1", 1) is None
    assert store._size == 99


def test_a_key_is_the_same_for_the_same_arguments_only() -> None:
    assert key_of("t", "1", {"a": 1, "b": [True]}) == key_of("t", "1", {"b": [True], "a": 1})
    keys = [
        key_of("t", "1", {"a": 1}),
        key_of("u", "1", {"a": 1}),
        key_of("t", "2", {"a": 1}),
        key_of("t", "1", {"a": "1"}),
        key_of("t", "1", {"a": True}),
        key_of("t", "1", {}),
    ]
    assert len(set(keys)) == len(keys)
    assert key_of("t", "1", {"a": object()}) is None


WORKER = """
import asyncio, json, sys
from redis.asyncio import Redis
from langchain_core.messages import ToolMessage
from everturn.checkpoints.shared import tool_cache
from everturn.checkpoints.shared.tool_cache import RedisResultStore
from everturn.tools.kit.cache import Made, ToolCache

tool_cache._TIMEOUT = float(sys.argv[3])  # a slow machine is no Redis that hangs

async def main(url, prefix, _):
    made = 0
    async def make():
        nonlocal made
        made += 1
        await asyncio.sleep(0.3)
        return Made(ToolMessage("made", tool_call_id="c"), keep=True)
    async with Redis.from_url(url) as redis:
        cache = ToolCache(RedisResultStore(redis, prefix))
        await redis.ping()
        print("ready", flush=True)
        sys.stdin.readline()
        found = await asyncio.gather(*[cache.answer(f"k{n % 3}", 60, 60, make) for n in range(30)])
    print(json.dumps([made, sorted({a.content for a, _ in found})]))

asyncio.run(main(*sys.argv[1:]))
"""


async def test_two_real_processes_share_what_either_makes(prefix: str) -> None:
    command = [sys.executable, "-c", WORKER, os.environ["TEST_REDIS_URL"], prefix, str(PATIENCE)]
    workers = [
        subprocess.Popen(
            command, cwd=ROOT, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        for _ in range(2)
    ]
    try:
        for worker in workers:
            assert worker.stdout
            assert worker.stdout.readline() == "ready\n"
        for worker in workers:
            assert worker.stdin
            worker.stdin.write("go\n")
            worker.stdin.flush()
        outputs = [json.loads(worker.communicate(timeout=PATIENCE)[0]) for worker in workers]
    finally:
        for worker in workers:
            worker.kill()
    assert sum(made for made, _ in outputs) == 3
    assert [contents for _, contents in outputs] == [["made"]] * 2

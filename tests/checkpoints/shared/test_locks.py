import asyncio
import gc
import random
import signal
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

import everturn.checkpoints.shared.locks
from everturn.checkpoints.errors import StaleWriter, StoreUnavailable, ThreadBusy
from everturn.checkpoints.shared.locks import LocalThreadLocks, RedisThreadLocks, ThreadLocks
from tests.checkpoints.stores import REDIS_URL, ROOT, Store, one_node_cluster, redis_store
from tests.waiting import PATIENCE, eventually

pytestmark = pytest.mark.clock

LONG = PATIENCE  # seconds that no test waits for


@pytest.fixture(scope="module")
def cluster_port() -> Iterator[int]:
    with one_node_cluster() as port:
        yield port


@pytest.fixture(params=["redis", "cluster"])
async def store(request: pytest.FixtureRequest) -> AsyncIterator[Store]:
    port = request.getfixturevalue("cluster_port") if request.param == "cluster" else None
    async with redis_store(port) as opened:
        yield opened


@pytest.fixture
async def own_store(cluster_port: int) -> AsyncIterator[Store]:
    """Where nobody else blocks."""
    async with redis_store(cluster_port) as opened:
        yield opened


@pytest.fixture(params=["local", "redis", "cluster"])
async def locks(request: pytest.FixtureRequest) -> AsyncIterator[ThreadLocks]:
    if request.param == "local":
        yield LocalThreadLocks()
        return
    port = request.getfixturevalue("cluster_port") if request.param == "cluster" else None
    async with redis_store(port) as opened:
        yield process(opened)


def process(store: Store, lease: float = 5.0) -> RedisThreadLocks:
    """What one process has: two of these know nothing of each other but through Redis."""
    return RedisThreadLocks(store.client, lease, store.prefix)


@asynccontextmanager
async def held(locks: ThreadLocks, thread_id: str = "t") -> AsyncIterator[int | None]:
    async with asyncio.timeout(LONG), locks.hold(thread_id, wait=LONG) as token:
        yield token


def take_turns(locks: ThreadLocks, name: str, order: list[str]) -> asyncio.Task[None]:
    async def take() -> None:
        async with held(locks):
            order.append(name)

    return asyncio.create_task(take())


async def wait_until_blocked(store: Store, count: int) -> None:
    """Until the server itself says that so many clients wait."""

    async def all_blocked() -> bool:
        return await blocked_clients(store) == count

    await eventually(all_blocked)


async def blocked_clients(store: Store) -> int:
    clients: dict[str, int] = await store.client.info("clients")
    return clients["blocked_clients"]


async def test_a_thread_has_one_holder_at_a_time(locks: ThreadLocks) -> None:
    holders, most = 0, 0

    async def turn(thread_id: str) -> None:
        nonlocal holders, most
        async with held(locks, thread_id):
            holders += 1
            most = max(most, holders)
            await asyncio.sleep(0.001)
            holders -= 1

    await asyncio.gather(*(turn("one {thread} *") for _ in range(30)))
    assert most == 1


async def test_threads_do_not_wait_for_each_other(locks: ThreadLocks) -> None:
    odd = ["", "a", "a:b", "a}b", "{a}", "ü \ud800 \0", "a:held"]
    async with asyncio.timeout(LONG), asyncio.TaskGroup() as group:
        everybody = asyncio.Barrier(len(odd))

        async def meet(thread_id: str) -> None:
            async with held(locks, thread_id):
                await everybody.wait()

        for thread_id in odd:
            group.create_task(meet(thread_id))


async def test_first_come_first_served(locks: ThreadLocks) -> None:
    order: list[str] = []
    async with held(locks):
        waiting = []
        for number in range(9):
            waiting.append(take_turns(locks, str(number), order))
            await asyncio.sleep(0)
        waiting[3].cancel()
    await asyncio.wait(waiting)
    assert order == list("01245678")


async def test_a_busy_thread_is_named(locks: ThreadLocks) -> None:
    async with held(locks):
        for wait in (0, 0.05):
            with pytest.raises(ThreadBusy, match="'t'"):
                async with locks.hold("t", wait=wait):
                    pass
    async with locks.hold("t", wait=0):
        pass


async def test_a_turn_that_fails_or_is_cancelled_frees_its_thread(locks: ThreadLocks) -> None:
    with pytest.raises(TimeoutError, match="of the body"):
        async with locks.hold("t", wait=0):
            raise TimeoutError("of the body")

    async def work() -> None:
        async with locks.hold("t", wait=LONG):
            working.set()
            await asyncio.sleep(LONG)

    working = asyncio.Event()
    task = asyncio.create_task(work())
    await working.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with locks.hold("t", wait=LONG):
        pass


async def test_unused_local_locks_vanish() -> None:
    locks = LocalThreadLocks()
    async with held(locks, "a"), held(locks, "b"):
        assert len(locks._locks) == 2
    gc.collect()
    assert len(locks._locks) == 0


async def test_unused_keys_vanish(store: Store) -> None:
    locks = process(store, lease=0.1)
    async with held(locks):
        pass
    await asyncio.sleep(0.3)
    keys = [key async for key in store.client.scan_iter(match=f"*{store.prefix}*")]
    assert [key.rpartition(b":")[2] for key in keys] == [b"fence"]
    assert 0 < await store.client.ttl(keys[0]) <= 86400


async def test_tokens_grow(store: Store) -> None:
    locks, others = process(store), process(store)
    tokens: list[int] = []
    for each in (locks, locks, others, others, locks):
        async with held(each) as token:
            assert token is not None
            tokens.append(token)
    assert tokens == sorted(set(tokens))
    now = time.time() * 1_000_000
    assert abs(now - tokens[-1]) < 3600 * 1_000_000


async def test_tokens_grow_when_the_clock_goes_back(store: Store) -> None:
    locks = process(store)
    future = 2**52
    await store.client.set(locks._keys("t").fence, future)
    async with held(locks) as token:
        assert token == future + 1


async def test_processes_are_served_in_the_order_they_came(own_store: Store) -> None:
    first, second, third, late = (process(own_store) for _ in range(4))
    order: list[str] = []
    done = asyncio.Event()

    async def turn(locks: RedisThreadLocks, name: str) -> None:
        async with held(locks):
            order.append(name)
            await done.wait()

    async with held(first):
        waiting = [asyncio.create_task(turn(second, "second"))]
        await wait_until_blocked(own_store, 1)
        waiting.append(asyncio.create_task(turn(third, "third")))
        await wait_until_blocked(own_store, 2)
    # Already handed on: there is no moment at which a newcomer finds the thread free.
    with pytest.raises(ThreadBusy):
        async with late.hold("t", wait=0):
            pass
    done.set()
    await asyncio.gather(*waiting)
    assert order == ["second", "third"]


async def test_a_waiter_asks_once_and_is_woken(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    holder, waiter = process(store), process(store)
    async with held(waiter, "to load the scripts"):
        pass
    commands: list[Any] = []
    execute = store.client.execute_command

    def counting(*command: Any, **options: Any) -> Any:
        commands.append(command[0])
        return execute(*command, **options)

    order: list[str] = []
    async with held(holder):
        monkeypatch.setattr(store.client, "execute_command", counting)
        waiting = [take_turns(waiter, str(number), order) for number in range(5)]
        await eventually(lambda: "BLPOP" in commands)
        await asyncio.sleep(0.2)
        assert commands == ["EVALSHA", "BLPOP"]
        monkeypatch.undo()
    await asyncio.gather(*waiting)


async def test_a_holder_keeps_its_thread_beyond_the_lease(store: Store) -> None:
    holder, other = process(store, lease=3), process(store, lease=3)
    key = holder._keys("t").held

    async def is_renewed() -> bool:
        return await store.client.pttl(key) > 2000

    async with held(holder):
        for _ in range(2):
            assert await store.client.pexpire(key, 2000)
            await eventually(is_renewed)
        with pytest.raises(ThreadBusy):
            async with other.hold("t", wait=0):
                pass


async def test_a_holder_that_lost_its_thread_is_cancelled(store: Store) -> None:
    holder = process(store, lease=0.3)
    key = holder._keys("t").held
    cancelled = asyncio.Event()

    async def turn() -> None:
        async with held(holder):
            await store.client.set(key, "a newer token")
            try:
                await asyncio.sleep(LONG)
            except asyncio.CancelledError:
                cancelled.set()
                raise

    with pytest.raises(StaleWriter, match="has taken over thread 't'"):
        await turn()
    assert cancelled.is_set()
    assert await store.client.get(key) == b"a newer token"


async def test_a_lease_that_ended_unseen_is_no_loss(store: Store) -> None:
    holder = process(store, lease=0.3)
    async with held(holder) as token:
        await store.client.delete(holder._keys("t").held)

        async def is_held() -> bool:
            return await store.client.get(holder._keys("t").held) == str(token).encode()

        await eventually(is_held)


async def test_a_waiter_that_leaves_holds_nobody_up(store: Store) -> None:
    """Cancelled at any moment, also while Redis is handing it the thread."""
    chance = random.Random(7)
    # A thread that was not handed on would be lost for the lease, longer than `held` waits.
    processes = [process(store, lease=300) for _ in range(4)]

    async def turn(locks: RedisThreadLocks) -> None:
        async with held(locks):
            await asyncio.sleep(chance.random() * 0.002)

    for _ in range(60):
        turns = [asyncio.create_task(turn(locks)) for locks in processes]
        await asyncio.sleep(chance.random() * 0.01)
        for each in turns[1:]:
            each.cancel()
        await asyncio.gather(turns[0])
        await asyncio.wait(turns)


async def test_a_release_outlives_the_second_cancellation() -> None:
    pool = BlockingConnectionPool.from_url(REDIS_URL, max_connections=1, timeout=LONG)
    async with redis_store() as store, Redis.from_pool(pool) as client:
        holder, other = RedisThreadLocks(client, 300, store.prefix), process(store, lease=300)
        working = asyncio.Event()

        async def turn() -> None:
            async with held(holder):
                working.set()
                await asyncio.sleep(LONG)

        task = asyncio.create_task(turn())
        await working.wait()
        # While the only connection is busy the release cannot even be sent.
        nothing = f"{store.prefix}:nothing"
        busy = asyncio.ensure_future(client.blpop([nothing], timeout=4))
        for _ in range(2):
            await asyncio.sleep(0.05)
            task.cancel()
        await asyncio.wait([task])
        assert not busy.done()
        await store.client.rpush(nothing, "no longer")
        async with held(other):
            pass
        await busy


async def test_waiters_leave_connections_to_the_holders(
    own_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(everturn.checkpoints.shared.locks, "_MAX_POPS", 2)
    holder, waiter = process(own_store), process(own_store)
    threads = [str(number) for number in range(8)]
    seen = asyncio.Event()
    all_held = asyncio.Barrier(len(threads) + 1)

    async def hold(thread_id: str) -> None:
        async with held(holder, thread_id):
            await all_held.wait()
            await seen.wait()

    async def wait_for(thread_id: str) -> None:
        async with held(waiter, thread_id):
            pass

    holding = [asyncio.create_task(hold(each)) for each in threads]
    await all_held.wait()
    waiting = [asyncio.create_task(wait_for(each)) for each in threads]
    await wait_until_blocked(own_store, 2)
    await asyncio.sleep(0.1)
    assert await blocked_clients(own_store) == 2
    seen.set()
    await asyncio.gather(*holding, *waiting)


async def test_a_redis_that_is_down() -> None:
    async with Redis(port=1, retry=Retry(NoBackoff(), 0)) as client:
        with pytest.raises(StoreUnavailable):
            async with RedisThreadLocks(client).hold("t", wait=LONG):
                pass


COUNTER = """
import asyncio, sys
from pathlib import Path
from redis.asyncio import BlockingConnectionPool, Redis
from everturn.checkpoints.errors import StaleWriter
from everturn.checkpoints.shared.locks import RedisThreadLocks

async def main(url, prefix, file, turns, lease, pause):
    async with Redis.from_url(url) as client:
        locks = RedisThreadLocks(client, float(lease), prefix)
        for _ in range(int(turns)):
            try:
                async with locks.hold("t", wait=60) as token:
                    count = int(Path(file).read_text())
                    print("holds", token, flush=True)
                    await asyncio.sleep(float(pause))
                    Path(file).write_text(str(count + 1))
            except StaleWriter:
                print("lost", token, flush=True)

asyncio.run(main(*sys.argv[1:]))
"""


class Counter:
    """A process that adds 1 to a file, turn by turn."""

    def __init__(self, store: Store, file: Path) -> None:
        self._store, self._file = store, file

    async def start(self, turns: int, lease: float, pause: float) -> asyncio.subprocess.Process:
        arguments = (REDIS_URL, self._store.prefix, self._file, turns, lease, pause)
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", COUNTER, *map(str, arguments)),
            cwd=ROOT,
            stdout=asyncio.subprocess.PIPE,
        )


@pytest.fixture
async def counter(tmp_path: Path) -> AsyncIterator[Counter]:
    (tmp_path / "count").write_text("0")
    async with redis_store() as store:
        yield Counter(store, tmp_path / "count")


async def says(process: asyncio.subprocess.Process) -> tuple[str, int]:
    assert process.stdout is not None
    word, token = (await process.stdout.readline()).split()
    return word.decode(), int(token)


async def test_processes_take_turns(counter: Counter, tmp_path: Path) -> None:
    pair = [await counter.start(turns=40, lease=60, pause=0.001) for _ in range(2)]
    outputs = await asyncio.gather(*(each.communicate() for each in pair))
    assert [each.returncode for each in pair] == [0, 0]
    assert (tmp_path / "count").read_text() == "80"
    mine, theirs = ([int(line.split()[1]) for line in out.splitlines()] for out, _ in outputs)
    assert mine == sorted(mine)
    assert theirs == sorted(theirs)
    assert len({*mine, *theirs}) == 80


async def test_the_thread_of_a_killed_process_is_free_after_its_lease(
    counter: Counter, tmp_path: Path
) -> None:
    doomed = await counter.start(turns=1, lease=1, pause=600)
    _, old = await says(doomed)
    heir = await counter.start(turns=1, lease=1, pause=0)
    doomed.send_signal(signal.SIGKILL)
    await doomed.wait()
    _, new = await says(heir)
    assert new > old
    assert await heir.wait() == 0
    assert (tmp_path / "count").read_text() == "1"


async def test_a_stalled_process_learns_that_it_was_replaced(
    counter: Counter, tmp_path: Path
) -> None:
    stalled = await counter.start(turns=1, lease=2, pause=600)
    _, old = await says(stalled)
    stalled.send_signal(signal.SIGSTOP)
    heir = await counter.start(turns=1, lease=2, pause=600)
    _, new = await says(heir)
    stalled.send_signal(signal.SIGCONT)
    assert await says(stalled) == ("lost", old)
    assert new > old
    assert await stalled.wait() == 0
    heir.kill()
    await heir.wait()
    assert (tmp_path / "count").read_text() == "0"

"""Deleting runs, copying and pruning threads, keeping few checkpoints: nothing more is lost."""

from collections.abc import Iterator
from typing import Any

import pytest

from everturn.checkpoints.redis import AsyncRedisSaver
from everturn.checkpoints.redis.keyspace import Keyspace
from tests.checkpoints.redis.relay import relaying
from tests.checkpoints.redis.samples import listed, looking_into, place, put
from tests.checkpoints.redis.servers import Server


@pytest.fixture
def store(url: str) -> Iterator[Any]:
    """A client to look into the store with."""
    with looking_into(url) as client:
        yield client


def fields(store: Any, prefix: str, thread_id: str = "thread") -> set[bytes]:
    """What a thread's hash holds."""
    _, data = Keyspace(prefix).thread(thread_id)
    return set(store.hkeys(data))


def text(size: int, seed: str = "") -> str:
    """Text whose chunks are all different."""
    return "".join(f"{seed}{number:7}" for number in range(size // (7 + len(seed))))


async def test_what_runs_leave_is_deleted_with_them(
    saver: AsyncRedisSaver, store: Any, prefix: str
) -> None:
    config = await put(saver, place(), {"c": text(50_000)}, {"run_id": "a"})
    before = fields(store, prefix)
    config = await put(saver, config, {"c": text(50_000, "b")}, {"run_id": "b"})
    await saver.aput_writes(config, [("c", text(9_000, "w"))], "task")
    await put(saver, place(ns="sub:1"), {"c": text(9_000, "s")}, {"run_id": "b"})
    await put(saver, place("other"), {"c": 1}, {"run_id": "b"})
    await saver.adelete_for_runs(["b", "unknown"], thread_id="thread")
    assert fields(store, prefix) == before
    assert len(await listed(saver, place("other"))) == 1
    await saver.adelete_for_runs(["b"])
    assert fields(store, prefix, "other") == set()
    assert len(await listed(saver, None)) == 1


async def test_a_run_is_found_among_many(saver: AsyncRedisSaver) -> None:
    for number in range(700):
        await put(saver, place(), metadata={"run_id": f"run-{number}"})
    await saver.adelete_for_runs([f"run-{number}" for number in range(0, 700, 2)])
    left = [each.metadata.get("run_id") async for each in saver.alist(place())]
    assert left == [f"run-{number}" for number in range(699, 0, -2)]


async def test_a_write_on_its_way_survives_a_prune(saver: AsyncRedisSaver) -> None:
    await put(saver, place(), {"c": 1}, checkpoint_id="1")
    await put(saver, place(), {"c": 2}, checkpoint_id="2")
    for checkpoint_id in ("0", "1", "2", "3"):
        await saver.aput_writes(place(checkpoint_id=checkpoint_id), [("c", text(9_000))], "task")
    await saver.aput_writes(place(ns="new", checkpoint_id="1"), [("c", text(9_000))], "task")
    await saver.aprune(["thread"])
    for ns, checkpoint_id, left in [
        ("", "0", 0),
        ("", "1", 0),
        ("", "2", 1),
        ("", "3", 1),
        ("new", "1", 1),
    ]:
        await put(saver, place(ns=ns), {}, checkpoint_id=checkpoint_id)
        found = await saver.aget_tuple(place(ns=ns, checkpoint_id=checkpoint_id))
        assert found is not None
        assert len(found.pending_writes or ()) == left


async def test_pruning_collects_chunks(saver: AsyncRedisSaver, store: Any, prefix: str) -> None:
    alone = await put(
        saver, place("alone"), {"c": text(500_000, "last"), "small": 1}, checkpoint_id="9"
    )
    config = None
    for number in range(9):
        await put(saver, place(), {"c": text(100_000, f"{number}")}, checkpoint_id=f"{number}")
    config = await put(saver, place(), {"c": text(500_000, "last"), "small": 1}, checkpoint_id="9")
    await saver.aprune(["thread", "unknown"])

    def chunks(thread_id: str) -> int:
        return sum(name.startswith(b"k") for name in fields(store, prefix, thread_id))

    assert chunks("thread") == chunks("alone") > 200
    found, expected = await saver.aget_tuple(config), await saver.aget_tuple(alone)
    assert found is not None
    assert expected is not None
    assert found.checkpoint["channel_values"] == expected.checkpoint["channel_values"]
    with pytest.raises(ValueError, match="keep_latest"):
        await saver.aprune(["thread"], strategy="all")
    await saver.aprune(["thread"], strategy="delete")
    assert fields(store, prefix) == set()


async def test_a_chunk_that_was_swept_is_sent_again(saver: AsyncRedisSaver) -> None:
    """This process believes that the thread still holds what was pruned."""
    await put(saver, place(), {"c": text(100_000)}, checkpoint_id="1")
    await put(saver, place(), {"c": "short"}, checkpoint_id="2")
    await saver.aprune(["thread"])
    config = await put(saver, place(), {"c": text(100_000)}, checkpoint_id="3")
    await saver.aput_writes(config, [("c", text(100_000))], "task")
    found = await saver.aget_tuple(place())
    assert found is not None
    assert found.checkpoint["channel_values"] == {"c": text(100_000)}
    assert found.pending_writes == [("task", "c", text(100_000))]


async def test_only_the_newest_are_kept(url: str, prefix: str) -> None:
    async with AsyncRedisSaver.from_url(url, prefix=prefix, keep=3) as saver:
        for number in range(10):
            config = await put(saver, place(), {"c": number}, checkpoint_id=f"{number}")
            await saver.aput_writes(config, [("c", number)], "task")
            await put(saver, place(ns="sub"), {"c": number}, checkpoint_id=f"{number}")
        assert await listed(saver, place()) == ["9", "8", "7"]
        assert await listed(saver, place(ns="sub")) == ["9", "8", "7"]
        found = [each.checkpoint["channel_values"] async for each in saver.alist(place())]
        assert found == [{"c": 9}, {"c": 8}, {"c": 7}]


async def test_a_copy_stands_alone(saver: AsyncRedisSaver, store: Any, prefix: str) -> None:
    config = await put(saver, place(), {"c": text(100_000)})
    await saver.aput_writes(config, [("c", 1)], "task")
    await put(saver, place(ns="sub"), {"c": 2})
    await saver.acopy_thread("thread", "copy {*}")
    assert fields(store, prefix, "copy {*}") == fields(store, prefix) | {b".copy"}
    await saver.adelete_thread("thread")
    found = await saver.aget_tuple(place("copy {*}"))
    assert found is not None
    assert found.checkpoint["channel_values"] == {"c": text(100_000)}
    assert found.pending_writes == [("task", "c", 1)]


async def test_a_copy_overwrites_nothing(saver: AsyncRedisSaver) -> None:
    await put(saver, place("a"), {"c": "a"})
    await put(saver, place("b"), {"c": "b"})
    with pytest.raises(ValueError, match="'b' has checkpoints already"):
        await saver.acopy_thread("a", "b")
    await saver.acopy_thread("a", "a")
    await saver.acopy_thread("none", "c")
    assert len(await listed(saver, None)) == 2
    assert await saver.aget_tuple(place("c")) is None


async def test_a_copy_may_be_repeated(saver: AsyncRedisSaver) -> None:
    """A caller whose reply was lost asks again; whoever has gone on from a copy keeps it."""
    config = await put(saver, place("a"), {"c": "a"})
    await put(saver, place("other"), {"c": "a"})
    for _ in range(2):
        await saver.acopy_thread("a", "b")
    await put(saver, config, {"c": "the source may go on"})
    await saver.acopy_thread("a", "b")
    assert len(await listed(saver, place("b"))) == 1
    with pytest.raises(ValueError, match="'b' has checkpoints already"):
        await saver.acopy_thread("other", "b")
    await saver.acopy_thread("b", "c")
    await saver.acopy_thread("b", "c")
    await put(saver, place("b"), {"c": "b"})
    with pytest.raises(ValueError, match="'b' has checkpoints already"):
        await saver.acopy_thread("a", "b")


async def test_a_copy_whose_reply_is_lost_is_made_once(valkey: Server) -> None:
    """The driver asks again, and must not be told of its own copy that it is in the way."""
    async with (
        relaying(f"{valkey.folder}/socket") as relay,
        AsyncRedisSaver.from_url(relay.url, prefix="lost-reply") as saver,
    ):
        await put(saver, place("a"), {"c": "a"})
        await saver.acopy_thread("a", "warm")  # the server has the script now
        relay.loses = True
        await saver.acopy_thread("a", "b")
        assert not relay.loses
        assert len(await listed(saver, place("b"))) == 1
        await saver.aprune(["a", "b", "warm"], strategy="delete")


async def test_a_copy_is_free_of_the_fence_and_keeps_the_time_to_live(
    saver: AsyncRedisSaver, store: Any, prefix: str
) -> None:
    await put(saver, place("a", __fence=9, __ttl=500), {"c": "a"})
    await saver.acopy_thread("a", "b")
    await put(saver, place("b", __fence=1), {"c": "b"})
    assert [400 < store.ttl(key) <= 500 for key in Keyspace(prefix).thread("b")] == [True, True]

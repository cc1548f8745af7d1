"""What a thread takes: all that lies in its hash is counted once, in one of three sections."""

from collections.abc import Iterator
from typing import Any

import pytest
from langgraph.checkpoint.serde.encrypted import EncryptedSerializer
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from everturn.checkpoints.redis import AsyncRedisSaver, RedisSaver, storage
from everturn.checkpoints.redis.keyspace import Keyspace
from everturn.checkpoints.redis.storage import Section, ThreadStorage
from tests.checkpoints.redis.relay import relaying
from tests.checkpoints.redis.samples import ToyCipher, looking_into, place, put
from tests.checkpoints.redis.servers import Server

LONG = "".join(f"{number:7}" for number in range(60_000))  # chunks, and chunks of their names
OTHER = LONG[::-1]


@pytest.fixture
def store(url: str) -> Iterator[Any]:
    """A client to look into the store with."""
    with looking_into(url) as client:
        yield client


def stored(store: Any, prefix: str, letters: bytes = b"cwabk") -> int:
    """The bytes of the fields of a thread whose names begin with some letters."""
    fields = store.hgetall(Keyspace(prefix).thread("thread")[1])
    return sum(len(name) + len(each) for name, each in fields.items() if name[0] in letters)


def total(found: ThreadStorage) -> int:
    return sum(each.bytes for each in (found.checkpoints, *found.channels.values(), found.pending))


async def fill(saver: AsyncRedisSaver) -> None:
    """A thread with all there can be, and another one."""
    config = await put(saver, place(), {"a": LONG, "b": 1})
    config = await put(saver, config, {"a": LONG + "more", "b": LONG}, {"note": OTHER})
    await saver.aput_writes(config, [("a", LONG), ("b", OTHER[:100_000])], "task")
    await put(saver, place(ns="sub:1"), {"b\0": 2, "b": 3})
    await put(saver, place("other"), {"a": OTHER})


@pytest.mark.parametrize("page", [1, 10_000])
async def test_every_byte_is_counted_once(
    saver: AsyncRedisSaver,
    store: Any,
    prefix: str,
    page: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(storage, "_PAGE", page)
    await fill(saver)
    found = await saver.astorage("thread")
    assert total(found) == stored(store, prefix)
    assert (found.checkpoints.rows, found.pending.rows) == (3, 2)
    assert {name: each.rows for name, each in found.channels.items()} == {"a": 2, "b": 3, "b\0": 1}
    # A chunk counts for the first channel whose value stands on it, and else for the checkpoints.
    assert found.channels["a"].bytes > len(LONG) > 10 * found.channels["b"].bytes
    assert found.checkpoints.bytes > len(OTHER)
    assert 100_000 < found.pending.bytes < 110_000


async def test_both_forms_and_a_thread_that_is_not_there(
    saver: AsyncRedisSaver, sync_saver: RedisSaver
) -> None:
    await fill(saver)
    assert sync_saver.storage("thread") == await saver.astorage("thread")
    assert await saver.astorage("none") == ThreadStorage(Section(), {}, Section())


async def test_what_is_encrypted_is_counted_as_it_is_stored(
    url: str, prefix: str, store: Any
) -> None:
    serde = EncryptedSerializer(ToyCipher(), JsonPlusSerializer())
    async with AsyncRedisSaver.from_url(url, prefix=prefix, serde=serde) as saver:
        await fill(saver)
        assert total(await saver.astorage("thread")) == stored(store, prefix)


async def test_looking_is_no_use(url: str, prefix: str, store: Any) -> None:
    async with AsyncRedisSaver.from_url(url, prefix=prefix, ttl=1000) as saver:
        await put(saver, place(), {"c": 1})
        _, data = Keyspace(prefix).thread("thread")
        store.expire(data, 100)
        await saver.astorage("thread")
        assert store.ttl(data) <= 100


async def test_a_thread_of_hundreds_of_checkpoints_is_one_trip(valkey: Server) -> None:
    async with (
        relaying(f"{valkey.folder}/socket") as relay,
        AsyncRedisSaver.from_url(relay.url, prefix="storage") as saver,
    ):
        config = place()
        for number in range(300):
            config = await put(saver, config, {"c": LONG[: 100 * number]})
        await saver.astorage("thread")  # the server knows the script from now on
        before = relay.trips
        found = await saver.astorage("thread")
        assert relay.trips - before == 1
        assert found.checkpoints.rows == found.channels["c"].rows == 300
        await saver.adelete_thread("thread")

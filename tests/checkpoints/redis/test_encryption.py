"""Encryption through `serde=`: nothing a user said lies in the store; chunks are still shared."""

from collections.abc import AsyncIterator

import pytest
from langgraph.checkpoint.serde.encrypted import EncryptedSerializer
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from everturn.checkpoints.errors import CheckpointsError
from everturn.checkpoints.redis import AsyncRedisSaver
from everturn.checkpoints.redis.keyspace import Keyspace
from tests.checkpoints.redis.samples import ToyCipher, listed, looking_into, place, put

SECRET = "the secret of "


def serde() -> EncryptedSerializer:
    return EncryptedSerializer(ToyCipher(), JsonPlusSerializer(allowed_msgpack_modules=None))


class ClosedSerde:
    """A serializer that encrypts on its own."""

    def __init__(self) -> None:
        self._inner = serde()

    def dumps_typed(self, obj: object) -> tuple[str, bytes]:
        return self._inner.dumps_typed(obj)

    def loads_typed(self, data: tuple[str, bytes]) -> object:
        return self._inner.loads_typed(data)


class CarefulCipher(ToyCipher):
    """Notices a key that is not its own, as a real cipher does."""

    def encrypt(self, plaintext: bytes) -> tuple[str, bytes]:
        return super().encrypt(b"mine" + plaintext)

    def decrypt(self, ciphername: str, ciphertext: bytes) -> bytes:
        plaintext = super().decrypt(ciphername, ciphertext)
        if not plaintext.startswith(b"mine"):
            raise ValueError("MAC check failed")
        return plaintext[4:]


def said(count: int) -> list[str]:
    return [SECRET + f"{number}" * 20 for number in range(count)]


@pytest.fixture(params=[serde, ClosedSerde])
async def saver(
    request: pytest.FixtureRequest, url: str, prefix: str
) -> AsyncIterator[AsyncRedisSaver]:
    async with AsyncRedisSaver.from_url(url, prefix=prefix, serde=request.param()) as opened:
        yield opened


def stored(url: str, prefix: str, thread_id: str = "thread") -> dict[bytes, bytes]:
    with looking_into(url) as client:
        found: dict[bytes, bytes] = client.hgetall(Keyspace(prefix).thread(thread_id)[1])
        return found


async def test_no_plain_text_is_stored(saver: AsyncRedisSaver, url: str, prefix: str) -> None:
    metadata = {"run_id": SECRET, "user": SECRET}
    config = await put(saver, place(tenant=SECRET), {"small": SECRET, "c": said(500)}, metadata)
    await saver.aput_writes(config, [("small", SECRET), ("c", said(300))], "task")
    found = await saver.aget_tuple(place())
    assert found is not None
    assert found.checkpoint["channel_values"] == {"small": SECRET, "c": said(500)}
    assert found.metadata == {**metadata, "tenant": SECRET}
    assert found.pending_writes == [("task", "small", SECRET), ("task", "c", said(300))]
    assert await listed(saver, place(), filter={"user": SECRET}) == [found.checkpoint["id"]]
    everything = b"".join(part for field in stored(url, prefix).items() for part in field)
    assert len(everything) > 20_000
    assert b"secret" not in everything
    await saver.adelete_for_runs([SECRET])
    assert await saver.aget_tuple(place()) is None


async def test_encrypted_chunks_are_shared(url: str, prefix: str) -> None:
    """Also between processes, as long as each reads a thread before it writes to it."""
    config = place()
    for count in range(500, 520):
        async with AsyncRedisSaver.from_url(url, prefix=prefix, serde=serde()) as saver:
            await saver.aget_tuple(place())
            config = await put(saver, config, {"c": said(count)})
    chunks = [name for name in stored(url, prefix) if name.startswith(b"k")]
    assert len(chunks) < 2 * len("".join(said(520))) / 2048


async def test_names_of_encrypted_chunks_say_nothing(url: str, prefix: str) -> None:
    """One text has other names in other threads, so a guess cannot be confirmed."""
    async with AsyncRedisSaver.from_url(url, prefix=prefix, serde=serde()) as saver:
        for thread_id in ("a", "b"):
            await put(saver, place(thread_id), {"c": said(500)})
    names = [{n for n in stored(url, prefix, each) if n.startswith(b"k")} for each in "ab"]
    assert names[0]
    assert not names[0] & names[1]


async def test_the_wrong_key_is_an_error(url: str, prefix: str) -> None:
    async with AsyncRedisSaver.from_url(url, prefix=prefix, serde=serde()) as saver:
        await put(saver, place(), {"c": 1})
    async with AsyncRedisSaver.from_url(url, prefix=prefix) as saver:
        with pytest.raises(CheckpointsError, match="encrypted"):
            await saver.aget_tuple(place())
    right, wrong = (EncryptedSerializer(CarefulCipher(key)) for key in (b"right", b"wrong"))
    async with AsyncRedisSaver.from_url(url, prefix=prefix, serde=right) as saver:
        await put(saver, place("careful"), {"c": said(500)})
        assert await saver.aget_tuple(place("careful")) is not None
    async with AsyncRedisSaver.from_url(url, prefix=prefix, serde=wrong) as saver:
        with pytest.raises(CheckpointsError, match="the key it was written with"):
            await saver.aget_tuple(place("careful"))


async def test_an_old_plain_thread_is_read_and_goes_on_encrypted(url: str, prefix: str) -> None:
    async with AsyncRedisSaver.from_url(url, prefix=prefix) as saver:
        config = await put(saver, place(), {"c": said(500)})
    async with AsyncRedisSaver.from_url(url, prefix=prefix, serde=serde()) as saver:
        found = await saver.aget_tuple(config)
        assert found is not None
        assert found.checkpoint["channel_values"] == {"c": said(500)}
        await put(saver, config, {"c": said(501)})
        values = [each.checkpoint["channel_values"]["c"] async for each in saver.alist(place())]
        assert values == [said(501), said(500)]
        await saver.adelete_thread("thread")
        await put(saver, place(), {"c": said(500)})
    everything = b"".join(part for field in stored(url, prefix).items() for part in field)
    assert b"secret" not in everything

"""Values as chunks, names as bytes, versions as text: what goes in comes out, whatever it is."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from langgraph.checkpoint.serde.encrypted import EncryptedSerializer
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from everturn.checkpoints.redis import keyspace
from everturn.checkpoints.redis.codec import CHUNK_SIZE, Packer, Unpacker
from everturn.checkpoints.redis.known import KnownChunks
from tests.checkpoints.redis.samples import ToyCipher

PLAIN = JsonPlusSerializer(allowed_msgpack_modules=None)
SERDES: list[Any] = [PLAIN, EncryptedSerializer(ToyCipher(), PLAIN)]
SIZES = [0, 1, CHUNK_SIZE - 1, CHUNK_SIZE, CHUNK_SIZE + 1, CHUNK_SIZE + 16, CHUNK_SIZE + 17,
         16 * CHUNK_SIZE + 16, 16 * CHUNK_SIZE + 17, 17 * CHUNK_SIZE + 50, 256 * CHUNK_SIZE + 16,
         300 * CHUNK_SIZE]  # fmt: skip


def text(size: int) -> bytes:
    """Bytes that do not repeat."""
    return b"".join(b"%8d" % number for number in range(size // 8 + 1))[:size]


class Thread:
    """The chunks of a thread, and savers that send what they do not know to be there."""

    def __init__(self, serde: Any) -> None:
        self.serde, self.known, self.chunks = serde, KnownChunks(), dict[bytes, bytes]()
        self.sent = 0

    def put(self, value: Any) -> bytes:
        packer = Packer(self.serde, self.known, 7, b"key", b"", trust=True)
        stored = packer.pack(value, "it")
        self.known.learn(packer.learned)
        self.chunks |= packer.chunks
        self.sent += len(stored) + sum(map(len, packer.chunks.values()))
        return stored

    def get(self, stored: bytes) -> Any:
        unpacker = Unpacker(self.serde, self.chunks, 7)
        value = unpacker.unpack(stored)
        self.known.learn(unpacker.learned)
        return value


def test_every_size_comes_back() -> None:
    for serde in SERDES:
        thread = Thread(serde)
        for size in SIZES:
            assert thread.get(thread.put(text(size))) == text(size)
            assert thread.get(thread.put([text(size), None])) == [text(size), None]


def test_a_growing_value_shares_what_it_had() -> None:
    for serde in SERDES:
        thread = Thread(serde)
        for size in range(1000, 401_000, 3000):
            thread.put(text(size))
        assert thread.get(thread.put(text(400_000))) == text(400_000)
        assert sum(map(len, thread.chunks.values())) < 1.1 * 400_000
        assert thread.sent < 1.1 * 400_000 + 134 * (CHUNK_SIZE + 800)


def test_what_was_read_is_not_sent_again() -> None:
    for serde in SERDES:
        thread = Thread(serde)
        stored = thread.put(text(400_000))
        thread.known, thread.sent = KnownChunks(), 0
        thread.get(stored)
        thread.put(text(401_000))
        assert thread.sent < 2 * CHUNK_SIZE


def test_a_list_shares_what_it_had_although_its_length_comes_first() -> None:
    thread = Thread(PLAIN)
    for count in range(1, 200):
        thread.put([f"message {number} " * 20 for number in range(count)])
    assert len(thread.chunks) < 199 * 300 / CHUNK_SIZE + 5


def test_only_full_chunks_are_stored() -> None:
    thread = Thread(PLAIN)
    for size in SIZES:
        thread.put(text(size))
    assert {len(chunk) for chunk in thread.chunks.values()} == {CHUNK_SIZE, 256}


names = st.text(st.characters(codec=None), max_size=6) | st.sampled_from(["", "\0", "\1", "\1\1"])


@given(st.lists(names, min_size=2, max_size=2))
def test_names_keep_the_order_of_text(pair: list[str]) -> None:
    one, other = (keyspace.text(each) for each in pair)
    assert (one < other) == (pair[0] < pair[1])
    assert (one == other) == (pair[0] == pair[1])
    assert b"\0" not in one
    assert keyspace.untext(one) == pair[0]


@given(names, names, names, st.integers(-4, 10**6))
def test_names_are_taken_apart_again(ns: str, checkpoint_id: str, task_id: str, idx: int) -> None:
    assert keyspace.checkpoint_at(keyspace.checkpoint_name(ns, checkpoint_id)) == (
        ns,
        checkpoint_id,
    )
    assert keyspace.write_at(keyspace.write_name(ns, checkpoint_id, task_id, idx)) == (task_id, idx)


@given(names, names)
def test_keys_of_threads_are_their_own(prefix: str, thread_id: str) -> None:
    space = keyspace.Keyspace(prefix)
    keys = space.thread(thread_id)
    assert space.thread_id(keys[0]) == thread_id
    for key in keys:
        assert key.startswith("{")
        assert key.count("{") == key.count("}") == 1
        assert not set("*?[]\\") & set(key)


def test_a_longer_prefix_is_another_keyspace() -> None:
    index, _ = keyspace.Keyspace("a:b").thread("c")
    assert keyspace.Keyspace("a").thread_id(index) is None


@given(st.none() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=9))
def test_versions_keep_their_type(version: Any) -> None:
    if version is not None:
        _, stored = keyspace.channel_at("c", version).split(b"\0")
        found = keyspace.version_of(stored)
        assert found == version
        assert type(found) is type(version)


def test_memory_of_chunks_is_bounded() -> None:
    known = KnownChunks()
    for batch in range(80):
        known.learn({b"%d-%d" % (batch, number): b"name" for number in range(1000)})
        known.learn_key(f"thread-{batch}", b"key", b"sealed")
    assert len(known.names) == 65_536
    assert b"0-0" not in known.names
    assert b"79-999" in known.names

r"""Values as they are stored: small ones whole, large ones as trees of chunks named by content.

    0 type \0 value
    level type \0 size \0 head names

A value larger than a chunk keeps its first bytes (its head, `size` bytes as stored) and names the
chunks of the rest. At level 1 these are 2 KB of data each. Above 32 KB, level 2, they are chunks
that name 16 chunks of data each, and so on: a Merkle tree. A conversation grows at its end, so a
new version shares all nodes with the one before but those along its right edge: storage grows with
the conversation, not with its square.

Why a head: a list in msgpack begins with its length. Kept apart, what changes with every message
is 16 bytes and not a chunk.

Why bytes are cut and not messages: a hash for 2 KB is nothing beside serialising it, whereas
serialising and hashing 2,000 messages one by one costs twice what serialising the list does.

Encryption (`EncryptedSerializer`) comes after cutting, chunk by chunk, or nothing would ever be
shared. The names of encrypted chunks are keyed hashes: a plain hash would let a reader of the store
confirm what he guesses a chunk says.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from hashlib import blake2b
from itertools import count
from typing import Any

from langgraph.checkpoint.serde.base import CipherProtocol, SerializerProtocol
from langgraph.checkpoint.serde.encrypted import EncryptedSerializer
from xxhash import xxh3_128_digest

from checkpoints.errors import CheckpointsError
from checkpoints.redis.keyspace import CHUNK
from checkpoints.redis.known import KnownChunks

CHUNK_SIZE = 2048
_HEAD_SIZE = 16
_NAME_SIZE = 16
_NAMES = 16
_LENGTH_SIZE = 8

# Ends the type of a value whose chunks are encrypted one by one; a value encrypted as a whole has
# the name of the cipher behind it, as EncryptedSerializer writes it.
_SEALED_CHUNKS = "+"


class Unserializable(CheckpointsError, TypeError):
    """A value that the saver's `serde` cannot turn into bytes. Nothing of its call was stored."""


def open_serde(serde: SerializerProtocol) -> tuple[SerializerProtocol, CipherProtocol | None]:
    """A serializer and the cipher over it.

    A serializer of another class that encrypts on its own stays closed: that is correct, but what
    it makes of one value differs from call to call, so chunks are not shared.
    """
    if type(serde) is EncryptedSerializer:
        return serde.serde, serde.cipher
    return serde, None


@dataclass
class Packer:
    """Turns the values of one call into their stored form and collects the chunks to send.

    With `trust`, chunks that this process knows to be stored in the thread are not sent again;
    `expected` names them, for the script to check.
    """

    serde: SerializerProtocol
    known: KnownChunks
    seed: int
    naming_key: bytes
    sealed_key: bytes
    trust: bool
    learned: dict[bytes, bytes] = field(default_factory=dict)
    _chunks: dict[bytes, bytes] = field(default_factory=dict)
    _expected: set[bytes] = field(default_factory=set)

    def pack(self, value: Any, what: str) -> bytes:
        """The stored form of a value; `what` names it in the error if that is impossible."""
        serde, cipher = open_serde(self.serde)
        try:
            kind, body = serde.dumps_typed(value)
        except Exception as error:
            raise Unserializable(
                f"{what} holds a {type(value).__qualname__} that cannot be stored: {error}. Keep "
                "it out of the state (an UntrackedValue channel is not stored) or give the saver "
                "a `serde` that can store it."
            ) from error
        if len(body) <= CHUNK_SIZE:
            if cipher is not None:
                name, body = cipher.encrypt(bytes(body))
                kind = f"{kind}+{name}"
            return b"0%s\0%s" % (kind.encode(), body)
        head, rest = bytes(body[:_HEAD_SIZE]), bytes(body[_HEAD_SIZE:])
        if cipher is not None:
            head, kind = seal(head, cipher), kind + _SEALED_CHUNKS
        level = next(level for level in count(1) if len(rest) <= _span(level + 1))
        names = self._names(rest, level, cipher)
        return b"%d%s\0%d\0%s%s" % (level, kind.encode(), len(head), head, names)

    def fields(self) -> list[bytes]:
        """The chunks to send, each as its field and its bytes."""
        return [part for name, chunk in self._chunks.items() for part in (CHUNK + name, chunk)]

    def expected(self) -> list[bytes]:
        """The fields of the chunks that are not sent because they should be stored already.

        A chunk of names is never stored without the chunks it names, so the topmost are enough.
        """
        return [CHUNK + name for name in self._expected]

    def _names(
        self, body: bytes, level: int, cipher: CipherProtocol | None, *, edge: bool = True
    ) -> bytes:
        """The names of the chunks of a level that make up a body.

        Only those along the right edge are remembered: what lies below a full chunk of names will
        not be asked for again as long as that chunk is known.
        """
        names = []
        known = self.known.names if self.trust else {}
        for part in _cut(body, _span(level)):
            mark = xxh3_128_digest(part, self.seed + level)
            name = known.get(mark)
            if name is None:
                name = self._chunk(part, level, cipher)
            else:
                self._expected.add(name)
            if edge:
                self.learned[mark] = name
            names.append(name)
        return b"".join(names)

    def _chunk(self, part: bytes, level: int, cipher: CipherProtocol | None) -> bytes:
        edge = len(part) < _span(level)
        chunk = part if level == 1 else self._names(part, level - 1, cipher, edge=edge)
        name = blake2b(chunk, digest_size=_NAME_SIZE, key=self.naming_key).digest()
        if name not in self._chunks:
            self._chunks[name] = seal(chunk, cipher) if cipher and level == 1 else chunk
        return name


@dataclass
class Unpacker:
    """Turns stored forms back into values, given the chunks that came with them.

    `learned` is what a packer of that seed would have learned: chunks that need not be sent.
    """

    serde: SerializerProtocol
    chunks: Mapping[bytes, bytes]
    seed: int = 0
    learned: dict[bytes, bytes] = field(default_factory=dict)

    def unpack(self, stored: bytes) -> Any:
        """The value of a stored form."""
        first, _, body = stored.partition(b"\0")
        level, kind = int(first[:1]), first[1:].decode()
        if level == 0:
            return self.serde.loads_typed((kind, body))
        size, _, body = body.partition(b"\0")
        head, names = body[: int(size)], body[int(size) :]
        if not kind.endswith(_SEALED_CHUNKS):
            return self.serde.loads_typed((kind, head + self._join(names, level, None)))
        serde, cipher = open_serde(self.serde)
        if cipher is None:
            raise CheckpointsError(
                "This thread is encrypted: its saver needs the EncryptedSerializer it was "
                "written with."
            )
        whole = unseal(head, cipher) + self._join(names, level, cipher)
        return serde.loads_typed((kind.removesuffix(_SEALED_CHUNKS), whole))

    def _join(
        self, names: bytes, level: int, cipher: CipherProtocol | None, *, edge: bool = True
    ) -> bytes:
        parts = []
        for name in _cut(names, _NAME_SIZE):
            part = self._part(name, level, cipher)
            if edge:
                self.learned[xxh3_128_digest(part, self.seed + level)] = name
            parts.append(part)
        return b"".join(parts)

    def _part(self, name: bytes, level: int, cipher: CipherProtocol | None) -> bytes:
        chunk = self.chunks.get(name)
        if not chunk:
            raise CheckpointsError(f"The stored thread is damaged: it lacks chunk {name.hex()}.")
        if level > 1:
            return self._join(chunk, level - 1, cipher, edge=len(chunk) < _NAMES * _NAME_SIZE)
        return chunk if cipher is None else unseal(chunk, cipher)


def chunks_in(reply: bytes) -> dict[bytes, bytes]:
    """The chunks that a script sent as one string of (name, length in hex, bytes)."""
    found: dict[bytes, bytes] = {}
    at, end = 0, len(reply)
    while at < end:
        size_at = at + _NAME_SIZE
        start = size_at + _LENGTH_SIZE
        stop = start + int(reply[size_at:start], 16)
        found[reply[at:size_at]] = reply[start:stop]
        at = stop
    return found


def seal(plain: bytes, cipher: CipherProtocol) -> bytes:
    """Encrypted bytes, the cipher's name before them."""
    name, encrypted = cipher.encrypt(plain)
    return name.encode() + b"\0" + encrypted


def unseal(sealed: bytes, cipher: CipherProtocol) -> bytes:
    """The inverse of `seal`."""
    name, _, encrypted = sealed.partition(b"\0")
    return cipher.decrypt(name.decode(), encrypted)


@cache
def _span(level: int) -> int:
    """How many bytes of the value lie below a full chunk of a level."""
    return CHUNK_SIZE * int(_NAMES ** (level - 1))


def _cut(body: bytes, size: int) -> list[bytes]:
    return [body[at : at + size] for at in range(0, len(body), size)]

r"""Values as they are stored: small ones whole, large ones as chunks named by their content.

    level type \0 body

At level 0 the body is the serialised value. A larger one is cut every 4 KB, each chunk is named by
a 16-byte hash, and the body is the list of these names (level 1); a list that is itself too large
is cut the same way (level 2, …). A conversation grows at its end, so a new version shares all
chunks but the last with the one before: storage grows with the conversation, not with its square.

Why bytes are cut and not messages: one hash for 4 KB is nothing beside serialising them, whereas
serialising and hashing 2,000 messages one by one costs twice what serialising the list does.

Encryption (`EncryptedSerializer`) comes after cutting, chunk by chunk, or nothing would ever be
shared. The names of encrypted chunks are keyed hashes: a plain hash would let a reader of the store
confirm what he guesses a chunk says.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

from langgraph.checkpoint.serde.base import CipherProtocol, SerializerProtocol
from langgraph.checkpoint.serde.encrypted import EncryptedSerializer

from checkpoints.errors import CheckpointsError
from checkpoints.redis.keyspace import CHUNK
from checkpoints.redis.known import KnownChunks, fingerprint

CHUNK_SIZE = 4096
NAME_SIZE = 16
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
        level = 0
        while len(body) > CHUNK_SIZE:
            body = b"".join(self._name(chunk, cipher) for chunk in _cut(bytes(body)))
            level += 1
        kind += "" if cipher is None else _SEALED_CHUNKS
        return b"%d%s\0%s" % (level, kind.encode(), body)

    def fields(self) -> list[bytes]:
        """The chunks to send, each as its field and its bytes."""
        return [part for name, chunk in self._chunks.items() for part in (CHUNK + name, chunk)]

    def expected(self) -> list[bytes]:
        """The fields of the chunks that are not sent because they should be stored already."""
        return [CHUNK + name for name in self._expected]

    def _name(self, chunk: bytes, cipher: CipherProtocol | None) -> bytes:
        mark = fingerprint(chunk, self.seed)
        if self.trust and (known := self.known.name(mark)) is not None:
            self._expected.add(known)
            return known
        name = blake2b(chunk, digest_size=NAME_SIZE, key=self.naming_key).digest()
        if name not in self._chunks:
            self._chunks[name] = chunk if cipher is None else seal(chunk, cipher)
        self.learned[mark] = name
        return name


@dataclass
class Unpacker:
    """Turns stored forms back into values, given the chunks that came with them.

    `opened` collects the chunks that were needed: (name, bytes).
    """

    serde: SerializerProtocol
    chunks: Mapping[bytes, bytes]
    opened: list[tuple[bytes, bytes]] = field(default_factory=list)

    def unpack(self, stored: bytes) -> Any:
        """The value of a stored form."""
        head, _, body = stored.partition(b"\0")
        level, kind = int(head[:1]), head[1:].decode()
        if not kind.endswith(_SEALED_CHUNKS):
            return self.serde.loads_typed((kind, self._join(level, body, None)))
        serde, cipher = open_serde(self.serde)
        if cipher is None:
            raise CheckpointsError(
                "This thread is encrypted: its saver needs the EncryptedSerializer it was "
                "written with."
            )
        return serde.loads_typed((kind[:-1], self._join(level, body, cipher)))

    def _join(self, level: int, body: bytes, cipher: CipherProtocol | None) -> bytes:
        for _ in range(level):
            body = b"".join(self._chunk(name, cipher) for name in _cut(body, NAME_SIZE))
        return body

    def _chunk(self, name: bytes, cipher: CipherProtocol | None) -> bytes:
        stored = self.chunks.get(name)
        if not stored:
            raise CheckpointsError(f"The stored thread is damaged: it lacks chunk {name.hex()}.")
        chunk = stored if cipher is None else unseal(stored, cipher)
        self.opened.append((name, chunk))
        return chunk


def chunks_in(reply: bytes) -> dict[bytes, bytes]:
    """The chunks that a script sent as one string of (name, length in hex, bytes)."""
    found: dict[bytes, bytes] = {}
    at = 0
    while at < len(reply):
        start = at + NAME_SIZE + _LENGTH_SIZE
        stop = start + int(reply[at + NAME_SIZE : start], 16)
        found[reply[at : at + NAME_SIZE]] = reply[start:stop]
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


def _cut(body: bytes, size: int = CHUNK_SIZE) -> Iterable[bytes]:
    return (body[at : at + size] for at in range(0, len(body), size))

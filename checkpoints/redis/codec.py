r"""Values as they are stored: what will be shared with the next version apart from what will not.

    type \0 counts \0 names plain

A value grows at its end: a conversation is the last one and some messages more. So it is cut into
chunks of 2 KB, named by hashes of their content and stored once a thread; 16 of them in a row are
named by one chunk of names, 16 of these by one more, and so on. Only full chunks are stored, hence
every one can be shared: those of a value form a few complete trees, from the largest to the
smallest (a Merkle mountain range), and `names` are their roots, 16 bytes each; `counts` says how
many there are of each height, the highest first, in hexadecimal digits ("20a"). What is left over
at the end is `plain`, and so is the head, the first 16 bytes: msgpack puts the length of a list
there. A small value is all plain, without names.

Two versions of a conversation differ by new chunks, a few names and less than 2 KB of plain bytes:
storage grows with the conversation, not with its square.

Why bytes are cut and not messages: a hash for 2 KB is nothing beside serialising it, whereas
serialising and hashing 2,000 messages one by one costs twice what serialising the list does.

Encryption (`EncryptedSerializer`) comes after cutting, piece by piece, or nothing would ever be
shared. The names of encrypted chunks are keyed hashes: a plain hash would let a reader of the store
confirm what he guesses a chunk says.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from hashlib import blake2b
from typing import Any

from langgraph.checkpoint.serde.base import CipherProtocol, SerializerProtocol
from langgraph.checkpoint.serde.encrypted import EncryptedSerializer
from xxhash import xxh3_128_digest

from everturn.checkpoints.bounds import add_read
from everturn.checkpoints.errors import CheckpointsError
from everturn.checkpoints.redis.keyspace import CHUNK
from everturn.checkpoints.redis.known import KnownChunks

CHUNK_SIZE = 2048
_HEAD_SIZE = 16
_NAME_SIZE = 16
_NAMES = 16
_LENGTH_SIZE = 8

# Ends the type of a value that is encrypted piece by piece.
_SEALED = "+"


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

    With `trust`, chunks that this process knows to be stored in the thread are not sent again.
    Scripts store nothing that names a chunk which is neither sent nor there.
    """

    serde: SerializerProtocol
    known: KnownChunks
    seed: int
    naming_key: bytes
    sealed_key: bytes
    trust: bool
    learned: dict[bytes, bytes] = field(default_factory=dict)
    chunks: dict[bytes, bytes] = field(default_factory=dict)

    def pack(self, value: Any, what: str) -> bytes:
        """The stored form of a value; `what` names it in the error if that is impossible."""
        serde, cipher = open_serde(self.serde)
        try:
            kind, body = serde.dumps_typed(value)
        except Exception as error:
            raise Unserializable(
                f"{what} holds a {type(value).__qualname__} that cannot be stored: "
                f"{_where(serde, value)}{error}. Keep "
                "it out of the state (an UntrackedValue channel is not stored) or give the saver "
                "a `serde` that can store it."
            ) from error
        counts, names, plain = "", b"", bytes(body)
        if len(body) > CHUNK_SIZE:
            counts, names, plain = self._cut(plain, cipher)
        if cipher is not None:
            kind, plain = kind + _SEALED, seal(plain, cipher)
        return b"%s\0%s\0%s%s" % (kind.encode(), counts.encode(), names, plain)

    def fields(self) -> list[bytes]:
        """The chunks to send, each as its field and its bytes."""
        return [part for name, chunk in self.chunks.items() for part in (CHUNK + name, chunk)]

    def _cut(self, body: bytes, cipher: CipherProtocol | None) -> tuple[str, bytes, bytes]:
        at = _HEAD_SIZE
        counts, names = "", []
        for level in range(_height(len(body) - at), 0, -1):
            span = _span(level)
            count = (len(body) - at) // span
            for _ in range(count):
                names.append(self._name(body[at : at + span], level, cipher))
                at += span
            counts += f"{count:x}"
        return counts, b"".join(names), body[:_HEAD_SIZE] + body[at:]

    def _name(self, part: bytes, level: int, cipher: CipherProtocol | None) -> bytes:
        """The name of the full chunk of a level that stands for a part of a value."""
        mark = xxh3_128_digest(part, self.seed + level)
        if self.trust and (known := self.known.names.get(mark)) is not None:
            return known
        chunk = part
        if level > 1:
            below = _pieces(part, _span(level - 1))
            chunk = b"".join([self._name(piece, level - 1, cipher) for piece in below])
        name = blake2b(chunk, digest_size=_NAME_SIZE, key=self.naming_key).digest()
        if name not in self.chunks:
            self.chunks[name] = seal(chunk, cipher) if cipher and level == 1 else chunk
        self.learned[mark] = name
        return name


@dataclass
class Unpacker:
    """Turns stored forms back into values, given the chunks that came with them.

    `learned` is what a packer of that seed would have learned: chunks that need not be sent. The
    plain chunks of a thread that is encrypted by now are none of them.
    """

    serde: SerializerProtocol
    chunks: Mapping[bytes, bytes]
    seed: int
    learned: dict[bytes, bytes] = field(default_factory=dict)

    def unpack(self, stored: bytes) -> Any:
        """The value of a stored form."""
        first, counts, rest = stored.split(b"\0", 2)
        kind = first.decode()
        serde, cipher = open_serde(self.serde)
        if not kind.endswith(_SEALED):
            body = self._join(counts, rest, None, learn=cipher is None)
            return self.serde.loads_typed((kind, body))
        if cipher is None:
            raise CheckpointsError(
                "This thread is encrypted: its saver needs the EncryptedSerializer it was "
                "written with."
            )
        body = self._join(counts, rest, cipher, learn=True)
        return serde.loads_typed((kind.removesuffix(_SEALED), body))

    def _join(
        self, counts: bytes, rest: bytes, cipher: CipherProtocol | None, *, learn: bool
    ) -> bytes:
        at, parts = 0, [b""]
        for level, count in zip(range(len(counts), 0, -1), counts.decode(), strict=True):
            for _ in range(int(count, 16)):
                name = rest[at : at + _NAME_SIZE]
                part = self._part(name, level, cipher)
                if learn:
                    self.learned[xxh3_128_digest(part, self.seed + level)] = name
                parts.append(part)
                at += _NAME_SIZE
        plain = rest[at:] if cipher is None else unseal(rest[at:], cipher)
        parts[0] = plain[:_HEAD_SIZE]
        parts.append(plain[_HEAD_SIZE:])
        body = b"".join(parts)
        add_read(len(body))
        return body

    def _part(self, name: bytes, level: int, cipher: CipherProtocol | None) -> bytes:
        chunk = self.chunks.get(name)
        if not chunk:
            raise CheckpointsError(f"The stored thread is damaged: it lacks chunk {name.hex()}.")
        if level > 1:
            below = _pieces(chunk, _NAME_SIZE)
            return b"".join([self._part(piece, level - 1, cipher) for piece in below])
        return chunk if cipher is None else unseal(chunk, cipher)


def _where(serde: SerializerProtocol, value: Any) -> str:
    """Name the key under which a dict holds what cannot be stored."""
    for key, inner in value.items() if isinstance(value, dict) else ():
        try:
            serde.dumps_typed(inner)
        except Exception:
            return f"at {key!r}: "
    return ""


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
    try:
        return cipher.decrypt(name.decode(), encrypted)
    except Exception as error:
        raise CheckpointsError(
            f"This thread cannot be decrypted ({error}): its saver needs the key it was written "
            "with."
        ) from error


@cache
def _span(level: int) -> int:
    """How many bytes of a value a chunk of a level stands for."""
    return CHUNK_SIZE * int(_NAMES ** (level - 1))


def _height(size: int) -> int:
    """The highest level of which that many bytes fill a chunk."""
    level = 0
    while size >= _span(level + 1):
        level += 1
    return level


def _pieces(body: bytes, size: int) -> list[bytes]:
    return [body[at : at + size] for at in range(0, len(body), size)]

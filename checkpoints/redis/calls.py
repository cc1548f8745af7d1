"""What an operation asks of a driver, and what all operations know of their threads.

An operation does nothing by itself: arguments in, calls out, replies in, values out. It is a
generator that yields the calls it wants made, is sent the replies and returns its value; a driver
(`aio.py`, `sync.py`) makes the calls. So everything that can be got wrong is written once for both.
"""

from collections.abc import Generator
from secrets import token_bytes
from typing import Any, NamedTuple, TypeAlias, TypeVar

from langgraph.checkpoint.serde.base import SerializerProtocol

from everturn.checkpoints.redis.address import Address
from everturn.checkpoints.redis.codec import Packer, Unpacker, chunks_in, open_serde, seal, unseal
from everturn.checkpoints.redis.keyspace import Keyspace
from everturn.checkpoints.redis.known import KnownChunks
from everturn.checkpoints.redis.scripts import Name, Script, script

_NAMING_KEY_SIZE = 32

Argument: TypeAlias = str | bytes | int


class Call(NamedTuple):
    """One script to run on one thread: one round trip."""

    script: Script
    keys: tuple[str, ...]
    args: tuple[Argument, ...]


class Scan(NamedTuple):
    """All keys that match a pattern, of every node of a cluster. The reply is a list of str."""

    pattern: str


T = TypeVar("T")
Operation: TypeAlias = Generator[Call | Scan, Any, T]


class Threads(NamedTuple):
    """The threads under one prefix, as one saver treats them."""

    keyspace: Keyspace
    serde: SerializerProtocol
    known: KnownChunks
    ttl: int | None
    keep: int | None

    def call(self, name: Name, address: Address, *args: Argument, use: bool = True) -> Call:
        """A script on the thread at an address; with `use` its time to live is renewed."""
        ttl = "" if address.ttl is None else address.ttl
        fence = "" if address.fence is None else address.fence
        terms = (ttl if use else "-", self.ttl or "", fence)
        return Call(script(name), self.keyspace.thread(address.thread_id), (*terms, *args))

    def packer(self, address: Address, *, trust: bool) -> Packer:
        """What turns values into their stored form for the thread at an address."""
        seed = self.known.seed(address.thread_id)
        return Packer(self.serde, self.known, seed, *self._naming_key(address), trust=trust)

    def unpacker(self, address: Address, sealed_key: bytes | None, chunks: bytes) -> Unpacker:
        """What turns stored values back, given what a script sent beside them."""
        _, cipher = open_serde(self.serde)
        if sealed_key and cipher is not None:
            naming_key = unseal(sealed_key, cipher)
            self.known.learn_key(address.thread_id, naming_key, sealed_key)
        return Unpacker(self.serde, chunks_in(chunks), self.known.seed(address.thread_id))

    def _naming_key(self, address: Address) -> tuple[bytes, bytes]:
        """The key that names an encrypted thread's chunks: plain, and encrypted, to be stored.

        Two processes that start one thread at the same moment may make two keys; that costs a
        second copy of some chunks and nothing else, for chunks are found by name, not by key.
        """
        _, cipher = open_serde(self.serde)
        if cipher is None:
            return b"", b""
        if (known := self.known.key(address.thread_id)) is None:
            naming_key = token_bytes(_NAMING_KEY_SIZE)
            known = (naming_key, seal(naming_key, cipher))
            self.known.learn_key(address.thread_id, *known)
        return known

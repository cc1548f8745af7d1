r"""Where a thread lies in Redis: two keys, whatever its length.

    {lg:<thread>}:index   ZSET, every score 0, so Redis keeps the members in byte order
        c<ns>\0<checkpoint id>                        a checkpoint
        l<ns>\0<rank>\0<number>\0<checkpoint id>     the place of a late one (see order.lua)
        w<ns>\0<checkpoint id>\0<task id>\0<idx>      a pending write
        a<ns>\0<checkpoint id>\0<call id>             the answer of a tool call (see answers.py)
    {lg:<thread>}:data    HASH
        c…  w…  a…                                      what the members of the same name hold
        b<ns>\0<channel>\0<version>                   the value of a channel at a version
        k<16 bytes>                                   a chunk of a large value (see codec.py)
        .ttl  .fence  .key                            properties of the thread

Why two keys: deleting a thread is one UNLINK and renewing its time to live two EXPIREs, so a
thread is there whole or gone whole. Why no key per namespace: the namespace of a subgraph holds a
task id, so such keys would grow with every turn. Why all scores are 0: members with one score are
ordered by their bytes, so "latest", "before", "limit" and "the writes of this checkpoint" are
lexical ranges. Why the braces: they are the hash tag of Redis Cluster, which puts both keys of a
thread on one node and lets scripts touch them together.
"""

from functools import lru_cache
from typing import NamedTuple
from urllib.parse import quote, unquote

CHECKPOINT, WRITE, ANSWER, BLOB, CHUNK = b"c", b"w", b"a", b"b", b"k"
_END = b"\0"

# The regular writes of a task count from 0, those to special channels down from -1
# (WRITES_IDX_MAP): one fixed width keeps the byte order of all of them.
_FIRST_INDEX = 1_000_000_000


class Keyspace:
    """The keys of all threads under one prefix."""

    def __init__(self, prefix: str) -> None:
        self._tag = quote(prefix, safe=":", errors="surrogatepass")

    def thread(self, thread_id: str) -> tuple[str, str]:
        """Index and data of a thread. Percent-encoding leaves no brace, colon or star in its id."""
        name = f"{{{self._tag}:{_quoted(thread_id)}}}"
        return f"{name}:index", f"{name}:data"

    @property
    def pattern(self) -> str:
        """A SCAN pattern that finds the index of every thread, and perhaps a neighbour's."""
        return f"{{{self._tag}:*}}:index"

    def thread_id(self, index: str) -> str | None:
        """The thread an index key belongs to; None if it lies under a longer prefix than ours."""
        name = index.removeprefix(f"{{{self._tag}:").removesuffix("}:index")
        return None if ":" in name else unquote(name, errors="surrogatepass")


@lru_cache(maxsize=8192)
def _quoted(thread_id: str) -> str:
    return quote(thread_id, safe="", errors="surrogatepass")


@lru_cache(maxsize=8192)
def text(part: str) -> bytes:
    r"""One part of a name: UTF-8 without \0, in the order of the characters it came from."""
    raw = part.encode("utf-8", "surrogatepass")
    return raw.replace(b"\1", b"\1\2").replace(b"\0", b"\1\1")


def untext(part: bytes) -> str:
    """The inverse of `text`."""
    return part.replace(b"\1\1", b"\0").replace(b"\1\2", b"\1").decode("utf-8", "surrogatepass")


def join(*parts: bytes) -> bytes:
    r"""Parts that cannot hold \0, each ended by one."""
    return _END.join((*parts, b""))


def checkpoint_name(ns: str, checkpoint_id: str) -> bytes:
    """The name of a checkpoint."""
    return CHECKPOINT + join(text(ns)) + text(checkpoint_id)


def checkpoint_at(name: bytes) -> tuple[str, str]:
    """The namespace and the id in the name of a checkpoint."""
    ns, checkpoint_id = name[1:].split(_END)
    return untext(ns), untext(checkpoint_id)


class Place(NamedTuple):
    """Where a checkpoint stands among those of its thread: the greater place is the newer one."""

    rank: str
    number: int = 0


def late_at(member: bytes) -> tuple[bytes, Place]:
    """A late checkpoint's name, and its place."""
    ns, rank, number, checkpoint_id = member[1:].split(_END)
    return CHECKPOINT + join(ns) + checkpoint_id, Place(untext(rank), int(number))


def write_name(ns: str, checkpoint_id: str, task_id: str, idx: int) -> bytes:
    """The name of a pending write: a task's write with the same idx has the same name."""
    parts = join(text(ns), text(checkpoint_id), text(task_id))
    return WRITE + parts + b"%010d" % (_FIRST_INDEX + idx)


def write_at(name: bytes) -> tuple[str, int]:
    """The task id and idx in the name of a write."""
    *_, task_id, idx = name.split(_END)
    return untext(task_id), int(idx) - _FIRST_INDEX


def answer_name(ns: str, checkpoint_id: str, call_id: str) -> bytes:
    """The name of the answer of a tool call, in the step that follows a checkpoint."""
    return ANSWER + join(text(ns), text(checkpoint_id)) + text(call_id)


def answer_at(name: bytes) -> str:
    """The id of the call in the name of an answer."""
    return untext(name.split(_END)[-1])


def blob_name(ns: str, channel: str, version: str | float) -> bytes:
    """The name of a channel's value at a version."""
    return BLOB + join(text(ns)) + channel_at(channel, version)


@lru_cache(maxsize=8192, typed=True)
def channel_at(channel: str, version: str | float) -> bytes:
    """A channel and a version, its type first: 1, 1.0 and "1" are three versions."""
    return join(text(channel)) + text(f"{type(version).__name__[0]}{version}")


def version_of(stored: bytes) -> str | int | float:
    """The version in the second part of `channel_at`."""
    kind, version = stored[:1], untext(stored[1:])
    if kind == b"i":
        return int(version)
    return float(version) if kind == b"f" else version

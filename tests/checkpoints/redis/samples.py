"""Checkpoints, configs and a cipher for tests."""

import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from hashlib import blake2b
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver, Checkpoint
from langgraph.checkpoint.base.id import uuid6

from everturn.checkpoints.redis.connect import create_client

Saver = BaseCheckpointSaver[Any]


def place(
    thread_id: str = "thread", ns: str | None = "", checkpoint_id: str | None = None, **more: Any
) -> RunnableConfig:
    """A config that names a thread, a namespace and perhaps a checkpoint."""
    named = {"thread_id": thread_id, "checkpoint_ns": ns, "checkpoint_id": checkpoint_id, **more}
    return {"configurable": {key: value for key, value in named.items() if value is not None}}


def checkpoint(
    values: Mapping[str, Any] | None = None,
    versions: Mapping[str, Any] | None = None,
    checkpoint_id: str | None = None,
) -> Checkpoint:
    """A checkpoint; channels without a version have a new one."""
    values = dict(values or {})
    return Checkpoint(
        v=4,
        id=checkpoint_id or str(uuid6()),
        ts="2026-11-24T12:00:00+00:00",
        channel_values=values,
        channel_versions=dict(
            versions or {channel: f"{1:032}.{secrets.token_hex(4)}" for channel in values}
        ),
        versions_seen={"model": {"messages": "1"}},
        updated_channels=sorted(values),
    )


def named(config: RunnableConfig) -> dict[str, Any]:
    """What a config names."""
    return config.get("configurable", {})


@contextmanager
def looking_into(url: str) -> Iterator[Any]:
    """A client of the store; redis-py's types say too little of replies to be of use."""
    with create_client(url) as client:
        yield client


async def put(
    saver: Saver,
    config: RunnableConfig,
    values: Mapping[str, Any] | None = None,
    metadata: Mapping[str, Any] | None = None,
    checkpoint_id: str | None = None,
) -> RunnableConfig:
    """Stores a checkpoint in which all channels are new; its parent is what the config names."""
    made = checkpoint(values, checkpoint_id=checkpoint_id)
    return await saver.aput(config, made, {**(metadata or {})}, made["channel_versions"])  # type: ignore[typeddict-item]  # tests invent metadata


async def listed(saver: Saver, config: RunnableConfig | None, **query: Any) -> list[str]:
    """The ids of the checkpoints that a list finds."""
    return [found.checkpoint["id"] async for found in saver.alist(config, **query)]


class ToyCipher:
    """Hides bytes as a real cipher does, differently each time."""

    def __init__(self, key: bytes = b"key") -> None:
        self._key = key

    def encrypt(self, plaintext: bytes) -> tuple[str, bytes]:
        nonce = secrets.token_bytes(16)
        return "toy", nonce + self._mix(nonce, plaintext)

    def decrypt(self, ciphername: str, ciphertext: bytes) -> bytes:
        assert ciphername == "toy"
        return self._mix(ciphertext[:16], ciphertext[16:])

    def _mix(self, nonce: bytes, text: bytes) -> bytes:
        blocks = range(len(text) // 64 + 1)
        stream = b"".join(
            blake2b(nonce + block.to_bytes(4), key=self._key).digest() for block in blocks
        )
        return bytes(a ^ b for a, b in zip(text, stream, strict=False))

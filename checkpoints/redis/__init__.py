"""LangGraph's memory in plain Redis (6.2 or newer), Valkey or a Redis Cluster: no modules."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # a second that what needs a module of this folder alone need not cost
    from everturn.checkpoints.redis.aio import AsyncRedisSaver
    from everturn.checkpoints.redis.sync import RedisSaver

__all__ = ["AsyncRedisSaver", "RedisSaver"]


def __getattr__(name: str) -> Any:
    """Import a checkpointer at its first use; see above."""
    if name == "AsyncRedisSaver":
        from everturn.checkpoints.redis.aio import AsyncRedisSaver

        return AsyncRedisSaver
    if name == "RedisSaver":
        from everturn.checkpoints.redis.sync import RedisSaver

        return RedisSaver
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

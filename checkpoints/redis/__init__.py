"""LangGraph's memory in plain Redis (6.2 or newer), Valkey or a Redis Cluster: no modules."""

from checkpoints.redis.aio import AsyncRedisSaver
from checkpoints.redis.sync import RedisSaver

__all__ = ["AsyncRedisSaver", "RedisSaver"]

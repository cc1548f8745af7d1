"""LangGraph's memory in plain Redis (6.2 or newer), Valkey or a Redis Cluster: no modules."""

from everturn.checkpoints.redis.aio import AsyncRedisSaver
from everturn.checkpoints.redis.sync import RedisSaver

__all__ = ["AsyncRedisSaver", "RedisSaver"]

"""What a Redis says of itself; of a cluster each of its primaries."""

import asyncio
from typing import Any

from redis.asyncio import Redis, RedisCluster


async def infos(client: Redis | RedisCluster, *section: str) -> dict[str, dict[str, Any]]:
    """Ask for INFO, by the address of a primary; the one of a single server is empty."""
    if not isinstance(client, RedisCluster):
        return {"": await client.info(*section)}
    await client.initialize()
    nodes: Any = client.get_primaries()
    said = await asyncio.gather(*(client.info(*section, target_nodes=each) for each in nodes))
    return {node.name: info for node, info in zip(nodes, said, strict=True)}

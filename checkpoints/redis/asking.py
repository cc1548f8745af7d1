"""Calls to a node of a cluster that is about to take a slot over.

Such a node serves a call only right behind ASKING, on the same connection. redis-py takes two
connections of its pool for the two, so that the call is sent back and forth until it fails.
"""

from typing import Any

from redis.asyncio import cluster
from redis.cluster import PRIMARY

_ASKING = "ASKING"


class Asking:
    """A node for one call: has redis-py's ASKING sent with the call that follows."""

    def __init__(self, node: Any) -> None:
        self._node = node

    def __getattr__(self, name: str) -> Any:
        """All else is the node's."""
        return getattr(self._node, name)

    async def execute_command(self, *args: Any, asking: bool = False, **how: Any) -> Any:
        """Make the call, or wait for it."""
        if args == (_ASKING,):
            return True
        call = cluster.PipelineCommand(1, *args, **how)
        await self._node.execute_pipeline([cluster.PipelineCommand(0, _ASKING), call])
        if isinstance(call.result, Exception):
            raise call.result
        return call.result


def node_named(nodes: cluster.NodesManager, name: str) -> Any:
    """Return a node that calls are sent on to; one without slots yet is not known before."""
    if name not in nodes.nodes_cache:
        host, _, port = name.rpartition(":")
        node: Any = cluster.ClusterNode(host, int(port), PRIMARY, **nodes.connection_kwargs)
        nodes.set_nodes(nodes.nodes_cache, {name: node})
    return nodes.nodes_cache[name]

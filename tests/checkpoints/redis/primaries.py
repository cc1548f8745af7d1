"""Which processes are the primaries of a cluster, or the one behind a sentinel."""

from tests.checkpoints.redis.samples import looking_into


def primaries(url: str) -> list[int]:
    """The ids of their processes."""
    with looking_into(url) as client:
        if "cluster" not in url:
            return [int(client.info("server")["process_id"])]
        nodes = client.get_primaries()
        return [int(client.info("server", target_nodes=each)["process_id"]) for each in nodes]


def primary_of(key: str, url: str) -> int:
    """The process that serves a key."""
    with looking_into(url) as client:
        if "cluster" not in url:
            return int(client.info("server")["process_id"])
        node = client.get_node_from_key(key)
        return int(client.info("server", target_nodes=node)["process_id"])

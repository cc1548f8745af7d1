"""What tools stand on; a tool of yours needs `declare`, and what it may ask of its call."""

from everturn.tools.kit.current import attempt, do_not_cache, idempotency_key
from everturn.tools.kit.declare import declare

__all__ = ["attempt", "declare", "do_not_cache", "idempotency_key"]

"""What tools stand on; a tool of yours needs `declare`."""

from everturn.tools.kit.declare import declare

__all__ = ["declare"]

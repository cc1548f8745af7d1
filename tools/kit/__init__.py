"""How any tool is run; a tool of yours needs only `declare`."""

from everturn.tools.kit.declare import declare

__all__ = ["declare"]

"""Figures of tools."""

from everturn.server.observe.figures.declare import Figures, Names


class ToolFigures:
    """Of calls of tools, in all turns."""

    def __init__(self, figures: Figures) -> None:
        self.names, self.kinds = Names(), Names("success")
        self.calls = figures.counter(
            "tool_calls_total",
            "Calls of a tool, by tool and status: success, or a class of failure.",
            *("tool", "status"),
        )
        self.duration = figures.histogram(
            "tool_duration_seconds",
            "Seconds of a tool's call, answers from the cache included.",
            "tool",
        )
        self.cache = figures.counter(
            "tool_cache_total",
            "Looks into the cache of tool results: hit, miss, joined (another caller was asking "
            "the same) or uncached (the store did not answer).",
            *("tool", "result"),
        )

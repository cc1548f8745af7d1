"""What a tool declares about itself beside its schema.

    @declare(cache=600, timeout=5)
    @tool
    def exchange_rate(base: str, quote: str) -> float: ...

It is kept in the tool's `metadata`, where tools that are made by other means can have it too:
`metadata={"everturn": {"approval": True}}`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict, TypeVar, cast

if TYPE_CHECKING:  # a second that a command without tools need not cost
    from collections.abc import Callable

    from langchain_core.tools import BaseTool

METADATA_KEY = "everturn"

Tool = TypeVar("Tool", bound="BaseTool")


class Declared(TypedDict, total=False):
    """What may be declared; what is missing is as the settings say."""

    timeout: float
    """Seconds a call may take."""
    cache: float
    """Seconds a result is good for; missing: results are never used again."""
    version: str
    """Of the results: with a new one, those kept under the old one are no longer used."""
    approval: bool
    """A person must approve each call."""


def declare(
    *,
    timeout: float | None = None,
    cache: float | None = None,
    version: str | None = None,
    approval: bool | None = None,
) -> Callable[[Tool], Tool]:
    """Declare something about a tool; write it above `@tool`.

    Args:
        timeout: Seconds a call may take, in place of EVERTURN_TOOL_TIMEOUT.
        cache: Seconds a result is good for. Only for a tool whose results depend on nothing but
            its arguments: they are shared by all users.
        version: Of the results; raise it when the tool's answers change.
        approval: A person must approve each call.
    """
    for name, seconds in (("timeout", timeout), ("cache", cache)):
        if seconds is not None and not seconds > 0:
            raise ValueError(f"{name} must be more than 0 seconds, not {seconds!r}")
    said = {"timeout": timeout, "cache": cache, "version": version, "approval": approval}

    def mark(tool: Tool) -> Tool:
        from langchain_core.tools import BaseTool

        if not isinstance(tool, BaseTool):
            raise TypeError("@declare stands above @tool, not below it")
        more = {name: value for name, value in said.items() if value is not None}
        tool.metadata = {**(tool.metadata or {}), METADATA_KEY: {**declared(tool), **more}}
        return tool

    return mark


def declared(tool: BaseTool) -> Declared:
    """Return what a tool declares."""
    found = (tool.metadata or {}).get(METADATA_KEY)
    return cast("Declared", found) if isinstance(found, dict) else {}

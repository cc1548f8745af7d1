"""Whose things are: each has an `owner` in its metadata, who alone sees it."""

from collections.abc import Mapping
from typing import Any

from langgraph_sdk.auth.types import AuthContext

from everturn.server.access.access import Handler
from everturn.server.access.scopes import ADMIN, holds


def owner_rules() -> Mapping[tuple[str, str], Handler]:
    """Return what callers may do, as handlers of a project: by resource and action, `*` is any."""
    return {("*", "*"): _owned, ("assistants", "read"): _shared, ("assistants", "search"): _shared}


async def _owned(ctx: AuthContext, value: dict[str, Any]) -> dict[str, Any] | None:
    owner = {"owner": ctx.user.identity}
    if ctx.action == "create":
        value["metadata"] = {**(value.get("metadata") or {}), **owner}
    return None if holds(ctx.permissions, ADMIN) else owner


async def _shared(ctx: AuthContext, value: dict[str, Any]) -> dict[str, Any] | None:
    if holds(ctx.permissions, ADMIN):
        return None
    return {"$or": [{"owner": ctx.user.identity}, {"created_by": "system"}]}

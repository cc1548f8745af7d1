"""Whose what is: rules in the shape of LangGraph's `Auth`, for callers of the service's own.

What a caller makes is marked in its metadata as theirs, whatever the client says; all else is only
done with what is so marked. An operator, who has the permission `admin`, does it with everything.
Items of the store have no metadata: `OwnStores` keeps those of each owner apart.
"""

from collections.abc import Mapping
from typing import Any

from langgraph_sdk.auth.types import AuthContext

from everturn.server.access.access import Handler
from everturn.server.access.caller import Caller
from everturn.server.access.scopes import ADMIN

OWNER = "owner"
"""The name in metadata under which it is said whose something is."""

_MADE = frozenset({"create", "create_run"})
_OF_A_GRAPH = {"created_by": "system"}
"""In the metadata of the assistants that graphs have by themselves, as LangGraph marks them."""


def owner_rules() -> Mapping[tuple[str, str], Handler]:
    """Return the rules by which everything belongs to who made it, for `ProjectAuth.handlers`.

    The assistants of graphs are everybody's to read and to run, and nobody's but operators' to
    change.
    """
    return {
        ("*", "*"): _own,
        ("assistants", "read"): _own_or_of_a_graph,
        ("assistants", "search"): _own_or_of_a_graph,
        ("store", "*"): _anything,
    }


def is_admin(caller: Caller) -> bool:
    """Say whether a caller is an operator."""
    return ADMIN in caller.permissions


async def _own(ctx: AuthContext, value: dict[str, Any]) -> dict[str, str] | None:
    """Mark what is made and what is changed; allow what is the caller's own."""
    own, admin = {OWNER: ctx.user.identity}, ADMIN in ctx.permissions
    said = value.get("metadata")
    if ctx.action in _MADE:
        value["metadata"] = {**_without_mark(said or {}), **own}
    elif ctx.action == "update" and said is not None and not admin:  # an operator may hand it over
        value["metadata"] = {**_without_mark(said), **own}
    return None if admin else own


async def _own_or_of_a_graph(ctx: AuthContext, value: dict[str, Any]) -> dict[str, Any] | None:
    if ADMIN in ctx.permissions:
        return None
    return {"$or": [{OWNER: ctx.user.identity}, _OF_A_GRAPH]}


async def _anything(ctx: AuthContext, value: dict[str, Any]) -> None:
    return None


def _without_mark(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out what would show something to everybody as if it were of a graph."""
    return {key: said for key, said in metadata.items() if _OF_A_GRAPH.get(key) != said}

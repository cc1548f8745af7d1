"""Bearer tokens, and rules by owner: what most projects with `auth` have."""

from typing import Any

from langgraph_sdk import Auth

auth = Auth()

_USERS: dict[str, dict[str, Any]] = {
    "alice": {"permissions": ["crons"], "display_name": "Alice A.", "team": {"name": "crimson"}},
    "bob": {"permissions": ["crons"]},
    "carol": {},
}


@auth.authenticate
async def authenticate(authorization: str | None) -> dict[str, Any]:
    scheme, _, token = (authorization or "").partition(" ")
    if scheme != "Bearer" or token not in _USERS:
        raise Auth.exceptions.HTTPException(
            status_code=401, detail="Say who you are.", headers={"X-Hint": "alice"}
        )
    return {"identity": token, **_USERS[token]}


@auth.on
async def owners(ctx: Auth.types.AuthContext, value: dict[str, Any]) -> dict[str, Any]:
    owner = {"owner": ctx.user.identity}
    value["metadata"] = {**(value.get("metadata") or {}), **owner}
    return owner


@auth.on(resources="assistants", actions=["read", "search"])
async def shared(ctx: Auth.types.AuthContext, value: dict[str, Any]) -> dict[str, Any]:
    return {"$or": [{"owner": ctx.user.identity}, {"created_by": "system"}]}


@auth.on.crons.create
async def by_the_clock(ctx: Auth.types.AuthContext, value: Any) -> bool:
    value["metadata"] = {**(value.get("metadata") or {}), "owner": ctx.user.identity}
    return "crons" in ctx.permissions


@auth.on.store
async def own_namespace(ctx: Auth.types.AuthContext, value: Any) -> None:
    value["namespace"] = (ctx.user.identity, *(value["namespace"] or ()))

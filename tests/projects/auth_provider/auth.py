"""A hosted identity provider asked about each token, and rules by owner and permission.

In the shape of LangGraph's own guides: what is not as it should be is asserted, an error of the
provider is a 401, and the handlers change `value` in place.
"""

import os

import httpx
from langgraph_sdk import Auth

auth = Auth()


@auth.authenticate
async def current_user(authorization: str | None, headers: dict[bytes, bytes]) -> dict:
    assert authorization, "There is no token."
    scheme, _, token = authorization.partition(" ")
    assert scheme.lower() == "bearer"
    assert token
    try:
        async with httpx.AsyncClient() as client:
            response = await client.get(
                os.environ["PROVIDER_URL"] + "/auth/v1/user",
                headers={"Authorization": authorization, "apikey": os.environ["PROVIDER_KEY"]},
            )
        assert response.status_code == 200, response.text
        user = response.json()
    except Exception as error:
        raise Auth.exceptions.HTTPException(status_code=401, detail=str(error)) from error
    return {
        "identity": user["id"],
        "email": user["email"],
        "is_authenticated": True,
        "permissions": user["app_metadata"]["permissions"],
        "tenant": headers.get(b"x-tenant", b"").decode(),
    }


@auth.on
async def own(ctx: Auth.types.AuthContext, value: dict) -> dict:
    if isinstance(ctx.user, Auth.types.StudioUser):
        return {}
    filters = {"owner": ctx.user.identity}
    metadata = value.setdefault("metadata", {})
    metadata.update(filters)
    return filters


@auth.on.threads.create
async def create(ctx: Auth.types.AuthContext, value: Auth.types.on.threads.create.value) -> dict:
    if "threads:write" not in ctx.permissions:
        raise Auth.exceptions.HTTPException(status_code=403, detail="You may not begin a thread.")
    value.setdefault("metadata", {})["tenant"] = ctx.user.tenant
    return await own(ctx, value)


@auth.on.threads.create_run
async def run(ctx: Auth.types.AuthContext, value: Auth.types.on.threads.create_run.value) -> dict:
    if value.get("metadata", {}).get("debug"):
        assert "debug" in ctx.permissions, "You may not debug."
    value.setdefault("metadata", {})["asked_by"] = ctx.user.identity
    return {"owner": ctx.user.identity}


@auth.on(resources=["threads"], actions=["delete"])
async def delete(ctx: Auth.types.AuthContext, value: dict) -> bool | dict:
    return {"owner": ctx.user.identity} if "threads:delete" in ctx.permissions else False


@auth.on.assistants
async def assistants(ctx: Auth.types.AuthContext, value: dict) -> None:
    raise Auth.exceptions.HTTPException(status_code=403, detail="Assistants are the operators'.")


@auth.on.store()
async def store(ctx: Auth.types.AuthContext, value: dict) -> None:
    namespace: tuple = value["namespace"]
    assert namespace
    assert namespace[0] == ctx.user.identity, "Not yours."

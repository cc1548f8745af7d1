"""Routes of the project's own."""

from fastapi import FastAPI, Request

app = FastAPI()


@app.get("/mine")
async def mine(request: Request) -> dict[str, str | None]:
    user = request.scope.get("user")
    return {"user": user.identity if user else None}

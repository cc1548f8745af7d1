"""Routes of the project's own, which ask the server too, and take its webhooks."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from langgraph_sdk import get_client
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, StreamingResponse
from starlette.routing import Route

at_import = get_client()
received: list[dict[str, Any]] = []


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    app.state.client = client = get_client()
    app.state.at_start = len(await client.assistants.search())
    yield


async def started(request: Request) -> JSONResponse:
    return JSONResponse(request.app.state.at_start)


async def inside(request: Request) -> JSONResponse:
    """Say whether the request came from within the process; ask so itself, where it did not."""
    here = bool(request.scope.get("everturn.in_process"))
    asked = None if here else await at_import.http.get("/inside")
    return JSONResponse({"here": here, "asked": asked})


async def count(request: Request) -> JSONResponse:
    number = request.path_params["number"]
    client = at_import if number % 2 else request.app.state.client
    answer: Any = await client.runs.wait(None, "worker", input={"to": number})
    return JSONResponse(answer["counted"])


async def numbers(request: Request) -> StreamingResponse:
    given = {"to": int(request.query_params["to"]), "pause": float(request.query_params["pause"])}

    async def lines() -> AsyncIterator[str]:
        async for part in at_import.runs.stream(
            None, "worker", input=given, stream_mode="custom", on_disconnect="cancel"
        ):
            if part.event == "custom":
                yield f"{part.data}\n"

    return StreamingResponse(lines())


async def done(request: Request) -> JSONResponse:
    received.append(
        {
            "body": await request.json(),
            "headers": dict(request.headers),
            "url": str(request.url),
            "client": request.client and request.client.host,
        }
    )
    return JSONResponse({"ok": True})


async def list_received(request: Request) -> JSONResponse:
    return JSONResponse(received)


app = Starlette(
    routes=[
        Route("/count/{number:int}", count),
        Route("/numbers", numbers),
        Route("/done", done, methods=["POST"]),
        Route("/received", list_received),
        Route("/started", started),
        Route("/inside", inside),
    ],
    lifespan=lifespan,
)

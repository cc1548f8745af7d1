"""A proxy that demands a key, as hosted providers do, in front of a server that wants none.

It records each request as it came, its key masked, and can be run by hand:
python -m tests.real.key_proxy http://127.0.0.1:8080 KEY
"""

from __future__ import annotations

import sys
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any

import httpx2
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request as HTTPRequest
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from tests.waiting import eventually_sync

_REPLACED = {"host", "authorization", "content-length", "accept-encoding", "connection"}


@dataclass(frozen=True)
class Seen:
    """One request as it arrived; `key` is what stands in its header, masked."""

    line: str
    headers: dict[str, str]
    body: bytes

    def __str__(self) -> str:
        head = [self.line, *(f"{name}: {value}" for name, value in self.headers.items())]
        return "\n".join([*head, "", self.body.decode()])


class KeyProxy:
    """Passes on to `target`, which may come and go, what brings the `key`."""

    def __init__(self, target: str, key: str) -> None:
        self.target, self.key = target, key
        self.seen: list[Seen] = []
        self.pieces = 0
        """How many pieces of answers were passed on."""
        routes = [Route("/{path:path}", self._pass_on, methods=["GET", "POST"])]
        self.app = Starlette(routes=routes, lifespan=self._open)

    @asynccontextmanager
    async def _open(self, app: Starlette) -> AsyncIterator[None]:
        async with httpx2.AsyncClient(timeout=None, trust_env=False) as self._http:
            yield

    async def _pass_on(self, request: HTTPRequest) -> Response:
        body = await request.body()
        headers = {k: v for k, v in request.headers.items() if k not in _REPLACED}
        given = request.headers.get("authorization")
        shown = dict(request.headers) | ({"authorization": _masked(given)} if given else {})
        path = request.url.path
        self.seen.append(Seen(f"{request.method} {path} HTTP/1.1", shown, body))
        if given != f"Bearer {self.key}":
            return _error(401, "Incorrect API key provided")
        passed = self._http.build_request(
            request.method, self.target + path, headers=headers, content=body
        )
        try:
            response = await self._http.send(passed, stream=True)
        except httpx2.TransportError as error:
            return _error(502, f"the model does not answer: {type(error).__name__}")
        kind = response.headers.get("content-type")
        return StreamingResponse(self._pieces(response), response.status_code, media_type=kind)

    async def _pieces(self, response: httpx2.Response) -> AsyncIterator[bytes]:
        """Yield an answer as it comes; where it breaks off, the client's connection does, too."""
        try:
            async for piece in response.aiter_bytes():
                self.pieces += 1
                yield piece
        finally:
            await response.aclose()


@contextmanager
def serving_proxy(proxy: KeyProxy, port: int = 0) -> Iterator[str]:
    """Serve in a thread, and yield the address, with /v1."""
    config = uvicorn.Config(
        proxy.app, port=port, log_config=None, lifespan="on", timeout_graceful_shutdown=1
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        eventually_sync(lambda: server.started)
        found = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{found}/v1"
    finally:
        server.should_exit = True
        thread.join()


def _error(status: int, message: str) -> JSONResponse:
    error: dict[str, Any] = {"message": message, "type": "invalid_request_error", "code": None}
    return JSONResponse({"error": error}, status)


def _masked(header: str) -> str:
    scheme, _, key = header.partition(" ")
    return f"{scheme} {key[:3]}…{len(key)} characters"


if __name__ == "__main__":
    hand = KeyProxy(sys.argv[1], sys.argv[2])
    with serving_proxy(hand) as address:
        print(address, flush=True)
        for _ in sys.stdin:  # each line of input shows the newest request
            print(hand.seen[-1] if hand.seen else "none yet", flush=True)

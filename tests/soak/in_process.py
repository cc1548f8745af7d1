"""A client of a service in the same process, which hears each piece of an answer as it is sent."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx


class InProcess(httpx.AsyncBaseTransport):
    """Calls an ASGI application; unlike httpx' own, it does not wait for the end of a body."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self._tasks: set[asyncio.Task[None]] = set()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        sent: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": request.method,
            "scheme": "http",
            "path": request.url.path,
            "raw_path": request.url.raw_path.split(b"?")[0],
            "query_string": request.url.query,
            "headers": [(name.lower(), value) for name, value in request.headers.raw],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 80),
            "root_path": "",
            "state": {},
        }
        body = [{"type": "http.request", "body": await request.aread(), "more_body": False}]
        gone = asyncio.Event()

        async def receive() -> dict[str, Any]:
            if body:
                return body.pop()
            await gone.wait()
            return {"type": "http.disconnect"}

        async def answer() -> None:
            try:
                await self._app(scope, receive, _put)
            finally:
                sent.put_nowait(None)

        async def _put(message: Any) -> None:
            sent.put_nowait(message)

        task = asyncio.create_task(answer())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        head = await sent.get()
        if head is None:
            raise httpx.ReadError("no answer")
        return httpx.Response(head["status"], headers=head["headers"], stream=_Body(sent, gone))


class _Body(httpx.AsyncByteStream):
    def __init__(self, sent: asyncio.Queue[dict[str, Any] | None], gone: asyncio.Event) -> None:
        self._sent, self._gone = sent, gone

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while (message := await self._sent.get()) is not None:
            yield message.get("body", b"")
            if not message.get("more_body"):
                return

    async def aclose(self) -> None:
        self._gone.set()

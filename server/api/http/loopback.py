"""LangGraph's SDK without a URL: `get_client()` in a graph or a route reaches this service.

The SDK makes such a client on a transport that the server provides, by two names of its module
`langgraph_sdk._async.client`: `get_asgi_transport` says of which type, and an environment variable
says that the server is found later. So a client may be made at a module's import. Each request
goes to the service in which it is made: several may live in one process.
"""

import asyncio
import os
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import Any

import httpx
from fastapi import FastAPI
from langgraph_sdk._async import client as sdk
from starlette.types import ASGIApp, Receive, Scope, Send

from everturn.server.api.http.in_process import IN_PROCESS, Exchange, InProcess, NoAnswer
from everturn.server.observe.context import seen_from

_CLOSING_SECONDS = 2.0

_open: list[InProcess] = []
_here: ContextVar[InProcess | None] = ContextVar("everturn_service", default=None)


class KnownInside:
    """Middleware: what a request starts, graphs and routes, reaches the service it came to."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            _here.set(getattr(scope["app"].state, "in_process", None))
            if scope.get(IN_PROCESS) is not True:
                seen_from(scope)
        await self.app(scope, receive, send)


@asynccontextmanager
async def reachable_inside(app: FastAPI) -> AsyncIterator[None]:
    """Let clients without a URL reach a service as long as the block lasts.

    It is entered before a project is imported: a client that is made then works once the
    service does.
    """
    # `langgraph_api`, where it is installed, is never imported: that would start its server. The
    # SDK's list of clients is for servers that set each one's app; it would only grow.
    os.environ["__LANGGRAPH_DEFER_LOOPBACK_TRANSPORT"] = "true"
    sdk.__dict__.update(
        get_asgi_transport=lambda: InProcessTransport, _registered_transports=deque(maxlen=0)
    )
    service = InProcess(app)
    app.state.in_process = service
    _here.set(service)
    _open.append(service)
    try:
        yield
    finally:
        _open.remove(service)
        await service.close(_CLOSING_SECONDS)


class InProcessTransport(httpx.AsyncBaseTransport):
    """Sends requests to the service, through the whole of its request path."""

    def __init__(self, app: object = None, root_path: str = "", **_: Any) -> None:
        """Take what the SDK gives; the service is looked up for each request."""
        self._made_in = _here.get()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Return an answer as soon as it begins.

        Raises:
            httpx.ConnectError: there is no service, or none yet.
            httpx.ReadTimeout: it does not answer in the client's time.
            httpx.RemoteProtocolError: it failed before it answered.
        """
        service = self._service(request)
        timeout: float | None = request.extensions.get("timeout", {}).get("read")
        body = await request.aread()
        try:
            async with asyncio.timeout(timeout):
                exchange, answer = await service.ask(_scope(request), body)
        except TimeoutError as error:
            raise httpx.ReadTimeout("No answer in time.", request=request) from error
        except NoAnswer as error:
            raise httpx.RemoteProtocolError(str(error), request=request) from error
        stream = _Stream(service, exchange, timeout)
        return httpx.Response(answer.status, headers=answer.headers, stream=stream)

    def _service(self, request: httpx.Request) -> InProcess:
        """Where the caller runs; in a thread without a context, where the client was made."""
        for service in (_here.get(), self._made_in, *_open[-1:]):
            if service in _open:
                return service
        raise httpx.ConnectError(
            "A client without a URL reaches the service it lives in, and there is none: "
            "name a URL in get_client(url=...).",
            request=request,
        )


class _Stream(httpx.AsyncByteStream):
    def __init__(self, service: InProcess, exchange: Exchange, timeout: float | None) -> None:
        self._service, self._exchange, self._timeout = service, exchange, timeout

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while True:
            try:
                async with asyncio.timeout(self._timeout):
                    chunk = await self._service.chunk(self._exchange)
            except TimeoutError as error:
                raise httpx.ReadTimeout("No more of the answer in time.") from error
            if not chunk:
                return
            yield chunk

    async def aclose(self) -> None:
        self._service.leave(self._exchange)


def _scope(request: httpx.Request) -> Scope:
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": request.method,
        "scheme": request.url.scheme,
        "path": request.url.path,
        "raw_path": request.url.raw_path.partition(b"?")[0],
        "query_string": request.url.query,
        "root_path": "",
        "headers": [(name.lower(), value) for name, value in request.headers.raw],
        "client": ("127.0.0.1", 0),
        "server": (request.url.host, request.url.port or 80),
        IN_PROCESS: True,
    }

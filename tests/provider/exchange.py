"""One answer on its socket: plays a transmission, and notices when the client leaves."""

from __future__ import annotations

import asyncio
import socket
import struct

from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from tests.provider.script import Request, Transmission

STALL_LIMIT = 120.0  # s; no test waits longer, and no connection stays for ever
KEEPALIVE_EVERY = 0.05  # s
RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER: on, for 0 s


class Connection(HttpToolsProtocol):
    """uvicorn's protocol, which leaves its transport in the scope, where a fault can break it."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        super().connection_made(transport)
        self.app_state = {"transport": transport}


class Exchange:
    """The ASGI response that plays a transmission to the client of a request."""

    def __init__(self, request: Request, transmission: Transmission) -> None:
        self._request = request
        self._transmission = transmission

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        transport: asyncio.Transport = scope["state"]["transport"]
        playing = asyncio.create_task(self._play(send, transport))
        leaving = asyncio.create_task(_disconnected(receive))
        try:
            await asyncio.wait({playing, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if not playing.done():
                self._request.left.set()
            elif transport.is_closing():
                # uvicorn logs an error for an answer left undone while the client is still there.
                await leaving
            else:
                playing.result()
        finally:
            playing.cancel()
            leaving.cancel()
            self._request.ended.set()

    async def _play(self, send: Send, transport: asyncio.Transport) -> None:
        plan = self._transmission
        if plan.status is not None:
            await send(
                {
                    "type": "http.response.start",
                    "status": plan.status,
                    "headers": [(k.lower().encode(), v.encode()) for k, v in plan.headers.items()],
                }
            )
        for pause, piece in plan.pieces:
            await asyncio.sleep(pause)
            if plan.status is None:
                transport.write(piece)
            else:
                await send({"type": "http.response.body", "body": piece, "more_body": True})
        match plan.ending:
            case "complete":
                await send({"type": "http.response.body"})
            case "cut":
                transport.close()
            case "reset":
                peer: socket.socket = transport.get_extra_info("socket")
                peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
                transport.abort()
            case "stall":
                await asyncio.sleep(STALL_LIMIT)
                transport.close()
            case "keepalive":
                filler = {"type": "http.response.body", "body": plan.filler, "more_body": True}
                for _ in range(int(STALL_LIMIT / KEEPALIVE_EVERY)):
                    await send(filler)
                    await asyncio.sleep(KEEPALIVE_EVERY)
                transport.close()


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass

"""A relay between clients and a server that counts round trips on the wire."""

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from tests.waiting import PATIENCE


class Relay:
    """Counts trips: one begins when a client speaks after the server's last word to it.

    With `loses` set, the connection breaks instead of the next answer, once.
    """

    def __init__(self, socket: str) -> None:
        self.trips = 0
        self.loses = False
        self.url = ""
        self._socket = socket
        self._relayed: set[asyncio.Task[Any] | None] = set()

    async def serve(self, client: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        """One connection, both ways."""
        self._relayed.add(asyncio.current_task())
        server, forth = await asyncio.open_unix_connection(self._socket)
        server_spoke = True

        async def ask() -> None:
            nonlocal server_spoke
            while data := await client.read(1 << 16):
                self.trips += server_spoke
                server_spoke = False
                forth.write(data)
                await forth.drain()
            forth.close()

        async def answer() -> None:
            nonlocal server_spoke
            while data := await server.read(1 << 16):
                server_spoke = True
                if self.loses:
                    self.loses = False
                    forth.close()
                    break
                back.write(data)
                await back.drain()
            back.close()

        await asyncio.gather(ask(), answer(), return_exceptions=True)

    async def ended(self) -> None:
        """Waits until all clients have gone."""
        if self._relayed:
            await asyncio.wait({task for task in self._relayed if task}, timeout=PATIENCE)


@asynccontextmanager
async def relaying(socket: str) -> AsyncIterator[Relay]:
    """A relay to the server at a unix socket, at a unix socket of its own."""
    with tempfile.TemporaryDirectory(prefix="ev-") as folder:
        relay = Relay(socket)
        relay.url = f"unix://{folder}/relay"
        async with await asyncio.start_unix_server(relay.serve, f"{folder}/relay"):
            yield relay
        await relay.ended()

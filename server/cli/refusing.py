"""What clients hear while a process that served closes its stores: to come back in a moment.

Its application is gone by then, and in the end its event loop. Without this their connections would
be refused, by a process that is still there.
"""

import asyncio
import socket
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from everturn.server.api.http.problems import problem_of, problem_response
from everturn.server.errors import ShuttingDown

_SECONDS = 1
"""For a client to send what it asks, and to take the answer."""
_MAX_BYTES = 65_536


def refuse_until_the_end(listener: socket.socket) -> None:
    """Answer each request that comes with 503, until this process is gone."""
    kept = listener.dup()

    async def forever() -> None:
        async with refusing(kept):
            await asyncio.Event().wait()

    threading.Thread(target=lambda: asyncio.run(forever()), name="refusing", daemon=True).start()


@asynccontextmanager
async def refusing(listener: socket.socket) -> AsyncIterator[None]:
    """Answer each request that comes with 503; the listener itself may be closed meanwhile."""
    server = await asyncio.start_server(_refuse, sock=listener.dup(), limit=_MAX_BYTES)
    try:
        yield
    finally:
        server.close()


async def _refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    unheard = (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError)
    try:
        with suppress(*unheard):
            async with asyncio.timeout(_SECONDS):
                await reader.readuntil(b"\r\n\r\n")
                writer.write(_answer())
                writer.write_eof()
                # With a body unread, closing would take the answer back.
                while await reader.read(_MAX_BYTES):
                    pass
    finally:
        writer.close()


def _answer() -> bytes:
    stopped = ShuttingDown("The service is being stopped: come back in a moment.")
    response = problem_response(problem_of(stopped))
    headers = [*response.raw_headers, (b"connection", b"close")]
    lines = b"".join(b"%s: %s\r\n" % header for header in headers)
    return b"HTTP/1.1 503 Service Unavailable\r\n" + lines + b"\r\n" + bytes(response.body)

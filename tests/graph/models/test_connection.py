"""A connection that the provider closed while it was idle is no failure of its model."""

import asyncio
import json
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import openai
import pytest
from pydantic import SecretStr

from everturn.graph.models.failures import failure_of
from everturn.graph.models.openai_chat import OpenAIChat

ANSWER = {"choices": [{"message": {"content": "fine"}, "finish_reason": "stop"}]}
RESET = struct.pack("ii", 1, 0)


class Server:
    """Answers `kept` requests on each connection, and closes it when the next one arrives."""

    def __init__(self, kept: int, *, reset: bool) -> None:
        self.kept, self.reset = kept, reset
        self.connections = 0
        self.closed: list[asyncio.Event] = []

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.closed.append(closed := asyncio.Event())
        try:
            await self._serve(reader, writer)
        except asyncio.IncompleteReadError:  # the client has left
            pass
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()
            closed.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for answered in range(self.kept + 1):
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            await reader.readexactly(length)
            if answered == self.kept:
                break
            body = json.dumps(ANSWER).encode()
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
            await writer.drain()
        if self.reset:
            peer: socket.socket = writer.get_extra_info("socket")
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            writer.transport.abort()


@asynccontextmanager
async def _model(server: Server) -> AsyncIterator[OpenAIChat]:
    listening = await asyncio.start_server(server, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    async with listening, openai.DefaultAsyncHttpxClient() as http:
        yield OpenAIChat(
            model="m",
            base_url=f"http://127.0.0.1:{port}/v1",
            api_key=SecretStr("k"),
            http_async_client=http,
        )
    for closed in server.closed:
        await closed.wait()


@pytest.mark.parametrize("reset", [False, True])
async def test_a_stale_connection_costs_one_silent_retry(reset: bool) -> None:
    server = Server(1, reset=reset)
    async with _model(server) as model:
        for _ in range(3):
            assert (await model.ainvoke("hi")).text == "fine"
    assert server.connections == 3


@pytest.mark.parametrize("reset", [False, True])
async def test_a_new_connection_that_is_closed_is_a_failure(reset: bool) -> None:
    server = Server(0, reset=reset)
    async with _model(server) as model:
        with pytest.raises(Exception) as failed:  # noqa: PT011 - which one depends on the kernel
            await model.ainvoke("hi")
    assert failure_of(failed.value).kind == "unreachable"
    assert server.connections == 1

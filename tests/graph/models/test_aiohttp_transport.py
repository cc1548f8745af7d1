"""aiohttp below httpx2's client: the same requests, responses and errors."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager

import httpx2
import pytest

from everturn.graph.models.aiohttp_transport import AiohttpTransport
from everturn.graph.models.failures import failure_of

Serve = Callable[[bytes, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
"""Answers a request, of which it is given the head."""


@asynccontextmanager
async def _client() -> AsyncIterator[httpx2.AsyncClient]:
    trusted = httpx2.create_ssl_context(trust_env=False)
    async with httpx2.AsyncClient(
        transport=AiohttpTransport(trusted),
        trust_env=False,
        timeout=httpx2.Timeout(None, connect=5),
    ) as client:
        yield client


@asynccontextmanager
async def _served(serve: Serve) -> AsyncIterator[str]:
    ended: list[asyncio.Event] = []

    async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ended.append(over := asyncio.Event())
        try:
            await serve(await reader.readuntil(b"\r\n\r\n"), reader, writer)
        finally:
            writer.close()
            over.set()

    server = await asyncio.start_server(one, "127.0.0.1", 0)
    async with server:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        for over in ended:
            await over.wait()


async def test_a_stream_that_is_left_closes_its_connection_at_once() -> None:
    left = asyncio.Event()

    async def endless(_: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n")
        await reader.read()  # until the client closes
        left.set()

    async with _served(endless) as host, _client() as client:

        async def read() -> None:
            async with (
                client.stream("GET", f"http://{host}/") as response,
                aclosing(response.aiter_bytes()) as pieces,
            ):
                assert await anext(pieces) == b"hi"
                reading.set()
                await anext(pieces)

        reading = asyncio.Event()
        task = asyncio.create_task(read())
        await reading.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await left.wait()


async def test_user_and_password_of_an_address_are_sent_as_a_header() -> None:
    async def answer(head: bytes, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        known = b"authorization: basic bwu6c2vjcmv0\r\n" in head.lower() and b"me:" not in head
        status = b"200 OK" if known else b"401 Unauthorized"
        writer.write(b"HTTP/1.1 %s\r\nContent-Length: 0\r\nConnection: close\r\n\r\n" % status)

    async with _served(answer) as host, _client() as client:
        assert (await client.get(f"http://me:secret@{host}/")).status_code == 200


@pytest.mark.parametrize(
    "response",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nhalf",
        b"no HTTP at all\r\n\r\n",
        b"",
    ],
)
async def test_a_broken_response_is_an_error_of_httpx2(response: bytes) -> None:
    async def broken(_: bytes, __: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(response)

    async with _served(broken) as host, _client() as client:
        with pytest.raises(httpx2.RemoteProtocolError):
            await client.get(f"http://{host}/")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_where_nothing_listens(host: str) -> None:
    with socket.socket() as refusing:  # bound, and never listening
        refusing.bind(("127.0.0.1", 0))
        async with _client() as client:
            with pytest.raises(httpx2.ConnectError) as failed:
                await client.get(f"http://{host}:{refusing.getsockname()[1]}/")
    said = failure_of(failed.value)
    assert (said.kind, said.message) == (
        "unreachable",
        "nothing listens at the provider's address",
    )

"""A listener of streams of which a test knows when it listens: what happens before, it may miss."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any, NamedTuple

import httpx
import pytest

import everturn.server.api.agent_server.run_answers
import everturn.server.streams.feed
import everturn.server.streams.thread
from tests.waiting import PATIENCE


class Part(NamedTuple):
    """One event of a stream."""

    id: str | None
    event: str
    data: Any


def announce_silence(monkeypatch: pytest.MonkeyPatch, seconds: float = 0.05) -> None:
    """Let services in this process send heartbeats so often: the first says that one listens."""
    monkeypatch.setattr(everturn.server.streams.feed, "SILENT_SECONDS", seconds)
    monkeypatch.setattr(everturn.server.streams.thread, "SILENT_SECONDS", seconds)
    monkeypatch.setattr(everturn.server.api.agent_server.run_answers, "SILENT_SECONDS", seconds)


@asynccontextmanager
async def following(
    client: httpx.AsyncClient, path: str, *, most: int | None = None, **params: str
) -> AsyncIterator[asyncio.Task[list[Part]]]:
    """Listen to a stream from now on; in the block it is listened to.

    Args:
        client: of the service.
        path: of the stream.
        most: leave after so many events; None is at the end of the stream.
        params: of the query.
    """
    listens = asyncio.Event()
    reading = asyncio.create_task(_read(client, path, most, params, listens))
    try:
        await asyncio.wait_for(listens.wait(), PATIENCE)
        yield reading
    finally:
        reading.cancel()
        with suppress(asyncio.CancelledError):
            await reading


async def _read(
    client: httpx.AsyncClient,
    path: str,
    most: int | None,
    params: dict[str, str],
    listens: asyncio.Event,
) -> list[Part]:
    parts: list[Part] = []
    fields: dict[str, str] = {}
    try:
        async with client.stream("GET", path, params=params, timeout=PATIENCE) as answer:
            assert answer.status_code == 200
            async for line in answer.aiter_lines():
                name, _, value = line.partition(": ")
                if line == ": heartbeat":
                    listens.set()
                elif name:
                    fields[name] = value
                elif fields:
                    data = json.loads(fields["data"])
                    parts.append(Part(fields.get("id"), fields["event"], data))
                    fields = {}
                    if len(parts) == most:
                        break
    finally:
        listens.set()
    return parts

"""A connection to a server whose end says that the server has gone."""

import asyncio
from contextlib import suppress
from pathlib import Path
from typing import Self

_LOADING_PAUSE = 0.02  # seconds


class Link:
    """A connection that answered once and then stays idle until the server ends it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def to(cls, address: Path, patience: float) -> Self:
        """Connect to the server at `address`, and wait until it has loaded its data.

        Raises:
            OSError: no server listens there, or it is silent for `patience` seconds.
        """
        link = cls(*await asyncio.open_unix_connection(str(address)))
        try:
            # It answers while it loads, and ends by itself if it cannot: no limit is needed.
            while (await link._ping(patience)).startswith(b"-LOADING"):  # noqa: ASYNC110
                await asyncio.sleep(_LOADING_PAUSE)
        except BaseException:
            link.close()
            raise
        return link

    async def ended(self) -> None:
        """Wait until the server has gone, or has closed this connection."""
        with suppress(OSError):
            while await self._reader.read(1024):
                pass

    def close(self) -> None:
        self._writer.close()

    async def _ping(self, patience: float) -> bytes:
        self._writer.write(b"PING\r\n")
        async with asyncio.timeout(patience):
            reply = await self._reader.readline()
        if not reply:
            raise ConnectionResetError
        return reply

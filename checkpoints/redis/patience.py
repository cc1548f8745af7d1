"""A deadline for an answer that may have come while this process was held up.

A busy event loop looks at its timers before it looks at its sockets: an answer that lay there all
the time would be missed, and a server that is well called silent.
"""

import asyncio
from types import TracebackType

_LOOKS = 4


class Patience:
    """As `asyncio.timeout`, but the time is counted in looks, between which sockets are read.

    A loop that stands still takes one look, however long that lasts.
    """

    def __init__(self, seconds: float) -> None:
        self._pause = seconds / _LOOKS
        self._left = _LOOKS
        self._timeout = asyncio.timeout(None)

    async def __aenter__(self) -> None:
        await self._timeout.__aenter__()
        self._loop = asyncio.get_running_loop()
        self._next = self._loop.call_later(self._pause, self._look)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._next.cancel()
        await self._timeout.__aexit__(kind, error, trace)

    def _look(self) -> None:
        self._left -= 1
        if self._left:
            self._next = self._loop.call_later(self._pause, self._look)
        else:
            self._timeout.reschedule(self._loop.time())

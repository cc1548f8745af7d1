"""When a run may start: one after the other, as fast as this process can carry them out.

The event loop serves all that is ready in rounds. Of those that wait here, each round lets one run
of a client start, and one of the background. So a round takes as long as one turn costs, however
many come at once: those that have started are not starved of their deadlines, and the first answers
come at once. Runs that wait for their model take no part in a round.
"""

import asyncio
from collections import deque

from everturn.server.errors import Overloaded

_LONG_ROUND = 0.1
"""Seconds: those that have started then keep the process busy, and start alone."""
_LONGEST_PAUSE = 1.0
"""Seconds, after which one starts all the same."""
_KNOWN_AFTER = 10.0
"""Seconds of starts, after which it is known how fast they come; of the last ones:"""
_STARTS = 256

_Waiting = deque[asyncio.Future[None]]


class Admission:
    """Lets runs start."""

    def __init__(self, longest_wait: float) -> None:
        """Refuse clients that would have to wait longer than so many seconds."""
        self._longest_wait = longest_wait
        self._clients: _Waiting = deque()
        self._background: _Waiting = deque()
        self._starts: deque[float] = deque(maxlen=_STARTS)
        self._turning = False
        self._round_began = 0.0
        self._last = 0.0

    async def client(self) -> None:
        """Wait for the start of a run that a client waits for.

        Raises:
            Overloaded: it could not start soon.
        """
        if refusal := self._refusal():
            raise refusal
        await self._enter(self._clients)

    async def background(self) -> None:
        """Wait for the start of a run that no client waits for."""
        await self._enter(self._background)

    async def _enter(self, waiting: _Waiting) -> None:
        loop = asyncio.get_running_loop()
        if not self._turning:
            self._turning = True
            self._last = self._round_began = loop.time()
            loop.call_soon(self._round)
            return
        place = loop.create_future()
        waiting.append(place)
        await place

    def _refusal(self) -> Overloaded | None:
        """How the last of the clients is refused, if it would wait for too long."""
        if not self._starts:
            return None
        known = asyncio.get_running_loop().time() - self._starts[0]
        wait = len(self._clients) * known / len(self._starts)
        if known < _KNOWN_AFTER or wait <= self._longest_wait:
            return None
        return Overloaded(
            "The service has more to do than it can: come back later, or see EVERTURN_START_WAIT.",
            retry_after=wait - self._longest_wait,
        )

    def _round(self) -> None:
        """Let the next ones start, once the round is over in which the last ones did."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        took, self._round_began = now - self._round_began, now
        if took < _LONG_ROUND or now - self._last > _LONGEST_PAUSE:
            self._last = now
            started = _let_in(self._clients)
            if started:
                self._starts.append(now)
                self._refuse_the_last()
            if not (_let_in(self._background) or started):
                self._turning = False
                self._starts.clear()
                return
        loop.call_soon(self._round)

    def _refuse_the_last(self) -> None:
        """Let clients know at once who came when it was not known yet how long they would wait."""
        while self._clients and (refusal := self._refusal()):
            place = self._clients.pop()
            if not place.done():
                place.set_exception(refusal)


def _let_in(waiting: _Waiting) -> bool:
    while waiting:
        place = waiting.popleft()
        if not place.done():  # else it was cancelled
            place.set_result(None)
            return True
    return False

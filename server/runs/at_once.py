"""How many runs of one caller may be under way at once, in all processes together.

    a client's run -> a place? -> it begins, else it is refused: TooManyRuns
    of the background -> a place? -> it begins, else it waits in the table until its caller has one

A run has its place from before its row is written until its turn is over. Operators, and runs that
are nobody's, need none.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable
from typing import Protocol

from everturn.checkpoints.shared.peers import Message, Peers
from everturn.server.access.caller import Caller
from everturn.server.access.counting import Counting
from everturn.server.access.scopes import ADMIN
from everturn.server.errors import TooManyRuns
from everturn.server.runs.run import Run

_RENEWALS = 3
"""Of a place, in its lease."""


class Places(Protocol):
    """Where the runs under way are counted; see `RedisRunsAtOnce`."""

    lease: float

    async def enter(self, who: str, run_id: str, most: int) -> bool: ...

    async def leave(self, who: str, run_id: str) -> int: ...

    async def renew(self, who: str, run_ids: list[str]) -> None: ...


class RunsAtOnce:
    """Gives runs their places."""

    def __init__(
        self, places: Places, most: int | None, peers: Peers, hit: Callable[[str], None]
    ) -> None:
        """Give each caller so many places; None: as many as they like.

        `hit` is called when a client's run is refused.
        """
        self._places = places
        self._most = most
        self._peers = peers
        self._hit = hit
        self._counting = Counting()
        self._callers: dict[str, str] = {}
        """Of the runs of this process that have a place."""
        self._leaving: set[asyncio.Task[None]] = set()
        self.full: set[str] = set()
        """Callers that have no place left, as far as is known."""
        peers.subscribe(self._received)

    async def enter(self, run_id: str, caller: Caller | None) -> bool:
        """Take a place for a run; False where its caller has none left."""
        if self._most is None or caller is None or ADMIN in caller.permissions:
            return True
        if self._counting.away:
            return True
        who = caller.identity
        self._callers[run_id] = who  # first: who is cancelled meanwhile may have it
        if await self._counting.reply(self._places.enter(who, run_id, self._most)) is False:
            del self._callers[run_id]
            self.full.add(who)
            return False
        return True

    async def admit(self, run: Run) -> bool:
        """Take a place for a new run; False where it is of the background, and has to wait.

        Raises:
            TooManyRuns: a client waits for it, and its caller has no place left.
        """
        if await self.enter(run.row.run_id, run.caller):
            return True
        if run.request.background:
            return False
        self._hit("runs_at_once")
        raise TooManyRuns(
            f"You have {self._most} runs under way: wait until one has ended, or cancel one."
        )

    async def leave(self, run_id: str) -> None:
        """Give a run's place back, if it has one; nothing is raised."""
        if who := self._callers.pop(run_id, None):
            leaving = asyncio.create_task(self._leave(who, run_id))
            self._leaving.add(leaving)
            leaving.add_done_callback(self._leaving.discard)
            await asyncio.wait({leaving})

    async def keep(self) -> None:
        """Renew the places of this process' runs. Never ends, where there is a limit."""
        while self._most is not None:
            await asyncio.sleep(self._places.lease / _RENEWALS)
            runs = defaultdict[str, list[str]](list)
            for run_id, who in self._callers.items():
                runs[who].append(run_id)
            for who, run_ids in runs.items():
                if not self._counting.away:
                    await self._counting.reply(self._places.renew(who, run_ids))

    async def _leave(self, who: str, run_id: str) -> None:
        if self._counting.away:
            return  # the place ends by itself
        had = await self._counting.reply(self._places.leave(who, run_id))
        self.full.discard(who)
        if had and self._most and had >= self._most:
            await self._peers.publish({"waiting": True, "place_of": who})

    def _received(self, message: Message) -> None:
        self.full.discard(str(message.get("place_of")))

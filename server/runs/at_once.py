"""How many runs of one caller may be under way at once, in all processes together.

    a client's run -> a place? -> it begins, else it is refused: TooManyRuns
    of the background -> a place? -> it begins, else it waits in the table until its caller has one

A run has its place from before its row is written until its turn is over. Operators without a limit
of their own, and runs that are nobody's, need none.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable
from typing import Protocol

from everturn.checkpoints.shared.peers import Message, Peers
from everturn.server.access.allowance import allowance_of
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
        """Give each caller so many places, unless they have a number of their own.

        None: as many as they like.
        `hit` is called when a client's run is refused.
        """
        self._places = places
        self._most = most
        self._peers = peers
        self._hit = hit
        self._counting = Counting()
        self._entered: dict[str, tuple[str, int]] = {}
        """The runs of this process that have a place: whose they are, of how many places."""
        self._leaving: set[asyncio.Task[None]] = set()
        self.full: set[str] = set()
        """Callers that have no place left, as far as is known."""
        peers.subscribe(self._received)

    async def enter(self, run_id: str, caller: Caller | None) -> bool:
        """Take a place for a run; False where its caller has none left."""
        most = self._most_of(caller)
        if most is None or caller is None or self._counting.away:
            return True
        who = caller.identity
        self._entered[run_id] = who, most  # first: who is cancelled meanwhile may have it
        if await self._counting.reply(self._places.enter(who, run_id, most)) is False:
            del self._entered[run_id]
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
            f"You have {self._most_of(run.caller)} runs under way: wait until one has ended, or "
            "cancel one."
        )

    async def leave(self, run_id: str) -> None:
        """Give a run's place back, if it has one; nothing is raised."""
        if entered := self._entered.pop(run_id, None):
            leaving = asyncio.create_task(self._leave(run_id, *entered))
            self._leaving.add(leaving)
            leaving.add_done_callback(self._leaving.discard)
            await asyncio.wait({leaving})

    async def keep(self) -> None:
        """Renew the places of this process' runs. Never ends."""
        while True:
            await asyncio.sleep(self._places.lease / _RENEWALS)
            runs = defaultdict[str, list[str]](list)
            for run_id, (who, _) in self._entered.items():
                runs[who].append(run_id)
            for who, run_ids in runs.items():
                if not self._counting.away:
                    await self._counting.reply(self._places.renew(who, run_ids))

    def _most_of(self, caller: Caller | None) -> int | None:
        own = allowance_of(caller).max_runs
        if own is not None:
            return own
        return None if caller is None or ADMIN in caller.permissions else self._most

    async def _leave(self, run_id: str, who: str, most: int) -> None:
        if self._counting.away:
            return  # the place ends by itself
        had = await self._counting.reply(self._places.leave(who, run_id))
        self.full.discard(who)
        if had and had >= most:
            await self._peers.publish({"waiting": True, "place_of": who})

    def _received(self, message: Message) -> None:
        self.full.discard(str(message.get("place_of")))

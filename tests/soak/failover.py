"""Primaries of a cluster, or the one behind a sentinel, are killed under load."""

import asyncio
import os
import signal
import time
from collections.abc import Sequence
from pathlib import Path
from random import Random

from tests.checkpoints.redis.primaries import primaries
from tests.soak import journal
from tests.soak.accounts import findings, settled
from tests.soak.figures import Figures
from tests.soak.instances import Instance, Nursery
from tests.soak.kills import running
from tests.soak.turns import CHAT, KEYED, KINDS, Clients, Turn

_THREADS = 12
_BEFORE = 2.0
_BETWEEN = 12.0
"""Seconds from one primary to the next; a replica is promoted in some five."""


class Load:
    """Clients that have turns of all kinds, one after the other on a thread, until it is over."""

    def __init__(self, clients: Clients, chance: Random) -> None:
        self.clients = clients
        self.turns: list[Turn] = []
        self.over = False
        self._chance = chance

    async def talk(self, number: int) -> None:
        """Have one turn after the other on a thread."""
        thread, count = await self.clients.new_thread(), 0
        while not self.over:
            kind = KINDS[(number + count) % len(KINDS)]
            count += 1
            text = f"q{number}.{count} {self._chance.choice((5, 30, 150))} 6"
            durable = kind not in CHAT and self._chance.random() < 0.5
            turn = Turn(thread, kind, text, durable=durable)
            self.turns.append(turn)
            await self.clients.ask(turn)
            await asyncio.sleep(self._chance.uniform(0, 0.2))


async def lose_primaries(
    nursery: Nursery,
    folder: Path,
    ports: Sequence[int],
    stores: dict[str, str],
    figures: Figures,
    seed: str,
    losses: int,
) -> None:
    """Kill primaries, one after the other, and compare what clients, threads and rows say."""
    environment = {**stores, journal.VARIABLE: str(folder / "journal")}
    instances = [Instance(nursery, folder / str(port), port, environment) for port in ports]
    async with running(instances):
        chance = Random(seed)
        load = Load(Clients([each.url for each in instances]), chance)
        talking = [asyncio.create_task(load.talk(number)) for number in range(_THREADS)]
        lost: list[float] = []
        doomed = await asyncio.to_thread(primaries, stores["REDIS_URL"])
        chance.shuffle(doomed)
        await asyncio.sleep(_BEFORE)
        for pid in doomed[:losses]:
            lost.append(time.monotonic())
            os.kill(pid, signal.SIGKILL)
            await asyncio.sleep(_BETWEEN)
        load.over = True
        await asyncio.gather(*talking)
        threads, _ = await settled(load.clients, {turn.thread for turn in load.turns})
        await load.clients.http.aclose()
        entries, _ = journal.read(folder / "journal")
        figures.trial(seed, findings(load.turns, threads, entries))
        figures.turns += len(load.turns)
        figures.numbers["primaries lost"] = figures.numbers.get("primaries lost", 0) + len(lost)
        _time(load.turns, lost, figures)


def _time(turns: Sequence[Turn], lost: Sequence[float], figures: Figures) -> None:
    """Note how long turns took, apart those that a loss met."""
    for turn in turns:
        met = any(turn.sent_at <= at <= turn.told_at or 0 < turn.sent_at - at < 5 for at in lost)
        figures.took("a turn that met a loss" if met else "a turn", [turn.told_at - turn.sent_at])
        refused = figures.numbers.get("sent again", 0)
        figures.numbers["sent again"] = refused + (turn.sends > 1)
        if turn.kind not in KEYED and not turn.acknowledged:
            figures.numbers["refused"] = figures.numbers.get("refused", 0) + 1

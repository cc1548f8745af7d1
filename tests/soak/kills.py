"""Rig 1: `kill -9` at random moments, of one process that returns, and of one among three."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import NamedTuple

from tests.soak import journal
from tests.soak.accounts import findings, repeated, seconds_to_go_on, settled
from tests.soak.figures import Figures
from tests.soak.instances import Instance, Nursery
from tests.soak.turns import CHAT, KINDS, Clients, Turn

_THREADS = 5
_LATEST = 0.7
"""Seconds after the first post that a kill comes, at the latest; most turns have ended then."""


class Plan(NamedTuple):
    """What one trial does, drawn from its seed."""

    threads: list[list[tuple[str, str, bool]]]
    """Of each thread the kinds and texts of its turns in order, and which are durable."""
    after: float
    """Seconds until the kill."""
    at_byte: int
    """Or the kill comes with the n-th first byte of an answer; 0: it does not."""
    victim: int


def planned(seed: str) -> Plan:
    """Draw a trial."""
    chance = Random(seed)
    threads = []
    for thread in range(_THREADS):
        turns = []
        for number in range(chance.choice((1, 1, 2, 3))):
            milliseconds = chance.choice((5, 30, 60, 120))
            text = f"q{thread}.{number} {milliseconds} {chance.randint(1, 8)}"
            turns.append((chance.choice(KINDS), text, chance.random() < 0.5))
        threads.append(turns)
    at_byte = chance.choice((0, 0, 0, 1, 2, 4))
    return Plan(threads, chance.uniform(0, _LATEST), at_byte, chance.randrange(1_000))


@dataclass
class Killing:
    """Instances on the same stores, one of which is killed now and then."""

    instances: list[Instance]
    file: Path
    """Their journal."""
    figures: Figures
    returns: bool
    """Whether the one that is killed is started again at once: it is the only one."""
    read_to: int = 0

    async def trial(self, seed: str) -> None:
        """Kill one in the midst of some turns, and compare what came of them."""
        plan = planned(seed)
        killed = asyncio.Event()
        bytes_seen = 0

        def heard(_: Turn) -> None:
            nonlocal bytes_seen
            bytes_seen += 1
            if bytes_seen == plan.at_byte:
                killed.set()

        clients = Clients([each.url for each in self.instances], heard)
        names = [await clients.new_thread() for _ in plan.threads]
        turns = [
            [
                Turn(thread, kind, text, durable=durable and kind not in CHAT)
                for kind, text, durable in asked
            ]
            for thread, asked in zip(names, plan.threads, strict=True)
        ]
        talking = [asyncio.create_task(_talk(clients, each)) for each in turns]
        with suppress(TimeoutError):
            await asyncio.wait_for(killed.wait(), plan.after)
        victim = self.instances[plan.victim % len(self.instances)]
        died, at = victim.pid, await asyncio.to_thread(victim.kill)
        if self.returns:
            await asyncio.to_thread(victim.start)
            at = await asyncio.to_thread(victim.until_ready)
        await asyncio.gather(*talking)
        threads, _ = await settled(clients, names)
        await clients.http.aclose()
        entries, self.read_to = journal.read(self.file, self.read_to)
        every = [turn for each in turns for turn in each]
        self.figures.trial(seed, findings(every, threads, entries))
        self.figures.turns += len(every)
        self.figures.took("goes on after", seconds_to_go_on(entries, died, at))
        self._count("nodes repeated", repeated(entries))
        self._count("turns cut", sum(turn.told_at > at > turn.sent_at for turn in every))
        if not self.returns:
            await asyncio.to_thread(victim.start)
            await asyncio.to_thread(victim.until_ready)

    def _count(self, what: str, number: float) -> None:
        self.figures.numbers[what] = self.figures.numbers.get(what, 0) + number


async def _talk(clients: Clients, turns: list[Turn]) -> None:
    """Have the turns of a thread; the next is sent when this one is acknowledged, if it may."""
    under_way = []
    for turn in turns:
        asking = await clients.until_acknowledged(turn)
        under_way.append(asking)
        if turn.kind not in {"background", "stream"}:
            await asking
    await asyncio.gather(*under_way)


@asynccontextmanager
async def running(instances: list[Instance]) -> AsyncIterator[None]:
    """Start instances side by side, and kill them at the end."""
    try:
        for each in instances:
            await asyncio.to_thread(each.start)
        for each in instances:
            await asyncio.to_thread(each.until_ready)
        yield
    finally:
        for each in instances:
            await asyncio.to_thread(each.kill)


async def kill_one(
    nursery: Nursery, folder: Path, port: int, figures: Figures, seeds: Sequence[str]
) -> None:
    """Trials with one process, which is started again on its data."""
    instance = Instance(nursery, folder, port)
    async with running([instance]):
        killing = Killing([instance], folder / "journal", figures, returns=True)
        for seed in seeds:
            await killing.trial(seed)


async def kill_one_of_three(
    nursery: Nursery,
    folder: Path,
    ports: list[int],
    stores: dict[str, str],
    figures: Figures,
    seeds: Sequence[str],
) -> None:
    """Trials with three processes that share a Redis and a PostgreSQL."""
    environment = {**stores, journal.VARIABLE: str(folder / "journal")}
    instances = [Instance(nursery, folder / str(port), port, environment) for port in ports]
    async with running(instances):
        killing = Killing(instances, folder / "journal", figures, returns=False)
        for seed in seeds:
            await killing.trial(seed)
            await asyncio.sleep(0.05)

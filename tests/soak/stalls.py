"""Rig 4: a process that stands still while others take over, and clocks that do not agree."""

import asyncio
import signal
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from random import Random

from tests.soak import journal
from tests.soak.accounts import Finding, findings, settled
from tests.soak.figures import Figures
from tests.soak.instances import Instance, Nursery
from tests.soak.kills import running
from tests.soak.project.graph import NODES
from tests.soak.turns import CHAT, KINDS, Clients, Turn

STILL = 10.0
_THREADS = 3
_QUEUED = 3
_BEHIND = 1.0


def _two(
    nursery: Nursery, folder: Path, ports: Sequence[int], stores: dict[str, str]
) -> list[Instance]:
    environment = {**stores, journal.VARIABLE: str(folder / "journal")}
    return [Instance(nursery, folder / str(port), port, environment) for port in ports]


async def stand_still(
    nursery: Nursery,
    folder: Path,
    ports: Sequence[int],
    stores: dict[str, str],
    figures: Figures,
    seeds: Sequence[str],
) -> None:
    """Stop one of two processes with a run and those queued behind it; then let it go on."""
    one, other = instances = _two(nursery, folder, ports, stores)
    async with running(instances):
        read_to = 0
        for seed in seeds:
            chance = Random(seed)
            to_one, to_other = Clients([one.url]), Clients([other.url])
            turns = []
            talking = []
            for thread in range(_THREADS):
                name = await to_one.new_thread()
                for number in range(_QUEUED):
                    text = f"q{thread}.{number} {chance.choice((100, 200, 400))} 4"
                    turn = Turn(name, "background", text, durable=True)
                    turns.append(turn)
                    await _posted(to_one, turn)
                    talking.append(asyncio.create_task(to_other.ask(turn)))
            await asyncio.sleep(chance.uniform(0, 0.6))
            one.send(signal.SIGSTOP)
            await asyncio.sleep(STILL)
            one.send(signal.SIGCONT)
            await asyncio.gather(*talking)
            threads, _ = await settled(to_other, {turn.thread for turn in turns})
            await asyncio.sleep(1)  # what it still does after it was overtaken
            entries, read_to = journal.read(folder / "journal", read_to)
            found = [*findings(turns, threads, entries), *_twice(turns, entries)]
            figures.trial(seed, found)
            figures.turns += len(turns)
            for each in (to_one, to_other):
                await each.http.aclose()


async def _posted(clients: Clients, turn: Turn) -> None:
    """Post a run without waiting for its end."""
    asking = await clients.until_acknowledged(turn)
    asking.cancel()
    await asyncio.wait({asking})


def _twice(turns: Sequence[Turn], entries: Sequence[journal.Entry]) -> list[Finding]:
    """Runs of which every node ended twice; the one that was under way may."""
    ended = Counter((each.run_id, each.node) for each in entries if each.phase == "end")
    return [
        Finding("executed twice", turn.kind, turn.name)
        for turn in turns
        if all(ended[turn.run_id, node] > 1 for node in NODES)
    ]


async def clocks_apart(
    nursery: Nursery,
    folder: Path,
    ports: Sequence[int],
    stores: dict[str, str],
    figures: Figures,
    seeds: Sequence[str],
) -> None:
    """Talk to two processes in turns, one of which is a second behind."""
    instances = _two(nursery, folder, ports, stores)
    instances[1].order = {"seconds_behind": _BEHIND}
    async with running(instances):
        clients = Clients([each.url for each in instances])
        read_to = 0
        for seed in seeds:
            turns = _conversation(await clients.new_thread(), Random(seed))
            for turn in turns:
                await clients.ask(turn)
            threads, _ = await settled(clients, {turn.thread for turn in turns})
            entries, read_to = journal.read(folder / "journal", read_to)
            figures.trial(seed, findings(turns, threads, entries))
            figures.turns += len(turns)
        await clients.http.aclose()


async def clock_set_back(
    nursery: Nursery, folder: Path, port: int, figures: Figures, seeds: Sequence[str]
) -> None:
    """Talk to a process, and again after a restart with its clock some seconds back."""
    instance = Instance(nursery, folder, port)
    async with running([instance]):
        clients = Clients([instance.url])
        asked = {seed: _conversation(await clients.new_thread(), Random(seed)) for seed in seeds}
        for turns in asked.values():
            for turn in turns[: len(turns) // 2]:
                await clients.ask(turn)
        await asyncio.to_thread(instance.kill)
        instance.order = {"seconds_behind": 60}
        await asyncio.to_thread(instance.start)
        await asyncio.to_thread(instance.until_ready)
        for seed, turns in asked.items():
            for turn in turns[len(turns) // 2 :]:
                await clients.ask(turn)
            threads, _ = await settled(clients, {turn.thread for turn in turns})
            entries, _ = journal.read(folder / "journal")
            figures.trial(seed, findings(turns, threads, entries))
            figures.turns += len(turns)
        await clients.http.aclose()


def _conversation(thread: str, chance: Random) -> list[Turn]:
    turns = []
    for number in range(6):
        kind = chance.choice(KINDS)
        turns.append(Turn(thread, kind, f"q{number} 5 2", durable=kind not in CHAT))
    return turns

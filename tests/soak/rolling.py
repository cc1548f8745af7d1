"""Rig 5: instances that are stopped or killed one after the other, while clients go on."""

import asyncio
import signal
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from random import Random

import httpx

from tests.soak import journal
from tests.soak.accounts import Finding, findings, settled
from tests.soak.figures import Figures
from tests.soak.instances import Instance, Nursery
from tests.soak.kills import running
from tests.soak.turns import KEYED, Clients, Turn

_THREADS = 8
_EVERY = 2.0
_ASKED = 0.02


async def kill_in_turns(
    nursery: Nursery,
    folder: Path,
    ports: Sequence[int],
    stores: dict[str, str],
    figures: Figures,
    seed: str,
    seconds: float,
) -> None:
    """Kill one of three every two seconds; each turn is sent again until it is answered."""
    environment = {**stores, journal.VARIABLE: str(folder / "journal")}
    instances = [Instance(nursery, folder / str(port), port, environment) for port in ports]
    async with running(instances):
        clients, chance = Clients([each.url for each in instances]), Random(seed)
        turns: list[Turn] = []
        end = time.monotonic() + seconds

        async def talk(number: int) -> None:
            thread, count = await clients.new_thread(), 0
            while time.monotonic() < end:
                count += 1
                text = f"q{number}.{count} {chance.choice((20, 60, 150))} 6"
                turn = Turn(thread, chance.choice(KEYED), text)
                turns.append(turn)
                await clients.ask(turn)

        talking = [asyncio.create_task(talk(number)) for number in range(_THREADS)]
        deaths = 0
        while time.monotonic() < end:
            victim = instances[deaths % len(instances)]
            deaths += 1
            await asyncio.to_thread(victim.kill)
            await asyncio.to_thread(victim.start)
            await asyncio.sleep(_EVERY)
        await asyncio.gather(*talking)
        threads, _ = await settled(clients, {turn.thread for turn in turns})
        await clients.http.aclose()
        entries, _ = journal.read(folder / "journal")
        figures.trial(seed, findings(turns, threads, entries, deaths))
        figures.turns += len(turns)
        figures.numbers["kills"] = figures.numbers.get("kills", 0) + deaths
        took = [turn.told_at - turn.sent_at for turn in turns if turn.told_at]
        figures.took("a turn", took)


async def stop_in_a_stream(
    nursery: Nursery, folder: Path, port: int, figures: Figures, seeds: Sequence[str]
) -> None:
    """Stop a process while it streams, start the next; clients reconnect."""
    instance = Instance(nursery, folder, port, {"EVERTURN_SHUTDOWN_GRACE": "1"})
    async with running([instance]):
        for seed in seeds:
            chance = Random(seed)
            clients = Clients([instance.url])
            turns = []
            for number in range(4):
                # Some end within the grace, some do not.
                text = f"q{number} {chance.choice((50, 150, 600))} 12"
                kind = chance.choice(("stream", "chat stream"))
                turns.append(Turn(await clients.new_thread(), kind, text))
            talking = [asyncio.create_task(clients.ask(turn)) for turn in turns]
            await asyncio.sleep(chance.uniform(0.1, 0.6))
            stopped = instance.pid
            instance.send(signal.SIGTERM)
            found = await _refusals(instance, stopped)
            code = nursery.codes[stopped]
            if code:
                found.append(Finding("exit code", "SIGTERM", f"{code}"))
            await asyncio.to_thread(instance.start)
            await asyncio.to_thread(instance.until_ready)
            await asyncio.gather(*talking)
            threads, _ = await settled(clients, {turn.thread for turn in turns})
            await clients.http.aclose()
            entries, _ = journal.read(folder / "journal")
            figures.trial(seed, [*found, *findings(turns, threads, entries)])
            figures.turns += len(turns)


async def _refusals(instance: Instance, stopped: int) -> list[Finding]:
    """Ask a process that was told to stop, until it has ended; a connection must not be refused."""
    refused, statuses, asked = 0, set(), 0
    async with httpx.AsyncClient(timeout=5) as client:
        while stopped not in instance.nursery.codes:
            with suppress(httpx.ReadError, httpx.RemoteProtocolError, httpx.ReadTimeout):
                try:
                    answer = await client.post(f"{instance.url}/threads", json={})
                    statuses.add(answer.status_code)
                except httpx.ConnectError:
                    refused += stopped not in instance.nursery.codes
            asked += 1
            await asyncio.sleep(_ASKED)
    found = []
    if refused > 3:  # it may just have ended
        found.append(Finding("refused", "SIGTERM", f"{refused} of {asked} connections"))
    if wrong := statuses - {200, 503}:
        found.append(Finding("status", "SIGTERM", f"{wrong}"))
    return found

"""Rig 8: background runs that are all posted to one of two processes."""

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tests.soak import journal
from tests.soak.accounts import Finding
from tests.soak.figures import Figures
from tests.soak.instances import Instance, Nursery
from tests.soak.kills import running
from tests.soak.turns import Clients

_SIDE_BY_SIDE = 32
_LEAST = 0.25
"""Share of the runs that the less busy of two processes has, at least."""


async def share(
    nursery: Nursery,
    folder: Path,
    ports: Sequence[int],
    stores: dict[str, str],
    figures: Figures,
    runs: int,
) -> None:
    """Post runs to the first of these processes, and see who executes them, and how quickly."""
    environment = {**stores, journal.VARIABLE: str(folder / "journal")}
    instances = [Instance(nursery, folder / str(port), port, environment) for port in ports]
    async with running(instances):
        clients = Clients([instances[0].url])
        room = asyncio.Semaphore(_SIDE_BY_SIDE)
        began = time.monotonic()

        async def post(number: int) -> None:
            body = {"assistant_id": "soak", "input": {"messages": f"q{number} 10 3"}}
            async with room:
                answer = await clients.http.post(f"{clients.url()}/runs", json=body)
                answer.raise_for_status()

        await asyncio.gather(*(post(number) for number in range(runs)))
        ended: list[journal.Entry] = []
        while len({each.question for each in ended}) < runs:
            await asyncio.sleep(0.1)
            entries, _ = journal.read(folder / "journal")
            ended = [each for each in entries if (each.node, each.phase) == ("answer", "end")]
        await clients.http.aclose()
        took = max(each.at for each in ended) - began
    by = Counter(each.pid for each in ended)
    least = min(by.values()) / runs if len(by) == len(ports) else 0.0
    found = []
    if len(ports) > 1 and least < _LEAST:
        found.append(Finding("not shared", "background", f"{least:.0%} in the less busy one"))
    if len(ended) != runs:
        found.append(Finding("executed twice", "background", f"{len(ended)} of {runs}"))
    figures.trial(f"{len(ports)} processes", found)
    figures.turns += runs
    figures.took(f"{runs} runs in {len(ports)}", [took])

"""Rig 9: what many finished runs leave in the stores."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.checkpoints.redis.servers import Server, free_ports
from tests.soak.accounts import Finding
from tests.soak.figures import Figures
from tests.soak.instances import Instance, Nursery
from tests.soak.kills import running
from tests.soak.stores import redis_server
from tests.soak.turns import Clients

_SIDE_BY_SIDE = 32
_LATER = 12.0
"""Seconds after which nothing is left of a run that keeps nothing."""
_MORE = 1.2
_MEGABYTE = 1_000_000


async def leave(nursery: Nursery, folder: Path, figures: Figures, runs: int) -> None:
    """Have runs that keep nothing, wait, and measure the stores before and after."""
    with redis_server() as redis:
        (port,) = free_ports(1)
        instance = Instance(nursery, folder, port, {"REDIS_URL": redis.url})
        async with running([instance]):
            clients, room = Clients([instance.url]), asyncio.Semaphore(_SIDE_BY_SIDE)

            async def have(number: int) -> None:
                body = {"assistant_id": "soak", "input": {"messages": f"q{number} 0 5"}}
                async with room:
                    answer = await clients.http.post(f"{clients.url()}/runs/wait", json=body)
                    answer.raise_for_status()

            async def many(first: int, last: int) -> None:
                await asyncio.gather(*(have(number) for number in range(first, last)))

            await many(0, 50)  # what is made once
            await asyncio.sleep(_LATER)
            before = _sizes(redis, folder)
            await many(50, 50 + runs)
            at_once = _sizes(redis, folder)
            await asyncio.sleep(_LATER)
            later = _sizes(redis, folder)
            await clients.http.aclose()
    found = []
    for what, size in later.items():
        figures.numbers[f"{what} a run, at once"] = round((at_once[what] - before[what]) / runs)
        figures.numbers[f"{what} a run, later"] = round((size - before[what]) / runs)
        if size > _MORE * before[what] + _MEGABYTE:
            found.append(Finding("left behind", what, f"{before[what]:,} before, {size:,} after"))
    figures.trial(f"{runs} runs", found)
    figures.turns += runs


def _sizes(redis: Server, folder: Path) -> dict[str, int]:
    with redis.admin() as client:
        info: dict[str, Any] = client.info("memory")
    kept: Callable[[str], int] = lambda pattern: sum(  # noqa: E731
        each.stat().st_size for each in folder.glob(pattern)
    )
    return {"Redis bytes": int(info["used_memory"]), "SQLite bytes": kept("data/everturn.db*")}

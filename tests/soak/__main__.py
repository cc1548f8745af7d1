"""Kill, stall and starve the service, and look whether it keeps its promises: `make soak`.

    python -m tests.soak [RIG …] [--trials N] [--seed S] [--only N] [--beside N]

Without a rig all are run. A trial is known by its rig, its seed and its number: `--only` has it
again. The exit code is 1 where a promise was broken.
"""

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path

from tests.checkpoints.redis.servers import free_ports
from tests.soak import deaths, faults, kills
from tests.soak.figures import Figures, print_table
from tests.soak.instances import nursery
from tests.soak.stores import postgres_server, redis_server

RIGS = ("one", "three", "deaths", "locked", "faults")


def main() -> int:
    """Run the rigs and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rigs", nargs="*", metavar="RIG", help=f"of {', '.join(RIGS)}")
    parser.add_argument("--trials", type=int, help="of each rig (what the figures ask for)")
    parser.add_argument("--seed", default="1")
    parser.add_argument("--only", type=int, help="the number of one trial")
    parser.add_argument("--beside", type=int, default=3, help="trials side by side, where they wait")
    parser.add_argument("--lanes", type=int, default=2, help="processes that kill others")
    parser.add_argument("--fault", action="append", help="of the rig `faults`, only this one")
    parser.add_argument("--keep", type=Path, help="a folder for logs and journals")
    options = parser.parse_args()
    figures: list[Figures] = []
    with tempfile.TemporaryDirectory(prefix="ev-") as name:
        folder = options.keep or Path(name)
        for rig in options.rigs or RIGS:
            trials = options.trials or 300
            numbers = range(trials) if options.only is None else [options.only]
            seeds = [f"{rig} {options.seed} {number}" for number in numbers]
            if rig == "one":
                figures.append(asyncio.run(_one(folder / rig, seeds, options.beside)))
            if rig == "deaths":
                deaths_of = options.trials or 10_000
                figures.append(
                    deaths.run(folder / rig, options.seed, deaths_of, options.lanes, shared=False)
                )
            if rig == "locked":
                deaths_of = options.trials or 300
                figures.append(
                    deaths.run(folder / rig, options.seed, deaths_of, options.lanes * 3, shared=True)
                )
            if rig == "faults":
                figures.append(
                    asyncio.run(_faults(folder / rig, options.seed, options.beside, options.fault))
                )
            if rig == "three":
                figures.append(asyncio.run(_three(folder / rig, seeds, options.beside)))
    return min(print_table(figures), 1)


async def _one(folder: Path, seeds: list[str], beside: int) -> Figures:
    figures = Figures("one process")
    with nursery() as opened:
        async with asyncio.TaskGroup() as group:
            for n, port in enumerate(free_ports(beside)):
                killing = kills.kill_one(opened, folder / str(n), port, figures, seeds[n::beside])
                group.create_task(killing)
    figures.must("goes on after", most=5)
    return figures


async def _three(folder: Path, seeds: list[str], beside: int) -> Figures:
    figures = Figures("three processes")
    with nursery() as opened, postgres_server() as postgres, redis_server() as redis:
        ports = free_ports(3 * beside)
        async with asyncio.TaskGroup() as group:
            for n in range(beside):
                stores = {
                    "DATABASE_URL": postgres.url(postgres.new_database()),
                    "REDIS_URL": redis.url,
                    "EVERTURN_REDIS_PREFIX": f"soak{n}",
                }
                three = ports[3 * n : 3 * n + 3]
                killing = kills.kill_one_of_three(
                    opened, folder / str(n), three, stores, figures, seeds[n::beside]
                )
                group.create_task(killing)
    figures.must("goes on after", most=5)
    return figures


async def _faults(folder: Path, seed: str, beside: int, names: list[str] | None) -> Figures:
    figures = Figures("faults of stores")
    with nursery() as opened:
        await faults.run(opened, folder, figures, seed, beside, names)
    for what in list(figures.seconds):
        figures.must(what, most=2 if what.endswith("meanwhile") else 5)
    return figures


if __name__ == "__main__":
    sys.exit(main())

"""The rigs by name, each with the number of its trials and the stores and processes it needs."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import hypothesis
from hypothesis import HealthCheck
from hypothesis.stateful import run_state_machine_as_test

from tests.checkpoints.redis.replicas import replicated
from tests.checkpoints.redis.servers import free_ports
from tests.soak import balance, calls, deaths, failover, faults, kills, rolling, sizes, stalls
from tests.soak.accounts import Finding
from tests.soak.figures import Figures
from tests.soak.instances import Nursery, nursery
from tests.soak.machine import machine
from tests.soak.stores import postgres_server, redis_server

_SETTINGS = hypothesis.settings(
    max_examples=6,
    stateful_step_count=12,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
_GOES_ON = 5.0
"""Seconds until another process goes on with a run, in 95 of 100 cases."""
_REFUSED_IN, _HEALED_IN = 2.0, 5.0


@dataclass(frozen=True)
class Options:
    """What a rig is given."""

    folder: Path
    seeds: Sequence[str]
    """One for each trial."""
    beside: int = 3
    lanes: int = 2
    faults: list[str] | None = None
    seconds: float | None = None


async def one(options: Options, figures: Figures) -> None:
    """`kill -9` of one process that is started again on its data."""
    opened = nursery()
    await _beside(
        options,
        1,
        lambda folder, ports, seeds: kills.kill_one(opened, folder, ports[0], figures, seeds),
    )
    figures.must("goes on after", most=_GOES_ON)


async def three(options: Options, figures: Figures) -> None:
    """`kill -9` of one of three processes that share a Redis and a PostgreSQL."""
    async with _shared() as (opened, stores):
        await _beside(
            options,
            3,
            lambda folder, ports, seeds: kills.kill_one_of_three(
                opened, folder, ports, stores(), figures, seeds
            ),
        )
    figures.must("goes on after", most=_GOES_ON)


def dying(options: Options, figures: Figures) -> None:
    """Ends at each place where a turn writes."""
    figures.add(deaths.run(options.folder, options.seeds, options.lanes, shared=False))


def dying_locked(options: Options, figures: Figures) -> None:
    """The same with threads locked in Redis, which the next process waits for."""
    figures.add(deaths.run(options.folder, options.seeds, options.lanes * 3, shared=True))


async def away(options: Options, figures: Figures) -> None:
    """Stores that are away for some seconds."""
    seconds = (options.seconds,) if options.seconds else faults.SECONDS
    opened = nursery()
    for seed in options.seeds:
        folder = options.folder / seed.replace(" ", "-")
        await faults.run(opened, folder, figures, seed, options.beside, options.faults, seconds)
    for what in list(figures.seconds):
        figures.must(what, most=_REFUSED_IN if what.endswith("meanwhile") else _HEALED_IN)


async def still(options: Options, figures: Figures) -> None:
    """One of two processes stands still for ten seconds, and goes on."""
    async with _shared() as (opened, stores):
        await _beside(
            options,
            2,
            lambda folder, ports, seeds: stalls.stand_still(
                opened, folder, ports, stores(), figures, seeds
            ),
        )


async def apart(options: Options, figures: Figures) -> None:
    """Two processes whose clocks are a second apart."""
    async with _shared() as (opened, stores):
        ports = free_ports(2)
        await stalls.clocks_apart(opened, options.folder, ports, stores(), figures, options.seeds)


async def set_back(options: Options, figures: Figures) -> None:
    """A clock that was set back between two starts."""
    opened = nursery()
    (port,) = free_ports(1)
    await stalls.clock_set_back(opened, options.folder, port, figures, options.seeds)


async def in_turns(options: Options, figures: Figures) -> None:
    """One of three killed every two seconds for a minute."""
    async with _shared() as (opened, stores):
        for seed in options.seeds:
            folder = options.folder / seed.replace(" ", "-")
            await rolling.kill_in_turns(
                opened, folder, free_ports(3), stores(), figures, seed, options.seconds or 60
            )


async def failing_over(options: Options, figures: Figures) -> None:
    """The three primaries of a cluster are killed one after the other, each with a replica."""
    await _lose(options, figures, "cluster", 3)


async def failing_over_by_sentinel(options: Options, figures: Figures) -> None:
    """A primary behind a sentinel is killed."""
    await _lose(options, figures, "sentinel", 1)


async def _lose(options: Options, figures: Figures, kind: str, losses: int) -> None:
    opened = nursery()
    with postgres_server() as postgres:
        for seed in options.seeds:
            with replicated(kind) as redis_url:
                database = postgres.new_database()
                stores = {"DATABASE_URL": postgres.url(database), "REDIS_URL": redis_url}
                folder = options.folder / seed.replace(" ", "-")
                await failover.lose_primaries(
                    opened, folder, free_ports(2), stores, figures, seed, losses
                )


async def stopped(options: Options, figures: Figures) -> None:
    """SIGTERM in the midst of streams."""
    opened = nursery()
    await _beside(
        options,
        1,
        lambda folder, ports, seeds: rolling.stop_in_a_stream(
            opened, folder, ports[0], figures, seeds
        ),
    )


async def tool_calls(options: Options, figures: Figures) -> None:
    """`kill -9` between the parallel tool calls of a turn."""
    opened = nursery()
    await _beside(
        options,
        1,
        lambda folder, ports, seeds: calls.run(opened, folder, ports[0], figures, seeds),
    )


def any_order(options: Options, figures: Figures) -> None:
    """Any order of turns, kills and restarts, against a model; an example is a trial."""
    opened = nursery()
    for seed in options.seeds:

        def looked(found: list[Finding], seed: str = seed) -> None:
            figures.trial(seed, found)

        program = machine(opened, options.folder / seed.replace(" ", "-"), looked)
        try:
            run_state_machine_as_test(hypothesis.seed(seed)(program), settings=_SETTINGS)
        finally:
            program.end()


async def shared_out(options: Options, figures: Figures) -> None:
    """Background runs posted to one of two processes, and to one alone."""
    async with _shared() as (opened, stores):
        for count in (1, 2):
            folder = options.folder / str(count)
            await balance.share(
                opened, folder, free_ports(count), stores(), figures, len(options.seeds)
            )


async def finished(options: Options, figures: Figures) -> None:
    """What finished runs leave in the stores."""
    opened = nursery()
    await sizes.leave(opened, options.folder, figures, len(options.seeds))


RIGS: dict[str, tuple[int, Callable[[Options, Figures], object]]] = {
    "one": (300, one),
    "three": (300, three),
    "deaths": (10_000, dying),
    "locked": (300, dying_locked),
    "faults": (1, away),
    "still": (12, still),
    "apart": (20, apart),
    "set-back": (20, set_back),
    "rolling": (1, in_turns),
    "stopped": (24, stopped),
    "cluster": (3, failing_over),
    "sentinel": (3, failing_over_by_sentinel),
    "calls": (100, tool_calls),
    "machine": (3, any_order),
    "shared": (1_000, shared_out),
    "sizes": (10_000, finished),
}

_Trials = Callable[[Path, list[int], Sequence[str]], Awaitable[None]]


async def _beside(options: Options, ports: int, trials: _Trials) -> None:
    """Share the seeds among places side by side, each with ports of its own."""
    beside = min(options.beside, len(options.seeds))
    free = free_ports(ports * beside)
    async with asyncio.TaskGroup() as group:
        for n in range(beside):
            mine, seeds = free[ports * n : ports * (n + 1)], options.seeds[n::beside]
            group.create_task(_wait(trials(options.folder / str(n), mine, seeds)))


async def _wait(trials: Awaitable[None]) -> None:
    await trials


@asynccontextmanager
async def _shared() -> AsyncIterator[tuple[Nursery, Callable[[], dict[str, str]]]]:
    """A nursery, and what makes addresses of stores that some processes share."""
    opened = nursery()
    with postgres_server() as postgres, redis_server() as redis:

        def stores() -> dict[str, str]:
            database = postgres.new_database()
            return {
                "DATABASE_URL": postgres.url(database),
                "REDIS_URL": redis.url,
                "EVERTURN_REDIS_PREFIX": database,
            }

        yield opened, stores

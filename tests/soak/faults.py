"""Rig 3: a store is away for some seconds, under load; what clients are told, and what is left."""

import asyncio
import contextlib
import os
import shutil
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import asyncpg  # type: ignore[import-untyped]
import httpx

from tests.checkpoints.redis.servers import Server, free_ports
from tests.soak import journal
from tests.soak.accounts import Finding, Thread, findings, settled
from tests.soak.figures import Figures
from tests.soak.instances import Instance, Nursery
from tests.soak.kills import running
from tests.soak.stores import Postgres, postgres_server, redis_server
from tests.soak.turns import CHAT, KINDS, Clients, Turn

SECONDS = (3, 5, 12)
_BEFORE, _AFTER = 1.0, 2.0
_THREADS = 4
_PROBED = 0.5
_HEALED = 30.0


@dataclass
class Stores:
    """What a trial may take away."""

    redis: Server
    postgres: Postgres | None
    database: str
    data_dir: Path


Fault = Callable[[Stores], AbstractContextManager[None]]


@contextmanager
def redis_stopped(stores: Stores) -> Iterator[None]:
    """The process stands still, its connections stay."""
    process = stores.redis.process
    assert process is not None
    process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        process.send_signal(signal.SIGCONT)


@contextmanager
def redis_restarted(stores: Stores) -> Iterator[None]:
    """It is killed, and comes back with its data."""
    stores.redis.kill()
    try:
        yield
    finally:
        stores.redis.start()


@contextmanager
def redis_emptied(stores: Stores) -> Iterator[None]:
    """It is killed, and comes back without its data."""
    stores.redis.kill()
    for kept in stores.redis.folder.glob("appendonlydir"):
        shutil.rmtree(kept)
    try:
        yield
    finally:
        stores.redis.start()


@contextmanager
def redis_read_only(stores: Stores) -> Iterator[None]:
    """It is a replica for a while, as in a failover."""
    with stores.redis.admin() as client:
        client.execute_command("REPLICAOF", "127.0.0.1", "1")
        try:
            yield
        finally:
            client.execute_command("REPLICAOF", "NO", "ONE")


@contextmanager
def redis_full(stores: Stores) -> Iterator[None]:
    """It has no memory for what is written."""
    with stores.redis.admin() as client:
        client.config_set("maxmemory", "1")
        try:
            yield
        finally:
            client.config_set("maxmemory", "0")


@contextmanager
def postgres_restarted(stores: Stores) -> Iterator[None]:
    """It is stopped, and comes back."""
    assert stores.postgres is not None
    stores.postgres.stop()
    try:
        yield
    finally:
        stores.postgres.start()


@contextmanager
def postgres_locked(stores: Stores) -> Iterator[None]:
    """A migration, say, has the table of runs to itself."""
    assert stores.postgres is not None
    lock = "BEGIN; LOCK TABLE everturn.runs IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(60)"
    holding = subprocess.Popen(
        [
            *(str(stores.postgres.programs / "psql"), "-h", "127.0.0.1", "-U", "postgres"),
            *("-p", str(stores.postgres.port), "-d", stores.database, "-qAtc", lock),
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        stores.postgres.run(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'BEGIN; LOCK%'"
        )
        holding.wait()


@contextmanager
def postgres_terminated(stores: Stores) -> Iterator[None]:
    """An administrator ends all connections, again and again."""
    assert stores.postgres is not None
    ends = (
        "DO $$ BEGIN LOOP PERFORM pg_terminate_backend(pid) FROM pg_stat_activity"
        f" WHERE datname = '{stores.database}' AND pid <> pg_backend_pid();"
        " PERFORM pg_sleep(0.05); PERFORM pg_stat_clear_snapshot(); END LOOP; END $$"
    )
    ending = subprocess.Popen(
        [
            *(str(stores.postgres.programs / "psql"), "-h", "127.0.0.1", "-U", "postgres"),
            *("-p", str(stores.postgres.port), "-d", "postgres", "-qAtc", ends),
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        stores.postgres.run(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'DO $$%'"
        )
        ending.wait()


@contextmanager
def postgres_used_up(stores: Stores) -> Iterator[None]:
    """Others hold all connections there are; ours were ended."""
    assert stores.postgres is not None
    others = _Others(stores.postgres, stores.database)
    others.take()
    try:
        yield
    finally:
        others.leave()


class _Others:
    """Takes every connection that becomes free, from an event loop of its own."""

    def __init__(self, postgres: Postgres, database: str) -> None:
        self._address = {"host": "127.0.0.1", "port": postgres.port, "user": "postgres"}
        self._database = database
        self._held: list[Any] = []
        self._loop = asyncio.new_event_loop()

    def take(self) -> None:
        """Take all."""
        self._loop.run_until_complete(self._take())

    async def _take(self) -> None:
        first = await asyncpg.connect(**self._address, database="postgres")
        self._held.append(first)
        for _ in range(3):  # who is ended may be quicker to come back
            await first.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1",
                self._database,
            )
            with contextlib.suppress(asyncpg.PostgresError, OSError):
                while True:
                    self._held.append(await asyncpg.connect(**self._address, database="postgres"))

    def leave(self) -> None:
        """Give all back."""
        for each in self._held:
            each.terminate()
        self._loop.run_until_complete(asyncio.sleep(0.05))
        self._loop.close()


@contextmanager
def sqlite_locked(stores: Stores) -> Iterator[None]:
    """Another program writes: a backup, a browser of databases."""
    file = stores.data_dir / "everturn.db"
    other = sqlite3.connect(file, timeout=30, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        other.rollback()
        other.close()


@contextmanager
def disk_full(stores: Stores) -> Iterator[None]:
    """Nothing more can be written to the data folder, which is a small disk of its own."""
    filler = stores.data_dir / "filler"
    with filler.open("wb", buffering=0) as file:
        with contextlib.suppress(OSError):
            while True:
                file.write(bytes(65536))
        with contextlib.suppress(OSError):
            while True:
                file.write(b"\0")
    try:
        yield
    finally:
        filler.unlink()


SHARED: tuple[Fault, ...] = (
    *(redis_stopped, redis_restarted, redis_emptied, redis_read_only, redis_full),
    *(postgres_restarted, postgres_locked, postgres_terminated, postgres_used_up),
)
ALONE: tuple[Fault, ...] = (sqlite_locked, disk_full)
FAULTS = {each.__name__: each for each in (*SHARED, *ALONE)}


@contextmanager
def small_disk(folder: Path) -> Iterator[bool]:
    """A disk of 24 MB at a folder; False where nothing may be mounted."""
    folder.mkdir(parents=True, exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode:
        yield False
        return
    try:
        yield True
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=False)


async def trial(
    nursery: Nursery, folder: Path, fault: Fault, seconds: float, seed: str, figures: Figures
) -> None:
    """Have some turns while a store goes away and comes back, and compare."""
    folder.mkdir(parents=True)
    with ExitStack() as stack:
        stores, instances = await asyncio.to_thread(_open, stack, nursery, folder, fault)
        if stores is None:
            figures.numbers[f"{fault.__name__} skipped"] = 1
            return
        async with running(instances):
            load = _Load(instances, Random(seed))
            threads = [asyncio.create_task(load.talk(n)) for n in range(_THREADS)]
            await asyncio.sleep(_BEFORE)
            away = fault(stores)
            await asyncio.to_thread(away.__enter__)
            try:
                probing = asyncio.create_task(load.probe())
                await asyncio.sleep(seconds)
            finally:
                await asyncio.to_thread(away.__exit__, None, None, None)
            healed = await load.heals(time.monotonic())
            probing.cancel()
            await asyncio.sleep(_AFTER)
            load.over = True
            await asyncio.gather(*threads)
            found, _ = await settled(load.clients, {turn.thread for turn in load.turns})
            await load.clients.http.aclose()
            entries, _ = journal.read(folder / "journal")
            broken = findings(load.turns, found, entries)
            if fault is redis_emptied:
                broken = _after_a_loss(load.turns, found, broken)
            if healed is None:
                broken.append(Finding("does not heal", "service", f"within {_HEALED:g} s"))
            name = fault.__name__
            figures.trial(
                seed, [Finding(each.promise, name, f"{each.turn} {each.what}") for each in broken]
            )
            figures.turns += len(load.turns)
            figures.took(f"{name} answer meanwhile", load.answered)
            figures.took(f"{name} heals in", [] if healed is None else [healed])


def _after_a_loss(
    turns: list[Turn], threads: dict[str, Thread], broken: list[Finding]
) -> list[Finding]:
    """What must hold where the memory is gone: nothing hangs, and no thread seems to be new."""
    found = [each for each in broken if each.promise == "stuck"]
    for thread_id, thread in threads.items():
        there = {text for who, text in thread.messages if who == "human"}
        told = [turn for turn in turns if turn.thread == thread_id and turn.answers]
        if there and any(turn.text not in there for turn in told):
            what = f"it goes on without the first of {len(told)} turns"
            found.append(Finding("amnesia", "thread", what))
    return found


def _open(
    stack: ExitStack, nursery: Nursery, folder: Path, fault: Fault
) -> tuple[Stores | None, list[Instance]]:
    redis = stack.enter_context(redis_server())
    environment = {"REDIS_URL": redis.url, journal.VARIABLE: str(folder / "journal")}
    if fault in ALONE:
        if fault is disk_full and not stack.enter_context(small_disk(folder / "data")):
            return None, []
        (port,) = free_ports(1)
        stores = Stores(redis, None, "", folder / "data")
        return stores, [Instance(nursery, folder, port, environment)]
    postgres = stack.enter_context(postgres_server("-c", "max_connections=40"))
    database = postgres.new_database()
    environment["DATABASE_URL"] = postgres.url(database)
    instances = [Instance(nursery, folder / str(p), p, environment) for p in free_ports(2)]
    return Stores(redis, postgres, database, folder), instances


class _Load:
    """Clients that have turns, one after the other on a thread, until it is over."""

    def __init__(self, instances: list[Instance], chance: Random) -> None:
        self.clients = Clients([each.url for each in instances])
        self.turns: list[Turn] = []
        self.answered: list[float] = []
        """Seconds until a post was answered, of those sent while the store was away."""
        self.over = False
        self._chance = chance
        self._probes = 0

    async def talk(self, number: int) -> None:
        """Have one turn after the other on a thread."""
        thread, count = await self.clients.new_thread(), 0
        while not self.over:
            count += 1
            await self.clients.ask(self._turn(thread, f"q{number}.{count}"))
            await asyncio.sleep(self._chance.uniform(0, 0.3))

    def _turn(self, thread: str, name: str) -> Turn:
        kind = self._chance.choice(KINDS)
        text = f"{name} {self._chance.choice((5, 30, 150))} {self._chance.randint(1, 8)}"
        durable = kind not in CHAT and self._chance.random() < 0.5
        turn = Turn(thread, kind, text, durable=durable)
        self.turns.append(turn)
        return turn

    async def probe(self) -> None:
        """Post runs on threads of their own, and note how long their answers take."""
        async with asyncio.TaskGroup() as group:
            while True:
                group.create_task(self._probe())
                await asyncio.sleep(_PROBED)

    async def _probe(self) -> float | None:
        """Post a run; returns how long its answer took where it was accepted."""
        began = time.monotonic()
        body = {"assistant_id": "soak", "input": {"messages": "p 5 1"}, "if_not_exists": "create"}
        self._probes += 1
        thread = f"00000000-0000-4000-8000-{self._probes:012d}"
        try:
            answer = await self.clients.http.post(
                f"{self.clients.url()}/threads/{thread}/runs", json=body
            )
        except httpx.TransportError:
            return None
        self.answered.append(time.monotonic() - began)
        return time.monotonic() - began if answer.is_success else None

    async def heals(self, since: float) -> float | None:
        """Return after how many seconds a post is accepted again by each instance."""
        for _ in range(2):
            while await self._once() is None:
                if time.monotonic() - since > _HEALED:
                    return None
                await asyncio.sleep(0.05)
        return time.monotonic() - since

    async def _once(self) -> float | None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(5):
                answered = len(self.answered)
                taken = await self._probe()
                del self.answered[answered:]  # it is back: these are not meanwhile
                return taken
        return None


async def run(
    nursery: Nursery,
    folder: Path,
    figures: Figures,
    seed: str,
    beside: int,
    names: list[str] | None = None,
    seconds: tuple[float, ...] = SECONDS,
) -> None:
    """Have every fault for every time, some side by side."""
    room = asyncio.Semaphore(beside)

    async def one(name: str, away: float) -> None:
        async with room:
            place = folder / f"{name}-{away:g}"
            this = f"faults {seed} {name} {away:g} s"
            try:
                await trial(nursery, place, FAULTS[name], away, this, figures)
            except Exception as error:  # the others go on
                figures.trial(this, [Finding("trial failed", name, repr(error))])

    async with asyncio.TaskGroup() as group:
        for away in sorted(seconds, reverse=True):
            for name in names or FAULTS:
                group.create_task(one(name, away))

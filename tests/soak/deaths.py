"""Rig 2: a process ends at each place where a turn writes; the next one goes on.

A warm process forks each of them: a child adopts what the last one left, says what became of it,
begins new turns, and ends at the place it was given.
"""

import asyncio
import gc
import multiprocessing
import os
import pickle
import sys
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, NoReturn

from fastapi import FastAPI

from everturn.checkpoints import connect
from everturn.server.app import create_app
from everturn.server.observe.logs import configure_logs
from everturn.server.settings import Settings
from tests.soak import journal
from tests.soak.accounts import Thread, findings, repeated, settled
from tests.soak.boundaries import DIED, Boundaries, patch
from tests.soak.figures import Figures
from tests.soak.in_process import InProcess
from tests.soak.instances import PROJECT
from tests.soak.stores import redis_server
from tests.soak.turns import CHAT, KEYED, KINDS, Clients, Turn

_URL = "http://127.0.0.1"


@dataclass
class Said:
    """What a process says through its pipe, as it goes."""

    turns: dict[str, Turn] = field(default_factory=dict)
    """Of this process."""
    left: dict[str, Turn] = field(default_factory=dict)
    """Of the one before it, as its clients know them now."""
    threads: dict[str, Thread] = field(default_factory=dict)
    place: str = ""


def lane(folder: Path, seeds: Sequence[str], deaths: int, *, shared: bool) -> Figures:
    """Let processes die at one place after the other of each seed's turns.

    With `shared` threads are locked in Redis, and the next process waits for the lock to end.
    """
    figures = Figures("deaths")
    folder.mkdir(parents=True, exist_ok=True)
    os.environ[journal.VARIABLE] = str(folder / "journal")
    os.environ["EVERTURN_TOOLS_OFFLINE"] = "always"
    configure_logs("CRITICAL")
    sys.path.insert(0, str(PROJECT.parent))
    with redis_server() as redis:
        app = _app(folder, redis.url if shared else None)
        if not shared:
            _use_for_the_embedded_one(redis.url)
        asyncio.run(_warm(app))
        gc.collect()
        gc.freeze()
        chain = _Chain(app, folder / "journal", figures)
        for seed in seeds:
            place = 1
            while chain.next(seed, place):
                place += 1
                if figures.trials >= deaths:
                    break
            if figures.trials >= deaths:
                break
        chain.next(None, 0)
    return figures


class _Chain:
    """One process after the other, each of which goes on with what the last one left."""

    def __init__(self, app: FastAPI, file: Path, figures: Figures) -> None:
        self._app = app
        self._file = file
        self._figures = figures
        self._left: list[Turn] = []
        self._seed = ""
        self._read_to = 0
        self._entries: list[journal.Entry] = []

    def next(self, seed: str | None, place: int) -> bool:
        """Have one more process; says whether it died at the place it was given."""
        reading, writing = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(reading)
            _live(self._app, writing, self._left, seed, place)
        os.close(writing)
        with os.fdopen(reading, "rb") as pipe:
            said = _said(pipe)
        _, status = os.waitpid(pid, 0)
        code = os.waitstatus_to_exitcode(status)
        if code not in {0, DIED}:
            raise RuntimeError(f"{seed} {place}: the process ended with {code}")
        entries, self._read_to = journal.read(self._file, self._read_to)
        if self._left:
            mine = [each for each in self._entries + entries if each.question in said.left]
            found = findings(list(said.left.values()), said.threads, mine)
            self._figures.trial(self._seed, found)
            self._figures.turns += len(said.left)
            numbers = self._figures.numbers
            numbers["nodes repeated"] = numbers.get("nodes repeated", 0) + repeated(mine)
        self._entries = entries
        self._left = list(said.turns.values())
        self._seed = f"{seed} place {place} ({said.place})"
        return code == DIED


def _said(pipe: Any) -> Said:
    said = Said()
    while True:
        try:
            what, value = pickle.load(pipe)
        except EOFError:
            return said
        if what in {"turns", "left"}:
            getattr(said, what)[value.name] = value
        else:
            setattr(said, what, value)


def _app(folder: Path, redis_url: str | None) -> FastAPI:
    values: dict[str, Any] = {"config": PROJECT, "data_dir": folder / "data"}
    if redis_url:
        values["redis_url"] = redis_url
    return create_app(Settings.read({**values, "log_level": "CRITICAL"}))


def _use_for_the_embedded_one(url: str) -> None:
    """Have a server that outlives the processes in the place of the one that each would start."""

    @asynccontextmanager
    async def lent(*_: Any, **__: Any) -> AsyncIterator[str]:
        yield url

    setattr(connect, "open_embedded", lent)  # noqa: B010 - imported there, not its own


async def _warm(app: FastAPI) -> None:
    """Have a turn of each kind, so that those who are forked have all that is made once."""
    async with app.router.lifespan_context(app):
        clients = Clients([_URL], transport=InProcess(app))
        for kind in KINDS:
            turn = Turn(await clients.new_thread(), kind, "w 0 1")
            await clients.ask(turn)
            await settled(clients, [turn.thread])


def _live(app: FastAPI, pipe: int, left: Sequence[Turn], seed: str | None, place: int) -> NoReturn:
    try:
        asyncio.run(_go_on_and_begin(app, pipe, left, seed, place))
        os._exit(0)
    except BaseException:
        import traceback

        traceback.print_exc()
        os._exit(1)


async def _go_on_and_begin(
    app: FastAPI, pipe: int, left: Sequence[Turn], seed: str | None, place: int
) -> None:
    def say(what: str, value: Any) -> None:
        message = pickle.dumps((what, value))
        while message:
            message = message[os.write(pipe, message) :]

    places = Boundaries()
    patch(places)
    transport = InProcess(app)
    async with app.router.lifespan_context(app):
        clients = Clients([_URL], transport=transport)
        if left:
            await asyncio.gather(*(clients.ask(turn) for turn in left if _goes_on(turn)))
            threads, _ = await settled(clients, {turn.thread for turn in left})
            for turn in left:
                say("left", turn)
            say("threads", threads)
        if seed is not None:
            turns = [
                Turn(await clients.new_thread(), kind, text, durable=durable)
                for kind, text, durable in drawn(seed)
            ]
            for turn in turns:
                say("turns", turn)
            telling = Clients([_URL], noted=lambda turn: say("turns", turn), transport=transport)
            places.last_words = lambda: say("place", places.name)  # type: ignore[method-assign]
            places.arm(place)
            await asyncio.gather(*(telling.ask(turn) for turn in turns))
        os._exit(0)  # a death as well: nothing is closed


def _goes_on(turn: Turn) -> bool:
    """Whether a client has still something to ask, or to ask again."""
    return not turn.told_at and (bool(turn.run_id) or turn.kind in KEYED)


def drawn(seed: str) -> list[tuple[str, str, bool]]:
    """The turns of a seed: each kind by turns, sometimes with another beside it."""
    number = int(seed.rpartition(" ")[2])
    chance = Random(seed)
    kinds = [KINDS[number % len(KINDS)]]
    if chance.random() < 0.3:
        kinds.append(chance.choice(KINDS))
    return [
        (
            kind,
            f"q{n} {chance.choice((0, 0, 2))} 1",
            kind not in CHAT and chance.random() < 0.5,
        )
        for n, kind in enumerate(kinds)
    ]


def run(folder: Path, seeds: Sequence[str], lanes: int, *, shared: bool) -> Figures:
    """Let as many processes die as there are seeds, in some lanes side by side."""
    figures = Figures("deaths")
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(lanes, mp_context=context) as pool:
        working = []
        for n in range(lanes):
            mine = seeds[n::lanes]
            working.append(pool.submit(lane, folder / str(n), mine, len(mine), shared=shared))
        for each in working:
            figures.add(each.result())
    return figures

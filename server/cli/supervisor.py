"""The supervisor of the processes that serve at one port: it serves nothing itself.

It starts the workers, starts again those that die, and has them end.

    SIGTERM, SIGINT   all let their turns end; SIGINT once more ends them now
    SIGHUP            one after the other is replaced by a new one, with the settings and the code
                      of now; it leaves when the new one serves
"""

import asyncio
import json
import os
import signal
import socket
import sys
from asyncio.subprocess import Process
from collections.abc import Coroutine, Mapping
from contextlib import suppress
from typing import Any

from prometheus_client.multiprocess import mark_process_dead
from structlog import get_logger

from everturn.server.address import SharedPort
from everturn.server.cli.ready import log_ready
from everturn.server.cli.supervised import Supervised
from everturn.server.observe.metrics import FOLDER
from everturn.server.settings import Settings

log = get_logger(__name__)

_SETTLED_SECONDS = 10.0
"""A worker that dies younger has died of something that may still be there."""
_MAX_PAUSE_SECONDS = 30.0
_END_SECONDS = 45.0
"""After its grace a worker still stores what is acknowledged; then it is killed."""


class _Worker:
    """One process that serves, or begins to."""

    def __init__(self, number: int, process: Process, link: socket.socket) -> None:
        self.number = number
        self.process = process
        self._link = link
        self._kept: asyncio.StreamWriter | None = None  # its end would say that we are gone
        self._served_from: float | None = None

    async def ready(self) -> dict[str, Any] | None:
        """Wait until it serves; returns what it says of that, or None where it ended before."""
        reader, self._kept = await asyncio.open_unix_connection(sock=self._link)
        line = await reader.readline()
        if not line.endswith(b"\n"):
            await self.process.wait()
            return None
        self._served_from = _now()
        about: dict[str, Any] = json.loads(line)
        return about

    @property
    def serves(self) -> bool:
        """Whether it has said so."""
        return self._served_from is not None

    @property
    def settled(self) -> bool:
        """Whether it has served for a while."""
        return self._served_from is not None and _now() - self._served_from > _SETTLED_SECONDS

    def send(self, sign: signal.Signals) -> None:
        """Send it a signal, unless it has ended."""
        with suppress(ProcessLookupError):
            self.process.send_signal(sign)

    async def end(self, seconds: float) -> None:
        """Wait for its end; after so many seconds, kill it."""
        try:
            await asyncio.wait_for(self.process.wait(), seconds)
        except TimeoutError:
            self.kill()
            await self.process.wait()

    def kill(self) -> None:
        """End it at once: it should have ended."""
        log.error("worker_killed", worker=self.number, pid=self.process.pid)
        self.send(signal.SIGKILL)

    def close(self) -> None:
        """Close the link of one that has ended."""
        if self._kept:
            self._kept.close()


class _Place:
    """The place of one worker: who has it, one after another."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.listener: socket.socket | None = None
        """Open as long as there is a worker, so that what connects while one follows another is
        served by the next."""
        self.renew = asyncio.Event()
        self.renewed = asyncio.Event()

    def close(self) -> None:
        """Listen no more: the others do."""
        if self.listener:
            self.listener.close()
            self.listener = None


class Supervisor:
    """Keeps so many workers."""

    def __init__(
        self, settings: Settings, port: SharedPort, environment: Mapping[str, str], count: int
    ) -> None:
        self._settings = settings
        self._port = port
        self._environment = environment
        self._places = [_Place(number) for number in range(1, count + 1)]
        self._living: set[_Worker] = set()
        self._ending = asyncio.Event()
        self._renew = asyncio.Event()
        # Under nohup it is not to end with its terminal.
        self._has_terminal = signal.getsignal(signal.SIGHUP) != signal.SIG_IGN and _has_terminal()
        server = settings.server
        self._patience = server.shutdown_delay + server.shutdown_grace + _END_SECONDS

    async def run(self) -> int:
        """Serve until told to end; returns the exit code."""
        loop = asyncio.get_running_loop()
        for sign in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(sign, self._end, sign)
        loop.add_signal_handler(signal.SIGHUP, self._hang_up)
        # The first alone: it migrates, and what keeps it from starting would keep the others.
        first = await self._start(self._places[0], first=True)
        about = await first.ready()
        if about is None:
            self._places[0].close()
            return 0 if self._ending.is_set() else first.process.returncode or 1
        keeping = [
            asyncio.create_task(self._keep(place, first if place.number == 1 else None))
            for place in self._places
        ]
        await self._unless_ending(asyncio.gather(*(p.renewed.wait() for p in self._places[1:])))
        if not self._ending.is_set():
            reserved, prefix = self._port.reserved, about["prefix"]
            log_ready(self._settings, reserved, prefix, workers=len(keeping), **about["note"])
        renewing = asyncio.create_task(self._renew_when_told())
        await self._ending.wait()
        renewing.cancel()
        _, late = await asyncio.wait(keeping, timeout=self._patience)
        for worker in self._living:
            worker.kill()
        await asyncio.gather(*keeping)
        return 1 if late else 0

    def _end(self, sign: signal.Signals) -> None:
        insists = sign == signal.SIGINT and self._ending.is_set()
        self._ending.set()
        for worker in self._living:
            worker.send(signal.SIGINT if insists else signal.SIGTERM)

    def _hang_up(self) -> None:
        """Renew the workers; or end, where SIGHUP says that the terminal is gone."""
        if self._has_terminal and not _has_terminal():
            self._end(signal.SIGTERM)
        else:
            self._renew.set()

    async def _start(self, place: _Place, *, first: bool = False) -> _Worker:
        """Start a process in a place."""
        place.listener = place.listener or self._port.socket()
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        listener, link = place.listener.fileno(), theirs.fileno()
        worker = Supervised(number=place.number, first=first, listener=listener, link=link)
        with theirs:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                *sys.orig_argv[1:],  # as we were started
                env={**self._environment, **worker.to_environment()},
                pass_fds=[listener, link],
                start_new_session=True,  # Ctrl-C is for us
            )
        started = _Worker(place.number, process, ours)
        self._living.add(started)
        if self._ending.is_set():  # since we began to start it
            started.send(signal.SIGTERM)
        return started

    async def _keep(self, place: _Place, worker: _Worker | None) -> None:
        """Keep a worker in a place, until all end."""
        deaths = 0
        while True:
            if worker is None:
                worker = await self._begun(place)
                place.renewed.set()
            if worker and await self._is_told_before_its_end(place, worker):
                worker = await self._renewed(place, worker)
                place.renewed.set()
                continue
            place.close()
            if worker:
                self._forget(worker)
            if self._ending.is_set():
                return
            deaths = 0 if worker and worker.settled else deaths + 1
            await self._pause(place, worker, deaths)
            if self._ending.is_set():
                return
            worker = None

    async def _begun(self, place: _Place) -> _Worker | None:
        """Start a worker, and wait until it serves or has ended; None where there is no room."""
        place.renew.clear()  # a new one it is
        try:
            worker = await self._start(place)
        except OSError as error:  # too little memory, too many processes: it may pass
            log.error("worker_not_started", worker=place.number, error=str(error))  # noqa: TRY400
            return None
        await worker.ready()
        return worker

    async def _is_told_before_its_end(self, place: _Place, worker: _Worker) -> bool:
        """Wait until a worker has ended, or is to be renewed: then True."""
        ended = asyncio.ensure_future(worker.process.wait())
        told = asyncio.ensure_future(place.renew.wait())
        await asyncio.wait({ended, told}, return_when=asyncio.FIRST_COMPLETED)
        told.cancel()
        if ended.done():
            return False
        ended.cancel()
        place.renew.clear()
        return True

    def _forget(self, ended: _Worker) -> None:
        self._living.discard(ended)
        ended.close()
        # What it said of itself; what it has counted stays.
        folder = self._environment[FOLDER]
        mark_process_dead(ended.process.pid, folder)  # type: ignore[no-untyped-call]

    async def _pause(self, place: _Place, dead: _Worker | None, deaths: int) -> None:
        """Wait before the next start: ever longer where one dies at once again and again."""
        pause = min(0.5 * (2.0 ** min(deaths, 10) - 1), _MAX_PAUSE_SECONDS)
        about = {"pid": dead.process.pid, "code": dead.process.returncode} if dead else {}
        log.error("worker_died", worker=place.number, **about, again_in=pause)
        await self._unless_ending(asyncio.sleep(pause))

    async def _renewed(self, place: _Place, old: _Worker) -> _Worker:
        """Put a new worker into the place of an old one, which leaves when the new one serves."""
        new = await self._begun(place)
        if new is None or not new.serves:
            if new:
                self._forget(new)
            if not self._ending.is_set():
                log.error("worker_not_renewed", worker=place.number, kept=old.process.pid)
            return old
        old.send(signal.SIGHUP)
        await old.end(self._patience)
        self._forget(old)
        log.info("worker_renewed", worker=place.number, pid=new.process.pid)
        return new

    async def _renew_when_told(self) -> None:
        while True:
            await self._renew.wait()
            self._renew.clear()
            for place in self._places:
                place.renewed.clear()
                place.renew.set()
                await place.renewed.wait()

    async def _unless_ending(self, work: Coroutine[Any, Any, Any] | asyncio.Future[Any]) -> None:
        """Wait for something, or until all end."""
        working = asyncio.ensure_future(work)
        ending = asyncio.ensure_future(self._ending.wait())
        await asyncio.wait({working, ending}, return_when=asyncio.FIRST_COMPLETED)
        working.cancel()
        ending.cancel()
        await asyncio.gather(working, ending, return_exceptions=True)


def _has_terminal() -> bool:
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY))
    except OSError:
        return False
    return True


def _now() -> float:
    return asyncio.get_running_loop().time()

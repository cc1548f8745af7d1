"""`everturn serve`: one process that serves, from its first line to its last."""

import asyncio
import os
import signal
import socket
from contextlib import nullcontext
from functools import partial
from ipaddress import ip_address
from types import FrameType
from typing import TYPE_CHECKING

import uvicorn
from fastapi import FastAPI
from structlog import get_logger
from typing_extensions import override

from everturn import __version__
from everturn.server.address import listen
from everturn.server.api.http.proxies import Proxies
from everturn.server.cli.config import Loaded
from everturn.server.cli.ending import Ending
from everturn.server.cli.metrics_port import metrics_served
from everturn.server.cli.process import opened, probes_of, run
from everturn.server.cli.ready import log_ready, port_chosen
from everturn.server.cli.refusing import refuse_until_the_end
from everturn.server.cli.supervised import Supervised
from everturn.server.runs.runs import Runs
from everturn.server.settings import ServerSettings, Settings

if TYPE_CHECKING:
    from everturn.server.cli.connections import Connections

log = get_logger(__name__)

_IDLE_SECONDS = 75
"""Of a connection between two requests. Most clients give theirs up after 5 to 60 seconds; were the
service first, a request under way would be lost with its connection."""
_CLOSING_SECONDS = 5
_LAST_EVENT_SECONDS = 1
"""For answers that end with the turns; others are streams without an end."""

_OPEN_TO_THE_NETWORK = (
    "Nobody is asked for a key: everybody who reaches this address, or a proxy before it, can read "
    "all threads, and run all graphs and tools, unless that proxy checks its callers. "
    "EVERTURN_AUTH=on asks."
)


def serve(loaded: Loaded, worker: Supervised | None = None) -> int:
    """Serve until SIGINT or SIGTERM: alone, or as a worker of a supervisor."""
    main = partial(_serve, worker=worker)
    return (
        run(loaded, main, first=worker.first, worker=worker.number) if worker else run(loaded, main)
    )


async def _serve(settings: Settings, worker: Supervised | None) -> None:
    host, port = settings.server.host, settings.server.port

    def hold() -> socket.socket:
        return (
            worker.open_listener() if worker else listen(host, port, chosen=port_chosen(settings))
        )

    async with opened(settings, hold, several=worker is not None) as (app, listener):
        registry = app.state.service.metrics.scraped
        # Of several workers the supervisor serves the figures, and answers no probes.
        with nullcontext() if worker else metrics_served(settings, registry, probes_of(app)):
            await _Server(app, settings, worker).serve(sockets=[listener])


class _Server(uvicorn.Server):
    """uvicorn, which says in one line where it listens, and goes on serving while turns end."""

    def __init__(self, app: FastAPI, settings: Settings, worker: Supervised | None) -> None:
        self._connections = _connections(settings.server)
        config = uvicorn.Config(
            app,
            http=self._connections.protocol if self._connections else "auto",  # type: ignore[arg-type]  # whatever makes one
            ws_max_size=settings.server.max_body_size,
            lifespan="off",  # entered by us, so that its errors reach the caller as they are
            log_config=None,
            access_log=False,
            proxy_headers=False,  # `http.proxies` reads them
            timeout_keep_alive=_IDLE_SECONDS,
            timeout_graceful_shutdown=_CLOSING_SECONDS,
        )
        super().__init__(config)
        self._app = app
        self._settings = settings
        self._worker = worker
        self._replaced = asyncio.Event()
        runs: Runs = app.state.service.runs
        self._runs = runs
        self._ending = Ending(runs, settings.server)

    @override
    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self._connections:
            self._watching = asyncio.create_task(self._connections.watch(), name="connections")
        self._leaving = asyncio.create_task(self._leave(), name="end of the service")
        for listener in sockets or ():
            self._say_ready(listener)

    def _say_ready(self, listener: socket.socket) -> None:
        prefix, worker = self._app.state.mount_prefix, self._worker
        note = {}
        if count := self._app.state.tables_of_others:
            note["database"] = f"also holds tables of another application: {count}"
        if worker:
            loop = asyncio.get_running_loop()
            signal.signal(signal.SIGHUP, lambda *_: loop.call_soon_threadsafe(self._replaced.set))
            worker.when_alone(self._ending.insist)
            worker.ready(prefix=prefix, note=note)
            log.info("worker_ready", version=__version__, pid=os.getpid())
        else:
            log_ready(self._settings, listener, prefix, **note)
        if worker is None or worker.first:
            self._warn(listener)

    def _warn(self, listener: socket.socket) -> None:
        address = listener.getsockname()[0].partition("%")[0]
        reached = not ip_address(address).is_loopback or self._settings.server.trusted_proxies
        if self._app.state.gate is None and reached:
            log.warning("open_to_the_network", note=_OPEN_TO_THE_NETWORK)
        if self._app.state.asks_models and (reason := self._settings.models.unfinished):
            log.warning("no_model_is_asked", reason=reason)

    @override
    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """End when turns have ended, and not before: until then clients are answered."""
        self._ending.on_signal(sig)

    @override
    async def on_tick(self, counter: int) -> bool:
        return await super().on_tick(counter) or self._leaving.done()

    @override
    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        if self._worker is None:  # else others answer at the same port
            for listener in sockets or ():
                refuse_until_the_end(listener)
        await super().shutdown(sockets)

    async def _leave(self) -> None:
        """Wait until this process is to end, or another has taken its place, and let turns end."""
        waiting = [
            asyncio.create_task(self._ending.told()),
            asyncio.create_task(self._replaced.wait()),
        ]
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        if self._connections:
            self._connections.leave()
        if self._replaced.is_set():
            await self._ending.drain(await self._leave_to_another())
        else:
            await self._ending.wait_a_little()
            await self._ending.drain()
        if connections := self._connections:
            await self._ending.until(lambda: not connections.busy, _LAST_EVENT_SECONDS)
            connections.hang_up()

    async def _leave_to_another(self) -> float:
        """Accept no more connections, and serve those that there are to their ends.

        Returns the seconds that took: at most the grace of turns.
        """
        began = asyncio.get_running_loop().time()
        for server in self.servers:
            server.close()
        self._runs.leave_soon()
        if (connections := self._connections) is not None:
            await self._ending.until(
                lambda: not connections.open or self._ending.begun,
                self._settings.server.shutdown_grace,
            )
        return asyncio.get_running_loop().time() - began


def _connections(settings: ServerSettings) -> "Connections | None":
    """Bound the connections of clients; None on Windows, where there is no httptools."""
    try:
        from everturn.server.cli.connections import Connections, Limits, bounded
    except ImportError:
        return None
    connections = bounded(settings.max_connections)
    if connections < settings.max_connections:
        log.warning("fewer_connections", most=connections, advice="raise ulimit -n")
    limits = Limits(
        send_timeout=settings.send_timeout,
        request_timeout=settings.request_timeout,
        connections=connections,
        connections_per_client=settings.max_connections_per_client,
        proxies=Proxies(settings.trusted_proxies),
    )
    return Connections(limits)

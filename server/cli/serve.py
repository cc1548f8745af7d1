"""`everturn serve`: the service as a process, from its first line to its last."""

import asyncio
import gc
import os
import signal
import socket
from collections.abc import Callable, Mapping
from ipaddress import ip_address
from typing import TYPE_CHECKING, NoReturn

import uvicorn
from fastapi import FastAPI
from structlog import get_logger

from everturn.checkpoints.errors import CheckpointsError
from everturn.checkpoints.local.data_dir import publish_address
from everturn.server.address import DEFAULT_PORT, CannotListen, listen, local_url_of, url_of
from everturn.server.app import create_app
from everturn.server.cli.config import Loaded, load, unknown_note
from everturn.server.environment import ENV_FILE, WrongSetting
from everturn.server.errors import ConfigError
from everturn.server.observe.blocking import watch_for_blocking
from everturn.server.observe.logs import configure_logs
from everturn.server.observe.memory import give_memory_back
from everturn.server.observe.output import keep_standard_files, standard_error
from everturn.server.projects.environment import give_to_the_project
from everturn.server.runs.runs import Runs
from everturn.server.settings import ServerSettings, Settings
from everturn.tools.kit.mcp import McpNotInstalled

if TYPE_CHECKING:
    from everturn.server.cli.connections import Connections

log = get_logger(__name__)

_IDLE_SECONDS = 75
"""Of a connection between two requests. Most clients give theirs up after 5 to 60 seconds; were the
service first, a request under way would be lost with its connection."""
_CLOSING_SECONDS = 5
_INSIST_SECONDS = 0.5
_YOUNG_OBJECTS = 20_000
"""So many new objects wait for the collector. A turn makes thousands that need none: at Python's
700, looking at them took a tenth of a turn's CPU time."""

_OPEN_TO_THE_NETWORK = (
    "Everybody who reaches this address can read all threads, and run all graphs and tools.",
    "The service does not ask who calls: langgraph.json names no `auth`.",
    "Listen at 127.0.0.1, name an `auth`, or let a proxy before the service check its callers.",
)

# Errors that keep the service from starting; their texts say what to do.
_STARTUP_ERRORS = (WrongSetting, CannotListen, CheckpointsError, ConfigError, McpNotInstalled)


def serve(named: Mapping[str, str]) -> int:
    """Serve until SIGINT or SIGTERM. An error at the start is printed in one line."""
    keep_standard_files()
    try:
        loaded = load(named)
        settings = loaded.settings
        configure_logs(settings.server.log_level)
        _warn(loaded)
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            try:
                runner.run(_serve(settings))
            except SystemExit as error:
                _give_up(error)
    except asyncio.CancelledError:  # stopped before it had started
        return 0
    except _STARTUP_ERRORS as error:
        standard_error().write(f"everturn: {error}\n")
        return 1
    return 0


def _warn(loaded: Loaded) -> None:
    """Name settings that there are not, and give the project what `.env` has for it."""
    if loaded.unknown:
        notes = [unknown_note(name, near) for name, near in loaded.unknown.items()]
        log.warning("unknown_settings", names=list(loaded.unknown), advice=" ".join(notes))
    give_to_the_project(loaded.project, str(ENV_FILE))


def _give_up(error: SystemExit) -> NoReturn:
    """End at once, as if killed: a node of a graph has raised SystemExit.

    That stopped the event loop, and an orderly end would wait for tasks that no longer run. All
    turns that were acknowledged are stored.
    """
    log.critical("ended_from_within", code=error.code, advice="a node must not call sys.exit()")
    standard_error().drain()
    os._exit(1)


async def _serve(settings: Settings) -> None:
    starting = asyncio.current_task()
    loop = asyncio.get_running_loop()

    def cancel() -> None:
        if starting is not None:
            starting.cancel()
            loop.call_later(_INSIST_SECONDS, cancel)  # a client that connects may swallow one

    def stop(*_: object) -> None:
        """End a start that hangs. Later uvicorn listens, and raises its signal here once more."""
        loop.call_soon_threadsafe(cancel)

    for sign in (signal.SIGINT, signal.SIGTERM):
        signal.signal(sign, stop)
    app = create_app(settings)
    # The port first: a process that cannot listen should not open, lock or migrate anything.
    host, port = settings.server.host, settings.server.port
    with listen(host, port, chosen=_port_chosen(settings)) as listener:
        async with app.router.lifespan_context(app):
            # What was loaded stays: the collector need not look at it again.
            gc.collect()
            gc.freeze()
            gc.set_threshold(_YOUNG_OBJECTS)
            await asyncio.sleep(0)  # a signal of meanwhile ends the start here
            starting = None
            # From here on clients wait for the loop; the start itself may block it.
            async with watch_for_blocking(settings.server.blocking_warning), give_memory_back():
                await _Server(app, settings).serve(sockets=[listener])


class _Server(uvicorn.Server):
    """uvicorn, which logs in one line where it listens, and lets turns end before it ends."""

    def __init__(self, app: FastAPI, settings: Settings) -> None:
        self._connections = _connections(settings.server)
        config = uvicorn.Config(
            app,
            http=self._connections.protocol if self._connections else "auto",  # type: ignore[arg-type]  # whatever makes one
            ws_max_size=settings.server.max_body_size,
            lifespan="off",  # entered by us, so that its errors reach the caller as they are
            log_config=None,
            access_log=False,
            timeout_keep_alive=_IDLE_SECONDS,
            timeout_graceful_shutdown=int(settings.server.shutdown_grace) + _CLOSING_SECONDS,
        )
        super().__init__(config)
        self._app = app
        self._settings = settings

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self._connections:
            self._watching = asyncio.create_task(self._connections.watch(), name="connections")
        for listener in sockets or ():
            prefix: str = self._app.state.mount_prefix
            publish_address(self._settings.stores.data_dir, local_url_of(listener) + prefix)
            url = url_of(listener) + prefix
            log.info("everturn_ready", url=url, docs=f"{url}/docs", **self._note(listener))
            self._warn_of_the_network(listener)
        if self._app.state.asks_models and (reason := self._settings.models.unfinished):
            log.warning("no_model_is_asked", reason=reason)

    def _warn_of_the_network(self, listener: socket.socket) -> None:
        address = listener.getsockname()[0].partition("%")[0]
        if self._app.state.gate is None and not ip_address(address).is_loopback:
            for note in _OPEN_TO_THE_NETWORK:
                log.warning("open_to_the_network", note=note)

    def _note(self, listener: socket.socket) -> dict[str, str]:
        note = {}
        if count := self._app.state.tables_of_others:
            note["database"] = f"also holds tables of another application: {count}"
        if _port_chosen(self._settings) or listener.getsockname()[1] == DEFAULT_PORT:
            return note
        return note | {
            "note": f"port {DEFAULT_PORT} is taken; choose one with --port or EVERTURN_PORT"
        }

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        runs: Runs = self._app.state.service.runs
        draining = asyncio.create_task(runs.drain(self._settings.server.shutdown_grace))
        await super().shutdown(sockets)
        await draining


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
    )
    return Connections(limits)


def _port_chosen(settings: Settings) -> bool:
    """Whether the command line, the environment or `.env` names a port."""
    return "port" in settings.server.model_fields_set


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    try:
        import uvloop
    except ImportError:  # Windows
        return asyncio.new_event_loop
    return uvloop.new_event_loop

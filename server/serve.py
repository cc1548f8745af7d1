"""`everturn serve`: the service as a process, from its first line to its last."""

import asyncio
import gc
import signal
import socket
import sys
from collections.abc import Callable, Mapping

import uvicorn
from structlog import get_logger

from checkpoints.errors import CheckpointsError
from server.app import create_app
from server.configuration import WrongSetting, load_settings
from server.logs import configure_logs
from server.rooms import ForeignRoom, check_rooms
from server.runs.errors import ConfigError
from server.settings import Settings

log = get_logger(__name__)


class PortTaken(Exception):
    """Another process listens where the service should."""


def serve(named: Mapping[str, str]) -> int:
    """Serve until SIGINT or SIGTERM. What keeps the service from starting is said in one line."""
    try:
        check_rooms()
        settings = load_settings(named)
        configure_logs(settings.log_level)
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(_serve(settings))
    except (WrongSetting, ForeignRoom, PortTaken, CheckpointsError, ConfigError) as error:
        print(f"everturn: {error}", file=sys.stderr)
        return 1
    return 0


async def _serve(settings: Settings) -> None:
    # uvicorn raises the signal that stopped it once more at its end: it must find a handler, so
    # that what is open is closed in order.
    for stop in (signal.SIGINT, signal.SIGTERM):
        signal.signal(stop, lambda *_: None)
    app = create_app(settings)
    # The port first: who cannot listen should not open, lock or migrate anything.
    with _listen(settings.host, settings.port) as listener:
        async with app.router.lifespan_context(app):
            config = uvicorn.Config(
                app,
                lifespan="off",  # entered here, so that its errors reach the caller as they are
                log_config=None,
                access_log=False,
                timeout_graceful_shutdown=int(settings.shutdown_grace) + 5,
            )
            await _Server(config).serve(sockets=[listener])


class _Server(uvicorn.Server):
    """uvicorn, which says in one line where it listens."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        for listener in sockets or ():
            host, port = listener.getsockname()[:2]
            host = f"[{host}]" if ":" in host else host
            # What was loaded stays: the collector need not look at it again.
            gc.collect()
            gc.freeze()
            log.info(
                "everturn_ready", url=f"http://{host}:{port}", docs=f"http://{host}:{port}/docs"
            )


def _listen(host: str, port: int) -> socket.socket:
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = socket.create_server((host, port), family=family, backlog=2048)
    except socket.gaierror:
        raise PortTaken(f"{host} is no address of this machine; set EVERTURN_HOST.") from None
    except OSError as error:
        raise PortTaken(
            f"cannot listen on {host}:{port}: {error.strerror}. "
            "Stop what listens there, or choose another with --port or EVERTURN_PORT."
        ) from None
    listener.setblocking(False)
    return listener


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    try:
        import uvloop
    except ImportError:  # Windows
        return asyncio.new_event_loop
    return uvloop.new_event_loop

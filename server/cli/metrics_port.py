"""`/metrics` at a port of its own: EVERTURN_METRICS_PORT. Probes are answered there, too.

However many clients are connected: those who look after a process are none of them.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from concurrent.futures import TimeoutError as Unanswered
from contextlib import contextmanager
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, start_http_server
from structlog import get_logger

from everturn.checkpoints.errors import CheckpointsError
from everturn.server.address import CannotListen, url_at
from everturn.server.errors import ShuttingDown
from everturn.server.settings import Settings

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

log = get_logger(__name__)

Probe = Callable[[], Awaitable[Mapping[str, object]]]
"""Answers what a machine asks at a path, as the route of that name does."""

_PROBE_SECONDS = 5.0
"""For which a probe waits for the event loop. A loop that does not come to it is no living one."""


@contextmanager
def metrics_served(
    settings: Settings, registry: CollectorRegistry, probes: Mapping[str, Probe] | None = None
) -> Iterator[None]:
    """Serve a registry from a thread, where the settings have a port for it; nobody has to sign in.

    Args:
        settings: of the service.
        registry: of the figures.
        probes: what is answered beside them, by path, on the event loop of the caller.

    Raises:
        CannotListen: saying what to do.
    """
    port, host = settings.observe.metrics_port, settings.server.host
    if port is None:
        yield
        return
    try:
        server, thread = start_http_server(port, host, registry)
    except OSError as error:
        raise CannotListen(
            f"cannot listen on {host}:{port} for metrics: {error.strerror or error}. "
            "Choose another EVERTURN_METRICS_PORT, or 0 for any that is free."
        ) from None
    if probes:
        loop = asyncio.get_running_loop()
        server.set_app(_with_probes(server.get_app(), probes, loop))
    log.info("metrics_ready", url=f"{url_at(host, server.server_port)}/metrics")
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _with_probes(
    metrics: "WSGIApplication | None",
    probes: Mapping[str, Probe],
    loop: asyncio.AbstractEventLoop,
) -> "WSGIApplication":
    """Answer the probes' paths; all others are those of the metrics."""

    def app(environ: "WSGIEnvironment", start: "StartResponse") -> Iterable[bytes]:
        probe = probes.get(environ["PATH_INFO"])
        if probe is None:
            return metrics(environ, start) if metrics else []
        status, said = _asked(probe, loop)
        start(status, [("Content-Type", "application/json")])
        return [json.dumps(said).encode()]

    return app


def _asked(probe: Probe, loop: asyncio.AbstractEventLoop) -> tuple[str, Mapping[str, object]]:
    """Have a probe answered by the event loop."""

    async def ask() -> Mapping[str, object]:
        return await probe()

    asking = asyncio.run_coroutine_threadsafe(ask(), loop)
    try:
        return "200 OK", asking.result(_PROBE_SECONDS)
    except (CheckpointsError, ShuttingDown) as error:
        reason = str(error)
    except Unanswered:
        asking.cancel()
        reason = f"The event loop has not answered within {_PROBE_SECONDS:g} s."
    return "503 Service Unavailable", {"detail": reason}

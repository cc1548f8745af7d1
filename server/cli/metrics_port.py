"""`/metrics` at a port of its own: EVERTURN_METRICS_PORT."""

from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, start_http_server
from structlog import get_logger

from everturn.server.address import CannotListen, url_at
from everturn.server.settings import Settings

log = get_logger(__name__)


@contextmanager
def metrics_served(settings: Settings, registry: CollectorRegistry) -> Iterator[None]:
    """Serve a registry from a thread, where the settings have a port for it; nobody has to sign in.

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
    log.info("metrics_ready", url=f"{url_at(host, server.server_port)}/metrics")
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

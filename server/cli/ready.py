"""What is said when the service can be asked."""

import socket

from structlog import get_logger

from everturn import __version__
from everturn.checkpoints.local.data_dir import publish_address
from everturn.server.address import DEFAULT_PORT, local_url_of, url_of
from everturn.server.settings import Settings

log = get_logger(__name__)


def log_ready(settings: Settings, listener: socket.socket, prefix: str, **more: object) -> None:
    """Log where the service listens, and publish it to clients on this machine."""
    publish_address(settings.stores.data_dir, local_url_of(listener) + prefix)
    url = url_of(listener) + prefix
    if not (port_chosen(settings) or listener.getsockname()[1] == DEFAULT_PORT):
        more["note"] = f"port {DEFAULT_PORT} is taken; choose one with --port or EVERTURN_PORT"
    log.info("everturn_ready", version=__version__, url=url, docs=f"{url}/docs", **more)


def port_chosen(settings: Settings) -> bool:
    """Whether the command line, the environment or `.env` names a port."""
    return "port" in settings.server.model_fields_set

"""`everturn worker`: a process that runs what waits in the background, and serves no clients.

Machines that look after it ask at EVERTURN_METRICS_PORT what they ask of one that serves.
"""

import signal
from contextlib import nullcontext

from structlog import get_logger

from everturn import __version__
from everturn.server.cli.config import Loaded
from everturn.server.cli.ending import Ending
from everturn.server.cli.metrics_port import metrics_served
from everturn.server.cli.process import opened, probes_of, run
from everturn.server.runs.runs import Runs
from everturn.server.settings import Settings

log = get_logger(__name__)


def work(loaded: Loaded) -> int:
    """Work until SIGINT or SIGTERM."""
    return run(loaded, _work)


async def _work(settings: Settings) -> None:
    async with opened(settings, nullcontext, several=True, listens=False) as (app, _):
        runs: Runs = app.state.service.runs
        ending = Ending(runs, settings.server)
        for sign in (signal.SIGINT, signal.SIGTERM):
            signal.signal(sign, ending.on_signal)
        service = app.state.service
        with metrics_served(settings, service.metrics.scraped, probes_of(app)):
            log.info("worker_ready", version=__version__, graphs=service.info.graphs)
            await ending.told()
            await ending.drain()

"""`everturn serve` and `everturn worker`: in one process, or in several that share their stores.

With `--workers N` this one holds the port, the data folder and the embedded Valkey, and supervises
those that serve.
"""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from tempfile import TemporaryDirectory

from everturn.checkpoints.errors import CheckpointsError
from everturn.checkpoints.local.data_dir import hold_data_dir
from everturn.checkpoints.local.embedded import open_embedded
from everturn.server.address import CannotListen, SharedPort
from everturn.server.cli.config import load
from everturn.server.cli.metrics_port import metrics_served
from everturn.server.cli.ready import port_chosen
from everturn.server.cli.supervised import Supervised
from everturn.server.cli.supervisor import Supervisor
from everturn.server.environment import WrongSetting
from everturn.server.observe.logs import configure_logs
from everturn.server.observe.metrics import FOLDER, registry_of_all
from everturn.server.observe.output import keep_standard_files, standard_error
from everturn.server.settings import ServerSettings, Settings


def serve(named: Mapping[str, str]) -> int:
    """Serve until SIGINT or SIGTERM, in one process or in several, as the settings say.

    An error at the start is printed in one line.
    """
    keep_standard_files()
    worker = Supervised.of_environment()
    environment = dict(os.environ)  # before `.env` joins: it may be another one at the next start
    try:
        loaded = load(named)
        count = number_of_workers(loaded.settings.server)
        if worker or count == 1:
            from everturn.server.cli.serve import serve as serve_here

            return serve_here(loaded, worker)
        content = loaded.settings.observe.log_content
        configure_logs(loaded.settings.server.log_level, content=content)
        return asyncio.run(_supervise(loaded.settings, count, environment))
    except (WrongSetting, CannotListen, CheckpointsError) as error:
        standard_error().write(f"everturn: {error}\n")
        return 1


def work(named: Mapping[str, str]) -> int:
    """Run what waits in the background until SIGINT or SIGTERM; see `cli.worker`."""
    from everturn.server.cli.worker import work as work_here

    keep_standard_files()
    return work_here(load(named))


def number_of_workers(settings: ServerSettings) -> int:
    """Return how many processes serve; raises WrongSetting where the system cannot have them."""
    count = _processors() if settings.workers == "auto" else settings.workers
    if count == 1 or sys.platform != "win32":
        return count
    if settings.workers == "auto":
        return 1
    raise WrongSetting("EVERTURN_WORKERS: on Windows one process serves: leave it at 1")


def _processors() -> int:
    """Those that this process may use; a container's share of time is not known here."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


async def _supervise(settings: Settings, count: int, environment: Mapping[str, str]) -> int:
    task, loop = asyncio.current_task(), asyncio.get_running_loop()
    for sign in (signal.SIGINT, signal.SIGTERM):  # until there are workers
        loop.add_signal_handler(sign, lambda: task and task.cancel())
    try:
        async with _held(settings) as (port, metrics):
            # One registry of counters for all: see `server.observe.metrics`.
            environment = {**environment, FOLDER: metrics}
            with metrics_served(settings, registry_of_all(metrics)):
                return await Supervisor(settings, port, environment, count).run()
    except asyncio.CancelledError:
        return 0


@asynccontextmanager
async def _held(settings: Settings) -> AsyncIterator[tuple[SharedPort, str]]:
    """Hold what the workers share; the port first: who cannot listen should open nothing."""
    stores, server = settings.stores, settings.server
    async with AsyncExitStack() as held:
        port = SharedPort(server.host, server.port, chosen=port_chosen(settings))
        held.callback(port.close)
        if stores.local:
            folder = held.enter_context(hold_data_dir(stores.data_dir, alone=False))
            if stores.redis_url is None:
                valkey = open_embedded(folder, appendfsync=stores.appendfsync)
                await held.enter_async_context(valkey)
        yield port, held.enter_context(TemporaryDirectory(prefix="everturn-metrics-"))

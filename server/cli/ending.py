"""How a process of the service ends: told once it lets its turns end, told again it ends them.

told -> clients had better ask another process -> no more runs are taken, those under way end
-> what is left is handed over -> done
"""

import asyncio
import signal
from collections.abc import Awaitable, Callable

from structlog import get_logger

from everturn.server.runs.runs import Runs
from everturn.server.settings import ServerSettings

log = get_logger(__name__)

_LOOK_SECONDS = 0.05


class Ending:
    """The end of this process. Use it in its event loop."""

    def __init__(self, runs: Runs, settings: ServerSettings) -> None:
        self._runs = runs
        self._settings = settings
        self._told = asyncio.Event()
        self._insisted = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    def on_signal(self, sign: int, _: object = None) -> None:
        """End. Ctrl-C once more insists; SIGTERM does not: some who send it do so twice."""
        self._loop.call_soon_threadsafe(self._tell, sign)

    def _tell(self, sign: int) -> None:
        if sign == signal.SIGINT and self._told.is_set():
            self.insist()
        self._told.set()

    def insist(self) -> None:
        """End at once: what runs is handed over."""
        self._insisted.set()
        self._told.set()

    @property
    def begun(self) -> bool:
        """Whether the process is to end."""
        return self._told.is_set()

    async def told(self) -> None:
        """Wait until the process is to end."""
        await self._told.wait()

    async def wait_a_little(self) -> None:
        """Wait, as the settings say, for load balancers to see that `/ready` says no."""
        self._runs.leave_soon()
        await self._unless_insisted(asyncio.sleep(self._settings.shutdown_delay))

    async def until(self, look: Callable[[], bool], seconds: float) -> None:
        """Wait for something, but no longer than this, and not where the process is to end now."""

        async def looking() -> None:
            while not look():  # noqa: ASYNC110 - there is no event to wait for
                await asyncio.sleep(_LOOK_SECONDS)

        await self._unless_insisted(asyncio.wait_for(looking(), seconds))

    async def drain(self, waited: float = 0) -> None:
        """Take no more runs, and wait for those that are under way as long as the settings say.

        Of that time so many seconds have been `waited` already.
        """
        grace = max(0.0, self._settings.shutdown_grace - waited)
        log.info("stopping", grace=round(grace, 1), advice="Ctrl-C once more ends at once")
        draining = asyncio.ensure_future(self._runs.drain(grace))
        await self._unless_insisted(asyncio.shield(draining))
        if not draining.done():
            await self._runs.drain(0)
        await draining

    async def _unless_insisted(self, work: Awaitable[object]) -> None:
        working, waiting = asyncio.ensure_future(work), asyncio.ensure_future(self._insisted.wait())
        await asyncio.wait({working, waiting}, return_when=asyncio.FIRST_COMPLETED)
        for each in (working, waiting):
            each.cancel()
        await asyncio.gather(working, waiting, return_exceptions=True)

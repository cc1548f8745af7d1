"""Going on with what another process left undone when it died, was stopped or lost its way.

Every process says once a second that it lives. Whose word has been missing for three seconds is
dead, and one of the others takes its runs over: the database gives each run to one. Should it live
after all, it finds its threads' fences raised, and what it writes is refused.
"""

import asyncio

from structlog import get_logger

from everturn.checkpoints.errors import CheckpointsError
from everturn.checkpoints.shared.peers import HEARTBEAT_SECONDS, LEASE_SECONDS, Peers
from everturn.server.runs.runs import Runs

log = get_logger(__name__)

_LOOK_SECONDS = 60.0
"""After which the runs of the dead are looked for even if none is known to have died."""


async def watch_over(peers: Peers, runs: Runs) -> None:
    """Say that this process lives, and adopt the runs of those that do not. Never ends."""
    now = asyncio.get_running_loop().time
    alive = frozenset[str]()
    last_beat = began = now()
    # Nobody is taken for dead before all had the time to say that they live.
    looks_at = began + LEASE_SECONDS
    while True:
        try:
            living = await peers.heartbeat()
            if now() - last_beat > LEASE_SECONDS / 2 and last_beat != began:
                looks_at = now() + LEASE_SECONDS  # Redis, or we, were away: the others as well?
            elif not living >= alive:
                looks_at = min(looks_at, now())
            last_beat, alive = now(), living
            if now() >= looks_at:
                await runs.adopt(alive)
                looks_at = now() + _LOOK_SECONDS
        except CheckpointsError as error:
            log.warning("peers_not_known", error=str(error))
        except Exception:  # who ceases to beat is taken for dead
            log.exception("peers_not_watched")
        await asyncio.sleep(HEARTBEAT_SECONDS)

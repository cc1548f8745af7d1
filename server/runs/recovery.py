"""Going on with what another process left undone when it died, was stopped or lost its way.

Every process says three times in a lease (EVERTURN_LEASE) that it lives. Whose word has been
missing for a lease is dead: its runs wait again, and whoever has room takes them. Should it live
after all, it finds its threads' fences raised, and what it had yet to begin is not its own.
"""

import asyncio

from structlog import get_logger

from everturn.checkpoints.errors import CheckpointsError
from everturn.checkpoints.shared.peers import Peers
from everturn.server.runs.runs import Runs

log = get_logger(__name__)

_LOOK_SECONDS = 60.0
"""After which the runs of the dead are looked for even if none is known to have died."""


async def watch_over(peers: Peers, runs: Runs) -> None:
    """Have the runs of those that do not live taken by others. Never ends."""
    last = await peers.heartbeat()
    # No process is taken for dead before all had the time to say that they live.
    looks_at = last.at + peers.lease
    last_alive: dict[str, float] = {}
    while True:
        pulse = await peers.heartbeat()
        # Who is said to be alive had its last heartbeat within a lease.
        last_alive |= dict.fromkeys(pulse.alive, pulse.at - peers.lease)
        if pulse.at - last.at > peers.lease / 2:
            looks_at = pulse.at + peers.lease  # Redis, or we, were away: the others as well?
        elif not pulse.alive >= last.alive:
            looks_at = min(looks_at, pulse.at)
        last = pulse
        if pulse.at < looks_at:
            continue
        looks_at = pulse.at + _LOOK_SECONDS
        try:
            await runs.take_from_the_dead(pulse.alive, last_alive)
            last_alive = {name: last_alive[name] for name in pulse.alive}
        except CheckpointsError as error:
            log.warning("runs_not_taken_over", error=str(error))
            looks_at = pulse.at
        except Exception:
            log.exception("runs_not_taken_over")
            await asyncio.sleep(peers.lease)
            looks_at = pulse.at

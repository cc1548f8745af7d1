"""How long things are kept, and how much they are; looked after now and then, by every process."""

import asyncio

from structlog import get_logger

from everturn.checkpoints.housekeeping import Housekeeping
from everturn.server.observe.metrics import Metrics

log = get_logger(__name__)

_MEASURE_SECONDS = 60.0
_EACH = 60
"""Of the measures, one goes with a look for what is kept no longer."""


async def keep_house(
    house: Housekeeping,
    metrics: Metrics,
    *,
    seconds: float = _MEASURE_SECONDS,
) -> None:
    """Delete what was kept for long enough, give its room back, and measure. Never ends.

    Args:
        house: the stores.
        metrics: where it is said what they hold.
        seconds: between two measures.
    """
    turn = 0
    while True:
        try:
            if turn % _EACH == 0 and any(freed := await house.free()):
                log.info("kept_no_longer", **freed._asdict())
            await house.give_back()
            for store, size in (await house.stored())._asdict().items():
                metrics.stores.stored.labels(store).set(size)
        except Exception as error:  # what is due stays due
            log.warning("house_not_kept", error=str(error))
        turn += 1
        await asyncio.sleep(seconds)

"""How long things are kept, as the settings say; looked after now and then, by every process."""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from structlog import get_logger

from everturn.checkpoints.settings import StoreSettings
from everturn.checkpoints.sql.retention import Retention

log = get_logger(__name__)

SWEEP_SECONDS = 3600.0


@dataclass(frozen=True, slots=True)
class Freed:
    """Rows that were deleted, by what they were."""

    runs: int
    history: int
    webhooks: int


async def sweep_kept(
    rows: Retention, settings: StoreSettings, *, seconds: float = SWEEP_SECONDS
) -> None:
    """Delete what has been kept for long enough, now and every so many seconds. Never ends."""
    while True:
        try:
            freed = await free(rows, settings)
            if freed != Freed(0, 0, 0):
                log.info(
                    "kept_no_longer",
                    runs=freed.runs,
                    history=freed.history,
                    webhooks=freed.webhooks,
                )
        except Exception as error:  # what is due stays due
            log.warning("kept_not_swept", error=str(error))
        await asyncio.sleep(seconds)


async def free(rows: Retention, settings: StoreSettings) -> Freed:
    """Delete what has been kept for long enough.

    Raises:
        StoreUnavailable, StoreMisconfigured, SearchTimeout: of the database; the rest stays due.
    """
    runs, history = settings.keep_runs, settings.keep_history
    return Freed(
        runs=await rows.runs(_ago(runs)) if runs else 0,
        history=await rows.history(_ago(history)) if history else 0,
        webhooks=await rows.webhooks("delivered", _ago(settings.keep_delivered))
        + await rows.webhooks("dead", _ago(settings.keep_dead_letters)),
    )


def _ago(days: float) -> datetime:
    return datetime.now(UTC) - timedelta(days=days)

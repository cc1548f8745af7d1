"""A run that waits for a store: its time stands still, and clients learn that it takes longer."""

import asyncio

from structlog import get_logger

from everturn.checkpoints.away import Waiting
from everturn.server.runs.run import Run

log = get_logger(__name__)

_CLIENT_SECONDS = 0.3
"""The call that found it away may have taken 1.5 s, and a client is answered within 2."""
_AWAY = "A store that the run needs does not answer."


def waiting_of(run: Run, seconds: float, *, begun: bool) -> Waiting:
    """How a run waits for a store; see `Waiting`."""
    loop = asyncio.get_running_loop()
    late: list[asyncio.TimerHandle] = []

    def begins() -> None:
        log.warning("run_waits_for_store", run_id=run.row.run_id, thread_id=run.thread_id)
        late.append(loop.call_later(_CLIENT_SECONDS, run.delay, _AWAY))

    def passes(waited: float) -> None:
        deadline = run.deadline
        if deadline and not deadline.expired() and (end := deadline.when()) is not None:
            deadline.reschedule(end + waited)

    def ends() -> None:
        late.pop().cancel()
        run.delay("")

    return Waiting(seconds, begins, passes, ends, begun=begun)

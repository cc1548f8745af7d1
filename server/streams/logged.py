"""What a run came to, as its events say: one on a thread of its own leaves nothing else."""

from collections.abc import AsyncIterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import orjson

from everturn.checkpoints.shared.event_log import END, Frame

_INTERRUPT = "__interrupt__"


@dataclass(frozen=True, slots=True)
class LoggedRun:
    """A run, read from its event log."""

    run_id: str
    status: Literal["running", "success", "error"]
    state: Any
    """As a client that waited is answered; None where its stream modes did not show it."""

    @property
    def ended(self) -> bool:
        """Whether no more events will come."""
        return self.status != "running"


async def logged_run(run_id: str, frames: AsyncIterable[Frame]) -> LoggedRun | None:
    """Read a run from its events: the newest state, what it waits for, or its error.

    None where there are no events.
    """
    state: Any = None
    last, failed = "", False
    async for frame in frames:
        last = frame.name
        if frame.name == "values":
            state = _with_interrupts(state, orjson.loads(frame.data))
        elif frame.name == "error":
            failed, state = True, {"__error__": orjson.loads(frame.data)}
    if not last:
        return None
    if last != END:
        return LoggedRun(run_id, "running", state)
    return LoggedRun(run_id, "error" if failed else "success", state)


def _with_interrupts(state: Any, news: Any) -> Any:
    """Interrupts come as an event of their own, after the state in which the run waits."""
    alone = isinstance(news, Mapping) and news.keys() == {_INTERRUPT}
    return {**state, **news} if alone and isinstance(state, Mapping) else news

"""A run of this process, from its start until shortly after its end."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from langgraph.types import StateSnapshot

from everturn.checkpoints.errors import StaleWriter
from everturn.checkpoints.sql.assistants import Assistant
from everturn.checkpoints.sql.runs import COLUMNS, RunRow, RunStatus
from everturn.server.access.caller import Caller
from everturn.server.errors import (
    InvalidAnswer,
    InvalidInput,
    ShuttingDown,
    TurnTimeout,
    message_of,
)
from everturn.server.runs.request import RunRequest
from everturn.server.streams.feed import Feed
from everturn.server.turns.outcome import Outcome
from everturn.server.turns.turn import Checked

CancelAction = Literal["interrupt", "rollback"]


@dataclass(eq=False, slots=True)
class Run:
    """One run: what was asked, where its events go, and what it came to."""

    row: RunRow
    request: RunRequest
    assistant: Assistant
    feed: Feed
    ttl: int | None = None
    """Seconds its thread's checkpoints live; None keeps them."""
    of_thread: Mapping[str, Any] = field(default_factory=dict)
    """Its thread's metadata, which its checkpoints take over."""
    checked: Checked | None = None
    """What was found out before it began, where it was checked then."""
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    caller: Caller | None = None
    """Whose run it is; None is the service's own, or everybody's."""
    resumes: bool = False
    """It may have started before: it goes on from its last checkpoint, if nothing came between."""
    written: asyncio.Future[list[Any]] | None = None
    start: asyncio.TimerHandle | None = None
    """Set until its row says that it is under way."""
    ended: RunRow | None = None
    """Its row after its end, which readers see once it is committed."""
    end: asyncio.Future[list[Any]] | None = None
    """Done when its end is committed."""
    task: asyncio.Task[None] | None = None
    outcome: Outcome | None = None
    left: StateSnapshot | None = None
    """The state in which it left its thread, where it may wait for something."""
    error: BaseException | None = None
    error_id: str = ""
    """Names the error in the log."""
    held: bool = False
    """It had its thread: only then has it a say in the thread's status."""
    cancelled: CancelAction | None = None
    done: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def thread_id(self) -> str:
        """The thread it runs on."""
        return self.row.thread_id

    @property
    def on_own_thread(self) -> bool:
        """Whether its thread is its own, and goes with it."""
        return not (self.request.lasting or self.request.without_memory)

    @property
    def status(self) -> RunStatus:
        """What its row says after its end."""
        if self.cancelled is not None:
            return "interrupted"
        if isinstance(self.error, TurnTimeout):
            return "timeout"
        return "error" if self.error else "success"

    @property
    def goes_on_elsewhere(self) -> bool:
        """Another process takes it over, or the next one here; or one has done so already.

        A client that waited for its turn was told to ask again: then it would be run twice.
        """
        if isinstance(self.error, ShuttingDown):
            return self.request.recorded and not self.request.interactive
        return self.request.recorded and isinstance(self.error, StaleWriter)

    @property
    def failure(self) -> dict[str, str]:
        """How it failed, as LangGraph's clients read it: the error's class and text."""
        error = self.error
        plain = isinstance(error, InvalidAnswer)  # its text says what to do; its cause does not
        if isinstance(error, InvalidInput) and error.__cause__ is not None and not plain:
            error = error.__cause__
        return {"error": type(error).__name__, "message": _text(error), "error_id": self.error_id}

    @property
    def final_state(self) -> Any:
        """What a client that waited is answered: the state, what it waits for, or the error."""
        if self.error is not None:
            return {"__error__": self.failure}
        return {} if self.outcome is None else self.outcome.state

    def stop(self, action: CancelAction = "interrupt") -> None:
        """Ask the run to end; `rollback` undoes what it did."""
        if self.cancelled is None and self.task is not None:
            self.cancelled = action
            # A task that is cancelled before its first step never takes it, and the end would not
            # be stored: until then the run looks at `cancelled` itself.
            if self.feed.end.number:
                self.task.cancel()

    def webhook_payload(self) -> Mapping[str, Any]:
        """What a webhook says of its end, as LangGraph's server says it."""
        values = self.outcome.values if self.outcome else None
        error = self.failure if self.error else None
        return _payload(self.row, self.status, self.started_at, values, error)


def lost_payload(row: RunRow, failure: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a webhook says of a run that cannot go on."""
    return _payload(row, "error", row.created_at, None, failure)


def _payload(
    row: RunRow,
    status: RunStatus,
    started_at: datetime,
    values: Any,
    error: Mapping[str, Any] | None,
) -> Mapping[str, Any]:
    now = datetime.now(UTC)
    return {
        **{name: getattr(row, name) for name in COLUMNS},
        "status": status,
        "updated_at": now,
        "run_started_at": started_at,
        "run_ended_at": now,
        "webhook_sent_at": now,
        "values": values,
        "error": error,
    }


def _text(error: BaseException | None) -> str:
    try:
        return message_of(error)
    except Exception as nested:  # of its own `__str__`
        return f"Its text cannot be made: {type(nested).__name__}"

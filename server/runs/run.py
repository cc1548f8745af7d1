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
from everturn.server.errors import InvalidInput, ShuttingDown, TurnTimeout
from everturn.server.runs.request import RunRequest
from everturn.server.streams.feed import Feed
from everturn.server.turns.outcome import Outcome

CancelAction = Literal["interrupt", "rollback"]


@dataclass(eq=False, slots=True)
class Running:
    """A run of this process, until shortly after its end."""

    row: RunRow
    request: RunRequest
    assistant: Assistant
    feed: Feed
    began: datetime = field(default_factory=lambda: datetime.now(UTC))
    resumes: bool = False
    """It may have begun before: it goes on from its last checkpoint, if nothing came between."""
    written: asyncio.Future[list[Any]] | None = None
    task: asyncio.Task[None] | None = None
    outcome: Outcome | None = None
    stands: StateSnapshot | None = None
    """The state in which it left its thread to the next one, where that waits for something."""
    error: BaseException | None = None
    error_id: str = ""
    """By which the log knows the error."""
    cancelled: CancelAction | None = None
    done: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def thread_id(self) -> str:
        """The thread it runs on."""
        return self.row.thread_id

    @property
    def status(self) -> RunStatus:
        """What its end makes of it."""
        if self.cancelled is not None:
            return "interrupted"
        if isinstance(self.error, TurnTimeout):
            return "timeout"
        return "error" if self.error else "success"

    @property
    def goes_on_elsewhere(self) -> bool:
        """Another process takes it over, or the next one here; or one has done so already."""
        return self.request.recorded and isinstance(self.error, ShuttingDown | StaleWriter)

    @property
    def told(self) -> dict[str, str]:
        """How it failed, in LangGraph's words: the error's class and text."""
        error = self.error
        if isinstance(error, InvalidInput) and error.__cause__ is not None:
            error = error.__cause__
        return {"error": type(error).__name__, "message": _words(error), "error_id": self.error_id}

    def last_words(self) -> Mapping[str, Any]:
        """What a webhook tells of its end, in LangGraph's words."""
        return {
            **{name: getattr(self.row, name) for name in COLUMNS},
            "run_started_at": self.began,
            "run_ended_at": self.row.updated_at,
            "webhook_sent_at": datetime.now(UTC),
            "values": self.outcome.values if self.outcome else None,
            "error": self.told if self.error else None,
        }


def _words(error: BaseException | None) -> str:
    try:
        return str(error)
    except Exception as nested:  # of its own `__str__`
        return f"It cannot be told: {type(nested).__name__}"

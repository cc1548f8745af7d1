"""A run of this process, from its start until shortly after its end."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from time import monotonic
from typing import Any, Literal

from langchain_core.callbacks import BaseCallbackHandler
from langgraph.types import StateSnapshot

from everturn.checkpoints.errors import StaleWriter, StoreUnavailable
from everturn.checkpoints.sql.assistants import Assistant
from everturn.checkpoints.sql.runs import RunRow, RunStatus
from everturn.server.access.caller import Caller
from everturn.server.access.run_budget import RunBudget
from everturn.server.errors import (
    InvalidAnswer,
    InvalidInput,
    ShuttingDown,
    TurnTimeout,
    message_of,
)
from everturn.server.runs.injection import Inbox
from everturn.server.runs.request import RunRequest
from everturn.server.streams.feed import Feed
from everturn.server.turns.outcome import Call, Outcome
from everturn.server.turns.turn import Checked

CancelAction = Literal["interrupt", "rollback"]

_KEPT = "This turn is kept, and goes on by itself: its answer will be found in its thread."
_UNSTORED = "The service is being stopped, and the database does not answer."


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
    fresh: bool = False
    """Nothing has happened on its thread before."""
    checked: Checked | None = None
    """What was found out before it began, where it was checked then."""
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    asked_at: float = field(default_factory=monotonic)
    first_token: float | None = None
    """Seconds from then to the first token that was streamed."""
    caller: Caller | None = None
    """Whose run it is; None is the service's own, or everybody's."""
    budget: RunBudget | None = None
    """What it may spend, while it is under way."""
    resumes: bool = False
    """It may have started before: it goes on from its last checkpoint, if nothing came between."""
    written: asyncio.Future[list[Any]] | None = None
    had_at: float = field(default_factory=monotonic)
    """When it was this process' run for sure, by the monotonic clock."""
    taken: bool = False
    """It was taken out of those that wait: nothing comes before it on its thread."""
    behind: bool = False
    """Others of its thread had not ended when its row was written."""
    lets_pass: bool = False
    """It waits for runs that ask for no lock yet: who comes after it must, too."""
    has_slot: Literal["client", "background"] | None = None
    """Its part of what may be under way at once; see `slots`."""
    start: asyncio.TimerHandle | None = None
    """Set until its row says that it is under way."""
    ended: RunRow | None = None
    """Its row after its end, which readers see once it is committed."""
    end: asyncio.Future[list[Any]] | None = None
    """Done when its end is committed; what it came to is certain as soon as there is one."""
    unstored: bool = False
    """The service ends before its end could be committed: it is left to be found in its thread."""
    task: asyncio.Task[None] | None = None
    outcome: Outcome | None = None
    made: Outcome = field(default_factory=Outcome)
    """What it has come to so far, which `outcome` is once it has ended by itself."""
    left: StateSnapshot | None = None
    """The state in which it left its thread, where it may wait for something."""
    error: BaseException | None = None
    error_id: str = ""
    """Names the error in the log."""
    callbacks: Sequence[BaseCallbackHandler] = ()
    """What its graph is run with, where it is traced."""
    held: bool = False
    """It had its thread: only then has it a say in the thread's status."""
    inbox: Inbox = field(default_factory=Inbox)
    """Messages that came for it while it was under way."""
    cancelled: CancelAction | None = None
    done: asyncio.Event = field(default_factory=asyncio.Event)
    deadline: asyncio.Timeout | None = None
    """Of its turn, while it has its thread."""
    delayed: str = ""
    """Which store it waits for, where that is away for longer than a client waits."""
    answerable: asyncio.Event = field(default_factory=asyncio.Event)
    """Set while it is done, or delayed."""

    async def stored(self) -> None:
        """Wait until it is done.

        Raises:
            StoreUnavailable: a store is away; the run is kept, and goes on when that is back.
        """
        while not self.done.is_set():
            await self.answerable.wait()
            if self.delayed:
                raise StoreUnavailable(f"{self.delayed} {_KEPT}")
        if self.unstored:
            raise StoreUnavailable(f"{_UNSTORED} {_KEPT}")

    def delay(self, store: str) -> None:
        """Say which store it waits for; nothing where it waits no longer."""
        self.delayed = store
        if store or self.done.is_set():
            self.answerable.set()
        else:
            self.answerable.clear()

    def finish(self) -> None:
        """Let all go on who wait for its end."""
        self.delayed = ""
        self.done.set()
        self.answerable.set()

    @property
    def thread_id(self) -> str:
        """The thread it runs on."""
        return self.row.thread_id

    @property
    def refused(self) -> bool:
        """Whether its row could not be written: it never began, and its client was told so."""
        written = self.written
        return written is not None and written.done() and written.exception() is not None

    @property
    def turned_away(self) -> bool:
        """Whether a store was away before it began: its client was told so, and asks again."""
        away = isinstance(self.error, StoreUnavailable) and self.cancelled is None
        return away and self.request.interactive and not (self.held or self.resumes)

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
        if self.unstored:
            return True
        if isinstance(self.error, ShuttingDown):
            return self.may_be_handed_over
        return self.request.recorded and isinstance(self.error, StaleWriter)

    @property
    def may_be_handed_over(self) -> bool:
        """Whether another process may go on with it: who waits for it finds it there."""
        request = self.request
        awaited = request.interactive and not (request.background or request.idempotent)
        return request.recorded and not awaited

    @property
    def failure(self) -> dict[str, str]:
        """How it failed, as LangGraph's clients read it: the error's class and text."""
        error = self.error
        plain = isinstance(error, InvalidAnswer)  # its text says what to do; its cause does not
        if isinstance(error, InvalidInput) and error.__cause__ is not None and not plain:
            error = error.__cause__
        return {"error": type(error).__name__, "message": text_of(error), "error_id": self.error_id}

    @property
    def calls(self) -> list[Call]:
        """The calls of models that it made, however it ended."""
        return list(self.made.new_calls(self.error))

    @property
    def final_state(self) -> Any:
        """What a client that waited is answered: the state, what it waits for, or the error."""
        if self.error is not None:
            return {"__error__": self.failure}
        return {} if self.outcome is None else self.outcome.state

    def speaks(self) -> None:
        """Note that it streams a token; the first one counts."""
        if self.first_token is None:
            self.first_token = monotonic() - self.asked_at

    def stop(self, action: CancelAction = "interrupt") -> None:
        """Ask the run to end; `rollback` undoes what it did.

        Nothing happens where it has come to its end, which only is to be stored.
        """
        if self.cancelled is None and self.task is not None and self.end is None:
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
        **row.to_json(),
        "status": status,
        "updated_at": now,
        "run_started_at": started_at,
        "run_ended_at": now,
        "webhook_sent_at": now,
        "values": values,
        "error": error,
    }


def text_of(error: BaseException | None) -> str:
    """Return an error's text, whatever it does when it is asked for it."""
    try:
        return message_of(error)
    except Exception as nested:  # of its own `__str__`
        return f"Its text cannot be made: {type(nested).__name__}"

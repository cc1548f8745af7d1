"""Chat sessions: threads with a lifetime and a context, and what is asked in them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from langchain_core.messages import AnyMessage

from everturn.checkpoints.sql.history import History
from everturn.checkpoints.sql.threads import Filter, Thread, ThreadTable, new_session
from everturn.server.errors import InvalidInput, NothingWaits, SessionNotFound, ThreadNotFound
from everturn.server.projects.graphs import Graphs
from everturn.server.resources.approvals import (
    Decision,
    WaitingCall,
    answer_with,
    approval_in,
    calls_in,
)
from everturn.server.resources.threads import Threads
from everturn.server.runs.request import RunRequest
from everturn.server.streams.modes import SUMMARY, StreamMode
from everturn.server.turns.memory import ThreadMemory, Waiting

CHAT_MODES: tuple[StreamMode | Literal["summary"], ...] = (
    "messages-tuple",
    "updates",
    "custom",
    SUMMARY,
)
"""What a chat stream is made of."""

_CHOICES = "choices"
"""In the metadata of a turn's checkpoints: its context, as JSON, for when it is resumed."""


@dataclass(frozen=True, slots=True)
class Question:
    """One message of a user, and what was chosen for its turn."""

    text: str
    session_id: str | None
    agent: str
    choices: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to what a session waits for: decisions on calls, or anything else."""

    decisions: list[Decision] | None = None
    value: Any = None


class Sessions:
    """Makes and finds sessions, and says what a message or an answer in one asks to be run."""

    def __init__(
        self,
        table: ThreadTable,
        threads: Threads,
        memory: ThreadMemory,
        history: History,
        graphs: Graphs,
        *,
        lifetime: int,
        window: int,
        max_message_length: int,
    ) -> None:
        """Wire it up: `lifetime` in seconds, `window` in messages, the length in characters."""
        self._table = table
        self._threads = threads
        self._memory = memory
        self._history = history
        self._graphs = graphs
        self._lifetime = lifetime
        self._window = window
        self._max_message_length = max_message_length

    async def create(self, context: Mapping[str, Any]) -> Thread:
        """Make a session; `context` is kept with it."""
        session = new_session(None, context, lifetime=self._lifetime)
        await self._table.create(session)
        return session

    async def get(self, session_id: str) -> Thread:
        """Return a session, or any other thread.

        Raises:
            SessionNotFound: there is none of this id, or it has expired.
        """
        try:
            return await self._threads.row(session_id)
        except ThreadNotFound:
            raise _not_found(session_id) from None

    async def lives(self, session_id: str) -> bool:
        """Say whether there is a session of this id that has not expired."""
        session = await self._table.get(session_id)
        return session is not None and not session.has_expired

    async def page(self, limit: int, offset: int) -> tuple[list[Thread], int]:
        """Return one page of the living sessions, newest first, and count all of them."""
        living = Filter(sessions=True)
        page = await self._table.search(living, limit=limit, offset=offset, sort_by="created_at")
        return page, await self._table.count(living)

    async def question(
        self, question: Question, door: str, *, stream: bool
    ) -> tuple[RunRequest, Thread]:
        """Return what a message asks to be run, and its session; one without an id is new.

        Raises:
            GraphNotFound, InvalidInput, SessionNotFound: nothing was written.
        """
        if len(question.text) > self._max_message_length:
            raise InvalidInput(
                f"message: {len(question.text)} characters; "
                f"at most {self._max_message_length} are taken."
            )
        graph = self._graphs.fixed(question.agent)  # a factory's graph is known when it is made
        if graph is not None and "messages" not in graph.channels:
            raise InvalidInput(f"agent: {question.agent!r} keeps no messages; run it with /invoke.")
        fields = self._graphs.context_fields(question.agent)
        choices = {"window": self._window, **question.choices}
        context = {name: value for name, value in choices.items() if name in fields}
        request = RunRequest(
            assistant_id=question.agent,
            thread_id=question.session_id,
            input={"messages": [_from_user(question.text)]},
            context=context,
            config={"metadata": {_CHOICES: json.dumps(context)}},
            stream_mode=CHAT_MODES if stream else (),
            on_disconnect="cancel" if stream else "continue",
            history=True,
            interactive=True,
            door=door,
        )
        if question.session_id is None:
            return request, new_session(None, {}, lifetime=self._lifetime)
        return request, await self.get(question.session_id)

    async def answer(
        self, session_id: str, answer: Answer, door: str, *, stream: bool
    ) -> tuple[RunRequest, Thread]:
        """Return what an answer asks to be run: to go on, with the choices of the turn that waits.

        Raises:
            SessionNotFound: there is none of this id, or it has expired.
            NothingWaits: no turn of the session waits.
            InvalidInput: the answer does not fit what waits.
        """
        session = await self.get(session_id)
        waiting = await self._memory.waiting(session_id)
        if waiting is None:
            raise NothingWaits(f"No turn of the session {session_id!r} waits for an answer.")
        interrupt_id, value = _resumption(waiting, answer)
        choices = waiting.metadata.get(_CHOICES)
        request = RunRequest(
            assistant_id=waiting.graph,
            thread_id=session_id,
            command={"resume": {interrupt_id: value}},
            context=json.loads(choices) if choices else {},
            config={"metadata": {_CHOICES: choices}} if choices else {},
            stream_mode=CHAT_MODES if stream else (),
            on_disconnect="cancel" if stream else "continue",
            answers=interrupt_id,
            history=True,
            interactive=True,
            door=door,
        )
        return request, session

    async def waiting_calls(self, session_id: str) -> list[WaitingCall]:
        """Return the tool calls of a session that wait to be approved."""
        waiting = await self._memory.waiting(session_id)
        return calls_in(waiting.interrupts) if waiting else []

    async def messages(self, session_id: str) -> list[AnyMessage]:
        """Return everything said in a session, oldest first."""
        return await self._memory.messages(session_id)

    async def delete(self, session_id: str) -> None:
        """Cancel what runs in a session and delete it whole, or what is left of one that expired.

        Raises:
            ThreadBusy: what runs would not end; nothing was deleted.
            SessionNotFound: there was none of this id.
        """
        try:
            await self._threads.delete(session_id)
        except ThreadNotFound:
            if not await self._history.delete(session_id):
                raise _not_found(session_id) from None


def _resumption(waiting: Waiting, answer: Answer) -> tuple[str, Any]:
    """Match an answer to one of the interrupts that wait."""
    asking = approval_in(waiting.interrupts)
    if answer.decisions is not None:
        if asking is None:
            raise InvalidInput("decisions: no tool call waits, but a question: give `answer`.")
        return asking.id, answer_with(asking, answer.decisions)
    if asking is not None:
        raise InvalidInput("answer: tool calls wait for approval: give `decisions`.")
    if len(waiting.interrupts) > 1:
        raise InvalidInput("answer: more than one question waits: answer them with /invoke.")
    return waiting.interrupts[0].id, answer.value


def _from_user(text: str) -> dict[str, Any]:
    """Return a message as plain JSON: the run's row keeps it."""
    said_at = {"timestamp": datetime.now(UTC).isoformat()}
    return {"type": "human", "content": text, "additional_kwargs": said_at}


def _not_found(session_id: str) -> SessionNotFound:
    return SessionNotFound(
        f"The session {session_id!r} was not found, or it has expired: begin one with "
        "POST /api/chat/session, or send the message without a session_id."
    )

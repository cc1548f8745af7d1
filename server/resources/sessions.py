"""Chat sessions: threads with a lifetime and a context, and what is asked in them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Literal

from langchain_core.messages import AnyMessage

from everturn.checkpoints.sql.history import FinishedTurn, History
from everturn.checkpoints.sql.matches import Match
from everturn.checkpoints.sql.threads import Filter, Thread, ThreadTable, new_session
from everturn.server.access.access import Access, rule_id
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
from everturn.server.runs.execution import THREAD_METADATA
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
        access: Access,
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
        self._access = access
        self._lifetime = lifetime
        self._window = window
        self._max_message_length = max_message_length

    async def create(self, context: Mapping[str, Any]) -> Thread:
        """Make a session; `context` is kept with it."""
        session = new_session(None, context, lifetime=self._lifetime)
        session, _ = await self._threads.permitted(session)
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

    async def page(self, limit: int, offset: int) -> tuple[list[Thread], int]:
        """Return one page of the living sessions, newest first, and count all of them."""
        asked: dict[str, Any] = {
            "metadata": {},
            "values": {},
            "status": None,
            "limit": limit,
            "offset": offset,
        }
        allowed = await self._access.allowed("threads", "search", asked)
        living = Filter(sessions=True, metadata=asked["metadata"] or {}, allowed=allowed)
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
            new = new_session(None, {}, lifetime=self._lifetime)
            return request, (await self._threads.permitted(new))[0]
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
            allowed = await self._access.allowed(
                "threads", "delete", {"thread_id": rule_id(session_id)}
            )
            if not await self._had_turns(session_id, allowed):
                raise _not_found(session_id) from None
            await self._history.delete(session_id)

    async def history(
        self, session_id: str, *, limit: int, before: int | None
    ) -> tuple[list[FinishedTurn], bool]:
        """Return the newest `limit` turns of a session before an id, and whether there are older.

        They are there when the session has ended, too.

        Raises:
            SessionNotFound: there never was a turn, nor a session that lives.
        """
        allowed = await self._access.allowed("threads", "read", {"thread_id": rule_id(session_id)})
        turns, more = await self._history.page(session_id, limit=limit, before=before)
        session = await self._table.get(session_id)
        lives = session is not None and not session.has_expired and allowed.fits(session.metadata)
        if not lives and not await self._had_turns(session_id, allowed):
            raise SessionNotFound(
                f"There is no history of a session {session_id!r}: "
                "it never was, or it expired without a finished turn."
            )
        shown = [
            turn
            for turn in turns
            # The id may have been another session's before.
            if _belongs(turn, allowed) or (lives and THREAD_METADATA not in turn.metadata)
        ]
        return [_public(turn) for turn in shown], more

    async def _had_turns(self, session_id: str, allowed: Match) -> bool:
        """Say whether there is a turn of a session that is the caller's."""
        newest, _ = await self._history.page(session_id, limit=1)
        return any(_belongs(turn, allowed) for turn in newest)


def _belongs(turn: FinishedTurn, allowed: Match) -> bool:
    """Say whether a turn is the caller's: the session, which said so, may be gone."""
    return allowed.fits(turn.metadata.get(THREAD_METADATA) or {})


def _public(turn: FinishedTurn) -> FinishedTurn:
    shown = {key: each for key, each in turn.metadata.items() if key != THREAD_METADATA}
    return replace(turn, metadata=shown)


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
        f"There is no session {session_id!r}, or it has expired: begin one with "
        "POST /api/chat/session, or send the message without a session_id."
    )

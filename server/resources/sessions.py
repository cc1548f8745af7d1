"""Chat sessions: threads with a lifetime and a context, and what is asked in them."""

import json
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple

from langchain_core.messages import AnyMessage

from everturn.checkpoints.errors import ListTooLarge
from everturn.checkpoints.sql.history import FinishedTurn, History, Totals
from everturn.checkpoints.sql.pages import FEW
from everturn.checkpoints.sql.threads import Filter, Thread, ThreadTable, new_session
from everturn.server.access.access import Access, rule_id
from everturn.server.errors import InvalidInput, NothingWaits, SessionNotFound, ThreadNotFound
from everturn.server.observe.audit import audit
from everturn.server.projects.graphs import Graphs
from everturn.server.resources.approvals import (
    Decision,
    Flaws,
    WaitingCall,
    answer_with,
    calls_in,
    decided_in,
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

_PAGE = 500
_TURNS = 100
"""What an export reads at once."""
_TITLE = 80
"""Characters, at most."""
_CHOICES = "choices"
"""In the metadata of a turn's checkpoints: its context, as JSON, for when it is resumed."""


@dataclass(frozen=True, slots=True)
class Question:
    """One message of a user, and what was chosen for its turn."""

    content: str | list[dict[str, Any]]
    """Words, or blocks of words, pictures and files."""
    session_id: str | None
    agent: str | None
    """The graph that answers; none: the default."""
    choices: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to what a session waits for: decisions on calls, or anything else."""

    decisions: list[Decision] | None = None
    value: Any = None


class Session(NamedTuple):
    """A session, and what its finished turns come to."""

    thread: Thread
    totals: Totals

    @property
    def title(self) -> str | None:
        """The beginning of its first message, on one line; `None` before the first turn."""
        words = " ".join((self.totals.first_message or "").split())
        return (words if len(words) <= _TITLE else f"{words[: _TITLE - 1]}…") or None


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
        flaws: Flaws,
        characters: Callable[[Any], int],
        *,
        lifetime: int,
        window: int,
        max_message_length: int,
    ) -> None:
        """Wire it up: `lifetime` in seconds, `window` in messages, the length in characters.

        `flaws` says what is wrong with the arguments of a tool call, `characters` how many a
        message's content has.
        """
        self._table = table
        self._threads = threads
        self._memory = memory
        self._history = history
        self._graphs = graphs
        self._access = access
        self._flaws = flaws
        self._characters = characters
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

    async def kept(self, session_id: str) -> Thread:
        """Return a session, also one that has ended.

        Raises:
            SessionNotFound: there is none of this id, or it ended without a finished turn.
        """
        asked = {"thread_id": rule_id(session_id)}
        allowed = await self._access.allowed("threads", "read", asked)
        thread = await self._table.get(session_id)
        if thread is None or thread.has_expired:
            newest, _ = await self._history.page(session_id, limit=1)
            thread = (thread or _without_row(newest[0])) if newest else None
        if thread is None or not allowed.fits(thread.metadata):
            raise SessionNotFound(
                f"There is no history of a session {session_id!r}: "
                "it never was, was deleted, or expired without a finished turn."
            )
        return thread

    async def summed_up(self, *threads: Thread) -> list[Session]:
        """Say of sessions what their turns come to."""
        totals = await self._history.totals([thread.thread_id for thread in threads])
        return [Session(thread, totals.get(thread.thread_id, Totals())) for thread in threads]

    async def page(
        self, limit: int, offset: int, *, ended: bool | None = None
    ) -> tuple[list[Session], int]:
        """Return one page of the sessions, the last used first, and count all of them.

        With `ended` only those that have ended, or only those that have not.
        """
        asked: dict[str, Any] = {
            "metadata": {},
            "values": {},
            "status": None,
            "limit": limit,
            "offset": offset,
        }
        allowed = await self._access.allowed("threads", "search", asked)
        metadata = asked["metadata"] or {}
        wanted = Filter(sessions=True, ended=ended, metadata=metadata, allowed=allowed)
        page = await self._table.search(wanted, limit=limit, offset=offset, sort_by="updated_at")
        total = await self._table.count(wanted)
        # Some may have been deleted since the page was read.
        return await self.summed_up(*page), max(total, offset + len(page) if page else 0)

    async def history(
        self, session_id: str, *, limit: int, before: int | None = None
    ) -> tuple[list[FinishedTurn], bool]:
        """Read the newest `limit` turns older than `before`, and whether there are older ones.

        Raises:
            SessionNotFound: there is no such session, or it ended without a finished turn.
        """
        await self.kept(session_id)
        return await self._history.page(session_id, limit=limit, before=before)

    async def export(self, session_id: str) -> tuple[Session, AsyncGenerator[FinishedTurn]]:
        """Return a session, also one that has ended, and all its finished turns.

        Raises:
            SessionNotFound: there is none of this id, or it ended without a finished turn.
        """
        (session,) = await self.summed_up(await self.kept(session_id))
        audit("session.exported", target=session_id)
        return session, self.all_turns(session_id)

    async def all_turns(self, session_id: str) -> AsyncGenerator[FinishedTurn]:
        """Read all finished turns of a session that is `kept`, oldest first, page by page."""
        last, limit = 0, _TURNS
        while True:
            try:
                page = await self._history.after(session_id, last, limit=limit)
            except ListTooLarge:
                limit = FEW
                continue
            for turn in page:
                yield turn
            if len(page) < limit:
                return
            last = page[-1].id or 0

    async def question(
        self, question: Question, door: str, *, stream: bool
    ) -> tuple[RunRequest, Thread]:
        """Return what a message asks to be run, and its session; one without an id is new.

        Raises:
            GraphNotFound, InvalidInput, SessionNotFound: nothing was written.
        """
        if (length := self._characters(question.content)) > self._max_message_length:
            raise InvalidInput(
                f"message: {length} characters; at most {self._max_message_length} are taken."
            )
        agent = self._graphs.chosen(question.agent, "agent")
        graph = self._graphs.fixed(agent)  # a factory's graph is known when it is made
        if graph is not None and "messages" not in graph.channels:
            raise InvalidInput(f"agent: {agent!r} keeps no messages; run it with /invoke.")
        fields = self._graphs.context_fields(agent)
        choices = {"window": self._window, **question.choices}
        context = {name: value for name, value in choices.items() if name in fields}
        request = RunRequest(
            assistant_id=agent,
            thread_id=question.session_id,
            input={"messages": [_from_user(question.content)]},
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
        interrupt_id, value = _resumption(waiting, answer, self._flaws)
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
        """Cancel what runs in a session and delete it whole, or what is left of one that ended.

        Raises:
            ThreadBusy: what runs would not end; nothing was deleted.
            SessionNotFound: there was none of this id.
        """
        try:
            await self._threads.delete(session_id)
        except ThreadNotFound:
            if not await self._delete_ended(session_id):
                raise _not_found(session_id) from None

    async def delete_all(self, *, ended: bool | None = None) -> int:
        """Delete the sessions that there are now, as `delete` does; returns how many there were.

        Raises:
            ThreadBusy: what runs in one of them would not end; those before it are gone.
        """
        asked: dict[str, Any] = {"metadata": {}}
        allowed = await self._access.allowed("threads", "delete", asked)
        wanted = Filter(
            sessions=True, ended=ended, metadata=asked["metadata"] or {}, allowed=allowed
        )
        found: list[str] = []
        while page := await self._table.ids(wanted, limit=_PAGE, offset=len(found)):
            found += page
        deleted = 0
        for session_id in found:
            with suppress(SessionNotFound):  # another client was faster
                await self.delete(session_id)
                deleted += 1
        return deleted

    async def _delete_ended(self, session_id: str) -> bool:
        """Delete the row and the history of a session that has ended; `False` if there is none."""
        asked = {"thread_id": rule_id(session_id)}
        allowed = await self._access.allowed("threads", "delete", asked)
        thread = await self._table.get(session_id)
        if not allowed.fits(thread.metadata if thread else {}):
            return False
        if thread:
            async with self._threads.idle(session_id):
                await self._threads.forget(session_id)
        turns = await self._history.delete(session_id)
        if there := thread is not None or turns > 0:
            audit("thread.deleted", target=session_id)
        return there


def _without_row(newest: FinishedTurn) -> Thread:
    """Describe a session that ended before rows were kept, by its newest turn."""
    moment = newest.created_at
    session = new_session(newest.session_id, {}, lifetime=0, created_at=moment, expires_at=moment)
    return replace(session, kind="ended")


def _resumption(waiting: Waiting, answer: Answer, flaws: Flaws) -> tuple[str, Any]:
    """Match an answer to one of the interrupts that wait."""
    asking = decided_in(waiting.interrupts, answer.decisions or ())
    if answer.decisions is not None:
        if asking is None:
            raise InvalidInput("decisions: no tool call waits, but a question: give `answer`.")
        return asking.id, answer_with(asking, answer.decisions, flaws)
    if asking is not None:
        raise InvalidInput("answer: tool calls wait for approval: give `decisions`.")
    if len(waiting.interrupts) > 1:
        raise InvalidInput("answer: more than one question waits: answer them with /invoke.")
    return waiting.interrupts[0].id, answer.value


def _from_user(content: str | list[dict[str, Any]]) -> dict[str, Any]:
    """Return a message as plain JSON: the run's row keeps it."""
    said_at = {"timestamp": datetime.now(UTC).isoformat()}
    return {"type": "human", "content": content, "additional_kwargs": said_at}


def _not_found(session_id: str) -> SessionNotFound:
    return SessionNotFound(
        f"The session {session_id!r} was not found, or it has expired: begin one with "
        "POST /api/chat/session, or send the message without a session_id."
    )

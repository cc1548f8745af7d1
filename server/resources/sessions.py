"""Chat sessions on top of the engine: a session is a thread with a lifetime and a context."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from langchain_core.messages import AnyMessage, HumanMessage
from langgraph.types import Command, StreamMode

from everturn.checkpoints.sessions import Session, Sessions
from everturn.server.errors import InvalidInput, NothingWaits, SessionNotFound
from everturn.server.resources.approvals import (
    Decision,
    WaitingCall,
    answer_with,
    approval_in,
    calls_in,
)
from everturn.server.turns.engine import Engine, Turn, Waiting

_CHOICES = "choices"
"""In the metadata of a turn's checkpoints: its context, as JSON, for when it is resumed."""


@dataclass(frozen=True, slots=True)
class Question:
    """One message of a user, and what was chosen for its turn."""

    text: str
    session_id: str | None
    agent: str
    choices: Mapping[str, Any]
    stream_modes: Sequence[StreamMode] = ()


@dataclass(frozen=True, slots=True)
class Resumption:
    """The answer to what a session waits for: decisions on calls, or anything else."""

    session_id: str
    decisions: Sequence[Decision] | None = None
    answer: Any = None
    stream_modes: Sequence[StreamMode] = ()


class Conversations:
    """Begins turns in sessions and shows what sessions hold."""

    def __init__(
        self,
        engine: Engine,
        sessions: Sessions,
        *,
        ttl: int,
        window: int,
        max_message_length: int,
    ) -> None:
        """Wire it up: `ttl` in seconds, `window` in messages, the length in characters."""
        self._engine = engine
        self._sessions = sessions
        self._ttl = ttl
        self._window = window
        self._max_message_length = max_message_length

    async def begin(self, question: Question) -> tuple[Turn, str | None]:
        """Check a question, open or renew its session, and return its turn and first candidate.

        Raises:
            GraphNotFound, InvalidInput, SessionNotFound: nothing was written.
        """
        if len(question.text) > self._max_message_length:
            raise InvalidInput(
                f"message: {len(question.text)} characters; "
                f"at most {self._max_message_length} are taken."
            )
        graphs = self._engine.graphs
        graph = graphs.fixed(question.agent)  # a factory's graph is known when it is made
        if graph is not None and "messages" not in graph.channels:
            raise InvalidInput(f"agent: {question.agent!r} keeps no messages; run it with /invoke.")
        fields = graphs.context_fields(question.agent)
        choices = {"window": self._window, **question.choices}
        context = {name: value for name, value in choices.items() if name in fields}
        turn = Turn(
            graph=question.agent,
            input={"messages": [_from_user(question.text)]},
            context=context,
            config={"metadata": {_CHOICES: json.dumps(context)}},
            stream_modes=question.stream_modes,
            ttl=self._ttl,
        )
        candidates = self._engine.check(turn).candidates
        session = await self._session(question.session_id)
        return replace(turn, thread_id=session.id), next(iter(candidates), None)

    async def resume(self, resumption: Resumption) -> tuple[Turn, str | None]:
        """Return the turn that goes on with an answer, and its first candidate.

        It goes on with the choices with which it began.

        Raises:
            SessionNotFound: there is none of this id, or it has expired.
            NothingWaits: no turn of the session waits.
            InvalidInput: the answer does not fit what waits.
        """
        session = await self._session(resumption.session_id)
        waiting = await self._engine.waiting(session.id)
        if waiting is None:
            raise NothingWaits(f"No turn of the session {session.id!r} waits for an answer.")
        interrupt_id, value = _answer(waiting, resumption)
        choices = waiting.metadata.get(_CHOICES)
        turn = Turn(
            graph=waiting.graph,
            input=Command(resume={interrupt_id: value}),
            thread_id=session.id,
            context=json.loads(choices) if choices else {},
            config={"metadata": {_CHOICES: choices}} if choices else {},
            stream_modes=resumption.stream_modes,
            ttl=self._ttl,
            answers=interrupt_id,
        )
        return turn, next(iter(self._engine.check(turn).candidates), None)

    async def waiting_calls(self, session_id: str) -> list[WaitingCall]:
        """Return the tool calls of a session that wait to be approved."""
        waiting = await self._engine.waiting(session_id)
        return calls_in(waiting.interrupts) if waiting else []

    async def messages(self, session_id: str) -> tuple[Session, list[AnyMessage]]:
        """Return a session and everything said in it, oldest first.

        Raises:
            SessionNotFound: there is none of this id, or it has expired.
        """
        session = await self._sessions.get(session_id)
        if session is None:
            raise _not_found(session_id)
        return session, await self._engine.messages(session_id)

    async def delete(self, session_id: str) -> None:
        """Forget a session, its memory and its history, once no turn runs in it.

        Raises:
            ThreadBusy: a turn ran on for longer than one waits; nothing was deleted.
            SessionNotFound: there was none of this id.
        """
        async with self._engine.alone(session_id):
            known = await self._sessions.delete(session_id)
            # An id of neither is perhaps a thread's of the other API: not ours to forget.
            if not (known or await self._engine.has_history(session_id)):
                raise _not_found(session_id)
            await self._engine.forget(session_id)

    async def _session(self, session_id: str | None) -> Session:
        if session_id is None:
            return await self._sessions.create({})
        session = await self._sessions.touch(session_id)
        if session is None:
            raise _not_found(session_id)
        return session


def _answer(waiting: Waiting, resumption: Resumption) -> tuple[str, Any]:
    """Match an answer to one of the interrupts that wait."""
    asking = approval_in(waiting.interrupts)
    if resumption.decisions is not None:
        if asking is None:
            raise InvalidInput("decisions: no tool call waits, but a question: give `answer`.")
        return asking.id, answer_with(asking, resumption.decisions)
    if asking is not None:
        raise InvalidInput("answer: tool calls wait for approval: give `decisions`.")
    if len(waiting.interrupts) > 1:
        raise InvalidInput("answer: more than one question waits: answer them with /invoke.")
    return waiting.interrupts[0].id, resumption.answer


def _from_user(text: str) -> HumanMessage:
    return HumanMessage(text, additional_kwargs={"timestamp": datetime.now(UTC).isoformat()})


def _not_found(session_id: str) -> SessionNotFound:
    return SessionNotFound(
        f"There is no session {session_id!r}, or it has expired: begin one with "
        "POST /api/chat/session, or send the message without a session_id."
    )

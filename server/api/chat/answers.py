"""How a chat turn is answered: at its end, as it goes, or to a client that comes back."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from functools import partial
from typing import Any, Literal

import orjson
from fastapi import Request, Response
from langgraph.types import Interrupt
from pydantic import BaseModel, Field

from everturn.server.api.chat.approvals import WaitingCall
from everturn.server.api.chat.events import ChatEvent, ending, events_of
from everturn.server.api.chat.words import Words
from everturn.server.api.http.idempotency import refuse_when_elsewhere, replayed, succeeded
from everturn.server.api.http.json import dumps, jsonable
from everturn.server.api.http.location import location_of
from everturn.server.api.http.problems import problem_event, problem_of_names
from everturn.server.api.http.sse import HEARTBEAT, EventStream, frames
from everturn.server.errors import InvalidInput, RunCancelled, StateUnreadable
from everturn.server.resources.approvals import calls_in
from everturn.server.runs.idempotency import TOO_LARGE, Repeated, answer_gone
from everturn.server.runs.run import Run
from everturn.server.runs.runs import Runs
from everturn.server.streams.feed import BEGINNING, Cursor, Event
from everturn.server.streams.modes import STANDING
from everturn.server.turns.outcome import spoken, summary

_CANCELLED = RunCancelled("The turn was cancelled before its end.")


class MessageResponse(BaseModel):
    """The answer of one turn, stored before it is sent."""

    session_id: str
    run_id: str = Field(description="The turn's run: see /threads/{session_id}/runs/{run_id}.")
    status: Literal["completed", "approval_required", "interrupted"] = Field(
        description="approval_required: `calls` wait for a person; interrupted: the graph waits "
        "for something else, see `metadata`."
    )
    response: str
    parsed: Any = Field(
        default=None, description="The answer as a value, where `response_schema` was given."
    )
    calls: list[WaitingCall] = Field(description="Tool calls that wait to be approved.")
    model: str | None = Field(description="The model that answered.")
    tools_used: list[str]
    usage: dict[str, int] = Field(
        description="Tokens of all model calls of the turn; zero where no provider counted any, as "
        "with the offline model."
    )
    cost: float | None = Field(description="US dollars; null where no provider named a price.")
    route: dict[str, Any] = Field(
        description="`mode` (primary, retry, fallback, offline, cache), `model`, and who was "
        "`tried` before; of a kept answer its age and what it saved (`cached`)."
    )
    metadata: dict[str, Any] = Field(
        description="`agent`, the answer's `message_id`, and `status`: completed, or interrupted "
        "with the `interrupts` that wait."
    )


async def answered(runs: Runs, started: Run | Repeated) -> Response:
    """Answer with what a turn came to, once it is stored; raises what it failed with."""
    if isinstance(started, Repeated):
        body = await _body_again(runs, started)
    else:
        body = await _body_at_end(started)
    headers = {**location_of(started), **replayed(started)}
    return Response(dumps(body), media_type="application/json", headers=headers)


async def _body_at_end(run: Run) -> MessageResponse:
    await run.stored()
    refuse_when_elsewhere(run)
    if run.error is not None:
        raise run.error
    if run.cancelled or run.outcome is None:
        raise _CANCELLED
    return _body(run.row.run_id, run.thread_id, run.assistant.graph_id, spoken(run.outcome))


async def _body_again(runs: Runs, before: Repeated) -> MessageResponse:
    kept = await succeeded(runs, before, _CANCELLED)
    if kept.spoken is None:
        raise answer_gone(before.run_id, TOO_LARGE)
    return _body(before.run_id, before.key.thread_id, kept.graph, kept.spoken)


async def streamed(
    request: Request, runs: Runs, started: Run | Repeated, last: Cursor
) -> EventStream:
    """Answer with the events of a turn as they come.

    Args:
        request: what is answered.
        runs: of the service.
        started: the turn.
        last: of a turn that was sent before, the event that was got last.
    """
    if isinstance(started, Repeated):
        return _streamed_again(request, runs, started, last)
    chat = ChatStream(request, _about(started.thread_id, started), started)
    at_end = partial(_cancelled, request)
    return EventStream(
        request,
        _frames(runs.events(started), chat, at_end),
        headers=location_of(started),
        on_leave=started.stop if started.request.on_disconnect == "cancel" else None,
    )


def _streamed_again(request: Request, runs: Runs, before: Repeated, after: Cursor) -> EventStream:
    about = _about(before.key.thread_id, before.run)
    if before.row is not None:
        about["agent"] = before.row.metadata.get("graph_id")
    chat = ChatStream(request, about, before.run, after)
    at_end = partial(_ending_again, request, runs, before, about, chat)
    return EventStream(
        request,
        # From the start, as in `joined`.
        _frames(runs.follow_again(before, BEGINNING), chat, at_end),
        headers={**location_of(before), **replayed(before)},
    )


def _about(session_id: str, run: Run | None) -> dict[str, Any]:
    """What `metadata` says of a turn."""
    candidates = run.checked.candidates if run and run.checked else ()
    agent = run.assistant.graph_id if run else None
    return {"session_id": session_id, "agent": agent, "model": next(iter(candidates), None)}


async def joined(
    request: Request, runs: Runs, session_id: str, run_id: str, last_event_id: str
) -> EventStream:
    """Answer with the events of a turn after one of them, whichever process it runs in, or ran."""
    after = Cursor.parse(last_event_id)
    if after is None:
        raise InvalidInput("Last-Event-ID: must be the id of an event of this turn, or -1.")
    row = await runs.get(run_id, session_id)
    about = {**_about(session_id, None), "agent": row.metadata.get("graph_id")}
    # From the start, whatever was seen: what a new attempt takes back may lie before that.
    events = await runs.follow(run_id, session_id, BEGINNING)
    chat = ChatStream(request, about, after=after)
    at_end = partial(_ending, request, runs, run_id, session_id, chat)
    return EventStream(request, _frames(events, chat, at_end))


async def _frames(
    events: AsyncGenerator[list[Event]],
    chat: ChatStream,
    at_end: Callable[[], Awaitable[list[ChatEvent]]],
) -> AsyncGenerator[bytes]:
    """Write the chat's events; `at_end` ends a stream that does not end itself."""
    async with aclosing(events):
        async for news in events:
            read = [(chat.read(event), event.cursor) for event in news]
            written = [frames(named, place) for named, place in read if place > chat.after]
            yield b"".join(written) or HEARTBEAT
    if not chat.ended:
        yield frames(await at_end())


async def _cancelled(request: Request) -> list[ChatEvent]:
    return [("error", problem_event(request, {}, _CANCELLED))]


async def _ending_again(
    request: Request, runs: Runs, before: Repeated, about: dict[str, Any], chat: ChatStream
) -> list[ChatEvent]:
    """How a turn with a key ended that did not say so in its stream: as it was kept."""
    began: list[ChatEvent] = []
    try:
        kept = await runs.kept(before)
        if not await runs.has_events(before.run_id):
            began = [("metadata", {**about, "agent": kept.graph, "run_id": before.run_id})]
    except Exception as error:
        return [("error", problem_event(request, {}, error))]
    if kept.failure is not None:
        end = kept.errors, kept.detail, kept.failure.get("error_id")
        failed = problem_of_names(*end, request.app.state.error_kinds)
        return [*began, ("error", failed.to_json())]
    if kept.status != "success":
        return [*began, *await _cancelled(request)]
    if kept.spoken is None:
        gone = answer_gone(before.run_id, TOO_LARGE)
        return [*began, ("error", problem_event(request, {}, gone))]
    said = chat.answer(kept.spoken["message_id"], kept.spoken["response"])
    return [*began, *said, *ending(kept.spoken["summary"])]


async def _ending(
    request: Request, runs: Runs, run_id: str, session_id: str, chat: ChatStream
) -> list[ChatEvent]:
    """How a turn ended that did not say so in its stream: as its thread remembers it."""
    row = await runs.get(run_id, session_id)
    if row.status == "success":
        try:
            outcome = await runs.outcome(row)
        except StateUnreadable as error:
            return [("error", problem_event(request, {}, error))]
        said = outcome.answer
        words = chat.answer(said.id, said.text) if said else []
        return [*words, *ending(jsonable(summary(outcome)))]
    if row.status in {"error", "timeout"}:
        failure = (await runs.final_state(row))["__error__"]
        return [("error", problem_event(request, failure, None))]
    return await _cancelled(request)


class ChatStream:
    """Makes the events of one turn's stream of those of its run."""

    def __init__(
        self,
        request: Request,
        about: dict[str, Any],
        run: Run | None = None,
        after: Cursor = BEGINNING,
    ) -> None:
        """Make a stream's events.

        Args:
            request: what is answered.
            about: what `metadata` says.
            run: the run, where it is one of this process.
            after: the event that the client got last; those up to it are read, and not sent.
        """
        self.request = request
        self.after = after
        self.ended = False
        """`done` or `error` has come."""
        self._about = about
        self._run = run
        self._words = Words()
        self._place = self._attempt_before = BEGINNING
        """Of the last event that was read, and of the last one of an attempt before it."""

    def read(self, event: Event) -> list[ChatEvent]:
        """Return what an event of the run means to the chat; often nothing."""
        if event.cursor.attempt > self._place.attempt:
            self._attempt_before = self._place
        self._place = event.cursor
        if event.name == STANDING:
            unread = self._attempt_before < self.after < (event.cursor.attempt, 0)
            return self._words.stand(orjson.loads(event.data), heard_more=unread)
        return [(name, self._completed(name, data)) for name, data in events_of(event)]

    def answer(self, message_id: str | None, text: str) -> list[ChatEvent]:
        """Say a turn's answer, as far as its stream has not; where it was cut, it is said anew."""
        return self._words.answer(message_id, text, heard_more=self.after > self._place)

    def _completed(self, name: str, data: dict[str, Any]) -> dict[str, Any]:
        if name in {"done", "error"}:
            self.ended = True
        if name == "metadata":
            return {**self._about, **data}
        if name == "error":
            run = self._run
            error = run.error if run and not run.goes_on_elsewhere else None
            return problem_event(self.request, data, error)
        self._words.hear(name, data)
        return data


def _body(run_id: str, thread_id: str, graph: str, said: Mapping[str, Any]) -> MessageResponse:
    """Make an answer of what `spoken` returned."""
    about = said["summary"]
    state = {name: about[name] for name in ("status", "interrupts") if name in about}
    asked = [Interrupt(value=each["value"], id=each["id"]) for each in about.get("interrupts", ())]
    calls = calls_in(asked)
    return MessageResponse(
        session_id=thread_id,
        run_id=run_id,
        status="approval_required" if calls else about["status"],
        response=said["response"],
        parsed=about.get("parsed"),
        calls=[WaitingCall.model_validate(call) for call in calls],
        model=about["model"],
        tools_used=said["tools_used"],
        usage=about["usage"],
        cost=about["cost"],
        route=about["route"],
        metadata={
            "agent": graph,
            "run_id": run_id,
            "message_id": said["message_id"],
            **state,
        },
    )

"""What the commands of the event protocol do, and how they are answered, over whichever wire.

    command -> validated -> runs, threads and their states -> success, or an error with its code

A command that was understood is answered, also where it is refused. What is no matter of the
command, as a thread that is not there, a limit, or a store that is away, is raised, and each wire
says it in its own way; see `Commands.answer` and `refusal`.
"""

import hashlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from http import HTTPStatus
from typing import Any, Literal, NamedTuple
from uuid import UUID, uuid4, uuid5

import orjson
from langgraph.types import StateSnapshot
from pydantic import BaseModel, ValidationError

from everturn.checkpoints.errors import ThreadBusy
from everturn.checkpoints.sql.runs import UNFINISHED
from everturn.checkpoints.sql.threads import Thread
from everturn.server.access.caller import current_caller
from everturn.server.api.agent_server.command_bodies import (
    MAX_ID,
    Command,
    GetTree,
    InputInject,
    InputRespond,
    ListCheckpoints,
    RunCancel,
    RunStart,
    StateFork,
    StateGet,
)
from everturn.server.api.agent_server.state_json import checkpoint_summaries
from everturn.server.api.http.problems import Kind, problem_of
from everturn.server.errors import (
    CheckpointNotFound,
    NothingToCancel,
    NothingWaits,
    RunNotFound,
    ThreadNotFound,
)
from everturn.server.resources.agent_tree import agent_tree
from everturn.server.resources.threads import Threads
from everturn.server.runs.idempotency import IdempotencyKey, Repeated
from everturn.server.runs.injection import may_be_said
from everturn.server.runs.request import RunRequest
from everturn.server.runs.run import Run
from everturn.server.runs.runs import Runs
from everturn.server.streams.modes import PROTOCOL_MODES
from everturn.server.streams.protocol import first_seq
from everturn.server.turns.outcome import messages_in
from everturn.server.turns.places import Place

ErrorCode = Literal[
    "invalid_argument",
    "unknown_command",
    "unknown_error",
    "no_such_run",
    "no_such_subscription",
    "no_such_namespace",
    "no_such_interrupt",
    "no_such_checkpoint",
    "permission_denied",
    "not_supported",
]
Answer = dict[str, Any]
"""As `langchain_protocol` has it: a `CommandResponse` or an `ErrorResponse`. Values of a state are
as the graph has them; `dumps` makes JSON of them."""

REPLAYED = "replayed"
"""In the `meta` of an answer: the command was sent before, and was not carried out again."""

_CODES: Mapping[type[Exception], ErrorCode] = {
    NothingWaits: "no_such_interrupt",
    RunNotFound: "no_such_run",
    CheckpointNotFound: "no_such_checkpoint",
}
_MESSAGES = UUID("c0a1f3de-6f0b-4f3e-9d6b-6c1a4a0f5b11")
"""In which the ids of injected messages are made of their commands' keys."""
_WAITS = (
    "The thread waits for an answer, or calls of its last message do: answer with input.respond, "
    "whose `update` can add messages, or start a run."
)
_TRIES = 3
_MAX_CANCELLED = 1000
_MAX_REASONS = 10


class Refused(Exception):
    """A command is refused for a reason of the protocol's own."""

    def __init__(self, code: ErrorCode, text: str) -> None:
        """Say why, and what to do."""
        super().__init__(text)
        self.code: ErrorCode = code


class _Said(NamedTuple):
    """A command, where it was sent."""

    thread_id: str
    key: IdempotencyKey | None


Done = tuple[dict[str, Any], dict[str, Any] | None]
"""The result of a command, and its `meta`."""


class Commands:
    """Answers the commands that clients send to threads."""

    def __init__(self, runs: Runs, threads: Threads, kinds: Mapping[type[Exception], Kind]) -> None:
        """Wire it up; `kinds` says how clients see each type of error."""
        self._runs = runs
        self._threads = threads
        self._kinds = kinds
        self._known: Mapping[str, tuple[type[BaseModel], Callable[..., Awaitable[Done]]]] = {
            "run.start": (RunStart, self._start),
            "run.cancel": (RunCancel, self._cancel),
            "input.respond": (InputRespond, self._respond),
            "input.inject": (InputInject, self._inject),
            "state.get": (StateGet, self._get),
            "state.listCheckpoints": (ListCheckpoints, self._list_checkpoints),
            "state.fork": (StateFork, self._fork),
            "agent.getTree": (GetTree, self._tree),
        }

    async def answer(self, thread_id: str, command: Any, client: str | None = None) -> Answer:
        """Carry a command out, and answer it.

        Args:
            thread_id: the thread that it was sent to.
            command: as it came: JSON, and perhaps no command at all.
            client: names who counts the ids of its commands: the same id of the same client is the
                same command, sent again. None: nothing is known of it, and each command is new.

        Raises:
            ThreadNotFound: there is no such thread, or it is somebody else's.
            Exception: the caller may not do it, a limit is reached, or the service has failed.
        """
        try:
            said = Command.model_validate(command)
        except ValidationError as error:
            return error_answer(command, "invalid_argument", flaws(error))
        try:
            model, carry_out = self._find(said.method)
            params = model.model_validate(said.params)
            key = None if client is None else _key(thread_id, said, client)
            result, meta = await carry_out(_Said(thread_id, key), params)
        except ValidationError as error:
            return error_answer(command, "invalid_argument", flaws(error, "params"))
        except Refused as error:
            return error_answer(command, error.code, str(error))
        except Exception as error:
            code = self._code(error)
            if code is None:
                raise
            return error_answer(command, code, problem_of(error, self._kinds).detail)
        success = {"type": "success", "id": said.id, "result": result}
        return {**success, "meta": meta} if meta else success

    def _find(self, method: str) -> tuple[type[BaseModel], Callable[..., Awaitable[Done]]]:
        if method in self._known:
            return self._known[method]
        if method.startswith("subscription."):
            raise Refused(
                "not_supported",
                "Subscriptions are made over a WebSocket at /threads/{thread_id}/stream/events; "
                "over HTTP, POST there what you want to follow.",
            )
        known = ", ".join(self._known)
        raise Refused("unknown_command", f"There is no command {method!r}; there are: {known}.")

    def _code(self, error: Exception) -> ErrorCode | None:
        """Return the code of a refusal; None where it is no matter of the command."""
        if isinstance(error, ThreadNotFound):
            return None
        for known, code in _CODES.items():
            if isinstance(error, known):
                return code
        kind = next((self._kinds[t] for t in type(error).__mro__ if t in self._kinds), None)
        if kind is None or kind.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            return None
        limits = {HTTPStatus.FORBIDDEN, HTTPStatus.TOO_MANY_REQUESTS}
        return None if kind.status in limits else "invalid_argument"

    async def _start(self, said: _Said, asked: RunStart) -> Done:
        request = _request(
            said,
            assistant_id=asked.assistant_id,
            input=asked.input,
            config=asked.config,
            metadata=asked.metadata,
            multitask_strategy=asked.multitask_strategy,
            if_not_exists="create",
        )
        return await self._run(said, request)

    async def _respond(self, said: _Said, asked: InputRespond) -> Done:
        if said.key and (before := await self._runs.sent_before(said.key)):
            return await self._started(before)
        thread = await self._threads.row(said.thread_id)
        answers = asked.answers()
        state = await self._threads.states.read(thread)
        waiting = {each.id for each in state.interrupts} if state else set()
        unknown = answers.keys() - waiting
        # What a run that has not ended asks is stored a moment after it is streamed.
        later = unknown and await self._runs.any_on(said.thread_id)
        if unknown and not later and (asked.strict_resume or unknown == answers.keys()):
            raise Refused("no_such_interrupt", _none_waits(sorted(unknown), sorted(waiting)))
        command: dict[str, Any] = {"resume": answers}
        if asked.update:
            command["update"] = asked.update
        if asked.goto:
            command["goto"] = asked.model_dump(include={"goto"})["goto"]
        request = _request(
            said,
            assistant_id=self._assistant_of(thread),
            command=command,
            config=asked.config,
            metadata=asked.metadata,
            answers=tuple(answers) if asked.strict_resume or later else None,
        )
        return await self._run(said, request, thread)

    async def _fork(self, said: _Said, asked: StateFork) -> Done:
        if said.key and (before := await self._runs.sent_before(said.key)):
            result, meta = await self._started(before)
        else:
            thread = await self._threads.row(said.thread_id)
            request = _request(
                said,
                assistant_id=self._assistant_of(thread),
                input=asked.input,
                config=asked.config,
                metadata=asked.metadata,
                checkpoint_id=asked.checkpoint_id,
            )
            result, meta = await self._run(said, request, thread)
        return {**result, "thread_id": said.thread_id}, meta

    async def _run(self, said: _Said, request: RunRequest, thread: Thread | None = None) -> Done:
        run = await self._runs.create(request, thread, key=said.key)
        if not isinstance(run, Repeated):
            await self._runs.acknowledge(run)
        return await self._started(run)

    async def _started(self, run: Run | Repeated) -> Done:
        replayed = isinstance(run, Repeated)
        run_id = run.run_id if isinstance(run, Repeated) else run.row.run_id
        place = await self._runs.place(run_id)
        meta: dict[str, Any] = {} if place is None else {"applied_through_seq": first_seq(place)}
        return {"run_id": run_id}, meta | ({REPLAYED: True} if replayed else {})

    def _assistant_of(self, thread: Thread) -> str:
        """Return the assistant whose run was the last on a thread; else that of its graph."""
        own = thread.metadata.get("assistant_id")
        return own if isinstance(own, str) else self._threads.states.graph_of(thread)

    async def _cancel(self, said: _Said, asked: RunCancel) -> Done:
        await self._threads.row(said.thread_id)
        if asked.run_id:
            run_ids = [str(asked.run_id)]
            await self._runs.find(run_ids[0], said.thread_id)  # raises where there is none
        else:
            run_ids = await self._under_way(said.thread_id)
        with suppress(NothingToCancel):  # it has ended: that is what was wanted
            await self._runs.cancel(run_ids, said.thread_id, asked.action, wait=asked.wait)
        return {"run_id": run_ids[0]} if asked.run_id else {"run_ids": run_ids}, None

    async def _under_way(self, thread_id: str) -> list[str]:
        return [
            run.run_id
            for status in UNFINISHED
            for run in await self._runs.of_thread(
                thread_id, limit=_MAX_CANCELLED, offset=0, status=status
            )
        ]

    async def _inject(self, said: _Said, asked: InputInject) -> Done:
        own = uuid5(_MESSAGES, said.key.key) if said.key else uuid4()
        message = {"id": str(own), **asked.message.model_dump(exclude_none=True)}
        thread = await self._threads.row(said.thread_id)
        for left in reversed(range(_TRIES)):
            if run_id := await self._runs.inject(said.thread_id, message):
                return {"message_id": message["id"], "run_id": run_id}, None
            thread = await self._threads.row(said.thread_id)
            state = await self._threads.states.read(thread)
            if state and message["id"] in {each.id for each in messages_in(state.values)}:
                return {"message_id": message["id"]}, {REPLAYED: True}
            if state and (state.interrupts or not may_be_said(state.values)):
                raise Refused("invalid_argument", _WAITS)
            if not self._threads.states.takes_messages(thread):
                raise Refused(
                    "invalid_argument", "The graph of the thread has no `messages` in its state."
                )
            try:
                await self._threads.states.update(thread, {"messages": [message]})
            except ThreadBusy:  # a run has begun meanwhile
                if not left:
                    raise
            else:
                break
        return {"message_id": message["id"]}, None

    async def _get(self, said: _Said, asked: StateGet) -> Done:
        thread = await self._threads.row(said.thread_id)
        ns = "|".join(asked.namespace)
        state = await self._threads.states.read(thread, Place(checkpoint_ns=ns))
        if ns and (state is None or state.metadata is None):
            raise _no_namespace(asked.namespace)
        values = state.values if state else {}
        if not isinstance(values, dict):
            values = {"__root__": values}
        if asked.keys is not None:
            values = {name: values[name] for name in asked.keys if name in values}
        place = _checkpoint(state)
        return {"values": values, **({"checkpoint": place} if place else {})}, None

    async def _list_checkpoints(self, said: _Said, asked: ListCheckpoints) -> Done:
        thread = await self._threads.row(said.thread_id)
        place = Place(checkpoint_ns="|".join(asked.namespace))
        # One more: what ran between two states is said by the older one.
        states = await self._threads.states.history(
            thread, place, limit=asked.limit + 1, before=asked.before
        )
        if asked.namespace and not states and asked.before is None:
            raise _no_namespace(asked.namespace)
        return {"checkpoints": checkpoint_summaries(states)[: asked.limit]}, None

    async def _tree(self, said: _Said, asked: GetTree) -> Done:
        thread = await self._threads.row(said.thread_id)
        if asked.run_id:
            runs = [await self._runs.get(str(asked.run_id), said.thread_id)]
        else:
            runs = await self._runs.of_thread(said.thread_id, limit=1, offset=0, status=None)
        run = next(iter(runs), None)
        return {"tree": await agent_tree(self._threads.states, thread, run)}, None


def error_answer(command: Any, code: ErrorCode, text: str) -> Answer:
    """Refuse a command; the id is null where it has none."""
    said = command.get("id") if isinstance(command, Mapping) else None
    known = type(said) is int and 0 <= said <= MAX_ID
    return {"type": "error", "id": said if known else None, "error": code, "message": text}


def refusal(command: Any, error: Exception, kinds: Mapping[type[Exception], Kind]) -> Answer:
    """Refuse a command for what `Commands.answer` has raised, where no HTTP status can say it."""
    problem = problem_of(error, kinds)
    forbidden = problem.status in {HTTPStatus.FORBIDDEN, HTTPStatus.UNAUTHORIZED}
    code: ErrorCode = "permission_denied" if forbidden else "unknown_error"
    return error_answer(command, code, problem.detail)


def _request(said: _Said, **asked: Any) -> RunRequest:
    return RunRequest(
        thread_id=said.thread_id,
        stream_mode=PROTOCOL_MODES,
        stream_subgraphs=True,
        stream_resumable=True,
        background=True,
        door="/commands",
        **asked,
    )


def _key(thread_id: str, command: Command, client: str) -> IdempotencyKey:
    """Return the key of a command; blanks keep it apart from those of requests."""
    caller = current_caller()
    said = orjson.dumps([command.method, command.params], option=orjson.OPT_SORT_KEYS)
    return IdempotencyKey(
        caller.identity if caller else "",
        f"{client} {thread_id} {command.id}",
        hashlib.sha256(said).hexdigest(),
    )


def _checkpoint(state: StateSnapshot | None) -> dict[str, str] | None:
    place = state.config.get("configurable", {}) if state else {}
    if not place.get("checkpoint_id"):
        return None
    ns = place.get("checkpoint_ns")
    return {"id": place["checkpoint_id"], **({"ns": ns} if ns else {})}


def _no_namespace(namespace: Sequence[str]) -> Refused:
    return Refused(
        "no_such_namespace",
        f"Nothing of the namespace {list(namespace)} is kept on this thread: agent.getTree lists "
        "those of a run.",
    )


def _none_waits(unknown: Sequence[str], waiting: Sequence[str]) -> str:
    there = f"there wait: {', '.join(waiting)}" if waiting else "nothing waits on this thread"
    return f"No interrupt {', '.join(unknown)} waits for an answer; {there}."


def flaws(error: ValidationError, *above: str) -> str:
    flaws = error.errors(include_url=False, include_input=False, include_context=False)
    said = [
        ": ".join(
            filter(
                None,
                (
                    ".".join(map(str, (*above, *flaw["loc"]))),
                    flaw["msg"].removeprefix("Value error, "),
                ),
            )
        )
        for flaw in flaws[:_MAX_REASONS]
    ]
    more = [f"and {len(flaws) - _MAX_REASONS} more"] if len(flaws) > _MAX_REASONS else []
    return "; ".join([*said, *more])

"""The event protocol over one WebSocket: commands in, their answers and the thread's events out.

    receive -> subscription.* here, any other command by `Commands` -> its answer
    pump: the thread's events, each once, if one of the subscriptions wants it

Who subscribes is sent what the runs under way have done before, too, as far as this socket has not
been sent it already.
"""

import asyncio
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as NotBase64
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing, suppress
from itertools import count
from json import JSONDecodeError
from typing import Annotated, Any

from fastapi import WebSocket
from pydantic import BaseModel, Field, ValidationError
from starlette.websockets import WebSocketDisconnect
from structlog import get_logger

from everturn.checkpoints.errors import CheckpointsError
from everturn.server.api.agent_server.bodies import ThreadId
from everturn.server.api.agent_server.command_answers import (
    Answer,
    Commands,
    Refused,
    error_answer,
    flaws,
    refusal,
)
from everturn.server.api.agent_server.command_bodies import Command
from everturn.server.api.agent_server.thread_events import SubscribeBody, is_wanted
from everturn.server.api.http.authentication import is_still_let_in
from everturn.server.api.http.body_limit import refused_message
from everturn.server.api.http.deps import Service
from everturn.server.api.http.idempotency import read_key
from everturn.server.api.http.json import dumps
from everturn.server.api.http.problems import IDEMPOTENCY_KEY, Problem
from everturn.server.api.http.rate_limit import refused_command
from everturn.server.api.http.strict_json import Router, read_json
from everturn.server.api.http.values import MAX_FEW, Name, at_most
from everturn.server.errors import InvalidInput, ThreadNotFound
from everturn.server.runs.thread_events import Since
from everturn.server.streams.feed import BEGINNING
from everturn.server.streams.moved import Moved
from everturn.server.streams.protocol import ProtocolEvent
from everturn.server.streams.subscription import Subscription
from everturn.server.streams.thread import Place

_NORMAL, _REFUSED, _FAILED, _RESTARTS = 1000, 1008, 1011, 1012
"""Codes of a close: https://www.iana.org/assignments/websocket/websocket.xhtml"""
_MAX_ID = 10_000
_MAY_WAIT = frozenset({"input.inject", "run.cancel"})
"""Commands that wait for a step of a run, and hold up no other."""
_MAX_WAITING = 16
"""Of these, on one socket."""
_UNKNOWN = "There are subscription.subscribe, subscription.unsubscribe and subscription.reconnect."

log = get_logger(__name__)

SubscriptionId = Annotated[str, Field(max_length=_MAX_ID)]


class _LetInNoLonger(Exception):
    """The key of the client is revoked, or its token has expired."""


class _Unsubscribe(BaseModel):
    subscription_id: SubscriptionId


class _Reconnect(BaseModel):
    run_id: Name | None = None
    last_event_id: Name | None = None
    subscriptions: Annotated[list[SubscriptionId], at_most(MAX_FEW)] = Field(default_factory=list)


router = Router(tags=["event protocol"])


@router.websocket("/threads/{thread_id}/stream/events")
async def open_socket(socket: WebSocket, thread_id: ThreadId) -> None:
    """Speak the event protocol over a WebSocket: commands, subscriptions, and their events."""
    try:
        client = read_key(socket.headers.get(IDEMPOTENCY_KEY))
    except InvalidInput as error:
        await socket.close(_REFUSED, str(error))
        return
    await socket.accept()
    await ThreadSocket(socket, str(thread_id), client).serve()


class ThreadSocket:
    """One client's connection to one thread."""

    def __init__(self, socket: WebSocket, thread_id: str, client: str | None) -> None:
        service: Service = socket.app.state.service
        self._kinds = socket.app.state.error_kinds
        self._commands = Commands(service.runs, service.threads, self._kinds)
        self._threads = service.threads
        self._events = service.events
        self._socket = socket
        self._thread_id = thread_id
        self._client = client
        self._subscriptions: dict[str, Subscription] = {}
        self._new: set[str] = set()
        """Subscriptions that lack what this socket has been sent before."""
        self._sent = -1
        """The number of the newest event that was sent, or was wanted by nobody."""
        self._since: Since | None = None
        self._pumping: asyncio.Task[None] | None = None
        self._sending = asyncio.Lock()

    async def serve(self) -> None:
        """Answer commands, and send events, until one side leaves."""
        answering = set[asyncio.Task[None]]()
        try:
            while (data := await self._receive()) is not None:
                command = refused_message(data) or _read_command(data)
                if _method_of(command) not in _MAY_WAIT:
                    await self._answer(command)  # no other is read before the client has it
                    continue
                answering.add(task := asyncio.create_task(self._answer(command)))
                task.add_done_callback(answering.discard)
                if len(answering) >= _MAX_WAITING:
                    await asyncio.wait(answering, return_when=asyncio.FIRST_COMPLETED)
        except (WebSocketDisconnect, RuntimeError):
            pass  # the client has left, or was let go
        finally:
            tasks = {*answering, *({self._pumping} if self._pumping else ())}
            for task in tasks:
                task.cancel()
            if tasks:
                await asyncio.wait(tasks)

    async def _receive(self) -> bytes | None:
        """Wait for a command; None where the client has left, or is let in no longer."""
        message = await self._socket.receive()
        if message["type"] == "websocket.disconnect":
            return None
        if not await is_still_let_in(self._socket.scope):
            await self._socket.close(_REFUSED)
            return None
        text: str | None = message.get("text")
        return message["bytes"] if text is None else text.encode()

    async def _answer(self, command: Any) -> None:
        answer = await self._answer_to(command)
        try:
            await self._send(dumps(answer))
        except WebSocketDisconnect:
            return
        if answer["type"] == "success":
            self._pump()

    async def _answer_to(self, command: Any) -> Answer:
        if isinstance(command, Problem):
            return error_answer(None, "invalid_argument", command.detail)
        if isinstance(command, JSONDecodeError):
            text = f"The command is no JSON: {command.msg}."
            return error_answer(None, "invalid_argument", text)
        try:
            if problem := await refused_command(self._socket.scope, _method_of(command)):
                return error_answer(command, "permission_denied", problem.detail)
            if _method_of(command).startswith("subscription."):
                return await self._subscribing(command)
            return await self._commands.answer(self._thread_id, command, self._client)
        except Exception as error:
            return refusal(command, error, self._kinds)

    async def _subscribing(self, command: Any) -> Answer:
        try:
            said = Command.model_validate(command)
            match said.method.removeprefix("subscription."):
                case "subscribe":
                    result = await self._subscribe(SubscribeBody.model_validate(said.params))
                case "unsubscribe":
                    result = self._unsubscribe(_Unsubscribe.model_validate(said.params))
                case "reconnect":
                    result = await self._reconnect(_Reconnect.model_validate(said.params))
                case _:
                    return error_answer(command, "unknown_command", _UNKNOWN)
        except ValidationError as error:
            return error_answer(command, "invalid_argument", flaws(error, "params"))
        except Refused as error:
            return error_answer(command, error.code, str(error))
        return {"type": "success", "id": said.id, "result": result}

    async def _subscribe(self, body: SubscribeBody) -> dict[str, Any]:
        if body.since is not None and not self._subscriptions:
            self._since = Since(seq=body.since)
        await self._add(name := self._name(body), body)
        return {"subscription_id": name}

    def _unsubscribe(self, body: _Unsubscribe) -> dict[str, Any]:
        if self._subscriptions.pop(body.subscription_id, None) is None:
            raise Refused("no_such_subscription", "This socket has no such subscription.")
        self._new.discard(body.subscription_id)
        return {}

    async def _reconnect(self, body: _Reconnect) -> dict[str, Any]:
        """Take up the subscriptions of another socket: their ids say what they are."""
        bodies = {name: _read(name) for name in body.subscriptions}
        restored = {name: found for name, found in bodies.items() if found is not None}
        if body.last_event_id and not self._subscriptions:
            self._since = Since.parse(body.last_event_id)
        for name, found in restored.items():
            await self._add(name, found)
        return {"restored": len(restored) == len(bodies) and bool(bodies)}

    async def _add(self, name: str, body: SubscribeBody) -> None:
        """Subscribe; what was sent already is gone through again for it."""
        if len(self._subscriptions) >= MAX_FEW and name not in self._subscriptions:
            raise Refused("invalid_argument", f"At most {MAX_FEW} subscriptions on one socket.")
        async with self._sending:  # no event is half way to the client
            if self._pumping is not None:
                self._pumping.cancel()
                self._pumping = None
        self._subscriptions[name] = body.subscription()
        self._new.add(name)

    def _name(self, body: SubscribeBody) -> str:
        """Name a subscription by what it is, so that any process can take it up again."""
        said = body.model_dump_json(exclude={"since"}, exclude_none=True).encode()
        about = urlsafe_b64encode(said).decode().rstrip("=")
        return next(
            name for number in count() if (name := f"{number}.{about}") not in self._subscriptions
        )

    def _pump(self) -> None:
        """Begin to send events, if there is somebody to send them to."""
        if self._subscriptions and (self._pumping is None or self._pumping.done()):
            self._pumping = asyncio.create_task(self._send_events(), name="events of a thread")

    async def _send_events(self) -> None:
        code = _NORMAL
        try:
            await self._until_the_thread_is_there()
            async with aclosing(self._events.follow(self._thread_id, self._since)) as following:
                await self._send_all(following)
        except WebSocketDisconnect:
            return
        except (Moved, CheckpointsError):
            code = _RESTARTS
        except _LetInNoLonger:
            code = _REFUSED
        except Exception:
            log.exception("events_not_sent", thread_id=self._thread_id)
            code = _FAILED
        with suppress(RuntimeError, WebSocketDisconnect):  # the client was faster
            await self._socket.close(code)

    async def _until_the_thread_is_there(self) -> None:
        """Wait for the run that creates it, which may be started over another connection."""
        while True:
            try:
                await self._threads.row(self._thread_id)
            except ThreadNotFound:
                await self._events.happens(self._thread_id)
            else:
                return

    async def _send_all(self, following: AsyncGenerator[list[ProtocolEvent]]) -> None:
        runs: list[str] = []
        async for events in following:
            if not await is_still_let_in(self._socket.scope):
                raise _LetInNoLonger
            for event in events:
                if event.run_id and event.run_id not in runs[-1:]:
                    runs.append(event.run_id)
                if self._is_wanted(event):
                    await self._send(event.as_json())
                if event.seq is not None:
                    self._sent = max(self._sent, event.seq)
            # Who subscribes later begins here too: what is under way then may be a later run.
            if runs and self._since is None:
                self._since = Since(place=Place(runs[0], BEGINNING))
            elif runs[1:] and not events:  # quiet: what came before is known
                self._since = Since(place=Place(runs[-1], BEGINNING))
                runs = runs[-1:]

    def _is_wanted(self, event: ProtocolEvent) -> bool:
        repeated = event.seq is not None and event.seq <= self._sent
        if not repeated:
            self._new.clear()
        wanting = {n for n, each in self._subscriptions.items() if is_wanted(event, each)}
        return bool(wanting) and (not repeated or wanting <= self._new)

    async def _send(self, data: bytes) -> None:
        async with self._sending:  # who does not read is dropped: see `cli.connections`
            try:
                await self._socket.send_text(data.decode())
            except RuntimeError:  # it was closed meanwhile
                raise WebSocketDisconnect from None


def _read_command(data: bytes) -> Any:
    try:
        return read_json(data)
    except JSONDecodeError as error:
        return error


def _method_of(command: Any) -> str:
    return str(command.get("method", "")) if isinstance(command, Mapping) else ""


def _read(name: str) -> SubscribeBody | None:
    _, _, said = name.partition(".")
    try:
        return SubscribeBody.model_validate_json(urlsafe_b64decode(said + "=" * (-len(said) % 4)))
    except (ValidationError, NotBase64, ValueError):
        return None

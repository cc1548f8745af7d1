"""What clients do, and what they are told: each kind of turn, sent again where it may be."""

import asyncio
import json
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import httpx

KINDS = ("background", "wait", "stream", "message", "chat stream")
KEYED = ("wait", "message", "chat stream")
"""Sent again with the same key where the answer did not come."""
CHAT = ("message", "chat stream")

_PAUSE = 0.05
_PATIENCE = 45.0
"""Seconds a client tries; what is not answered by then is not answered."""
_AWAY = (502, 503, 504, 429, 409)


@dataclass
class Turn:
    """One turn of a thread, as its client sees it."""

    thread: str
    kind: str
    text: str
    durable: bool = False
    """Each checkpoint is stored before the next node begins; only runs can ask for it."""
    key: str = field(default_factory=lambda: str(uuid4()))
    run_id: str = ""
    sends: int = 0
    answers: list[str] = field(default_factory=list)
    """What it was told the answer is."""
    events: list[str] = field(default_factory=list)
    """The ids of what was streamed."""
    words: dict[str, str] = field(default_factory=dict)
    """What was streamed and not taken back, by message."""
    refused: list[int] = field(default_factory=list)
    come_back: bool = False
    """Its stream has said that it should be sent again."""
    problems: list[str] = field(default_factory=list)
    """What no client should be told."""
    sent_at: float = 0.0
    acknowledged_at: float = 0.0
    told_at: float = 0.0

    @property
    def name(self) -> str:
        """What it is called in questions, answers and the journal."""
        return self.text.split(maxsplit=1)[0]

    @property
    def acknowledged(self) -> bool:
        """The client was told of its run, or its answer: it may not be lost any more."""
        return bool(self.acknowledged_at)

    def acknowledge(self, run_id: str = "") -> None:
        """Note that the client was told."""
        self.run_id = run_id or self.run_id
        self.acknowledged_at = self.acknowledged_at or time.monotonic()

    @property
    def answer(self) -> str:
        """What its answer begins with."""
        return f"answer to {self.name}"

    @property
    def whole_answer(self) -> str:
        """All of it."""
        return " ".join([self.answer, *["well"] * int(self.text.rpartition(" ")[2])])


Heard = Callable[[Turn], None]


class Clients:
    """Sends turns to instances in turns, and goes to the next where one does not answer."""

    def __init__(
        self,
        urls: list[str],
        heard: Heard = lambda turn: None,
        noted: Heard = lambda turn: None,
        transport: httpx.AsyncBaseTransport | None = None,
        patience: float = _PATIENCE,
    ) -> None:
        """Talk to instances.

        Args:
            urls: of the instances.
            heard: called with the first byte of each answer, and with each line of a stream.
            noted: called when the client has taken in what it was told.
            transport: where it is not the network.
            patience: seconds that each turn is tried.
        """
        self._patience = patience
        self._urls = urls
        self._next = 0
        self._heard = heard
        self._noted = noted
        limits = httpx.Limits(max_connections=200, max_keepalive_connections=0)
        timeout = httpx.Timeout(patience)
        self.http = httpx.AsyncClient(timeout=timeout, limits=limits, transport=transport)

    def url(self) -> str:
        """The next instance."""
        self._next += 1
        return self._urls[self._next % len(self._urls)]

    async def ask(self, turn: Turn) -> None:
        """Have one turn, by whatever its kind does; gives up at the end of its patience."""
        turn.sent_at = time.monotonic()
        try:
            async with asyncio.timeout(self._patience):
                await _KINDS[turn.kind](self, turn)
        except TimeoutError:
            turn.problems.append("no answer")
        turn.told_at = time.monotonic()
        self._noted(turn)

    async def until_acknowledged(self, turn: Turn) -> asyncio.Task[None]:
        """Begin to ask, and wait until the client is told of the run, or of its failure."""
        asking = asyncio.create_task(self.ask(turn))
        while not (asking.done() or turn.acknowledged):  # noqa: ASYNC110 - a field, no event
            await asyncio.sleep(0.002)
        return asking

    async def get(self, path: str, **how: Any) -> Any:
        """Read something, of whichever instance answers; what is lost is nothing."""
        while True:
            with suppress(httpx.TransportError):
                answer = await self.http.get(self.url() + path, **how)
                if answer.status_code == 409 or answer.status_code not in _AWAY:
                    return answer.json() if answer.is_success else None
            await asyncio.sleep(_PAUSE)

    async def new_thread(self) -> str:
        """Make a thread that is a session, too."""
        while True:
            with suppress(httpx.TransportError):
                answer = await self.http.post(self.url() + "/api/chat/session", json={})
                if answer.is_success:
                    return str(answer.json()["session_id"])
            await asyncio.sleep(_PAUSE)

    async def background(self, turn: Turn) -> None:
        """Post a run, and join it until it has ended."""
        if not turn.run_id:
            answer = await self._post(turn, f"/threads/{turn.thread}/runs", _run(turn))
            if answer is None:
                return
            turn.acknowledge(answer.json()["run_id"])
            self._noted(turn)
        await self._join(turn)

    async def wait(self, turn: Turn) -> None:
        """Run and wait."""
        answer = await self._post(turn, f"/threads/{turn.thread}/runs/wait", _run(turn))
        if answer is not None:
            turn.acknowledge(_run_id(answer))
            _take_state(turn, answer.json())

    async def message(self, turn: Turn) -> None:
        """Send a chat message."""
        answer = await self._post(turn, "/api/chat/message", _message(turn))
        if answer is not None:
            turn.acknowledge(answer.json()["run_id"])
            turn.answers.append(answer.json()["response"])

    async def stream(self, turn: Turn) -> None:
        """Stream a run; where the stream breaks, join it behind the last event that came."""
        body = {**_run(turn), "stream_mode": ["values", "messages-tuple"], "stream_resumable": True}
        await self._streamed(turn, f"/threads/{turn.thread}/runs/stream", body, _run_ended)

    async def chat_stream(self, turn: Turn) -> None:
        """Stream the answer to a chat message, and join it again where it breaks."""
        await self._streamed(turn, "/api/chat/message/stream", _message(turn), _chat_ended)

    async def _post(self, turn: Turn, path: str, body: Any) -> httpx.Response | None:
        """Send a turn until it is answered, or once where it is not sent again."""
        while True:
            turn.sends += 1
            with suppress(httpx.TransportError):
                answer = await self.http.post(
                    self.url() + path, json=body, headers={"Idempotency-Key": turn.key}
                )
                self._heard(turn)
                if answer.is_success:
                    return answer
                if not _is_away(turn, answer):
                    turn.problems.append(f"{answer.status_code} {answer.text[:200]}")
                    return None
            if turn.kind not in KEYED:
                return None
            await asyncio.sleep(_PAUSE)

    async def _join(self, turn: Turn) -> None:
        path = f"/threads/{turn.thread}/runs/{turn.run_id}/join"
        while True:
            with suppress(httpx.TransportError, json.JSONDecodeError):
                answer = await self.http.get(self.url() + path)
                if answer.is_success:
                    _take_state(turn, answer.json())
                    return
                if not _is_away(turn, answer):
                    turn.problems.append(f"join: {answer.status_code} {answer.text[:200]}")
                    return
            await asyncio.sleep(_PAUSE)

    async def _streamed(
        self, turn: Turn, path: str, body: Any, ended: Callable[[Turn, str, Any], bool]
    ) -> None:
        keyed = {"Idempotency-Key": turn.key}
        while True:
            with suppress(httpx.TransportError, json.JSONDecodeError):
                if turn.run_id:
                    last = turn.events[-1] if turn.events else "-1"
                    asked = self.http.stream(
                        "GET", self.url() + self._place(turn), headers={"Last-Event-ID": last}
                    )
                else:
                    turn.sends += 1
                    turn.words.clear()
                    turn.events.clear()  # of another run, or the same stream from its beginning
                    asked = self.http.stream("POST", self.url() + path, json=body, headers=keyed)
                async with asked as answer:
                    if answer.is_success:
                        turn.acknowledge(_run_id(answer))
                        self._noted(turn)
                        if await self._read(turn, answer, ended):
                            return
                    elif not _is_away(turn, answer):
                        text = (await answer.aread()).decode()[:200]
                        where = "join" if turn.run_id else "post"
                        turn.problems.append(f"{where}: {answer.status_code} {text}")
                        return
            if turn.kind not in KEYED and not turn.run_id:
                return
            await asyncio.sleep(_PAUSE)

    async def _read(
        self, turn: Turn, answer: httpx.Response, ended: Callable[[Turn, str, Any], bool]
    ) -> bool:
        """Read a stream; says whether its end has come."""
        event, name, over = {"event": ""}, "", False
        async for line in answer.aiter_lines():
            self._heard(turn)
            if line:
                field_name, _, value = line.partition(": ")
                event[field_name] = value
                continue
            # An empty line ends an event: one that was cut before it has not come.
            if "id" in event and "data" in event:  # else the place where a stream was left
                turn.events.append(event["id"])
            if "data" in event:
                over = ended(turn, event["event"], json.loads(event["data"])) or over
            self._noted(turn)
            name, event = event["event"], {"event": ""}
        if turn.kind == "chat stream" and name == "error" and turn.come_back:
            turn.come_back, turn.run_id = False, ""
            return False
        # A run's stream that ended by itself has said all; a chat's says `done` or `error`.
        return over or turn.kind == "stream"

    def _place(self, turn: Turn) -> str:
        above = "/api/chat/session" if turn.kind in CHAT else "/threads"
        return f"{above}/{turn.thread}/runs/{turn.run_id}/stream"


def _is_away(turn: Turn, answer: httpx.Response) -> bool:
    """Whether to come back later, as the answer should say."""
    turn.refused.append(answer.status_code)
    if answer.status_code == 503 and "retry-after" not in answer.headers:
        turn.problems.append(f"503 without Retry-After: {answer.request.url.path}")
    return answer.status_code in _AWAY


def _run_id(answer: httpx.Response) -> str:
    place = str(answer.headers.get("content-location", ""))
    return place.partition("/runs/")[2].partition("/")[0]


def _run(turn: Turn) -> dict[str, Any]:
    asked = {"messages": [{"role": "user", "content": turn.text}]}
    how = {"durability": "sync"} if turn.durable else {}
    return {"assistant_id": "soak", "input": asked, **how}


def _message(turn: Turn) -> dict[str, Any]:
    return {"message": turn.text, "session_id": turn.thread, "agent": "soak"}


def _take_state(turn: Turn, state: Any) -> None:
    if failed := state.get("__error__"):
        turn.problems.append(f"error: {failed.get('error')} {failed.get('message')}"[:200])
        return
    # A run that was joined late shows the state of its thread, which others may have changed.
    said = [each["content"] for each in state.get("messages", ()) if each["type"] == "ai"]
    turn.answers += [each for each in said if each.startswith(f"{turn.answer} ")]


def _run_ended(turn: Turn, event: str, data: Any) -> bool:
    if event == "error":
        turn.problems.append(f"error event: {data}"[:200])
    elif event == "values":
        _take_state(turn, data)
    return False


def _chat_ended(turn: Turn, event: str, data: Any) -> bool:
    if event == "error" and data.get("status") == 503:
        turn.refused.append(503)
        turn.come_back = True
    elif event == "error":
        turn.problems.append(f"error event: {data}"[:200])
    elif event == "message":
        turn.words[data["message_id"]] = turn.words.get(data["message_id"], "") + data["content"]
    elif event == "reset" and data["message_id"] is None:
        turn.words.clear()
    elif event == "reset":
        turn.words[data["message_id"]] = ""
    elif event == "done":
        turn.answers += [said for said in turn.words.values() if said]
    return event in {"done", "error"}


_KINDS: dict[str, Callable[[Clients, Turn], Any]] = {
    "background": Clients.background,
    "wait": Clients.wait,
    "stream": Clients.stream,
    "message": Clients.message,
    "chat stream": Clients.chat_stream,
}

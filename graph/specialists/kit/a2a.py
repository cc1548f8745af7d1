"""A specialist that speaks A2A, by JSON-RPC over HTTP: versions 0.3 and 1.0 of the protocol.

Its agent card says where it is asked and in which version. A card may name any address: one on
another host than the setting does must be public. https://a2a-protocol.org/latest/specification/
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from urllib.parse import urlsplit
from uuid import uuid4

from pydantic import SecretStr

from everturn.graph.specialists.kit.remote import Declined, reported, revealed
from everturn.graph.steps.delegation import FAILED, Report
from everturn.tools.kit.web import Web, current_web

_CARD = "/.well-known/agent-card.json"
_PAUSE, _MAX_PAUSE = 0.2, 2.0  # seconds between two looks at a task: doubled with each
_CANCEL_SECONDS = 2.0
_MAX_REASON = 300
_AT_WORK = {"submitted", "working"}
_NEEDS_PERSON = {"input-required", "auth-required"}


class _Endpoint(NamedTuple):
    """Where an agent is asked."""

    url: str
    new: bool
    """It speaks version 1.0."""
    public: bool
    """Its address is not the setting's, and must be public."""


@dataclass(frozen=True, slots=True)
class A2AAgent:
    """An agent that is asked by A2A."""

    name: str
    url: str
    headers: Mapping[str, SecretStr] = field(hash=False, repr=False)
    timeout: float

    async def ask(self, task: str, seconds: float, key: str, depth: int) -> Report:
        """See `Remote`. The message's id is the key: an agent may know by it what it did before."""
        seconds = min(seconds, self.timeout)

        async def ask() -> Report:
            web = await current_web()
            caller = _Caller(self, web, await self._endpoint(web, seconds), seconds)
            return await caller.answer(task, key, depth)

        return await reported(self.name, seconds, ask)

    async def _endpoint(self, web: Web, seconds: float) -> _Endpoint:
        headers, address = revealed(self.headers), self.url + _CARD
        card = await web.call(self.name, address, headers=headers, seconds=seconds)
        for url, binding, version in _interfaces(card if isinstance(card, dict) else {}):
            if isinstance(url, str) and binding == "JSONRPC":
                elsewhere = self._is_elsewhere(url)
                return _Endpoint(url, not str(version).startswith("0."), elsewhere)
        raise Declined(f"{self.name} is no A2A agent that can be asked by JSON-RPC")

    def _is_elsewhere(self, url: str) -> bool:
        try:
            return _origin(url) != _origin(self.url)
        except ValueError:
            raise Declined(f"the card of {self.name} names no address") from None


class _Caller:
    """One question to an agent."""

    def __init__(self, agent: A2AAgent, web: Web, endpoint: _Endpoint, seconds: float) -> None:
        self._agent, self._web, self._endpoint, self._seconds = agent, web, endpoint, seconds

    async def answer(self, text: str, key: str, depth: int) -> Report:
        """Send the task, and wait until it has ended; it is cancelled where nobody waits longer."""
        new = self._endpoint.new
        part = {"text": text} if new else {"kind": "text", "text": text}
        message = {
            "messageId": key,
            "role": "ROLE_USER" if new else "user",
            "parts": [part],
            "metadata": {"team_depth": depth},
            **({} if new else {"kind": "message"}),
        }
        modes = {"acceptedOutputModes": ["text/plain"]}
        how = modes if new else {**modes, "blocking": True}
        sent = {"message": message, "configuration": how}
        found = await self._rpc("SendMessage" if new else "message/send", sent)
        if new:
            said = found.get("task") or found.get("message")
            found = said if isinstance(said, dict) else {}
        if "status" not in found:
            return self._report(_texts(found.get("parts")))
        return await self._ended(found)

    async def _ended(self, task: dict[str, Any]) -> Report:
        pause, task_id = _PAUSE, str(task.get("id"))
        new = self._endpoint.new
        get, cancel = ("GetTask", "CancelTask") if new else ("tasks/get", "tasks/cancel")
        try:
            while (state := _state(task)) in _AT_WORK:
                await asyncio.sleep(pause)
                pause = min(2 * pause, _MAX_PAUSE)
                task = await self._rpc(get, {"id": task_id})
        except asyncio.CancelledError:
            await self._cancel(cancel, task_id)
            raise
        said = _said(task)
        if state == "completed":
            return self._report(said)
        if state in _NEEDS_PERSON:
            await self._cancel(cancel, task_id)
            raise Declined(f"{self._agent.name} waits for a person: {said[:_MAX_REASON]}")
        raise Declined(f"{self._agent.name} ended with {state}: {said[:_MAX_REASON]}")

    async def _cancel(self, method: str, task_id: str) -> None:
        try:
            async with asyncio.timeout(_CANCEL_SECONDS):
                await self._rpc(method, {"id": task_id})
        except Exception:  # noqa: S110 - it is told as a courtesy
            pass

    async def _rpc(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        name, endpoint = self._agent.name, self._endpoint
        version = {"A2A-Version": "1.0"} if endpoint.new else {}
        # What proves who asks is for the setting's own host alone.
        secret = {} if endpoint.public else revealed(self._agent.headers)
        body = {"jsonrpc": "2.0", "id": uuid4().hex, "method": method, "params": params}
        answer = await self._web.call(
            name,
            endpoint.url,
            body,
            headers={**version, **secret},
            seconds=self._seconds,
            public=endpoint.public,
        )
        if isinstance(answer, dict) and isinstance(error := answer.get("error"), dict):
            raise Declined(f"{name} refused: {str(error.get('message'))[:_MAX_REASON]}")
        result = answer.get("result") if isinstance(answer, dict) else None
        if not isinstance(result, dict) or answer.get("id") != body["id"]:
            raise Declined(f"{name} answered with something other than A2A")
        return result

    def _report(self, text: str) -> Report:
        if not text:
            raise Declined(f"{self._agent.name} gave no answer in words")
        return Report(text, failed=text.startswith(FAILED))


def _interfaces(card: dict[str, Any]) -> list[tuple[Any, Any, Any]]:
    """Return where a card says that its agent is asked: address, binding and version."""
    version = card.get("protocolVersion") or "0.3"
    old, new = (_objects(card.get(key)) for key in ("additionalInterfaces", "supportedInterfaces"))
    return [
        *((e.get("url"), e.get("protocolBinding"), e.get("protocolVersion") or "1.0") for e in new),
        (card.get("url"), card.get("preferredTransport") or "JSONRPC", version),
        *((e.get("url"), e.get("transport"), version) for e in old),
    ]


def _objects(value: Any) -> list[dict[str, Any]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port


def _state(task: dict[str, Any]) -> str:
    status = task.get("status")
    state = status.get("state") if isinstance(status, dict) else None
    return str(state).removeprefix("TASK_STATE_").replace("_", "-").lower()


def _said(task: dict[str, Any]) -> str:
    """Return what a task brought, or what its status says."""
    texts = [_texts(each.get("parts")) for each in _objects(task.get("artifacts"))]
    if brought := "\n".join(text for text in texts if text):
        return brought
    status = task.get("status")
    message = status.get("message") if isinstance(status, dict) else None
    return _texts(message.get("parts")) if isinstance(message, dict) else ""


def _texts(parts: Any) -> str:
    texts = (part.get("text") for part in _objects(parts))
    return "\n".join(text for text in texts if isinstance(text, str)).strip()
